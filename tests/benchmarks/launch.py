"""Run one program and print its cost: `python -I -S launch.py PROGRAM ARGUMENT…`.

This is a separate, small process, because the memory of a process before it becomes the program counts in the
peak of the program.
"""

import os
import sys
import time


def main() -> None:
    started = time.perf_counter()
    child = os.fork()
    if child == 0:
        quiet = os.open(os.devnull, os.O_RDWR)
        os.dup2(quiet, 0)
        os.dup2(quiet, 1)
        os.execv(sys.argv[1], sys.argv[1:])  # noqa: S606
    _, status, used = os.wait4(child, 0)
    seconds = time.perf_counter() - started
    fields = (os.waitstatus_to_exitcode(status), seconds, used.ru_utime, used.ru_stime, used.ru_maxrss)
    sys.stdout.write(" ".join(map(str, fields)))


main()
