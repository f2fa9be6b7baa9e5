"""Looking twice at queues for what crashes and bugs leave behind.

Redis gives no picture of one moment to those who read it gently, and AsyncMQ's own changes are
often several commands. So whatever looks damaged is looked at again after a while, and told of
only if nothing about it has changed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from asyncmq_cli.services.doctor.diagnosis import diagnose
from asyncmq_cli.services.doctor.queue_checks import QueueFinding, confirmed, queue_findings
from asyncmq_cli.services.monitoring.lost_jobs import LostJobs
from asyncmq_cli.storage.integrity.samples import Samples
from asyncmq_cli.storage.read.scan import WrongType, chunked
from asyncmq_cli.storage.schema.keys import to_text

if TYPE_CHECKING:
    from asyncmq_cli.storage.integrity.evidence import Evidence
    from asyncmq_cli.storage.integrity.orphaned_keys import OrphanedKey
    from asyncmq_cli.storage.store import Store

OF_NO_QUEUE = ""
"""In the place of a queue: of all."""
GRACE = 2.0
"""Seconds between the two looks: many times what a change of several commands takes."""
_YOUNG = 60.0
"""A job of fewer seconds may be enqueued before the jobs that it waits for."""
_IN_MIND = 100_000
"""Jobs of which the ids are kept for a look, and the ids and marks between the two looks. Each look at so
many reads the sorted sets through once."""
_HELD_BYTES = 16 * 1024 * 1024
"""What is held of the jobs that are to be repaired next. For so many each sorted set is read once more."""
_HELD_BESIDE_TEXTS = 1000
"""About how many bytes a job takes without its texts."""


@dataclass(frozen=True, slots=True)
class DamageCandidate:
    """A damage as the first look saw it."""

    queue: str
    job_id: str
    code: str
    mark: int
    created_at: float


@dataclass(slots=True)
class Confirmed:
    """Damages of one queue that both looks saw."""

    queue: str
    jobs: Sequence[tuple[str, Evidence]] = ()
    of_queue: list[QueueFinding] = field(default_factory=list)
    tallies: list[tuple[str, Samples]] = field(default_factory=list)


class TwoPassScan:
    """`wanted` are the codes to look for. Of those `mended` the confirmed jobs come with the texts of
    their members, and the first created first."""

    def __init__(self, store: Store, wanted: Collection[str], mended: Collection[str] = ()) -> None:
        self._store = store
        self._wanted = wanted
        self._mended = mended
        self._told: set[int] = set()

    def rounds(self, queues: Sequence[str], names: Sequence[str]) -> Iterator[Confirmed]:
        """What is wrong with the queues, piece by piece; `names` are all that exist."""
        streams = tuple(self._store.wrong_streams()) if "wrong_type" in self._wanted else ()
        if streams:
            yield Confirmed(OF_NO_QUEUE, of_queue=[QueueFinding("wrong_type", streams, len(streams))])
        suspicions: list[DamageCandidate] = []
        of_queues: dict[str, list[QueueFinding]] = {}
        for told, suspected in self._first_look(queues, names, of_queues):
            yield told
            suspicions += suspected
            if len(suspicions) >= _IN_MIND:
                yield from self._looked_at_again(suspicions)
                suspicions = []
        yield from self._looked_at_again(suspicions, of_queues)

    def _first_look(
        self, queues: Sequence[str], names: Sequence[str], of_queues: dict[str, list[QueueFinding]]
    ) -> Iterator[tuple[Confirmed, list[DamageCandidate]]]:
        """What needs no second look, and what does. What is wrong with queues as such is put into
        `of_queues`."""
        for queue in queues:
            found = [one for one in queue_findings(self._store, queue) if one.code in self._wanted]
            if found:
                of_queues[queue] = found
            for suspected, tallies in self._suspicions_in(queue):
                yield Confirmed(queue, tallies=tallies), suspected
        for queue, job_ids, wrong in self._strays(queues, names):
            told = Confirmed(queue, tallies=self._wanted_of([("wrong_type", wrong)]))
            yield told, self._suspicions(queue, job_ids)

    def _suspicions_in(self, queue: str) -> Iterator[tuple[list[DamageCandidate], list[tuple[str, Samples]]]]:
        walk = self._store.walk(queue)
        odd: dict[str, bool] = {}
        for name, ids_of in {**walk.walks(), "lost": lambda: self._lost(queue)}.items():
            for job_ids in _readable(ids_of):
                for job_id in job_ids:
                    odd[job_id] = name == "lost"
                if len(odd) >= _IN_MIND:
                    yield self._suspicions(queue, odd), []
                    odd = {}
        tallies = [("wrong_type", walk.wrong_records)]
        tallies += [("member_unreadable", tally) for tally in walk.unreadable.values()]
        yield self._suspicions(queue, odd), self._wanted_of(tallies)

    def _wanted_of(self, tallies: Sequence[tuple[str, Samples]]) -> list[tuple[str, Samples]]:
        return [(code, tally) for code, tally in tallies if tally.count and code in self._wanted]

    def _lost(self, queue: str) -> Iterator[list[str]]:
        for piece in chunked(LostJobs(self._store, queue, self._store.now())):
            yield [lost.id for lost in piece]

    def _strays(
        self, queues: Sequence[str], names: Sequence[str]
    ) -> Iterator[tuple[str, dict[str, bool], Samples]]:
        """By queue, the jobs of which a key beside the records may be left, and the keys of a wrong type."""
        chosen = set(queues)
        for code, strays in (
            ("payload_without_record", self._store.stray_payloads),
            ("dependencies_left", self._store.stray_dependencies),
        ):
            if not {code, "wrong_type"}.isdisjoint(self._wanted):
                found = (one for one in strays(names) if one.queue in chosen)
                for piece in chunked(found, _IN_MIND):
                    yield from _by_queue(piece)

    def _suspicions(self, queue: str, odd: dict[str, bool]) -> list[DamageCandidate]:
        """Of the ids, each with whether its job is called lost, those whose job is damaged."""
        found = []
        for piece in self._store.look(queue, odd):
            for evidence in piece:
                job_id = evidence.location.id
                code = self._code(evidence, odd[job_id])
                told = hash((queue, job_id))
                # Several walks may come upon it.
                if code is not None and told not in self._told:
                    self._told.add(told)
                    found.append(
                        DamageCandidate(queue, job_id, code, evidence.mark, evidence.created_at or 0.0)
                    )
        return found

    def _code(self, found: Evidence, is_lost: bool) -> str | None:
        """What the job has; None also where nobody wants to know."""
        code = diagnose(found)
        if code is None and is_lost and found.location.active and found.status == "active":
            code = "active_lost"
        if code == "parent_gone" and not self._is_old(found):
            return None
        return code if code in self._wanted else None

    def _is_old(self, found: Evidence) -> bool:
        return found.created_at is None or found.created_at < self._store.now() - _YOUNG

    def _looked_at_again(
        self, suspicions: Sequence[DamageCandidate], of_queues: dict[str, list[QueueFinding]] | None = None
    ) -> Iterator[Confirmed]:
        if suspicions or of_queues:
            time.sleep(GRACE)
        for queue, first in (of_queues or {}).items():
            again = queue_findings(self._store, queue)
            yield Confirmed(queue, of_queue=list(confirmed(first, again)))
        by_queue: dict[str, dict[str, DamageCandidate]] = {}
        # What is to wait again waits in the order in which it came.
        for one in sorted(suspicions, key=lambda suspicion: suspicion.created_at):
            by_queue.setdefault(one.queue, {})[one.job_id] = one
        for queue, suspected in by_queue.items():
            yield from self._still_damaged(queue, suspected)

    def _still_lost(self, queue: str, suspected: Collection[DamageCandidate]) -> set[str]:
        wanted = {one.job_id for one in suspected if one.code == "active_lost"}
        if not wanted:
            return wanted
        return {job_id for job_ids in _readable(lambda: self._lost(queue)) for job_id in job_ids} & wanted

    def _still_damaged(self, queue: str, suspected: dict[str, DamageCandidate]) -> Iterator[Confirmed]:
        lost = self._still_lost(queue, suspected.values())
        held: list[tuple[str, Evidence]] = []
        size = 0
        for piece in self._store.look(queue, suspected):
            told: list[tuple[str, Evidence]] = []
            for evidence in piece:
                before = suspected[evidence.location.id]
                if evidence.mark != before.mark or (
                    before.code == "active_lost" and before.job_id not in lost
                ):
                    continue
                if before.code not in self._mended:
                    told.append((before.code, evidence))
                    continue
                if held and size + evidence.size > _HELD_BYTES:
                    yield self._whole(queue, held)
                    held, size = [], 0
                held.append((before.code, evidence))
                size += evidence.size + _HELD_BESIDE_TEXTS
            yield Confirmed(queue, told)
        if held:
            yield self._whole(queue, held)

    def _whole(self, queue: str, held: Sequence[tuple[str, Evidence]]) -> Confirmed:
        codes = {evidence.location.id: code for code, evidence in held}
        whole = self._store.fetch_members(queue, [evidence for _, evidence in held])
        return Confirmed(queue, [(codes[evidence.location.id], evidence) for evidence in whole])


def _by_queue(strays: Sequence[OrphanedKey]) -> Iterator[tuple[str, dict[str, bool], Samples]]:
    by_queue: dict[str, tuple[dict[str, bool], Samples]] = {}
    for stray in strays:
        job_ids, wrong = by_queue.setdefault(stray.queue, ({}, Samples()))
        if stray.wrong_key is None:
            job_ids[stray.job_id] = False
        else:
            wrong.add(to_text(stray.wrong_key))
    for queue, (job_ids, wrong) in by_queue.items():
        yield queue, job_ids, wrong


def _readable(walk: Callable[[], Iterator[list[str]]]) -> Iterator[list[str]]:
    """What a walk finds until it comes upon a key of a wrong type, which is a finding of its own."""
    try:
        yield from walk()
    except WrongType:
        return
