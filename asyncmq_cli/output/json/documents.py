"""Convert values to the JSON documents that other programs rely on. The keys and their order are fixed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import to_builtins
from msgspec.structs import asdict, replace

from asyncmq_cli.models.queues import QueueStats
from asyncmq_cli.output.json.text import prints_unchanged
from asyncmq_cli.output.redaction.redact import redact, redact_any, redact_text
from asyncmq_cli.output.tables import audit
from asyncmq_cli.output.text.times import rfc3339

if TYPE_CHECKING:
    from asyncmq_cli.models.changes import AuditEvent, ChangeReport, ChangeResult, RetryOutcome
    from asyncmq_cli.models.findings import Diagnosis, Finding
    from asyncmq_cli.models.jobs import Family, Job, JobDetail, JobError, JobPage, Relative, Tree
    from asyncmq_cli.models.workers import Worker, WorkerPage

Document = dict[str, Any]


QUEUE_KEYS = (*(name for name in QueueStats.__struct_fields__ if name != "finding"), "state")


def version(own: str) -> Document:
    """The versions that a bug report needs. `redis` is the client library; `asyncmq` is null if it is not
    installed."""
    import platform
    from importlib import metadata

    def installed(name: str) -> str | None:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            return None

    return {
        "name": "asyncmq-cli",
        "version": own,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "redis": installed("redis"),
        "asyncmq": installed("asyncmq"),
    }


def queue(stats: QueueStats, keys: Sequence[str] = QUEUE_KEYS) -> Document:
    return {key: getattr(stats, key) for key in keys}


def queues(rows: Iterable[QueueStats]) -> Document:
    return {"queues": [queue(row) for row in rows]}


def job(value: Job, *, show_secrets: bool) -> Document:
    """One job of a list. `problem` says why its record is missing or incomplete."""
    value = value.whole()
    record = dict(value.record) if value.record is not None else None
    shown = record if show_secrets or record is None else redact(record)
    return _job(value, shown, shown, show_secrets=show_secrets)


def _job(value: Job, shown: Mapping[str, Any] | None, payload: Any, *, show_secrets: bool) -> Document:
    held = shown or {}
    return {
        "id": (value.id if show_secrets or value.id == held.get("id") else redact_text(value.id)) or None,
        "task_id": held.get("task_id") or held.get("task") or held.get("name"),
        "status": value.status if show_secrets else redact_text(value.status),
        "created_at": held.get("created_at"),
        "run_at": value.run_at if show_secrets else redact(value.run_at),
        "delay_until": value.delay_until,
        "time": rfc3339(value.sort_time or None),
        "priority": held.get("priority"),
        "retries": held.get("retries"),
        "max_retries": held.get("max_retries"),
        "last_error": held.get("last_error"),
        "payload": payload,
        "problem": value.problem,
        "queue": value.queue,
    }


def dead_job(value: Job, *, show_secrets: bool) -> Document:
    """One job of the dead-letter queue, with its time of death as `failed_at`."""
    return {**job(value, show_secrets=show_secrets), "failed_at": value.dead_at}


def job_line(value: Job, *, show_secrets: bool) -> Document:
    """The same as `job`, but only for `encode`: a record that needs no redaction or escaping is printed byte
    for byte."""
    value = value.whole()
    if value.text is None or not prints_unchanged(value.text) or not value.id.isascii():
        return job(value, show_secrets=show_secrets)
    record = value.record or {}
    shown = record if show_secrets else redact(record)
    if shown is not record:
        return _job(value, shown, shown, show_secrets=show_secrets)
    from orjson import Fragment

    return _job(value, record, Fragment(value.text), show_secrets=show_secrets)


def dead_job_line(value: Job, *, show_secrets: bool) -> Document:
    """The same as `job_line`, for `dead_job`."""
    return {**job_line(value, show_secrets=show_secrets), "failed_at": value.dead_at}


def job_page(page: JobPage, *, show_secrets: bool) -> tuple[Document, str, Iterator[Document]]:
    """A page of jobs as the arguments of `Printer.long_document`: the members before the list, the list's
    name, and the jobs."""
    one = job if page.state is not None else dead_job
    head = {
        "queue": page.queue,
        **({} if page.state is None else {"state": page.state}),
        "page": page.page,
        "size": page.size,
        "total": page.total,
        "total_pages": page.total_pages,
        "sort": page.sort,
        "filters": asdict(page.filters),
    }
    return head, "jobs", (one(value, show_secrets=show_secrets) for value in page.jobs)


def job_detail(
    detail: JobDetail, *, show_secrets: bool, changes: Iterable[AuditEvent] | None = None
) -> Document:
    """A job in full. `changes` are its events in the audit trail, newest first; null if the trail was not
    read."""
    return {
        **job(detail.job, show_secrets=show_secrets),
        "result": detail.result if show_secrets else redact(detail.result),
        "error": job_error(detail.error, show_secrets=show_secrets),
        **family(detail.family),
        "changes": None if changes is None else [audit.event_document(event) for event in changes],
    }


def family(value: Family | None) -> Document:
    """The parents and children of a job; null if they were not read."""
    if value is None:
        return dict.fromkeys(("waits_for", "waits_for_total", "awaited_by", "awaited_by_total"))
    return {
        "waits_for": [_relative(one) for one in value.parents],
        "waits_for_total": value.parents_total,
        "awaited_by": [_relative(one) for one in value.children],
        "awaited_by_total": value.children_total,
    }


def _relative(one: Relative) -> Document:
    return {"id": redact_text(one.id), "status": redact_any(one.status), "pending": one.pending}


def tree(value: Tree, changes: Mapping[str, AuditEvent]) -> Document:
    """A dependency tree. `changes` has the last event of each job in the audit trail, by id."""
    return {
        "queue": value.queue,
        "job_id": redact_text(value.job_id),
        "jobs": [
            {
                "id": redact_text(node.id),
                "task_id": redact_any(node.task_id),
                "status": redact_any(node.status),
                "waits_for": list(map(redact_text, node.parents)),
                "awaited_by": list(map(redact_text, node.children)),
                "last_change": audit.event_document(changes[node.id]) if node.id in changes else None,
            }
            for node in value.nodes.values()
        ],
        "cycles": [list(map(redact_text, ring)) for ring in value.cycles],
        "is_whole": value.is_whole,
    }


def job_error(error: JobError | None, *, show_secrets: bool) -> Document | None:
    if error is None:
        return None
    plain: Document = to_builtins(error)
    # `chain` and `frames` have the same data.
    del plain["raised"]
    return plain if show_secrets else {name: redact(value) for name, value in plain.items()}


def worker(value: Worker) -> Document:
    return {
        "id": value.id,
        "queue": value.queue,
        "concurrency": value.concurrency,
        "heartbeat": value.heartbeat,
        "age_seconds": value.age_seconds,
        "health": value.health,
        "time": rfc3339(value.heartbeat),
        "ttl_seconds": value.ttl,
        "clock_offset_seconds": value.clock_offset,
    }


def workers(page: WorkerPage) -> Document:
    return {
        "workers": [worker(value) for value in page.workers],
        "summary": asdict(page.summary),
        "page": page.page,
        "size": page.size,
        "total_pages": page.total_pages,
        "unattended": list(page.unattended),
    }


def change_head(report: ChangeReport) -> Document:
    """The members of a change's document that come before `results`."""
    return {
        "action": report.action,
        "queue": report.queue,
        "dry_run": report.dry_run,
        "matched": report.matched,
        "succeeded": report.succeeded,
        "failed": report.failed,
        "outcome": outcome(report.outcome),
    }


def change(report: ChangeReport) -> Document:
    from asyncmq_cli.models.findings import Diagnosis, RepairReport
    from asyncmq_cli.models.repeatables import RepeatableChange

    results = [change_result(result, dry_run=report.dry_run) for result in report.results]
    document: Document = {**change_head(report), "results": results}
    if isinstance(report, RepeatableChange):
        # Add the id of the definition, and the coming runs if the change sets them.
        document["id"] = None if report.repeatable is None else report.repeatable.id
        document["next_runs"] = [{"next_run": run, "time": rfc3339(run)} for run in report.next_runs]
    if isinstance(report, RepairReport):
        # Add the queues that were checked, and the findings that are left.
        document.update(diagnosis(Diagnosis(report.checked, report.left)))
    return document


def diagnosis(value: Diagnosis) -> Document:
    return {"checked": list(value.checked), "findings": [finding(one) for one in value.findings]}


def finding(value: Finding) -> Document:
    samples = {
        name: [redact_any(text) for text in getattr(value, name)] for name in ("sample_ids", "sample_tasks")
    }
    return {**to_builtins(value), **samples}


def outcome(value: RetryOutcome | None) -> Document | None:
    """The outcome of retried jobs, which `retry --wait` adds."""
    if value is None:
        return None
    document: Document = to_builtins(replace(value, error=None))
    del document["error"]
    document["causes"] = [{"type": redact_any(name), "count": count} for name, count in value.causes.items()]
    return document


def change_result(result: ChangeResult, *, dry_run: bool) -> Document:
    return {
        "queue": result.queue,
        "job_id": redact_any(result.job_id),
        "status": "success" if result.error is None else "failed",
        "error": None if result.error is None else redact_text(result.error.message),
        "note": result.note,
        "dry_run": dry_run,
    }
