"""The dialog of a change: its plan and fields, its progress, and its result."""

from __future__ import annotations

import shlex
import signal
from typing import TYPE_CHECKING, ClassVar, cast

from rich.style import Style
from rich.text import Text
from textual.binding import Binding
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Static

from asyncmq_cli.errors import AdminError, command_line
from asyncmq_cli.output.redaction.redact import redact_text
from asyncmq_cli.output.tables.tables import CAUTION
from asyncmq_cli.output.text import reports
from asyncmq_cli.output.text.escape import escape
from asyncmq_cli.services.changes.runner import Stop
from asyncmq_cli.ui.dialogs.palette import shown
from asyncmq_cli.ui.dialogs.questions import problem_line
from asyncmq_cli.ui.plans.plan import Given

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from asyncmq_cli.models.changes import ChangeReport
    from asyncmq_cli.ui.app import OperatorApp
    from asyncmq_cli.ui.plans.plan import Plan

_MOST_LINES = 12
_STYLES = {"  refused:": "red", "  -": "red", "  +": "green"}
"""By the beginning of a line, its colour: for refusals, and for the removed and added lines of an edit."""
_EVERY = 0.2
"""Seconds between two updates of the progress."""


class ChangeDialog(ModalScreen[bool]):
    """Asks for confirmation, runs the change and shows the report. The dialog's result is whether anything
    was changed."""

    BINDINGS: ClassVar = [Binding("escape", "leave", "leave, or stop", show=False)]

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.plan = plan
        self.stop: Stop | None = None
        """The object that can stop the run; None unless it is running."""
        self._done = 0
        self._changed = False
        self._is_over = False

    @property
    def ui(self) -> OperatorApp:
        """The application."""
        return cast("OperatorApp", self.app)

    @property
    def _wants_name(self) -> bool:
        guard = self.ui.session.guard
        return guard.rules.must_confirm and self.plan.is_guarded and not guard.confirmed

    def compose(self) -> ComposeResult:
        plan, config = self.plan, self.ui.session.config
        where = f"{config.context} ({config.shown_url})" if config.context else config.shown_url
        with Vertical(classes="box change"):
            asked = plan.question if plan.refused else f"{plan.question} on {where}?"
            yield Static(Text(escape(asked), style="bold"), markup=False)
            with VerticalScroll(id="plan", can_focus=False):
                for line in plan.lines:
                    yield _line(line)
            if not plan.refused:
                for name, what in plan.fields.items():
                    yield from _field(name, what, plan.values.get(name, ""))
                if self._wants_name:
                    yield from _field("confirm", f"type {config.context} to go on", "")
            with Horizontal(id="buttons"):
                if not plan.refused:
                    yield Button(plan.verb.capitalize(), id="go", compact=True)
                    yield Button("Dry run", id="try", compact=True)
                yield Button("Leave", id="leave", compact=True)
            yield Static(id="outcome", markup=False)
            yield Static(id="line", markup=False)

    def on_mount(self) -> None:
        self._show_line()
        fields = self.query(Input)
        (fields.first() if fields else self.query_one("#leave")).focus()
        self.set_interval(_EVERY, self._progress)

    def _given(self, *, dry_run: bool) -> Given:
        fields = {str(one.id): one.value.strip() for one in self.query(Input)}
        found = {name: text for name, text in fields.items() if text and name != "confirm"}
        return Given(found, dry_run)

    def _show_line(self) -> None:
        """Show the command line that makes the same change."""
        line = shlex.join(["asyncmq", *self.plan.words(self._given(dry_run=False))])
        self.query_one("#line", Static).update(Text(shown(line), style="dim"))

    def on_input_changed(self) -> None:
        self._show_line()

    def on_input_submitted(self) -> None:
        self.query_one("#go").focus()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        if event.button.id == "leave":
            self.action_leave()
        else:
            self._begin(dry_run=event.button.id == "try")

    def _begin(self, *, dry_run: bool) -> None:
        if self.stop is not None or self._is_over:
            return
        if not dry_run and self._wants_name:
            name = self.ui.session.config.context
            if self.query_one("#confirm", Input).value.strip() != name:
                self._say(Text(f"not confirmed: type {name} into its field", style="bold red"))
                self.query_one("#confirm", Input).focus()
                return
        self._done, self.stop = 0, Stop()
        given = self._given(dry_run=dry_run)
        running = Given(given.fields, dry_run, self.stop, self._advance)
        self.run_worker(self._run(running), group="change")

    def _advance(self, count: int) -> None:
        # This is called in the thread of the change.
        self._done += count

    async def _run(self, given: Given) -> None:
        self.ui.running = self
        lane = self.ui.lanes.new()
        # If a name was required, it was typed; otherwise `_begin` would have refused.
        lane.session.guard.confirmed = lane.session.guard.confirmed or self._wants_name
        self._say(Text("trying…" if given.dry_run else "running; Esc stops it", style="dim"))
        try:
            report = await lane.call(lambda session: self.plan.run(session, given))
        except AdminError as exc:
            self._say(problem_line(exc))
        else:
            self._report(report)
        finally:
            lane.close()
            self.stop = None
            self.ui.change_ended()

    def _report(self, report: ChangeReport) -> None:
        lines = list(outcome(report))
        if not report.dry_run:
            self._changed = self._changed or report.succeeded > 0
            self._is_over = True
            self.ui.farewell = None if report.interrupted is None else reports.summary(report)
            backup = self._given(dry_run=False).fields.get("backup")
            if backup and report.succeeded:
                restores = command_line("jobs", "restore", backup)
                lines.append(Text(f"{restores} restores what was removed", style="dim"))
            for widget in self.query(".field, #go, #try"):
                widget.display = False
            leave = self.query_one("#leave", Button)
            leave.label = "Close"
            leave.focus()
        whole = Text()
        for line in lines:
            whole.append_text(line).append("\n")
        self._say(whole)

    def _say(self, text: Text) -> None:
        self.query_one("#outcome", Static).update(text)

    def _progress(self) -> None:
        if self.stop is not None and self._done and self.plan.count > 1:
            what = "stopping" if self.stop.requested else "running; Esc stops it"
            self._say(Text(f"{self._done:,} of {self.plan.count:,} · {what}", style="dim"))

    def action_leave(self) -> None:
        if self.stop is not None:
            self.stop.ask(signal.SIGINT)
            self._say(Text("stopping…", style="dim"))
        else:
            self.dismiss(self._changed)


def _field(name: str, what: str, value: str) -> ComposeResult:
    with Horizontal(classes="field"):
        yield Static(Text(f"{name.replace('_', '-')}:"), markup=False)
        yield Input(value, id=name, placeholder=what, compact=True)


def _line(line: str) -> Static:
    """A line of the plan: a target, which is cut to the width, or a remark, which is wrapped."""
    is_target = line.startswith("  ")
    style = next((style for start, style in _STYLES.items() if line.startswith(start)), "")
    if not is_target:
        style = CAUTION
    # If the style were a string, textual would read it as a web colour.
    text = Text(escape(redact_text(line)), style=Style.parse(style))
    return Static(text, markup=False, classes="target" if is_target and not style else "")


def outcome(report: ChangeReport) -> list[Text]:
    """The lines of the result; failures come first, in red."""
    if len(report.results) == 1 and report.interrupted is None:
        (result,) = report.results
        if result.error is not None:
            return [problem_line(result.error)]
        return [
            Text(escape(text), style=Style.parse("green" if kind == "done" else CAUTION))
            for kind, text in reports.single(report)
        ]
    lines = [
        Text(escape(reports.summary(report)), style=Style.parse("bold red" if report.failed else "green"))
    ]
    if report.interrupted is not None:
        lines.append(problem_line(report.interrupted))
    for result in [one for one in report.results if one.error is not None or one.note][:_MOST_LINES]:
        text = result.note if result.error is None else result.error.message
        name = result.job_id or result.queue
        style = Style.parse("red" if result.error else CAUTION)
        lines.append(Text(escape(redact_text(f"  {name}: {text}")), style=style))
    return lines
