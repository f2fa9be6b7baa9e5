"""The lists on the tabs of the first page: queues, workers, schedules and the audit trail."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from asyncmq_cli.models.values import counted
from asyncmq_cli.output.tables import audit, repeatables, views
from asyncmq_cli.output.terminal import screens
from asyncmq_cli.ui.lists.panes import HeldPane, RowsPane
from asyncmq_cli.ui.lists.rows import RowsInSight, StreamedRows
from asyncmq_cli.ui.plans import queues

if TYPE_CHECKING:
    from collections.abc import Iterator

    from asyncmq_cli.cli.session import Session
    from asyncmq_cli.errors import AdminError
    from asyncmq_cli.models.changes import AuditEvent
    from asyncmq_cli.models.monitoring.snapshots import Snapshot
    from asyncmq_cli.models.queues import QueueStats
    from asyncmq_cli.models.repeatables import Repeatable
    from asyncmq_cli.models.workers import Worker
    from asyncmq_cli.output.tables.columns import Column
    from asyncmq_cli.ui.plans.plan import Plan


class QueuesPane(HeldPane["QueueStats"]):
    noun, empty = "queue", "no queues yet: AsyncMQ makes one with its first job"
    hint = "/ filter  s sort  p pause  : palette  ? keys  q quit"
    deeds = ("pause",)

    def plan(self, verb: str) -> Callable[[Session], Plan] | None:
        rows = self.targets()
        names, resumes = [row.name for row in rows], all(row.paused for row in rows)
        if not names:
            return None
        return lambda session: queues.of_queues(session, "resume" if resumes else "pause", names)

    def deed(self, verb: str) -> tuple[str, list[str]]:
        rows = self.targets()
        change = "resume" if all(row.paused for row in rows) else "pause"
        names = [row.name for row in rows]
        return f"{change} {counted(len(names), 'queue')}", ["queues", change, *names] if names else []

    @property
    def every_column(self) -> Sequence[Column[QueueStats]]:
        return views.on_screen(views.QUEUES)

    def key(self, row: QueueStats) -> Any:
        return row.name

    def followed(self, snapshot: Snapshot) -> None:
        self.put(trouble_first(snapshot.stats or ()), snapshot.now)

    def open(self, row: QueueStats) -> None:
        self.ui.open_queue(row.name)

    def command(self) -> list[str]:
        return ["queues", "list"]


def trouble_first(rows: Sequence[QueueStats]) -> list[QueueStats]:
    """The queues in trouble, the worst first, then the others by name."""
    by_name = sorted(rows, key=lambda row: row.name)
    return sorted(by_name, key=lambda row: screens.trouble(row) or (), reverse=True)


class WorkersPane(HeldPane["Worker"]):
    noun, empty = "worker", "no worker"

    @property
    def every_column(self) -> Sequence[Column[Worker]]:
        # AGE shows the same as HEARTBEAT.
        return [column for column in views.on_screen(views.WORKERS) if column.title != "HEARTBEAT"]

    def key(self, row: Worker) -> Any:
        return row.queue, row.id

    def label(self, row: Worker) -> str:
        return row.id

    async def load(self) -> None:
        def read(session: Session) -> tuple[list[Worker], float]:
            return session.workers.in_order(session.workers.scan(), "queue"), session.now()

        rows, now = await self.ui.lanes.call(read)
        self.put(sorted(rows, key=lambda worker: not worker.is_live), now)

    def open(self, row: Worker) -> None:
        self.ui.open_queue(row.queue)

    def command(self) -> list[str]:
        return ["workers", "list"]


class SchedulesPane(HeldPane["Repeatable"]):
    noun, empty = "schedule", "no schedules; a adds one"
    deeds = ("pause", "remove", "add")
    hint = "/ filter  a add  p pause  D remove  : palette  ? keys  q quit"

    def plan(self, verb: str) -> Callable[[Session], Plan] | None:
        rows = [row for row in self.targets() if row.id]
        if verb == "add":
            return lambda session: queues.of_new_schedule(rows[0].queue if rows else "")
        if not rows:
            return None
        which = [(row.queue, row.id, f"{row.get('task_id')}, {repeatables.schedule(row)}") for row in rows]
        return lambda session: queues.of_schedules(session, _change_of(verb, rows), which)

    def deed(self, verb: str) -> tuple[str, list[str]]:
        rows = [row for row in self.targets() if row.id]
        if verb == "add":
            return "add a schedule", ["repeatables", "add", rows[0].queue if rows else "QUEUE"]
        change = _change_of(verb, rows)
        ids = [row.id for row in rows if row.queue == rows[0].queue]
        what = f"{change} {counted(len(rows), 'schedule')}"
        return what, ["repeatables", change, rows[0].queue, *ids] if rows else []

    @property
    def every_column(self) -> Sequence[Column[Repeatable]]:
        return repeatables.definitions(show_secrets=self.ui.session.show_secrets)

    def key(self, row: Repeatable) -> Any:
        return row.queue, row.id

    def label(self, row: Repeatable) -> str:
        return row.id

    async def load(self) -> None:
        rows, now = await self.ui.lanes.call(
            lambda session: (list(session.repeatables.list(None)), session.now())
        )
        self.put(rows, now)

    def open(self, row: Repeatable) -> None:
        self.ui.open_queue(row.queue)

    def command(self) -> list[str]:
        return ["repeatables", "list"]


def _change_of(verb: str, schedules: Sequence[Repeatable]) -> Literal["pause", "resume", "remove"]:
    """The change that a key makes. The key for pause resumes if all schedules are paused."""
    if verb == "remove":
        return "remove"
    return "resume" if all(row.paused for row in schedules) else "pause"


class AuditPane(RowsPane["AuditEvent"]):
    noun, empty = "event", "no changes yet"
    filter_help = "events with this text anywhere"

    @property
    def every_column(self) -> Sequence[Column[AuditEvent]]:
        return audit.EVENTS

    def key(self, row: AuditEvent) -> Any:
        return row.timestamp, row.queue, row.job_id

    def label(self, row: AuditEvent) -> str:
        return row.job_id or row.queue or ""

    def orders(self) -> Sequence[str]:
        return ()

    def opened(
        self, drawn: Callable[[], None], failed: Callable[[AdminError], None]
    ) -> RowsInSight[AuditEvent]:
        from asyncmq_cli.services.audit import AuditFilter

        wanted = AuditFilter(q=self.text)

        def events(session: Session) -> Iterator[AuditEvent]:
            return session.audit.matching(wanted, since=None)

        return StreamedRows(self.ui.lanes.new(), events, drawn, failed)

    def open(self, row: AuditEvent) -> None:
        if row.queue and row.job_id and row.action.startswith(("job.", "dlq.")):
            self.ui.open_job(row.queue, row.job_id)
        elif row.queue:
            self.ui.open_queue(row.queue)

    def command(self) -> list[str]:
        return ["audit", *(["--q", self.text] if self.text else [])]
