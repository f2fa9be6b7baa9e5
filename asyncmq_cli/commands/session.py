"""The one door between the layers: it opens the store, builds the services, renders and closes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from asyncmq_cli import config as configuration
from asyncmq_cli.commands.targets import filter_of
from asyncmq_cli.errors import Interrupted, NotConfirmed, QueueNotFound, TargetsFailed, UsageProblem

if TYPE_CHECKING:
    from asyncmq_cli.models import ChangeReport, Job, JobFilter, Repeatable
    from asyncmq_cli.output.columns import Column
    from asyncmq_cli.output.printer import Printer
    from asyncmq_cli.services.audit import AuditService
    from asyncmq_cli.services.dlq import DlqService
    from asyncmq_cli.services.job_changes import JobChangeService
    from asyncmq_cli.services.jobs import JobService
    from asyncmq_cli.services.queues import QueueService
    from asyncmq_cli.services.repeatables import RepeatableService
    from asyncmq_cli.services.workers import WorkerService
    from asyncmq_cli.storage.store import Store

T = TypeVar("T")
Listed = TypeVar("Listed", "Job", "Repeatable")

_SHOWN_BEFORE_ASKING = 10
_PROBLEMS_NAMED = 5


class Session:
    """What a command works with. Nothing is opened or imported before it is used."""

    def __init__(self, flags: Mapping[str, Any]) -> None:
        self.flags = flags

    @cached_property
    def config(self) -> configuration.Config:
        return configuration.resolve(self.flags)

    @cached_property
    def store(self) -> Store:
        from asyncmq_cli.storage.store import Store

        return Store(self.config, warn=lambda message: self.out.remark("warning", message))

    @cached_property
    def queues(self) -> QueueService:
        from asyncmq_cli.services.queues import QueueService

        return QueueService(self.store)

    @cached_property
    def jobs(self) -> JobService:
        from asyncmq_cli.services.jobs import JobService

        return JobService(self.store)

    @cached_property
    def dlq(self) -> DlqService:
        from asyncmq_cli.services.dlq import DlqService

        return DlqService(self.store)

    @cached_property
    def job_changes(self) -> JobChangeService:
        from asyncmq_cli.services.job_changes import JobChangeService

        return JobChangeService(self.store)

    @cached_property
    def repeatables(self) -> RepeatableService:
        from asyncmq_cli.services.repeatables import RepeatableService

        return RepeatableService(self.store)

    @cached_property
    def workers(self) -> WorkerService:
        from asyncmq_cli.services.workers import WorkerService

        return WorkerService(self.store)

    @cached_property
    def audit(self) -> AuditService:
        from asyncmq_cli.services.audit import AuditService

        return AuditService(self.store)

    @cached_property
    def out(self) -> Printer:
        from asyncmq_cli.output.printer import Printer

        json, ndjson = bool(self.flags.get("json")), bool(self.flags.get("ndjson"))
        if json and ndjson:
            raise UsageProblem("--json and --ndjson exclude each other")
        return Printer(json=json, ndjson=ndjson, color=self.config.color)

    def now(self) -> float:
        return self.store.now()

    @property
    def filter(self) -> JobFilter:
        return filter_of(self.flags)

    @property
    def show_secrets(self) -> bool:
        return bool(self.flags.get("show_secrets"))

    def warning_of_problems(self, jobs: Iterable[Listed], noun: str = "job") -> Iterator[Listed]:
        """The same jobs; of those that could not be read whole, the first few are named on stderr."""
        problems = 0
        for job in jobs:
            if job.problem is not None:
                problems += 1
                if problems <= _PROBLEMS_NAMED:
                    self.out.remark("warning", f"{noun} {job.id!r} in {job.queue!r}: {job.problem}")
            yield job
        if problems > _PROBLEMS_NAMED:
            self.out.remark("warning", f"{problems - _PROBLEMS_NAMED:,} more {noun}s could not be read whole")

    def listing(
        self,
        rows: Iterable[T],
        columns: Sequence[Column[T]],
        document: Callable[[Iterable[T]], Any],
        line: Callable[[T], Any],
    ) -> None:
        """A list in the format asked for; `document` holds all rows, `line` one."""
        if self.out.format == "json":
            self.out.document(document(rows))
        elif self.out.format == "ndjson":
            self.out.documents(line(row) for row in rows)
        else:
            self.out.rows(rows, columns, now=self.now())

    def detail(
        self,
        document: Callable[[], Any],
        lines: Callable[[float], Iterable[str]],
    ) -> None:
        """One thing in full: as a document, or as lines for people."""
        if self.out.for_programs:
            self.out.document(document())
        else:
            for line in lines(self.now()):
                self.out.line(line)

    def confirm(self, preview: ChangeReport, *, verb: str) -> None:
        """Show what would be hit and ask. Raises NotConfirmed for anything but a yes.

        Where nothing would be changed there is nothing to ask: the refusals are reported by
        the attempt itself.
        """
        if preview.interrupted is not None:
            raise preview.interrupted
        chosen = [result for result in preview.results if result.error is None]
        notes = {result.job_id: result.note for result in chosen if result.note}
        self.ask(verb, preview.queue or "", [result.job_id or "" for result in chosen], notes=notes)

    def ask(
        self,
        verb: str,
        queue: str,
        job_ids: Sequence[str],
        *,
        noun: str = "job",
        total: int | None = None,
        notes: Mapping[str | None, str] | None = None,
    ) -> None:
        """Name the first of the jobs and ask. Raises NotConfirmed for anything but a yes.

        `total` is how many match where a filter chose; no jobs are nothing to ask about.
        """
        if not job_ids:
            return
        what = f"{len(job_ids):,} {noun}s" if len(job_ids) > 1 else f"1 {noun}"
        what += f" of {total:,} that match" if total is not None else ""
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise NotConfirmed(
                f"this would {verb} {what} in {queue!r}, and nobody is there to ask",
                hint="--yes does it, --dry-run shows what it would do",
            )
        from asyncmq_cli.output.escape import escape

        shown = job_ids[:_SHOWN_BEFORE_ASKING]
        lines = [
            f"  {job_id}" + (f"  ({notes[job_id]})" if notes and job_id in notes else "") for job_id in shown
        ]
        if len(job_ids) > len(lines):
            lines.append(f"  … and {len(job_ids) - len(lines):,} more")
        try:
            self.out.prompt([*map(escape, lines), escape(f"{verb.capitalize()} {what} in {queue}? [y/N] ")])
            answer = sys.stdin.readline().strip().lower()
        except KeyboardInterrupt as exc:
            self.out.prompt(["\n"])
            raise Interrupted("interrupted; nothing was changed") from exc
        if answer not in ("y", "yes"):
            raise NotConfirmed("not confirmed; nothing was changed")

    def change(self, run: Callable[[bool], ChangeReport], *, verb: str, dry_run: bool, yes: bool) -> None:
        """A destructive change: shown and asked about first. `run` takes whether to do nothing."""
        if not dry_run and not yes:
            self.confirm(run(True), verb=verb)
        self.report(run(dry_run))

    def report(self, report: ChangeReport, *, brief: bool = False) -> None:
        """Print what became of each target; raise for those that failed.

        `brief` spares people the list of what went well, where a filter chose it.
        """
        from asyncmq_cli.output import documents, reports, views

        if self.out.format == "json" and brief:
            head = documents.change_head(report)
            self.out.long_document(head, "results", map(documents.change_result, report.results))
        elif self.out.format == "json":
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
            if report.results or brief:
                self.out.footer(reports.summary(report))
        _raise_failures(report)


def _raise_failures(report: ChangeReport) -> None:
    if report.interrupted is not None:
        raise report.interrupted
    errors = [result.error for result in report.results if result.error is not None]
    if not errors:
        return
    alone = len(report.results) == 1
    if alone or (all(isinstance(error, QueueNotFound) for error in errors) and report.queue is not None):
        raise errors[0]
    raise TargetsFailed(
        f"{len(errors)} of {len(report.results)} failed",
        hint=f"the first: {errors[0].message}",
        details={"failed": len(errors), "matched": len(report.results)},
    )


@contextmanager
def open_session(flags: Mapping[str, Any]) -> Iterator[Session]:
    session = Session(flags)
    try:
        # Before any work: a wrong setting is wrong usage, whatever the command.
        _ = session.config, session.out
        with session.store.errors():
            yield session
    finally:
        if "store" in session.__dict__:
            session.store.close()
