"""`--watch`: the output of a command, refreshed in place until `q` or Ctrl-C."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import typer

from asyncmq_cli.cli.session import Session
from asyncmq_cli.durations import interval
from asyncmq_cli.errors import UsageProblem
from asyncmq_cli.system.process import interruption

if TYPE_CHECKING:
    from asyncmq_cli.models.monitoring.snapshots import Snapshot
    from asyncmq_cli.output.tables.columns import Column
    from asyncmq_cli.output.terminal.viewport import Viewport
    from asyncmq_cli.services.monitoring.poller import Outage

T = TypeVar("T")

LEAST_INTERVAL = 0.2
_PAST = 1800.0
"""Seconds of history that the trends show at the start."""

_INSTEAD = "'asyncmq events tail' follows changes in a pipe"


@contextmanager
def ends_quietly() -> Iterator[None]:
    """A context that a signal ends with the status of an interruption, but without its error line: nothing
    was left undone."""
    try:
        yield
    except KeyboardInterrupt as exc:
        raise typer.Exit(interruption(exc).exit_code) from exc


def is_wanted(session: Session) -> bool:
    return "watch" in session.flags


def columns_of(session: Session, columns: Sequence[Column[T]]) -> Sequence[Column[T]]:
    """The columns that --fields names, else all. Raises UsageProblem for an unknown one."""
    from asyncmq_cli.output.tables.columns import chosen

    return chosen(columns, session.out.fields) if session.out.fields else columns


class _Board(Generic[T]):
    """The content of the screen: totals, a table, trends (at first from the history), and warnings."""

    def __init__(
        self,
        session: Session,
        frame: Callable[[T, Viewport], list[Any]],
        every: float,
        first: tuple[Snapshot, T],
    ) -> None:
        self._session = session
        self._frame = frame
        self._every = f"every {every:g}s"
        from asyncmq_cli.services.monitoring.metrics import LongTrend

        self._trend = LongTrend(session.metrics.past(since=_PAST))
        self.outage: Outage | None = None
        self.show(first)

    def show(self, found: tuple[Snapshot, T]) -> None:
        self._shown = found
        totals = found[0].metrics()
        # Totals read at different times would give wrong rates.
        if totals.is_whole and not found[0].states_age:
            self._trend.add(totals)

    def lines(self, width: int, height: int) -> list[str]:
        from asyncmq_cli.output.terminal import screens
        from asyncmq_cli.output.terminal.viewport import viewport_for

        out = self._session.out
        snapshot, value = self._shown
        problem = None if self.outage is None else self.outage.error.message
        where = self._session.config.shown_url
        remarks = screens.remarks(problem, self._session.warnings, where=where)
        viewport = viewport_for(out, width=width, height=height - 2 - len(remarks))
        corner = screens.as_of(snapshot.now, self._every, is_old=problem is not None, utc=viewport.utc)
        head = screens.head(snapshot, viewport, corner, where)
        shown = out.drawn(head, *self._frame(value, viewport))
        # On a small screen, drop other parts before the warnings.
        is_current = snapshot.metrics().is_whole
        below = [screens.trends(self._trend.trend(), viewport, is_current=is_current), *remarks]
        return [*shown[: viewport.height + 1], *out.drawn(*below)]


def watch(
    session: Session,
    read: Callable[[Snapshot], T],
    frame: Callable[[T, Viewport], list[Any]],
    *,
    workers: bool = False,
    latest: bool = False,
    trouble: bool = False,
) -> None:
    """Refresh the screen until q or Ctrl-C. `read` computes a value from each snapshot, which has at least
    `stats`; `frame` draws that value."""
    from asyncmq_cli.output.terminal.live import LiveScreen
    from asyncmq_cli.services.monitoring.poller import Outage, Poller, SnapshotReader

    every = _interval(session)
    reader = SnapshotReader(session.store, workers=workers, latest=latest, trouble=trouble, again=True)

    def read_both() -> tuple[Snapshot, T]:
        snapshot = reader.read()
        return snapshot, read(snapshot)

    poller = Poller(session.store, read_both, reader.reset)
    # Read once before opening the screen, so that an error is reported as usual.
    board = _Board(session, frame, every, poller.first())
    session.has_screen = True
    try:
        with ends_quietly(), LiveScreen(board.lines) as screen:
            screen.draw()
            while screen.wait(board.outage.pause if board.outage else poller.pause(every)):
                session.warnings.clear()
                found = poller.next()
                board.outage = found if isinstance(found, Outage) else None
                if not isinstance(found, Outage):
                    board.show(found)
                screen.draw()
    finally:
        session.has_screen = False


def _interval(session: Session) -> float:
    if not session.out.for_people:
        option = next((f"--{name}" for name in ("json", "ndjson", "jq") if name in session.flags), "--output")
        if {option.removeprefix("--"), "output"}.intersection(session.flags):
            raise UsageProblem(f"--watch and {option} exclude each other", hint=_INSTEAD)
    if not session.out.stdout_is_terminal:
        raise UsageProblem("--watch needs a terminal, but stdout is not one", hint=_INSTEAD)
    if os.environ.get("TERM", "dumb") == "dumb":
        raise UsageProblem("--watch needs a terminal that can draw, but TERM is dumb", hint=_INSTEAD)
    return interval("--watch", session.flags["watch"], LEAST_INTERVAL)
