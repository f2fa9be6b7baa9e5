"""What is named on the command line, or by another command through a pipe."""

from __future__ import annotations


def ids_from(given: list[str]) -> list[str]:
    """The ids given, `-` replaced by the lines of standard input."""
    import sys

    ids: list[str] = []
    for job_id in given:
        if job_id != "-":
            ids.append(job_id)
            continue
        lines = sys.stdin.buffer.read().decode("utf-8", "surrogateescape").split("\n")
        ids.extend(line.rstrip("\r") for line in lines if line.strip())
    return ids
