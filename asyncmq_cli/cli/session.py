"""The session of one command: it opens the store, provides the services, prints the result and closes.

Each of them is imported and created on first use.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from asyncmq_cli import config as configuration
from asyncmq_cli.cli.options import asked_format
from asyncmq_cli.durations import age
from asyncmq_cli.errors import NotConfirmed, UsageProblem
from asyncmq_cli.models.changes import Guard

if TYPE_CHECKING:
    from asyncmq_cli.models.jobs import JobFilter, QueueScope
    from asyncmq_cli.output.printer import Printer
    from asyncmq_cli.output.tables.columns import Column
    from asyncmq_cli.services.audit import AuditService
    from asyncmq_cli.services.backup.restore import RestoreService
    from asyncmq_cli.services.changes.adding import AdditionService
    from asyncmq_cli.services.changes.jobs import JobChangeService
    from asyncmq_cli.services.changes.outcomes import OutcomeService
    from asyncmq_cli.services.doctor.repair import RepairService
    from asyncmq_cli.services.doctor.service import DoctorService
    from asyncmq_cli.services.jobs.details import JobDetailService
    from asyncmq_cli.services.jobs.lists import DlqService, JobService
    from asyncmq_cli.services.monitoring.check import CheckService
    from asyncmq_cli.services.monitoring.events import EventService
    from asyncmq_cli.services.monitoring.metrics import MetricsService
    from asyncmq_cli.services.monitoring.wait import WaitService
    from asyncmq_cli.services.monitoring.workers import WorkerService
    from asyncmq_cli.services.queues import QueueService
    from asyncmq_cli.services.repeatables.service import RepeatableService
    from asyncmq_cli.services.tasks import TaskService
    from asyncmq_cli.storage.store import Store


T = TypeVar("T")

FILTERS = ("q", "task", "job_id", "where", "group", "older_than", "newer_than")
"""The options that make a JobFilter."""
_REMEMBERED = 1000


class Session:
    """Settings, store, services and printer of one command."""

    def __init__(
        self, flags: Mapping[str, Any], *, redis: bool = True, printer: type[Printer] | None = None
    ) -> None:
        self.flags = flags
        self._printer = printer
        self._needs_redis = redis
        self.warnings: list[str] = []
        """Warnings for the screen of --watch, which clears them."""
        self._warned: set[str] = set()
        self.has_screen = False
        """Whether --watch owns the terminal, so that warnings must be shown on its screen."""

    @cached_property
    def config(self) -> configuration.Config:
        from asyncmq_cli.output.redaction.redact import redact_also

        found = configuration.resolve(self.flags)
        redact_also(found.redact)
        return found

    @cached_property
    def store(self) -> Store:
        from asyncmq_cli.storage.store import Store

        if "confirm" in self.flags:
            # Another context's name is refused before anything is read.
            _ = self.guard
        return Store(self.config, warn=self._warn, guard=lambda: self.guard)

    @cached_property
    def guard(self) -> Guard:
        """The guard that every change must pass. Raises NotConfirmed if `--confirm` names another context."""

        def ask(deed: str) -> None:
            from asyncmq_cli.cli.changes import confirm

            confirm.ask_name(self, deed)

        guard = Guard(self.config.guard, ask)
        guard.confirmed = self._is_confirmed()
        return guard

    def _is_confirmed(self) -> bool:
        """Whether --confirm names the context. Raises NotConfirmed if it names another one."""
        given, name = self.flags.get("confirm"), self.config.context
        if given is not None and given != name:
            here = f"this is {name}" if name else f"{self.config.shown_url} is not a context"
            raise NotConfirmed(f"--confirm names {given!r}, but {here}; nothing was changed")
        return given is not None

    def require_writable(self, *, only_records: bool) -> None:
        """Check, before the first request to Redis, that changes are allowed. Raises ReadOnly, or
        NotConfirmed for a wrong `--confirm`. A command that only records snapshots (`only_records`) may also
        run where only recording is allowed."""
        if not (only_records and self.config.records):
            self.guard.require_writable()

    def twin(self, *, source: str | None = None) -> Session:
        """A session for another thread, with the same settings and its own connection. It collects warnings
        instead of printing them, and its guard refuses instead of asking. `source` is the source in its
        audit events."""
        twin = Session(self.flags)
        twin.__dict__.update(config=self.config, guard=Guard(self.config.guard))
        twin.guard.confirmed = self.guard.confirmed
        twin.has_screen = True
        twin.store.source = source
        return twin

    def _warn(self, message: str) -> None:
        """Warn once: repeated reads would repeat the warning."""
        if self.has_screen:
            if message not in self.warnings:
                self.warnings.append(message)
            return
        if len(self._warned) == _REMEMBERED:
            self._warned.clear()
        if message not in self._warned:
            self._warned.add(message)
            self.out.remark("warning", message)

    @cached_property
    def out(self) -> Printer:
        from asyncmq_cli.output.printer import Printer

        flags = self.flags
        return (self._printer or Printer)(
            asked_format(flags),
            **self._look(),
            utc=bool(flags.get("utc")),
            full=self.full,
            fields=[field.strip() for field in (flags.get("fields") or "").split(",") if field.strip()],
            header=bool(flags.get("header")),
            jq=flags.get("jq"),
            raw=bool(flags.get("raw")),
        )

    def _look(self) -> dict[str, str]:
        """The printer's colours and redaction, from the settings."""
        try:
            config = self.config if self._needs_redis else configuration.resolve(self.flags, ask=False)
        except UsageProblem:
            if self._needs_redis:
                raise
            # A wrong setting must not prevent the user from choosing another context.
            return {"color": "auto"}
        return {
            "color": config.color,
            "context": config.context,
            "context_color": config.context_color,
        }

    @cached_property
    def queues(self) -> QueueService:
        from asyncmq_cli.services.queues import QueueService

        return QueueService(self.store)

    @cached_property
    def jobs(self) -> JobService:
        from asyncmq_cli.services.jobs.lists import JobService

        return JobService(self.store)

    @cached_property
    def job_details(self) -> JobDetailService:
        from asyncmq_cli.services.jobs.details import JobDetailService

        return JobDetailService(self.store)

    @cached_property
    def dlq(self) -> DlqService:
        from asyncmq_cli.services.jobs.lists import DlqService

        return DlqService(self.store)

    @cached_property
    def job_changes(self) -> JobChangeService:
        from asyncmq_cli.services.changes.jobs import JobChangeService

        return JobChangeService(self.store)

    @cached_property
    def outcomes(self) -> OutcomeService:
        from asyncmq_cli.services.changes.outcomes import OutcomeService

        return OutcomeService(self.store, self.job_changes.why_idle)

    @cached_property
    def additions(self) -> AdditionService:
        from asyncmq_cli.services.changes.adding import AdditionService

        return AdditionService(self.store)

    @cached_property
    def restores(self) -> RestoreService:
        from asyncmq_cli.services.backup.restore import RestoreService

        return RestoreService(self.store)

    @cached_property
    def repeatables(self) -> RepeatableService:
        from asyncmq_cli.services.repeatables.service import RepeatableService

        return RepeatableService(self.store)

    @cached_property
    def workers(self) -> WorkerService:
        from asyncmq_cli.services.monitoring.workers import WorkerService

        return WorkerService(self.store)

    @cached_property
    def audit(self) -> AuditService:
        from asyncmq_cli.services.audit import AuditService

        return AuditService(self.store)

    @cached_property
    def checks(self) -> CheckService:
        from asyncmq_cli.services.monitoring.check import CheckService

        return CheckService(self.store)

    @cached_property
    def waits(self) -> WaitService:
        from asyncmq_cli.services.monitoring.wait import WaitService

        return WaitService(self.store)

    @cached_property
    def tasks(self) -> TaskService:
        from asyncmq_cli.services.tasks import TaskService

        return TaskService(self.store)

    @cached_property
    def doctor(self) -> DoctorService:
        from asyncmq_cli.services.doctor.service import DoctorService

        return DoctorService(self.store)

    @cached_property
    def repairs(self) -> RepairService:
        from asyncmq_cli.services.doctor.repair import RepairService

        return RepairService(self.store)

    @cached_property
    def metrics(self) -> MetricsService:
        from asyncmq_cli.services.monitoring.metrics import MetricsService

        return MetricsService(self.store)

    @cached_property
    def events(self) -> EventService:
        from asyncmq_cli.services.monitoring.events import EventService

        return EventService(self.store, self.metrics)

    def now(self) -> float:
        return self.store.now()

    @property
    def filter(self) -> JobFilter:
        wanted = self.filter_of(self.flags)
        if wanted.where:
            from asyncmq_cli.services.jobs.where import compiled

            for name, near in compiled(wanted.where).slips.items():
                self._warn(f"--where: {name!r} is read from the job's record; did you mean {near!r}?")
        return wanted

    def filter_of(self, flags: Mapping[str, Any]) -> JobFilter:
        """The filter that the options describe. Raises UsageProblem for a wrong age or expression."""
        from asyncmq_cli.models.jobs import JobFilter

        if where := flags.get("where"):
            from asyncmq_cli.services.jobs.where import compiled

            compiled(where)
        ages = {name: flags.get(name) for name in ("older_than", "newer_than")}
        return JobFilter(
            q=flags.get("q") or "",
            task=flags.get("task") or "",
            job_id=flags.get("job_id") or "",
            group=flags.get("group") or "",
            where=where or "",
            **{name: None if text is None else age(text, self.now) for name, text in ages.items()},
        )

    def scope(self, queue: str | None) -> QueueScope:
        """The queue that was named, else those that match --queue, else all. Raises UsageProblem if both are
        given."""
        from asyncmq_cli.services.jobs.lookup import scope_of

        globs = self.globs(self.flags.get("globs"))
        if queue is not None and globs:
            raise UsageProblem("QUEUE and --queue exclude each other", hint="give one or the other")
        return scope_of(self.store, queue, globs)

    def globs(self, given: Sequence[str] | None) -> Sequence[str]:
        """The values of --queue. Raises UsageProblem for an empty value, which probably comes from a shell
        variable that is not set."""
        if not all(glob.strip() for glob in given or ()):
            raise UsageProblem("--queue is empty", hint="without it, the command covers all queues")
        return given or ()

    def scope_of_several(self, queues: Sequence[str]) -> QueueScope:
        """The queues that were named, all of which must exist; else those that match --queue, else all.
        Raises QueueNotFound."""
        from asyncmq_cli.models.jobs import QueueScope
        from asyncmq_cli.services.jobs.lookup import require_queue

        if len(queues) < 2 or self.flags.get("globs"):
            return self.scope(next(iter(queues), None))
        for queue in queues:
            require_queue(self.store, queue)
        return QueueScope(None, list(dict.fromkeys(queues)))

    @property
    def full(self) -> bool:
        """Whether a terminal shows long values in full."""
        return bool(self.flags.get("full"))

    @property
    def show_secrets(self) -> bool:
        return bool(self.flags.get("show_secrets"))

    def listing(
        self,
        rows: Iterable[T],
        columns: Sequence[Column[T]],
        document: Callable[[Iterable[T]], Any],
        line: Callable[[T], Any],
        *,
        hidden: int = 0,
        empty: str | None = None,
    ) -> None:
        """Print a list in the chosen format. `document` makes the JSON document of all rows, `line` that of
        one row. For people, a note counts the `hidden` columns, and `empty` is printed if there is no row."""
        if self.out.format == "json":
            self.out.document(document(rows))
        elif self.out.format == "ndjson":
            self.out.documents(line(row) for row in rows)
        else:
            self.out.rows(rows, columns, now=self.now(), hidden=hidden, empty=empty)

    def detail(
        self,
        document: Callable[[], Any],
        lines: Callable[[float], Iterable[str]],
    ) -> None:
        """Print a single object in full: as a document, as lines for people, or in a pipe as one key and
        value per line."""
        if self.out.for_programs:
            self.out.document(document())
        elif self.out.for_people:
            for line in lines(self.now()):
                self.out.line(line)
        else:
            self.out.pairs(document())


@contextmanager
def open_session(
    flags: Mapping[str, Any], *, redis: bool = True, session: Session | None = None
) -> Iterator[Session]:
    session = session or Session(flags, redis=redis)
    if not redis:
        yield session
        return
    try:
        # Read the settings before any work: a wrong setting is a usage error in every command.
        _ = session.config, session.out
        for warning in session.config.warnings:
            session.out.remark("warning", warning)
        with session.store.errors():
            yield session
    finally:
        if "store" in session.__dict__:
            session.store.close()
