"""Writes docs/reliability.md: `python -m tests.faults.reliability FIGURES TARGET SUITES`.

FIGURES are those of a whole `make faults`. SUITES are those of `make servers`, if there are any.
"""

from __future__ import annotations

import json
import sys
import textwrap
import time
from collections import Counter
from pathlib import Path
from typing import Any

# A section for each kind of fault, in this order: what was done, and what was held afterwards.
SECTIONS = {
    "The tool killed": """
        Bulk retry, remove (with a backup), cancel and requeue of 10,000 jobs, a restore, a repair by
        the doctor and changes of definitions were SIGKILLed at random moments and run again until done.
        After each kill every job was in exactly one place, each change had exactly one success event
        and each success event its change, and everything removed was in a backup.""",
    "Whole queues and edits": """
        `queues obliterate` and `queues clean` with a backup were SIGKILLed a hundred times each, `jobs
        edit` and `jobs retry --set` fifty times each. After each kill the audit trail and the backups
        accounted for everything that was gone, each job was edited completely or not at all, and in the
        end everything was restored, byte for byte.""",
    "Redis killed": """
        The same with Redis SIGKILLed (append-only, `appendfsync always`) and started again: nothing
        that had been reported as done was lost.""",
    "The line cut": """
        The connection to Redis was cut after any byte, in either direction. A change whose reply was
        lost was looked up in the audit trail, none was reported as failed, and running the same command
        again did the rest.""",
    "A bad server": """
        Servers that refuse (with each error that Redis has, a real one where possible), that have one
        right taken away, that hang, lie, speak another protocol or die; connections cut or dead at
        points all over each conversation; and certificates that cannot be trusted. Each command printed
        one clear error, exited with 3 and left nothing half done. `commands` counts the commands that
        met such a server.""",
    "Another kind of server": """
        Every command against a node of a Redis Cluster, a Sentinel, and queues of AsyncMQ's RabbitMQ
        backend: the error named the kind of server, no partial list was printed as a whole one, and
        nothing was changed.""",
    "A full Redis": """
        Every change that frees memory or stops new jobs, on a Redis beyond `maxmemory`, with its script
        loaded or not: it was made, with its event.""",
    "Streams": """
        Every command with standard input, output or error closed or full: the exit status was the one
        with pipes, or the one for output that cannot be written, and there was no traceback.""",
    "Signals": """
        SIGINT, SIGTERM, SIGHUP and SIGQUIT at random moments of each kind of bulk change, and of
        commands that only read and run until they are ended: every change made was reported, job by
        job, and agreed with the audit trail; the exit status was 128 plus the signal's number.""",
    "Clocks": """
        Real workers with clocks from 40 s to 11 days ahead or behind, each running jobs: all were
        healthy, the difference was named, `check` reported no problem, and no repair took a job from
        them.""",
    "Rights withdrawn": """
        Each command that a change uses, and each pattern of keys, was taken away from the user between
        the last check and the script, for every script on every server: either the whole change was
        made with its event, or nothing was, and the error named the missing right with exit status 3.""",
    "Races": """
        Eight processes of the tool and four workers of the library on one queue, doing random things:
        no job lost, none run twice by the tool, no event without its change. `executions` counts the
        jobs that workers ran.""",
    "The model": """
        Random sequences of the library's calls and the tool's (Hypothesis), checked after each step
        against a plain model: counts equal lists, lists the model, and the invariants of the layout
        hold.""",
    "Hostile data": """
        Random, damaged and deep data and wrong types under every key, names of control characters,
        globs and 10,000 characters, secrets at every depth: no command ended in a traceback, printed a
        control sequence, or showed a secret.""",
    "Fuzzed jobs": """
        Mutated records, members, payload parts and results, decoded, redacted and rendered.""",
    "Fuzzed URLs": """
        Made-up Redis URLs with passwords of every character, encoded and not: no four characters of a
        password were shown, and none led to another host than the one meant.""",
    "Values of options": """
        Some ninety hostile values (ends of the calendar, numbers beyond every type, bytes that are not
        UTF-8, deep JSON, odd schedules) after each option of each command, as the program lists them:
        each ended in an answer or in a usage error.""",
    "Fuzzed codec": """
        Mutated texts were decoded or refused exactly as Python's `json` does; only a backup's own lines
        were accepted as lines of a backup.""",
}
_WIDTH = 118


SUITE = """
    The whole suite (`make test`), including a smaller run of everything below, on each of these servers
    (`make servers`)."""


def page(lines: list[dict[str, Any]], today: str, suites: list[dict[str, Any]]) -> str:
    servers = " and ".join(sorted({line["server"] for line in lines if line["server"]}))
    intro = f"""
        What `make faults` did on {today} with {servers}, and the result; it writes this page. `make
        faults FAULTS_SEED={lines[0]["seed"]}` makes the same random choices again. A
        smaller run is a part of `make test`."""
    parts = ["# Reliability", folded(intro)]
    if suites:
        numbers = [f"{one['server']}: passed {one['passed']:,}, failed {one['failed']:,}" for one in suites]
        parts += ["## Servers", folded(SUITE), f"**{'; '.join(numbers)}**"]
    for section, told in SECTIONS.items():
        figures: Counter[str] = Counter()
        for line in lines:
            if line["section"] == section:
                figures.update(line["figures"])
        if figures:
            numbers = ", ".join(f"{name} {count:,}" for name, count in figures.items())
            parts += [f"## {section}", folded(told), f"**{numbers}**"]
    return "\n\n".join(parts) + "\n"


def folded(text: str) -> str:
    return textwrap.fill(" ".join(text.split()), _WIDTH, break_long_words=False, break_on_hyphens=False)


def read(figures: str) -> list[dict[str, Any]]:
    """Nothing where there is no such file."""
    path = Path(figures)
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def main(figures: str, target: str, suites: str) -> None:
    today = time.strftime("%Y-%m-%d", time.gmtime())
    Path(target).write_text(page(read(figures), today, read(suites)))


if __name__ == "__main__":
    main(*sys.argv[1:])
