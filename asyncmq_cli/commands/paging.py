"""One page of a list, and what is said of the jobs that are not on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from asyncmq_cli.commands.declare import option
from asyncmq_cli.commands.targets import EVERYWHERE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from asyncmq_cli.commands.session import Session
    from asyncmq_cli.models.jobs import Job

FIRST, USUAL_SIZE, LARGEST = 1, 20, 1000

PageOption = Annotated[int | None, option("--page", "N", "Which page. [default: 1]", min=FIRST)]


def size_option(things: str) -> Any:
    told = f"{things} a page, 1 to {LARGEST}. [default: {USUAL_SIZE}]"
    return option("--size", "N", told, min=1, max=LARGEST)


SizeOption = Annotated[int | None, size_option("Jobs")]


def tell_of_more(session: Session, shown: int, total: int, things: str = "jobs") -> None:
    """A pipe that is given a page without a word would take it for everything: no line stands under it."""
    if shown < total and session.out.format == "tabs":
        session.out.remark(
            "note", f"{shown:,} of {total:,} {things}; --ndjson gives all, --size up to {LARGEST}"
        )


def tell_of_none(session: Session, total: int, state: str, others: str | None = EVERYWHERE) -> None:
    """A filter that finds nothing looks like one that has nothing to find: which state was looked
    at is said, and with what the `others` are."""
    if total or state == "all" or session.out.for_programs:
        return
    what = f"no {state} job matches" if session.filter.narrows else f"there is no {state} job"
    session.out.remark("note", "; ".join(filter(None, (what, others))))


def telling_of_none(session: Session, jobs: Iterable[Job], state: str) -> Iterator[Job]:
    """The same jobs, as they come."""
    total = 0
    for job in jobs:
        total += 1
        yield job
    if session.filter.narrows:
        tell_of_none(session, total, state)
