"""Looking for what crashes and bugs leave behind, and repairing what can be repaired.

Redis gives no picture of one moment to those who read it gently, and AsyncMQ's own changes are
often several commands. So whatever looks damaged is looked at again after a while, and told of
only if nothing about it has changed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from asyncmq_cli.errors import command_line
from asyncmq_cli.models.findings import Diagnosis, Finding
from asyncmq_cli.services.diagnosis import diagnose
from asyncmq_cli.services.doctor_codes import BY_CODE, DAMAGES, Damage
from asyncmq_cli.services.existence import require_queue
from asyncmq_cli.services.lost_jobs import LostJobs
from asyncmq_cli.services.queue_findings import QueueFinding, confirmed, queue_findings
from asyncmq_cli.storage.scan import WrongType, chunked
from asyncmq_cli.storage.suspects import Tally

if TYPE_CHECKING:
    from asyncmq_cli.storage.evidence import Evidence
    from asyncmq_cli.storage.store import Store

GRACE = 2.0
"""Seconds between the two looks: many times what a change of several commands takes."""
_YOUNG = 60.0
"""A job of fewer seconds may be enqueued before the jobs that it waits for."""
_LOOKED_AT_TOGETHER = 2000
_IN_MIND = 10_000
"""Jobs kept between the two looks."""
_SAMPLES = 5


@dataclass(frozen=True, slots=True)
class Suspicion:
    """A damage as the first look saw it."""

    queue: str
    job_id: str
    code: str
    mark: int


@dataclass(slots=True)
class Confirmed:
    """Damages of one queue that both looks saw."""

    queue: str
    jobs: list[tuple[str, Evidence]] = field(default_factory=list)
    of_queue: list[QueueFinding] = field(default_factory=list)
    tallies: list[tuple[str, Tally]] = field(default_factory=list)


class Doctor:
    """`wanted` are the codes to look for."""

    def __init__(self, store: Store, wanted: Collection[str]) -> None:
        self._store = store
        self._wanted = wanted

    def rounds(self, queues: Sequence[str], names: Sequence[str]) -> Iterator[Confirmed]:
        """What is wrong with the queues, piece by piece; `names` are all that exist."""
        suspicions: list[Suspicion] = []
        first: dict[str, list[QueueFinding]] = {}
        for queue in queues:
            found = [one for one in queue_findings(self._store, queue) if one.code in self._wanted]
            if found:
                first[queue] = found
            for batch, tallies in self._suspicions_in(queue):
                yield Confirmed(queue, tallies=tallies)
                suspicions += batch
                if len(suspicions) >= _IN_MIND:
                    yield from self._looked_at_again(suspicions)
                    suspicions = []
        for queue, job_ids in self._orphans(queues, names):
            suspicions += self._suspicions(queue, {job_id: {"payloads"} for job_id in job_ids})
            if len(suspicions) >= _IN_MIND:
                yield from self._looked_at_again(suspicions)
                suspicions = []
        yield from self._looked_at_again(suspicions, first)

    def _suspicions_in(self, queue: str) -> Iterator[tuple[list[Suspicion], list[tuple[str, Tally]]]]:
        walk = self._store.walk(queue)
        odd: dict[str, set[str]] = {}
        for name, ids_of in {**walk.walks(), "lost": lambda: self._lost(queue)}.items():
            for job_ids in _readable(ids_of):
                for job_id in job_ids:
                    odd.setdefault(job_id, set()).add(name)
                if len(odd) >= _IN_MIND:
                    yield self._suspicions(queue, odd), []
                    odd = {}
        tallies = [("wrong_type", walk.wrong_records)]
        tallies += [("member_unreadable", tally) for tally in walk.unreadable.values()]
        wanted = [(code, tally) for code, tally in tallies if tally.count and code in self._wanted]
        yield self._suspicions(queue, odd), wanted

    def _lost(self, queue: str) -> Iterator[list[str]]:
        for piece in chunked(LostJobs(self._store, queue, self._store.now())):
            yield [lost.id for lost in piece]

    def _orphans(self, queues: Sequence[str], names: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
        if "payload_without_record" not in self._wanted:
            return
        chosen = set(queues)
        orphans = (found for found in self._store.orphaned_payloads(names) if found[0] in chosen)
        for piece in chunked(orphans, _IN_MIND):
            by_queue: dict[str, list[str]] = {}
            for queue, job_id in piece:
                by_queue.setdefault(queue, []).append(job_id)
            yield from by_queue.items()

    def _suspicions(self, queue: str, odd: dict[str, set[str]]) -> list[Suspicion]:
        """Of the ids, each with the walks that came upon it, those whose job is damaged."""
        found = []
        for piece in chunked(odd, _LOOKED_AT_TOGETHER):
            for evidence in self._store.look(queue, piece):
                job_id = evidence.location.id
                code = self._code(evidence, odd[job_id])
                if code is not None:
                    found.append(Suspicion(queue, job_id, code, evidence.mark))
        return found

    def _code(self, found: Evidence, walks: Collection[str]) -> str | None:
        """What the job has; None where another walk tells of it, or nobody wants to know."""
        damage = diagnose(found)
        if damage is None and "lost" in walks and found.location.active and found.status == "active":
            damage = ("active_lost", "lost")
        if damage is None or damage[1] not in walks or damage[0] not in self._wanted:
            return None
        if damage[0] == "parent_gone" and not self._is_old(found):
            return None
        return damage[0]

    def _is_old(self, found: Evidence) -> bool:
        created_at = found.location.job.created_at
        return created_at is None or created_at < self._store.now() - _YOUNG

    def _looked_at_again(
        self, suspicions: Sequence[Suspicion], of_queues: dict[str, list[QueueFinding]] | None = None
    ) -> Iterator[Confirmed]:
        if suspicions or of_queues:
            time.sleep(GRACE)
        for queue, first in (of_queues or {}).items():
            again = queue_findings(self._store, queue)
            yield Confirmed(queue, of_queue=list(confirmed(first, again)))
        by_queue: dict[str, dict[str, Suspicion]] = {}
        for one in suspicions:
            by_queue.setdefault(one.queue, {})[one.job_id] = one
        for queue, suspected in by_queue.items():
            lost = self._still_lost(queue, suspected.values())
            for piece in chunked(suspected, _LOOKED_AT_TOGETHER):
                yield Confirmed(queue, jobs=list(self._still_damaged(queue, piece, suspected, lost)))

    def _still_lost(self, queue: str, suspected: Collection[Suspicion]) -> set[str]:
        wanted = {one.job_id for one in suspected if one.code == "active_lost"}
        if not wanted:
            return wanted
        return {job_id for job_ids in _readable(lambda: self._lost(queue)) for job_id in job_ids} & wanted

    def _still_damaged(
        self, queue: str, job_ids: list[str], suspected: dict[str, Suspicion], lost: set[str]
    ) -> Iterator[tuple[str, Evidence]]:
        for evidence in self._store.look(queue, job_ids):
            before = suspected[evidence.location.id]
            if evidence.mark == before.mark and (before.code != "active_lost" or before.job_id in lost):
                yield before.code, evidence


class DoctorService:
    def __init__(self, store: Store) -> None:
        self._store = store

    def queues(self, queues: Sequence[str]) -> tuple[list[str], list[str]]:
        """Those to look at, all where none is named, and all that exist. Raises QueueNotFound."""
        for queue in queues:
            require_queue(self._store, queue)
        names = self._store.queues.names()
        return list(dict.fromkeys(queues)) or names, names

    def look(self, queues: Sequence[str], codes: Collection[str]) -> Diagnosis:
        """`codes` narrows what is looked for; empty, it is everything. Nothing is changed."""
        chosen, names = self.queues(queues)
        summary = Summary()
        for found in Doctor(self._store, codes or BY_CODE).rounds(chosen, names):
            summary.add(found)
        return Diagnosis(chosen, summary.findings(chosen))


class Summary:
    """Counts and the first few ids, by queue and code."""

    def __init__(self) -> None:
        self._tallies: dict[tuple[str, str], Tally] = {}
        self._tasks: dict[tuple[str, str], str | None] = {}

    def add(self, found: Confirmed) -> None:
        for code, evidence in found.jobs:
            tally, job_id = self.tally(found.queue, code), evidence.location.id
            tally.add(job_id)
            if tally.count == len(tally.samples):
                self._tasks[found.queue, job_id] = evidence.location.job.task_id
        for one in found.of_queue:
            self._add_all(found.queue, one.code, one.count, one.ids)
            self._tasks.update(zip(((found.queue, name) for name in one.ids), one.tasks, strict=False))
        for code, tally in found.tallies:
            self._add_all(found.queue, code, tally.count, tally.samples)

    def tally(self, queue: str, code: str) -> Tally:
        return self._tallies.setdefault((queue, code), Tally())

    def findings(self, queues: Sequence[str]) -> list[Finding]:
        """Queue by queue, in the order of the codes."""
        return [
            finding(damage, queue, self._tallies[queue, damage.code], self._tasks)
            for queue in queues
            for damage in DAMAGES
            if (queue, damage.code) in self._tallies
        ]

    def _add_all(self, queue: str, code: str, count: int, ids: Sequence[str]) -> None:
        tally = self.tally(queue, code)
        tally.count += count
        tally.samples += ids[: _SAMPLES - len(tally.samples)]


def finding(damage: Damage, queue: str, tally: Tally, tasks: Mapping[tuple[str, str], str | None]) -> Finding:
    return Finding(
        code=damage.code,
        severity=damage.severity,
        queue=queue,
        count=tally.count,
        sample_ids=tuple(tally.samples),
        message=damage.message,
        repair=_of_queue(damage.repair, queue),
        repairable=damage.way != "advice",
        sample_tasks=tuple(tasks.get((queue, job_id)) for job_id in tally.samples),
    )


def _of_queue(advice: str, queue: str) -> str:
    """With the queue's name in the command that it tells to type, where there is one."""
    before, _, rest = advice.partition("'asyncmq ")
    command, _, after = rest.partition("'")
    words = command.split()
    if "QUEUE" not in words:
        return advice
    return before + command_line(*(queue if word == "QUEUE" else word for word in words)) + after


def _readable(walk: Callable[[], Iterator[list[str]]]) -> Iterator[list[str]]:
    """What a walk finds until it comes upon a key of a wrong type, which is a finding of its own."""
    try:
        yield from walk()
    except WrongType:
        return
