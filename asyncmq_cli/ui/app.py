"""The application: its pages, its keys, and the background reads of all queues."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import App
from textual.binding import Binding

from asyncmq_cli.errors import AdminError
from asyncmq_cli.output.redaction.redact import redact_text
from asyncmq_cli.output.terminal.live import leads_session
from asyncmq_cli.output.text.escape import escape
from asyncmq_cli.services.monitoring.metrics import LongTrend
from asyncmq_cli.services.monitoring.poller import Outage, Poller, SnapshotReader
from asyncmq_cli.system import process
from asyncmq_cli.system.shortage import shortage
from asyncmq_cli.ui.dialogs.questions import Keys
from asyncmq_cli.ui.home.failures import GroupPage
from asyncmq_cli.ui.home.home import Home
from asyncmq_cli.ui.jobs.filters import first_state
from asyncmq_cli.ui.jobs.job import JobPage
from asyncmq_cli.ui.jobs.lists import Jobs
from asyncmq_cli.ui.jobs.tree import WholeJob
from asyncmq_cli.ui.lanes import Lane, Lanes
from asyncmq_cli.ui.lists.listing import Listing
from asyncmq_cli.ui.pages.page import Page

if TYPE_CHECKING:
    from asyncmq_cli.cli.session import Session
    from asyncmq_cli.models.failures import FailureGroup
    from asyncmq_cli.models.jobs import JobDetail
    from asyncmq_cli.models.monitoring.snapshots import Snapshot
    from asyncmq_cli.services.changes.edits import Edit
    from asyncmq_cli.ui.dialogs.change import ChangeDialog

EVERY = 2.0
"""Seconds between two reads of all queues, as with --watch."""
_SLOW = 0.5
"""Seconds after which the screen says why it is still empty."""
_PAST = 1800.0
"""Seconds of history that the trends show at the start."""

_KEYS = """\
Everywhere
Up, Down     or k, j; Page Up, Page Down, Home (g), End (G)
:, Ctrl-P    palette: what you can do here, with command lines
Ctrl-Z       suspend; fg resumes
q, Ctrl-C    quit"""


class OperatorApp(App[None]):
    """The application of `asyncmq ui`. `first` is the first snapshot of the session's Redis."""

    TITLE = "asyncmq"
    ENABLE_COMMAND_PALETTE = False
    CSS = """
    * { scrollbar-background: ansi_default; scrollbar-background-hover: ansi_default;
        scrollbar-background-active: ansi_default; scrollbar-corner-color: ansi_default; }
    Screen { background: ansi_default; }
    Tree > .tree--guides { color: ansi_default; text-style: dim; }
    #head, #tabs, #remark, #keys, #trends { height: 1; }
    #summary { height: auto; }
    ContentSwitcher { height: 1fr; }
    #detail { height: 1fr; padding: 0 1; }
    #job { width: 100%; }
    ModalScreen { align: center middle; background: transparent; }
    .box { width: auto; max-width: 90%; height: auto; max-height: 90%; border: round ansi_blue; padding: 0 1;
           background: ansi_default; }
    .box Static { width: auto; }
    .box OptionList { width: 30; height: auto; max-height: 14; border: none; padding: 0; }
    .change { width: 90%; max-height: 100%; }
    .change Static { width: 100%; }
    .change #plan { height: auto; max-height: 8; }
    .change .target { text-wrap: nowrap; text-overflow: ellipsis; }
    .change .field { height: 1; }
    .change .field Static { width: 14; }
    .change .field Input { width: 1fr; background: ansi_default; }
    .change #buttons { height: 1; margin-top: 1; }
    .change Button { min-width: 12; margin-right: 2; }
    .change Button.-active { background: ansi_default; }
    .change #outcome { height: auto; max-height: 8; }
    .change #line { height: auto; max-height: 2; }
    .box OptionList > .option-list--option-highlighted, Tree > .tree--cursor, Tree:focus > .tree--cursor {
        color: ansi_bright_white; background: ansi_blue; text-style: bold;
    }
    .palette { width: 90%; }
    .palette OptionList { width: 100%; }
    .palette Input { background: ansi_default; }
    .palette #line { height: auto; max-height: 3; width: 100%; }
    Ask { align: center bottom; }
    #ask { height: auto; width: 100%; background: ansi_default; border-top: solid ansi_blue; }
    #ask Static { height: 1; }
    #cause { height: auto; max-height: 3; padding: 0 2; }
    """
    BINDINGS: ClassVar = [
        Binding("ctrl+c", "interrupt", "quit", show=False, priority=True),
        Binding("ctrl+z", "stop", "to the shell", show=False, priority=True),
        Binding("q", "quit", "quit", show=False),
        Binding("question_mark", "keys", "keys", show=False),
    ]

    def __init__(self, session: Session, poller: Poller[Snapshot], first: Snapshot, trend: LongTrend) -> None:
        # Textual can only be switched to no colour by this variable.
        if session.config.color == "never":
            os.environ["NO_COLOR"] = "1"
        elif session.config.color == "always":
            os.environ.pop("NO_COLOR", None)
        # Use the terminal's own sixteen colours, which are readable on light and dark backgrounds.
        super().__init__(ansi_color=True)
        self.theme = "ansi-dark"
        # Without animations, because over ssh every step of a smooth scroll is sent.
        self.animation_level = "none"
        self.session = session
        self.lanes = Lanes(session)
        self.every = EVERY
        self.snapshot = first
        self.trend = trend
        self.outage: Outage | None = None
        self.warnings: list[str] = []
        self.error: Exception | None = None
        """The error or signal that ended the application, if any."""
        self.ended_by: int | None = None
        """The number of the signal that ended it, or None."""
        self.running: ChangeDialog | None = None
        """The dialog of the running change."""
        self.farewell: str | None = None
        """Messages to print once the terminal is restored."""
        self._poller = poller
        self._poll_lane = Lane(session)
        self._hurry = asyncio.Event()
        self.listens = False
        """Whether signals arrive through the event loop."""
        self._is_lent = False
        """Whether the terminal is lent to an editor."""

    def on_mount(self) -> None:
        if self.listens:
            self._take_job_control()
        self.push_screen(Home())
        self.run_worker(self._follow(), group="follow")

    async def _follow(self) -> None:
        """Read all queues repeatedly, as --watch does, and show them on the page in front."""
        while True:
            pause = self.outage.pause if self.outage else self._poller.pause(self.every)
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._hurry.wait(), pause)
            self._hurry.clear()
            self.session.warnings.clear()
            found = await self._poll_lane.call(lambda session: self._poller.next())
            self.warnings = list(self.session.warnings)
            was_away, self.outage = self.outage is not None, found if isinstance(found, Outage) else None
            if not isinstance(found, Outage):
                self.snapshot = found
                totals = found.metrics()
                # Totals read at different times would give wrong rates.
                if totals.is_whole and not found.states_age:
                    self.trend.add(totals)
            self._show(is_back=was_away and self.outage is None)

    def _show(self, *, is_back: bool) -> None:
        page = self.page
        for listing in page.query(Listing):
            listing.is_stale = self.outage is not None
            listing.refresh()
        if self.outage is None:
            page.follow(self.snapshot)
        page.draw_frame()
        if is_back and page.problem is not None:
            page.action_again()

    @property
    def page(self) -> Page:
        """The page in front, below any dialog."""
        return next(screen for screen in reversed(self.screen_stack) if isinstance(screen, Page))

    def hurry(self) -> None:
        """Read all queues now."""
        self._hurry.set()

    def edited(self, record: dict[str, Any]) -> tuple[list[Edit], list[str]]:
        """Open a job's editable fields in an editor, and return the edits and their lines as a diff. The
        editor gets the terminal meanwhile. Raises UsageProblem."""
        from asyncmq_cli.cli.changes.editing import by_hand

        loop = asyncio.get_running_loop()
        # Ctrl-C is for the editor.
        is_handled = self.listens and loop.remove_signal_handler(signal.SIGINT)
        before = signal.signal(signal.SIGINT, lambda number, frame: None)
        try:
            self._is_lent = True
            with self._lent():
                return by_hand(record)
        finally:
            self._is_lent = False
            signal.signal(signal.SIGINT, before)
            if is_handled:
                loop.add_signal_handler(signal.SIGINT, self.end_by, signal.SIGINT)

    def _lent(self) -> AbstractContextManager[None]:
        driver = self._driver
        return self.suspend() if driver is not None and driver.can_suspend else nullcontext()

    def open_queue(self, queue: str) -> None:
        """Show the jobs of a queue."""
        row = next((row for row in self.snapshot.stats or () if row.name == queue), None)
        self.push_screen(Jobs(queue, first_state(row)))

    def open_group(self, group: FailureGroup) -> None:
        """Show the dead jobs of one cause."""
        self.push_screen(GroupPage(group))

    def open_job(self, queue: str, job_id: str) -> None:
        """Show one job."""
        self.push_screen(JobPage(queue, job_id))

    def open_tree(self, detail: JobDetail) -> None:
        """Show a job as a tree."""
        self.push_screen(WholeJob(detail))

    def back(self) -> None:
        """Leave the page in front, unless it is the first page."""
        if sum(isinstance(screen, Page) for screen in self.screen_stack) > 1:
            self.pop_screen()

    def action_keys(self) -> None:
        self.push_screen(Keys(f"{self.page.help_text}\n\n{_KEYS}"))

    def action_stop(self) -> None:
        # If this process is the session leader of its terminal, nobody could continue it.
        if leads_session() or self._driver is None or not self._driver.can_suspend:
            return
        with self.suspend():
            # Stop the whole process group, as Ctrl-Z does in other programs: the shell may be waiting for
            # 'asyncmq demo --ui' or a script and not for this process. After 'bg', the terminal still belongs
            # to the shell.
            os.killpg(0, signal.SIGSTOP)
            while os.tcgetpgrp(sys.stdin.fileno()) != os.getpgrp():
                os.killpg(0, signal.SIGSTOP)

    def _take_job_control(self) -> None:
        """Replace Textual's handling of SIGCONT: it redraws whenever SIGCONT arrives, even after
        `action_stop` has done so, and after two redraws the screen could not be left any more. With this,
        only the call that stopped the screen redraws it."""
        signal.signal(signal.SIGCONT, signal.SIG_DFL)
        signal.signal(signal.SIGTSTP, lambda number, frame: self._stop_by_signal())

    def _stop_by_signal(self) -> None:
        if self._is_lent:
            # The editor that has the terminal is stopped too.
            os.kill(os.getpid(), signal.SIGSTOP)
        else:
            self.action_stop()

    async def action_quit(self) -> None:
        self._leave()

    def _leave(self) -> None:
        """Quit. If a change is running, only stop it; the screen stays open and shows the result."""
        if self.running is not None:
            self.running.action_leave()
        else:
            self.exit()

    def action_interrupt(self) -> None:
        self.end_by(signal.SIGINT)

    def end_by(self, number: int) -> None:
        """End because of a signal. A running change is first stopped, after its current job."""
        self.ended_by = self.ended_by or number
        self._leave()

    def change_ended(self) -> None:
        """Called when a change has ended."""
        self.running = None
        if self.ended_by is not None:
            self.exit()

    def _handle_exception(self, error: Exception) -> None:
        # Textual would print the traceback with the values of variables, which are job data. `app.run`
        # reports errors instead.
        self.error = error
        super()._handle_exception(error)
        self._exit_renderables.clear()


def opened(session: Session, every: float = EVERY) -> OperatorApp:
    """The application after a first read of all queues. Raises RedisProblem: an error of the first read
    usually means a wrong address, and is reported as in any other command."""
    reader = SnapshotReader(session.store, workers=True, trouble=True, again=True)
    poller = Poller(session.store, reader.read, reader.reset)
    first = poller.first()
    trend = LongTrend(session.metrics.past(since=_PAST))
    session.has_screen = True
    app = OperatorApp(session, poller, first, trend)
    app.every = every
    return app


def run(session: Session, every: float) -> None:
    """Show the screen until the user leaves it. All queues are read `every` seconds. Raises the errors of
    `opened`, any AdminError that waiting cannot solve, and process.Ended."""
    with said_if_slow(f"reading the queues of {session.config.shown_url} …"):
        app = opened(session, every)
    before: dict[int, Any] = {number: signal.getsignal(number) for number in process.ENDING}
    process.must_clean_up(True)
    try:
        asyncio.run(_until_left(app, before))
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        process.must_clean_up(False)
        session.has_screen = False
    if app.farewell is not None:
        session.out.remark("note", app.farewell)
    if app.error is not None:
        raise reported(app.error)
    if app.ended_by is not None:
        raise process.Ended(app.ended_by)


@contextmanager
def said_if_slow(text: str) -> Iterator[None]:
    """A context that shows a line on the terminal if it takes long. The line is removed afterwards."""
    written = threading.Event()

    def say() -> None:
        sys.stderr.write(escape(text))
        sys.stderr.flush()
        written.set()

    timer = threading.Timer(_SLOW, say)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        if written.is_set():
            sys.stderr.write("\r\x1b[2K")
            sys.stderr.flush()


def reported(error: Exception) -> Exception:
    """The error to report when an exception has ended the screen. A bug is reported in one line with its
    position in the code, without a traceback."""
    if isinstance(error, AdminError) or shortage(error) is not None:
        return error
    ours = [frame for frame in traceback.extract_tb(error.__traceback__) if "asyncmq_cli" in frame.filename]
    where = f" at {Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else ""
    return AdminError(
        f"the screen has failed{where}: {type(error).__name__}: {redact_text(str(error))}",
        hint="this is a bug in asyncmq-cli: please report this line; the other commands still work",
    )


async def _until_left(app: OperatorApp, before: Mapping[int, Any]) -> None:
    loop = asyncio.get_running_loop()
    for number, handler in before.items():
        # A signal that is ignored from the start, such as SIGHUP under nohup, stays ignored.
        if handler not in (None, signal.SIG_IGN):
            loop.add_signal_handler(number, app.end_by, number)
    app.listens = True
    await app.run_async()
