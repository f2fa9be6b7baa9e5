"""Names and ids on the command line and from standard input."""

from __future__ import annotations

import codecs
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from asyncmq_cli.system.streams import lines_of_stdin

if TYPE_CHECKING:
    from asyncmq_cli.cli.session import Session

STDIN = "-"
STDIN_HELP = "- reads them from standard input, one per line (./- is the name -)"
_SPELLED = re.compile(r"(?:\./)+-")


def literal(word: Any) -> Any:
    """`./-` means the name `-`, as with files, and `././-` the name `./-`."""
    return word[2:] if isinstance(word, str) and _SPELLED.fullmatch(word) else word


def job_ids(session: Session, queue: str, given: Sequence[str]) -> list[str]:
    """The ids given, `-` replaced by the lines of standard input. Blanks around an id, which come with
    what is pasted, are dropped unless there is a job of that very id."""
    from asyncmq_cli.services.jobs.lookup import resolve_job_ids

    return resolve_job_ids(session.store, queue, words(session, given))


def job_id_meant(session: Session, queue: str, given: str) -> str:
    """One id as it was meant; `-` is an id like any other here."""
    from asyncmq_cli.services.jobs.lookup import resolve_job_ids

    return resolve_job_ids(session.store, queue, [given])[0]


def queue_names(session: Session, given: Sequence[str]) -> list[str]:
    """The names given, `-` replaced by the lines of standard input."""
    from asyncmq_cli.services.jobs.lookup import resolve_queues

    names = resolve_queues(session.store, words(session, given))
    if not names and session.store.queues.exists(STDIN):
        session.out.remark("note", "standard input has no names; './-' is the queue named '-'")
    return names


def words(session: Session, given: Sequence[str]) -> list[str]:
    """The words given, `-` replaced by the lines of standard input, unchanged."""
    import sys

    found: list[str] = []
    for word in given:
        if word != STDIN:
            found.append(literal(word))
            continue
        if sys.stdin.isatty():
            session.out.remark("note", "reading names, one per line, until Ctrl-D; './-' means the name '-'")
        lines = b"\n".join(lines_of_stdin()).removeprefix(codecs.BOM_UTF8).decode("utf-8", "surrogateescape")
        found += [line.rstrip("\r") for line in lines.split("\n") if line.strip()]
    return found
