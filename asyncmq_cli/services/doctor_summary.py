"""From damages to findings: how many there are of each kind in each queue, and the first few."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from asyncmq_cli.errors import command_line
from asyncmq_cli.models.findings import Finding
from asyncmq_cli.services.doctor_codes import DAMAGES, Damage
from asyncmq_cli.services.examination import OF_NO_QUEUE
from asyncmq_cli.storage.samples import Samples

if TYPE_CHECKING:
    from asyncmq_cli.services.examination import Confirmed


class Summary:
    """Counts and the first few ids, by queue and code."""

    def __init__(self) -> None:
        self._samples: dict[tuple[str, str], Samples] = {}
        self._tasks: dict[tuple[str, str], str | None] = {}

    def add(self, found: Confirmed) -> None:
        """Take these in as well."""
        for code, evidence in found.jobs:
            samples, job_id = self._of(found.queue, code), evidence.location.id
            samples.add(job_id)
            if samples.count == len(samples.first):
                self._tasks[found.queue, job_id] = evidence.location.job.task_id
        for one in found.of_queue:
            self._of(found.queue, one.code).add_all(one.count, one.ids)
            self._tasks.update(zip(((found.queue, name) for name in one.ids), one.tasks, strict=False))
        for code, samples in found.tallies:
            self._of(found.queue, code).add_all(samples.count, samples.first)

    def findings(self, queues: Sequence[str]) -> list[Finding]:
        """Queue by queue, in the order of the codes."""
        return [
            _finding(damage, queue, self._samples[queue, damage.code], self._tasks)
            for queue in (OF_NO_QUEUE, *queues)
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
    """With the queue's name in the command that it tells to type, where there is one."""
    before, _, rest = advice.partition("'asyncmq ")
    command, _, after = rest.partition("'")
    words = command.split()
    if "QUEUE" not in words:
        return advice
    return before + command_line(*(queue if word == "QUEUE" else word for word in words)) + after
