"""Progress bars on stderr, if it is a terminal that can redraw a line."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from asyncmq_cli.output.text import waits
from asyncmq_cli.output.text.escape import escape

if TYPE_CHECKING:
    from asyncmq_cli.models.monitoring.waits import Standing
    from asyncmq_cli.output.printer import Printer

_WORTH_A_BAR = 100
"""Jobs. Fewer get no bar."""
_SHORT = 2.0
"""Seconds. A shorter run gets no bar."""


@contextmanager
def of_changes(
    out: Printer, verb: str, total: int, rate: float | None = None
) -> Iterator[Callable[[int], None] | None]:
    """A bar with the rate and the time left. Yields a function to call with the number of jobs just changed,
    or None if stderr is no terminal, or if there are so few jobs that they are done soon. `rate` is jobs per
    second."""
    takes_long = total >= _WORTH_A_BAR or (rate is not None and total > _SHORT * rate)
    if not takes_long or not _can_draw(out):
        yield None
        return
    from rich.progress import TimeRemainingColumn

    with _bar(TimeRemainingColumn()) as bar:
        task = bar.add_task(verb, total=total, pace="")

        def advance(count: int) -> None:
            speed = bar.tasks[0].speed
            bar.update(task, advance=count, pace=f"{speed:,.0f}/s" if speed else "")

        yield advance


class Waiting:
    """The progress bar of a wait. It is called with each new Standing."""

    def __init__(self, out: Printer, queue: str) -> None:
        self.bar = _bar() if _can_draw(out) else None
        self._task = None if self.bar is None else self.bar.add_task(escape(queue), total=None, pace="")

    def __call__(self, standing: Standing) -> None:
        if self.bar is not None:
            done = standing.total - standing.left
            self.bar.update(self._task, total=standing.total, completed=done, pace=waits.pace(standing))

    @contextmanager
    def aside(self) -> Iterator[None]:
        """A context in which the bar is hidden, so that lines can be printed."""
        if self.bar is None:
            yield
            return
        self.bar.stop()
        try:
            yield
        finally:
            self.bar.start()


@contextmanager
def of_waiting(out: Printer, queue: str) -> Iterator[Waiting]:
    """A context in which the bar of a wait is shown."""
    waiting = Waiting(out, queue)
    with waiting.bar or nullcontext():
        yield waiting


def _can_draw(out: Printer) -> bool:
    return out.stderr_is_terminal and os.environ.get("TERM") != "dumb"


def _bar(*last: Any) -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    class WithCursor(Console):
        """A console that never hides the cursor, which would stay hidden after SIGKILL."""

        def show_cursor(self, show: bool = True) -> bool:
            return False

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[pace]}", markup=False),
        *last,
        console=WithCursor(stderr=True),
        transient=True,
    )
