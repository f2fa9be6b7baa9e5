"""The session of one command: it opens the store, provides the services, prints the result and closes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from asyncmq_cli import config as configuration
from asyncmq_cli.cli.options import asked_format
from asyncmq_cli.cli.services import Services
from asyncmq_cli.errors import (
    OutputFailed,
    QueueNotFound,
    TargetsFailed,
    UsageProblem,
    WaitFailed,
    WaitTimeout,
    command_line,
)
from asyncmq_cli.system import process

if TYPE_CHECKING:
    from asyncmq_cli.models.changes import ChangeReport, Guard, RetryOutcome
    from asyncmq_cli.models.jobs import Job, JobFilter, QueueScope
    from asyncmq_cli.models.queues import QueueStats
    from asyncmq_cli.models.repeatables import Repeatable
    from asyncmq_cli.output.printer import Printer
    from asyncmq_cli.output.tables.columns import Column
    from asyncmq_cli.storage.store import Store


T = TypeVar("T")
Listed = TypeVar("Listed", "Job", "Repeatable")

_PROBLEMS_NAMED = 5
_REMEMBERED = 1000


class Session(Services):
    """Settings, store, services and printer of one command. Each is opened and imported on first use."""

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
        from asyncmq_cli.cli.changes import confirm
        from asyncmq_cli.models.changes import Guard

        guard = Guard(self.config.guard, lambda deed: confirm.ask_name(self, deed))
        guard.confirmed = confirm.is_named(self)
        return guard

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
        from asyncmq_cli.models.changes import Guard

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

    def now(self) -> float:
        return self.store.now()

    @property
    def filter(self) -> JobFilter:
        from asyncmq_cli.cli.targets import filter_of

        wanted = filter_of(self.flags, self.now)
        if wanted.where:
            from asyncmq_cli.services.jobs.where import compiled

            for name, near in compiled(wanted.where).slips.items():
                self._warn(f"--where: {name!r} is read from the job's record; did you mean {near!r}?")
        return wanted

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

    def warning_of_problems(self, jobs: Iterable[Listed], noun: str = "job") -> Iterator[Listed]:
        """Yield the same jobs. For the first few that could not be read in full, print a warning that names
        them."""
        problems = 0
        for job in jobs:
            if job.problem is not None:
                problems += 1
                if problems <= _PROBLEMS_NAMED:
                    self.out.remark("warning", f"{noun} {job.id!r} in {job.queue!r}: {job.problem}")
            yield job
        if problems > _PROBLEMS_NAMED:
            self.out.remark("warning", f"{problems - _PROBLEMS_NAMED:,} more {noun}s could not be read whole")

    def warn_of_problems(self, jobs: Iterable[Listed], noun: str = "job") -> None:
        for _ in self.warning_of_problems(jobs, noun):
            pass

    def warning_of_queues(self, rows: Iterable[QueueStats]) -> Iterator[QueueStats]:
        """Yield the same rows. For the first few whose states contradict their sizes, print a warning that
        names them."""
        problems = 0
        for row in rows:
            if row.problem is not None:
                problems += 1
                if problems <= _PROBLEMS_NAMED:
                    finds = command_line("doctor", row.name)
                    self.out.remark("warning", f"queue {row.name!r}: {row.problem}; {finds} finds the cause")
            yield row
        if problems > _PROBLEMS_NAMED:
            more = problems - _PROBLEMS_NAMED
            self.out.remark("warning", f"the states of {more:,} more queues contradict their sizes")

    def note_no_queue(self, globs: Sequence[str] = ()) -> None:
        """Note that no queue was found, and on which Redis: an empty list may mean the wrong database."""
        if self.out.for_programs and not globs:
            return
        where = self.config.shown_url
        named = f"no queue matches {' or '.join(map(repr, globs))} on {where}"
        self.out.remark("note", named if globs else f"no queues on {where}: is it the right database?")

    def note_no_queue_in(self, scope: QueueScope) -> None:
        """Note that the list is empty because there are no queues, or none that matches --queue."""
        if scope.queue is None and not scope.names:
            self.note_no_queue(scope.globs)

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

    def report(self, report: ChangeReport, *, brief: bool = False) -> None:
        """Print the result of each target. Raises AdminError if any failed.

        With `brief`, people do not see the targets that succeeded: for targets that a filter selected.
        """
        from asyncmq_cli.output.text import reports

        try:
            made = "" if report.dry_run else "done anyway: "
            with self.out.outcome(lambda: f"{made}{reports.summary(report)}"):
                self._print(report, brief=brief)
                self._print_outcome(report)
        except OutputFailed as exc:
            if report.interrupted is None and not any(result.error for result in report.results):
                raise
            # Only warn here: the exit status is the one of the change, which raises its own error.
            self.out.remark("warning", exc.message)
        process.reported()
        _raise_failures(report)

    def _print_outcome(self, report: ChangeReport) -> None:
        from asyncmq_cli.output.text import reports

        if report.outcome is None or self.out.for_programs:
            return
        text = reports.outcome(report.outcome)
        if self.out.for_people:
            self.out.footer(text)
        else:
            self.out.remark("note", text)

    def _print(self, report: ChangeReport, *, brief: bool) -> None:
        from asyncmq_cli.output.json import documents
        from asyncmq_cli.output.tables import views
        from asyncmq_cli.output.text import reports

        if self.out.for_programs and brief:
            head = documents.change_head(report)
            lines = (documents.change_result(each, dry_run=report.dry_run) for each in report.results)
            self.out.long_document(head, "results", lines)
        elif self.out.for_programs:
            self.out.document(documents.change(report))
        elif self.out.for_people and len(report.results) == 1 and not brief:
            for kind, text in reports.single(report):
                if kind == "done":
                    self.out.line(text)
                else:
                    self.out.remark(kind, text)
        else:
            rows = reports.worth_a_row(report) if brief and self.out.for_people else report.results
            if rows:
                self.out.rows(rows, views.changes(dry_run=report.dry_run), now=0.0)
            if len(rows) < len(report.results) and report.dry_run:
                self.out.footer(f"… and {len(report.results) - len(rows):,} more")
            # If the outcome covers all matching jobs, it already says how many they were.
            is_summed_up = report.outcome is not None and report.outcome.total == report.matched
            if (report.results or brief) and not is_summed_up:
                self.out.footer(reports.summary(report))


def _raise_failures(report: ChangeReport) -> None:
    if report.interrupted is not None:
        raise report.interrupted
    errors = [result.error for result in report.results if result.error is not None]
    if not errors:
        _raise_outcome(report.outcome)
        return
    alone = len(report.results) == 1
    has_no_queue = not report.succeeded and all(isinstance(error, QueueNotFound) for error in errors)
    if alone or (has_no_queue and report.queue is not None):
        raise errors[0]
    raise TargetsFailed(
        f"{len(errors)} of {len(report.results)} failed",
        hint=f"the first: {errors[0].message}",
        details={"failed": len(errors), "matched": len(report.results)},
    )


def _raise_outcome(outcome: RetryOutcome | None) -> None:
    """Raises WaitFailed or WaitTimeout unless all retried jobs have completed."""
    if outcome is None:
        return
    if outcome.error is not None:
        raise outcome.error
    if outcome.failed or outcome.gone or outcome.cancelled:
        bad = outcome.failed + outcome.gone + outcome.cancelled
        raise WaitFailed("jobs_failed", f"{bad:,} of {outcome.total:,} retried jobs did not complete")
    if outcome.stopped == "timeout":
        raise WaitTimeout(f"{outcome.left:,} of {outcome.total:,} retried jobs have not ended yet")
    if outcome.left:
        unattended = f"no worker will run {outcome.left:,} of the retried jobs: {outcome.stopped}"
        raise WaitFailed("no_live_worker", unattended)


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
