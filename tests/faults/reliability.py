"""Write docs/reliability.md: `python -m tests.faults.reliability FIGURES TARGET SUITES`.

FIGURES is a file with the figures of a complete `make faults`. SUITES is one with those of `make servers`, if
there are any.
"""

from __future__ import annotations

import json
import sys
import textwrap
import time
from collections import Counter
from pathlib import Path
from typing import Any

# The sections, one for each kind of fault: what was done, and what was checked afterwards.
SECTIONS = {
    "The tool killed": """
        The tool was killed with SIGKILL at random moments and run again until done: in bulk
        retries, removals (with a backup), cancels and requeues of 10,000 jobs, restores,
        repairs by the doctor and changes of definitions. After each kill, every job was in
        exactly one place, every change had exactly one success event and every success event
        its change, and everything removed was in a backup.""",
    "Whole queues and edits": """
        `queues obliterate` and `queues clean` with a backup were killed a hundred times each,
        `jobs edit` and `jobs retry --set` fifty times each. After each kill, the audit trail
        and the backups accounted for everything that was gone, and each job was edited
        completely or not at all. In the end, everything was restored byte for byte.""",
    "Redis killed": """
        The same, with Redis killed (append-only, `appendfsync always`) and started again:
        nothing that the tool had reported as done was lost.""",
    "The line cut": """
        The connection to Redis was cut after any byte, in either direction. A change whose reply was
        lost was looked up in the audit trail, none was reported as failed, and running the same command
        again did the rest.""",
    "A bad server": """
        Servers that refuse (with every error that Redis has, a real one where possible), that
        withdraw a right, hang, lie, speak another protocol or die; connections that are cut or
        dead at points throughout each conversation; and certificates that cannot be trusted.
        Each command printed one clear error, exited with 3 and left nothing half done.
        `commands` counts the commands that met such a server.""",
    "Another kind of server": """
        Every command against a node of a Redis Cluster, a Sentinel, and queues of AsyncMQ's
        RabbitMQ backend. The error named the kind of server, no partial list was printed as a
        complete one, and nothing was changed.""",
    "A full Redis": """
        Every change that frees memory or stops new jobs, on a Redis above `maxmemory`, with its
        script loaded or not. Each change was made, with its event.""",
    "Streams": """
        Every command with standard input, output or error closed or full. The exit status was
        the same as with pipes, or the one for output that cannot be written, and there was no
        traceback.""",
    "Signals": """
        SIGINT, SIGTERM, SIGHUP and SIGQUIT at random moments of each kind of bulk change, and
        of commands that read until they are stopped. Every change made was reported, job by
        job, and agreed with the audit trail; the exit status was 128 plus the number of the
        signal.""",
    "Clocks": """
        Real workers with clocks from 40 s to 11 days fast or slow, each running jobs. All
        workers were healthy, a warning named the difference, `check` reported no problem, and
        no repair took a job from them.""",
    "Rights withdrawn": """
        Each command and each key pattern that a change needs was withdrawn from the user
        between the last check and the script, for every script on every server. Either the
        whole change was made with its event, or nothing was changed and the error named the
        missing right with exit status 3.""",
    "Races": """
        Eight processes of the tool and four workers of the library did random things to one
        queue. No job was lost, the tool ran none twice, and there was no event without its
        change. `executions` counts the jobs that workers ran.""",
    "The model": """
        Random sequences of calls of the library and the tool (Hypothesis), compared after each
        step with a simple model. Counts equalled lists, lists equalled the model, and the
        invariants of AsyncMQ's keys held.""",
    "Hostile data": """
        Random, damaged and deeply nested data and wrong types under every key; names made of
        control characters, globs and 10,000 characters; secrets at every depth. No command
        ended in a traceback, printed a control sequence, or showed a secret.""",
    "Fuzzed jobs": """
        Mutated records, members, payload parts and results, decoded, redacted and rendered.""",
    "Fuzzed URLs": """
        Made-up Redis URLs with passwords of every character, encoded and unencoded. No four
        characters of a password were printed, and no URL led to another host than intended.""",
    "Values of options": """
        Some ninety hostile values (ends of the calendar, numbers too large for any type, bytes
        that are not UTF-8, deep JSON, odd schedules) for each option of each command. Each
        ended in a result or in a usage error.""",
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
        `make faults` injects faults, checks the result, and writes this page. This is the run of {today} with
        {servers}. `make faults FAULTS_SEED={lines[0]["seed"]}` repeats its random choices. `make test`
        includes a smaller run."""
    parts = ["# Reliability", folded(intro)]
    if suites:
        numbers = [f"{one['server']}: passed {one['passed']:,}, failed {one['failed']:,}" for one in suites]
        parts += ["## Servers", folded(SUITE), f"**{'; '.join(numbers)}**"]
    for section, text in SECTIONS.items():
        figures: Counter[str] = Counter()
        for line in lines:
            if line["section"] == section:
                figures.update(line["figures"])
        if figures:
            numbers = ", ".join(f"{name} {count:,}" for name, count in figures.items())
            parts += [f"## {section}", folded(text), f"**{numbers}**"]
    return "\n\n".join(parts) + "\n"


def folded(text: str) -> str:
    return textwrap.fill(" ".join(text.split()), _WIDTH, break_long_words=False, break_on_hyphens=False)


def read(figures: str) -> list[dict[str, Any]]:
    """The figures in the file; none if it does not exist."""
    path = Path(figures)
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def main(figures: str, target: str, suites: str) -> None:
    today = time.strftime("%Y-%m-%d", time.gmtime())
    Path(target).write_text(page(read(figures), today, read(suites)))


if __name__ == "__main__":
    main(*sys.argv[1:])
