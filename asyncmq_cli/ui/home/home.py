"""The first page, with a tab for each list: queues, jobs, failures, schedules, workers, audit."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from rich.console import Group
from rich.style import Style
from rich.text import Text
from textual.binding import Binding
from textual.widgets import ContentSwitcher, Static

from asyncmq_cli.models.values import counted
from asyncmq_cli.output.tables.tables import table
from asyncmq_cli.output.tables.views import next_command
from asyncmq_cli.output.terminal import screens
from asyncmq_cli.ui.dialogs.palette import Entry
from asyncmq_cli.ui.home.failures import FailuresPane
from asyncmq_cli.ui.home.tabs import (
    AuditPane,
    QueuesPane,
    SchedulesPane,
    WorkersPane,
)
from asyncmq_cli.ui.jobs.filters import ALL
from asyncmq_cli.ui.jobs.lists import JobsPane
from asyncmq_cli.ui.lists.panes import HeldPane, Pane, clickable
from asyncmq_cli.ui.pages.list_page import ListPage

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from asyncmq_cli.models.monitoring.checks import Problem
    from asyncmq_cli.models.monitoring.snapshots import Snapshot

PANES: dict[str, Callable[[str], Pane[Any]]] = {
    "queues": QueuesPane,
    "jobs": lambda name: JobsPane(None, ALL),
    "failures": FailuresPane,
    "schedules": SchedulesPane,
    "workers": WorkersPane,
    "audit": AuditPane,
}
TABS = tuple(PANES)
_TAB_OF = {"growing": "failures", "overdue": "schedules"}
"""By kind of problem, the tab that shows it."""
_LEAST_FOR_LEGEND = 16
"""On a terminal with fewer lines, the legend of the colours is left out."""


class Home(ListPage):
    """The first page. Its first tab is the list of queues."""

    help: ClassVar[str] = """\
1 to 6, Tab  the tabs, also Left and Right
[, ]         in Jobs: those of another state"""

    BINDINGS: ClassVar = [
        Binding("tab,right,l", "turn(1)", "next tab", show=False, priority=True),
        Binding("shift+tab,left,h", "turn(-1)", "tab before", show=False, priority=True),
        *(Binding(str(n), f"tab('{name}')", name, show=False) for n, name in enumerate(TABS, 1)),
        Binding("left_square_bracket", "turn_state(-1)", "state before", show=False),
        Binding("right_square_bracket", "turn_state(1)", "next state", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.tab = TABS[0]
        self.panes = {name: pane(name) for name, pane in PANES.items()}

    @property
    def pane(self) -> Pane[Any]:
        return self.panes[self.tab]

    def body(self) -> ComposeResult:
        yield clickable("tabs")
        yield Static(id="summary", markup=False)
        with ContentSwitcher(initial=self.tab):
            yield from self.panes.values()
        yield Static(id="trends", markup=False)

    def followed(self, snapshot: Snapshot) -> None:
        viewport = self.viewport()
        above = [screens.head(snapshot, viewport)]
        if self.app.size.height >= _LEAST_FOR_LEGEND:
            above += screens.legend(snapshot, viewport)
        above += self._problems(snapshot)
        self.query_one("#tabs", Static).update(self._tabs())
        self.query_one("#summary", Static).update(Group(*above))
        trends = screens.trends(self.ui.trend.trend(), viewport, is_current=snapshot.metrics().is_whole)
        self.query_one("#trends", Static).update(trends)
        for pane in self.panes.values():
            pane.followed(snapshot)

    def _problems(self, snapshot: Snapshot) -> list[Any]:
        """The worst problems, as the overview shows them."""
        size, problems = self.app.size, snapshot.problems or ()
        most = max(0, (size.height - _LEAST_FOR_LEGEND) // 3)
        if not problems or not most:
            return []
        columns = [column for column in screens.PROBLEMS if column.title != "NEXT"]
        drawn, _ = table(problems[:most], columns, now=snapshot.now, width=size.width)
        more = len(problems) - most
        return [drawn, *([Text(f"… and {counted(more, 'more problem')}", style="dim")] if more > 0 else [])]

    def _tabs(self) -> Text:
        line = Text()
        for number, name in enumerate(TABS, 1):
            style = "reverse bold" if name == self.tab else ""
            clicked = Style.parse(style) + Style(meta={"@click": f"screen.tab('{name}')"})
            line.append(f" {number} {name.capitalize()} ", style=clicked).append(" ")
        line.truncate(self.app.size.width, overflow="ellipsis")
        return line

    def action_turn(self, by: int) -> None:
        self.action_tab(TABS[(TABS.index(self.tab) + by) % len(TABS)])

    @property
    def keys_line(self) -> str:
        return f"Enter open  Tab tabs  {self.pane.hint}"

    def action_turn_state(self, by: int) -> None:
        if isinstance(self.pane, JobsPane):
            self.pane.turn(by)

    def action_state(self, state: str) -> None:
        """Show the jobs in a state, after a click on it."""
        if isinstance(self.pane, JobsPane):
            self.pane.choose_state(state)

    def action_tab(self, name: str) -> None:
        self.tab = name
        self.query_one(ContentSwitcher).current = name
        self.pane.listing.focus()
        self.query_one("#tabs", Static).update(self._tabs())
        pane = self.pane
        if isinstance(pane, HeldPane) and pane.is_read:
            self.problem = None
            self.draw_frame()
        else:
            self.action_again()

    def entries(self) -> list[Entry]:
        tabs = [
            Entry(f"{name} ({number})", partial(self.action_tab, name), self.panes[name].command())
            for number, name in enumerate(TABS, 1)
        ]
        queues = [
            Entry(f"open {row.name}", partial(self.ui.open_queue, row.name), ["queues", "show", row.name])
            for row in self.ui.snapshot.stats or ()
        ]
        problems = [
            Entry(
                f"{one.queue}: {one.message}",
                partial(self._open_problem, one),
                shlex.split(next_command(one))[1:],
            )
            for one in self.ui.snapshot.problems or ()
        ]
        return [*super().entries(), *tabs, *problems, *queues]

    def _open_problem(self, problem: Problem) -> None:
        if tab := _TAB_OF.get(problem.kind):
            self.action_tab(tab)
        else:
            self.ui.open_queue(problem.queue)

    async def load(self) -> None:
        if isinstance(self.pane, QueuesPane):
            self.ui.hurry()
        await self.pane.load()
