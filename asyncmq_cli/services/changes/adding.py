"""Add new jobs. Each is stored byte for byte as AsyncMQ's own producer would store it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

from asyncmq_cli.errors import AdminError, ChangeRefused, command_line
from asyncmq_cli.models.jobs import JobFilter, QueueScope
from asyncmq_cli.services.changes.bulk import JobRunner, Planned, Refused
from asyncmq_cli.services.changes.runner import Attempt
from asyncmq_cli.services.jobs.lists import JobService
from asyncmq_cli.storage.schema.records import created, deduplicates, deduplication

if TYPE_CHECKING:
    from asyncmq_cli.models.changes import ChangeReport
    from asyncmq_cli.services.changes.runner import Stop
    from asyncmq_cli.storage.store import Store

_MOST_ID = 512


class NewJob(Struct, frozen=True):
    """A job to add. `delay` and `ttl` are seconds; before its n-th retry, a job waits `backoff` to the power
    of n seconds. Without an `id` it gets a new one."""

    task: str
    args: Sequence[Any] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    id: str | None = None
    retries: int = 0
    backoff: float | None = None
    ttl: float | None = None
    priority: int = 5
    delay: float | None = None
    unique: str | None = None
    """The deduplication key: the job is added only if no unfinished job of the queue has the same key."""


class Adder(JobRunner):
    """Adds jobs in transactions of bounded size."""

    def add(
        self,
        queue: str,
        planned: Iterable[Planned | Refused],
        count: int | None,
        within: AbstractContextManager[None] | None = None,
    ) -> ChangeReport:
        """Add the planned jobs. `count` is their number, or None if it is not known yet. The jobs are added
        inside the context manager `within`."""

        def run(stop: Stop) -> None:
            with within or nullcontext():
                self._execute(self._batches(planned), stop)

        return self.report(queue, run, count)

    def planned(
        self, attempt: Attempt, record: Callable[[], dict[str, Any]], note: str | None = None
    ) -> Planned | Refused:
        """Plan to add a job with this record; a refusal if it cannot be added."""
        try:
            return attempt, self.store.changes.add(attempt.queue or "", record(), attempt.draft()), note
        except AdminError as exc:
            if exc.code == "job_id_reserved":
                exc.hint = exc.hint or "choose another id"
            return attempt, exc


class AdditionService:
    """Adds new jobs. Each result has the id of the new job."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def add(
        self,
        queue: str,
        jobs: Sequence[NewJob],
        *,
        reason: str | None,
        dry_run: bool,
        progress: Callable[[int], None] | None = None,
    ) -> ChangeReport:
        """Add new jobs to the waiting set, or those with a delay to the delayed set. The first job creates
        the queue if it does not exist."""
        now = self._store.now()
        keys = sorted({job.unique for job in jobs if job.unique is not None})
        source = "jobs.single" if len(jobs) == 1 else "jobs.bulk"
        adder = Adder(self._store, "job.add", source, reason=reason, dry_run=dry_run)
        adder.set_pace(None, progress)

        def planned() -> Iterator[Planned | Refused]:
            owners = self._owners(queue, now) if keys else {}
            for job in jobs:
                attempt = Attempt(adder, queue, job.id or str(uuid.uuid4()))
                attempt.details["task"] = job.task
                if job.unique in owners:
                    yield attempt, _duplicate(queue, job.unique or "", owners[job.unique])
                    continue
                if job.unique is not None:
                    owners[job.unique] = attempt.job_id or ""
                yield adder.planned(attempt, _recording(job, attempt.job_id or "", now))

        return adder.add(queue, planned(), len(jobs), None if dry_run else self._locked(queue, keys))

    def _owners(self, queue: str, now: float) -> dict[str | None, str]:
        """By deduplication key, the id of the unfinished job that has it. Reads all jobs of the queue, as
        AsyncMQ's producers do."""
        if not self._store.queue_names.exists(queue):
            return {}
        jobs = JobService(self._store).every(QueueScope.of(queue), "all", JobFilter(), sort=None)
        return {key: job.id for job in jobs if (key := deduplicates(job, now)) is not None}

    @contextmanager
    def _locked(self, queue: str, keys: Sequence[str]) -> Iterator[None]:
        """Hold the locks of these deduplication keys, which AsyncMQ's producers use too. Source: `Queue.add`
        in asyncmq.queues."""
        with ExitStack() as stack:
            for key in keys:
                stack.enter_context(self._store.lock(f"asyncmq:{queue}:dedup:{key}"))
            yield


def run_definition(
    store: Store, queue: str, name: str, definition: Mapping[str, Any], *, reason: str | None, dry_run: bool
) -> ChangeReport:
    """Add the job that a scheduler would add for this definition; its schedule does not change. `name` is the
    name of its task. Source: `build_repeatable_job` in asyncmq.core.repeatables."""
    adder = Adder(store, "repeatable.run", "repeatables", reason=reason, dry_run=dry_run)
    job_id, now = str(uuid.uuid4()), store.now()
    attempt = Attempt(adder, queue, name)
    attempt.details.update(job_def=dict(definition), new_job=job_id)

    def record() -> dict[str, Any]:
        return created(
            job_id,
            task=definition["task_id"],
            args=definition.get("args", []),
            kwargs=definition.get("kwargs", {}),
            created_at=now,
            retries=int(definition.get("retries", definition.get("max_retries", 0)) or 0),
            backoff=definition.get("backoff"),
            ttl=definition.get("ttl"),
            priority=int(definition.get("priority", 5) or 5),
        )

    return adder.add(queue, [adder.planned(attempt, record, None if dry_run else f"as job {job_id}")], 1)


def _recording(job: NewJob, job_id: str, now: float) -> Callable[[], dict[str, Any]]:
    def record() -> dict[str, Any]:
        require_custom_id(job_id)
        return created(
            job_id,
            task=job.task,
            args=job.args,
            kwargs=job.kwargs,
            created_at=now,
            retries=job.retries,
            backoff=job.backoff,
            ttl=job.ttl,
            priority=job.priority,
            delay_until=None if job.delay is None else now + job.delay,
            deduplication=None if job.unique is None else deduplication(job.unique),
        )

    return record


def _duplicate(queue: str, key: str, owner: str) -> ChangeRefused:
    return ChangeRefused(
        "job_duplicate",
        f"job {owner!r} has the deduplication key {key!r}, and has not finished; nothing was added",
        hint=f"{command_line('jobs', 'show', queue, owner)} shows it",
        facts={"queue": queue, "job_id": owner},
    )


def require_custom_id(job_id: str) -> None:
    """Raise ChangeRefused for an id that AsyncMQ's producers refuse, and for one that cannot be passed as a
    line of text, because it has control characters, or blanks around it. Source: `validate_custom_job_id` in
    asyncmq.core.job_ids."""
    is_refused = not job_id or job_id.isdigit() or ":" in job_id or len(job_id) > _MOST_ID
    if is_refused or job_id != job_id.strip() or not job_id.isprintable():
        raise ChangeRefused(
            "job_id_reserved",
            f"{job_id[:60]!r} cannot be the id of a new job",
            hint="an id is not digits only, has no ':', no control characters and no blanks around it, and "
            f"at most {_MOST_ID} characters",
        )
