"""Find the damage that crashes and bugs leave behind, and count it by queue and code."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from asyncmq_cli.errors import command_line
from asyncmq_cli.models.findings import Diagnosis, Finding, Samples
from asyncmq_cli.services.doctor.catalogue import BY_CODE, DAMAGES, Damage
from asyncmq_cli.services.doctor.scan import NO_QUEUE, TwoPassScan
from asyncmq_cli.services.jobs.lookup import require_queue

if TYPE_CHECKING:
    from asyncmq_cli.models.audit.actions import Rights
    from asyncmq_cli.services.doctor.scan import Confirmed
    from asyncmq_cli.storage.store import Store


class DoctorService:
    """Diagnoses queues without changing anything."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def queues(self, queues: Sequence[str]) -> list[str]:
        """The queues to scan: those named, or all. Raises QueueNotFound."""
        for queue in queues:
            require_queue(self._store, queue)
        return list(dict.fromkeys(queues)) or self._store.queue_names.all()

    def rights(self, queue: str) -> Rights:
        """The rights of the Redis user on the keys of this queue, which need not exist. Raises
        RedisProblem."""
        with self._store.errors():
            return self._store.rights(queue)

    def diagnose(self, queues: Sequence[str], codes: Collection[str]) -> Diagnosis:
        """Scan for these codes, or for all if `codes` is empty. Raises QueueNotFound."""
        chosen = self.queues(queues)
        summary = Summary()
        for found in TwoPassScan(self._store, codes or BY_CODE).run(chosen):
            summary.add(found)
        return Diagnosis(chosen, summary.findings(chosen))


class Summary:
    """Counts the damage, with the first few ids, by queue and code."""

    def __init__(self) -> None:
        self._samples: dict[tuple[str, str], Samples] = {}
        self._tasks: dict[tuple[str, str], str | None] = {}

    def add(self, found: Confirmed) -> None:
        """Add confirmed damage to the counts."""
        for code, evidence in found.jobs:
            samples, job_id = self._of(found.queue, code), evidence.location.id
            samples.add(job_id)
            if samples.count == len(samples.first):
                self._tasks[found.queue, job_id] = evidence.location.job.task_id
        for one in found.of_queue:
            self._of(found.queue, one.code).add_all(one.count, one.ids)
            self._tasks.update(zip(((found.queue, name) for name in one.ids), one.tasks, strict=False))
        for code, samples in found.samples:
            self._of(found.queue, code).add_all(samples.count, samples.first)

    def findings(self, queues: Sequence[str]) -> list[Finding]:
        """The findings, queue by queue, in the order of the catalogue."""
        return [
            _finding(damage, queue, self._samples[queue, damage.code], self._tasks)
            for queue in (NO_QUEUE, *queues)
            for damage in DAMAGES
            if (queue, damage.code) in self._samples
        ]

    def _of(self, queue: str, code: str) -> Samples:
        return self._samples.setdefault((queue, code), Samples())


def _finding(
    damage: Damage, queue: str, samples: Samples, tasks: Mapping[tuple[str, str], str | None]
) -> Finding:
    return Finding(
        code=damage.code,
        severity=damage.severity,
        queue=queue,
        count=samples.count,
        sample_ids=tuple(samples.first),
        message=damage.message,
        repair=_of_queue(damage.repair, queue),
        repairable=damage.way != "advice",
        sample_tasks=tuple(tasks.get((queue, job_id)) for job_id in samples.first),
    )


def _of_queue(advice: str, queue: str) -> str:
    """The advice with the queue's name in its command, quoted for the shell."""
    before, _, rest = advice.partition("'asyncmq ")
    command, _, after = rest.partition("'")
    words = command.split()
    if "QUEUE" not in words:
        return advice
    return before + command_line(*(queue if word == "QUEUE" else word for word in words)) + after
