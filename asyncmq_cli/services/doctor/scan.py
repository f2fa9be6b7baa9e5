"""Scan queues for damage in two passes, and report only what is unchanged in both.

Reading in small chunks cannot give a consistent snapshot, and AsyncMQ often makes a change by several
commands. So whatever seems damaged in the first pass is only a candidate. After `GRACE` seconds the
candidates are read again, and those that have changed are dropped.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct, field

from asyncmq_cli.errors import WrongType
from asyncmq_cli.models.findings import Samples
from asyncmq_cli.models.values import chunked
from asyncmq_cli.services.doctor.diagnosis import diagnose
from asyncmq_cli.services.doctor.queue_checks import QueueFinding, confirmed, queue_findings
from asyncmq_cli.services.monitoring.lost_jobs import LostJobs
from asyncmq_cli.storage.schema.keys import PLACES, to_text

if TYPE_CHECKING:
    from asyncmq_cli.storage.integrity.damaged_keys import OrphanedKey
    from asyncmq_cli.storage.integrity.evidence import Evidence
    from asyncmq_cli.storage.store import Store

NO_QUEUE = ""
"""The queue name of findings that belong to no queue, such as those about the tool's own streams."""
GRACE = 2.0
"""Seconds between the two passes: many times longer than a change by several commands takes."""
_MIN_AGE = 60.0
"""Seconds. A younger job may have been enqueued before the jobs that it waits for."""
_MAX_CANDIDATES = 100_000
"""The number of candidates kept in memory between the two passes. Each batch of this size reads the sorted
sets once."""
_MAX_HELD_BYTES = 16 * 1024 * 1024
"""Bytes of evidence of jobs to repair that are kept in memory. Each batch of this size reads the sorted sets
once."""
_EVIDENCE_BYTES = 1000
"""The approximate bytes that the evidence of a job takes without the texts of its members."""


class DamageCandidate(Struct, frozen=True):
    """A job that the first pass found damaged. `mark` is a digest of the data stored for the job."""

    queue: str
    job_id: str
    code: str
    mark: int
    created_at: float


class Confirmed(Struct):
    """Confirmed damage in one queue: `jobs` are pairs of a code and the evidence of a job, `of_queue` the
    findings about the queue itself, and `samples` pairs of a code and the keys or members with that damage,
    which need no second pass."""

    queue: str
    jobs: Sequence[tuple[str, Evidence]] = ()
    of_queue: list[QueueFinding] = field(default_factory=list)
    samples: list[tuple[str, Samples]] = field(default_factory=list)


class TwoPassScan:
    """Scans for the codes in `wanted`. For jobs with a code in `repaired`, the evidence includes the texts of
    their members, oldest first."""

    def __init__(self, store: Store, wanted: Collection[str], repaired: Collection[str] = ()) -> None:
        self._store = store
        self._wanted = wanted
        self._repaired = repaired
        self._seen: set[int] = set()

    def run(self, queues: Sequence[str]) -> Iterator[Confirmed]:
        """Yield the damage in `queues`, in chunks."""
        streams = tuple(self._store.damaged_keys.wrong_streams()) if "wrong_type" in self._wanted else ()
        if streams:
            yield Confirmed(NO_QUEUE, of_queue=[QueueFinding("wrong_type", streams, len(streams))])
        candidates: list[DamageCandidate] = []
        of_queues: dict[str, list[QueueFinding]] = {}
        for certain, more in self._first_pass(queues, of_queues):
            yield certain
            candidates += more
            if len(candidates) >= _MAX_CANDIDATES:
                yield from self._second_pass(candidates)
                candidates = []
        yield from self._second_pass(candidates, of_queues)

    def _first_pass(
        self, queues: Sequence[str], of_queues: dict[str, list[QueueFinding]]
    ) -> Iterator[tuple[Confirmed, list[DamageCandidate]]]:
        """Yield damage that needs no second pass, together with the candidates that need one. Findings about
        a queue as a whole are added to `of_queues`."""
        for queue in queues:
            findings = [one for one in queue_findings(self._store, queue) if one.code in self._wanted]
            if findings:
                of_queues[queue] = findings
            for candidates, samples in self._candidates_in(queue):
                yield Confirmed(queue, samples=samples), candidates
        for queue, job_ids, wrong in self._orphaned_keys(queues):
            certain = Confirmed(queue, samples=self._wanted_of([("wrong_type", wrong)]))
            yield certain, self._candidates(queue, job_ids)

    def _candidates_in(self, queue: str) -> Iterator[tuple[list[DamageCandidate], list[tuple[str, Samples]]]]:
        walk = self._store.walk(queue)
        ids: dict[str, bool] = {}
        for name, ids_of in {**walk.walks(), "lost": lambda: self._lost(queue)}.items():
            for job_ids in _until_wrong_type(ids_of):
                for job_id in job_ids:
                    ids[job_id] = name == "lost"
                if len(ids) >= _MAX_CANDIDATES:
                    yield self._candidates(queue, ids, walk.places_of(ids)), []
                    ids = {}
        samples = [("wrong_type", walk.wrong_records)]
        samples += [("member_unreadable", unreadable) for unreadable in walk.unreadable.values()]
        yield self._candidates(queue, ids, walk.places_of(ids)), self._wanted_of(samples)

    def _wanted_of(self, samples: Sequence[tuple[str, Samples]]) -> list[tuple[str, Samples]]:
        return [(code, found) for code, found in samples if found.count and code in self._wanted]

    def _lost(self, queue: str) -> Iterator[list[str]]:
        for piece in chunked(LostJobs(self._store, queue, self._store.now())):
            yield [lost.id for lost in piece]

    def _orphaned_keys(self, queues: Sequence[str]) -> Iterator[tuple[str, dict[str, bool], Samples]]:
        """For each queue: the ids of jobs of which a key may be left over, and the keys of the wrong type."""
        chosen = set(queues)
        for code, orphans in (
            ("payload_without_record", self._store.damaged_keys.orphaned_payloads),
            ("dependencies_left", self._store.damaged_keys.orphaned_dependencies),
        ):
            if not {code, "wrong_type"}.isdisjoint(self._wanted):
                found = (one for one in orphans(queues) if one.queue in chosen)
                for piece in chunked(found, _MAX_CANDIDATES):
                    yield from _by_queue(piece)

    def _candidates(
        self, queue: str, ids: dict[str, bool], places: Sequence[str] = PLACES
    ) -> list[DamageCandidate]:
        """The damaged jobs among `ids`, which maps each id to whether the job counts as lost. `places` are
        the sorted sets that may hold them. If a job has come into another one since that one was read, its
        evidence differs in the second pass, and it is no longer a candidate."""
        found = []
        for piece in self._store.evidence.read(queue, ids, places):
            for evidence in piece:
                job_id = evidence.location.id
                code = self._code(evidence, ids[job_id])
                key = hash((queue, job_id))
                # Several reads may find the same job.
                if code is not None and key not in self._seen:
                    self._seen.add(key)
                    found.append(
                        DamageCandidate(queue, job_id, code, evidence.mark, evidence.created_at or 0.0)
                    )
        return found

    def _code(self, found: Evidence, is_lost: bool) -> str | None:
        """The code of the job's damage; None if it has none, or if the code is not wanted."""
        code = diagnose(found)
        if code is None and is_lost and found.location.active and found.status == "active":
            code = "active_lost"
        if code == "parent_gone" and not self._is_old(found):
            return None
        return code if code in self._wanted else None

    def _is_old(self, found: Evidence) -> bool:
        return found.created_at is None or found.created_at < self._store.now() - _MIN_AGE

    def _second_pass(
        self, candidates: Sequence[DamageCandidate], of_queues: dict[str, list[QueueFinding]] | None = None
    ) -> Iterator[Confirmed]:
        if candidates or of_queues:
            time.sleep(GRACE)
        for queue, first in (of_queues or {}).items():
            again = queue_findings(self._store, queue)
            yield Confirmed(queue, of_queue=list(confirmed(first, again)))
        by_queue: dict[str, dict[str, DamageCandidate]] = {}
        # Sort them, oldest first, so that repaired jobs wait in the order in which they were created.
        for one in sorted(candidates, key=lambda candidate: candidate.created_at):
            by_queue.setdefault(one.queue, {})[one.job_id] = one
        for queue, by_id in by_queue.items():
            yield from self._still_damaged(queue, by_id)

    def _still_lost(self, queue: str, candidates: Collection[DamageCandidate]) -> set[str]:
        wanted = {one.job_id for one in candidates if one.code == "active_lost"}
        if not wanted:
            return wanted
        pieces = _until_wrong_type(lambda: self._lost(queue))
        return {job_id for job_ids in pieces for job_id in job_ids} & wanted

    def _still_damaged(self, queue: str, candidates: dict[str, DamageCandidate]) -> Iterator[Confirmed]:
        lost = self._still_lost(queue, candidates.values())
        held: list[tuple[str, Evidence]] = []
        size = 0
        for piece in self._store.evidence.read(queue, candidates):
            reported: list[tuple[str, Evidence]] = []
            for evidence in piece:
                before = candidates[evidence.location.id]
                if evidence.mark != before.mark or (
                    before.code == "active_lost" and before.job_id not in lost
                ):
                    continue
                if before.code not in self._repaired:
                    reported.append((before.code, evidence))
                    continue
                if held and size + evidence.size > _MAX_HELD_BYTES:
                    yield self._with_members(queue, held)
                    held, size = [], 0
                held.append((before.code, evidence))
                size += evidence.size + _EVIDENCE_BYTES
            yield Confirmed(queue, reported)
        if held:
            yield self._with_members(queue, held)

    def _with_members(self, queue: str, held: Sequence[tuple[str, Evidence]]) -> Confirmed:
        codes = {evidence.location.id: code for code, evidence in held}
        fetched = self._store.evidence.fetch_members(queue, [evidence for _, evidence in held])
        return Confirmed(queue, [(codes[evidence.location.id], evidence) for evidence in fetched])


def _by_queue(orphans: Sequence[OrphanedKey]) -> Iterator[tuple[str, dict[str, bool], Samples]]:
    by_queue: dict[str, tuple[dict[str, bool], Samples]] = {}
    for orphan in orphans:
        job_ids, wrong = by_queue.setdefault(orphan.queue, ({}, Samples()))
        if orphan.wrong_key is None:
            job_ids[orphan.job_id] = False
        else:
            wrong.add(to_text(orphan.wrong_key))
    for queue, (job_ids, wrong) in by_queue.items():
        yield queue, job_ids, wrong


def _until_wrong_type(walk: Callable[[], Iterator[list[str]]]) -> Iterator[list[str]]:
    """The ids that `walk` yields, up to the first key of the wrong type, which is reported as a separate
    finding."""
    try:
        yield from walk()
    except WrongType:
        return
