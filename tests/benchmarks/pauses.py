"""Measure the longest pause of a process that only reads the clock: `python -I -S pauses.py SECONDS` prints
the longest time between two readings, in seconds. Everything that is measured on this machine sometimes waits
that long."""

import sys
import time


def main() -> None:
    longest, before = 0.0, time.perf_counter()
    end = before + float(sys.argv[1])
    while before < end:
        now = time.perf_counter()
        if now - before > longest:
            longest = now - before
        before = now
    sys.stdout.write(f"{longest}\n")


main()
