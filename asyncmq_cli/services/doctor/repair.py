"""Repair the doctor's findings: one atomic script per job, each audited as `doctor.repair`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec import Struct

from asyncmq_cli.errors import AdminError, ChangeRefused
from asyncmq_cli.models.findings import RepairReport
from asyncmq_cli.models.values import chunked
from asyncmq_cli.services.backup.format import as_text
from asyncmq_cli.services.changes.bulk import JobRunner, Planned, Refused
from asyncmq_cli.services.changes.runner import Attempt
from asyncmq_cli.services.doctor.catalogue import BY_CODE
from asyncmq_cli.services.doctor.scan import Confirmed, TwoPassScan
from asyncmq_cli.services.doctor.service import DoctorService, Summary
from asyncmq_cli.services.repeatables.plans import name_of
from asyncmq_cli.services.repeatables.service import retry_while_busy
from asyncmq_cli.storage.integrity import repairs
from asyncmq_cli.storage.integrity.evidence import Evidence
from asyncmq_cli.storage.read.repeatables import normalized
from asyncmq_cli.storage.schema.codec import dumps
from asyncmq_cli.storage.schema.keys import to_bytes
from asyncmq_cli.storage.write.audit_stream import EventDraft
from asyncmq_cli.storage.write.job_changes import Change

if TYPE_CHECKING:
    from asyncmq_cli.services.changes.runner import Stop
    from asyncmq_cli.services.doctor.queue_checks import QueueFinding
    from asyncmq_cli.storage.store import Store


T = TypeVar("T")

ACTION, SOURCE = "doctor.repair", "doctor"

MakeChange = Callable[[Evidence, EventDraft, int], Change]


class Repair(Struct, frozen=True):
    """How one kind of damage is repaired, with the note when it is done, and the note in a dry run."""

    make: MakeChange
    done: str
    planned: str


def _deletes(what: str, make: MakeChange = repairs.forget) -> Repair:
    return Repair(make, f"deleted {what}", f"would delete {what}")


_ENQUEUE = Repair(repairs.enqueue, "waits again", "would wait again")
_LEFTOVERS = _deletes("what is left of it")

REPAIRS: dict[str, Repair] = {
    "waiting_unlisted": _ENQUEUE,
    "active_lost": _ENQUEUE,
    "active_unclaimed": _ENQUEUE,
    "parents_done": Repair(repairs.release, "waits for a worker now", "would wait for a worker"),
    "delayed_unlisted": Repair(
        repairs.put_back, "is in the delayed set again", "would be put back into the delayed set"
    ),
    "failed_unlisted": Repair(
        repairs.put_back, "is in the dead-letter queue again", "would be put back into the dead-letter queue"
    ),
    "dead_state_wrong": Repair(
        repairs.write_record, "has the state of its dead letter", "would get the state of its dead letter"
    ),
    "record_missing": Repair(repairs.write_record, "has a record again", "would get a record again"),
    "record_unindexed": Repair(repairs.index, "is in the ids set again", "would be put into the ids set"),
    "dead_letter_stale": _deletes("its dead letter", repairs.drop_dead_letter),
    "dependencies_left": _deletes("its sets"),
    "heartbeat_stale": _deletes("its heartbeat", repairs.drop_claim),
    "id_without_record": _LEFTOVERS,
    "state_without_job": _LEFTOVERS,
    "member_without_job": _LEFTOVERS,
    "cancel_mark_stale": _deletes("its mark"),
    "result_without_job": _LEFTOVERS,
    "payload_without_record": _LEFTOVERS,
    "claim_stale": _deletes("its claim", repairs.drop_claim),
}


class RepairService:
    """Finds and repairs damage."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @staticmethod
    def makes(code: str, named: Collection[str]) -> bool:
        """Whether a repair that is run with `--code` for each code in `named` repairs this code."""
        way = BY_CODE[code].way
        return way == "sure" or (way == "named" and code in named)

    def repair(
        self, queues: Sequence[str], codes: Collection[str], *, reason: str | None, dry_run: bool
    ) -> RepairReport:
        """Scan the queues and repair the findings: a repair is never based on an old scan. Damage whose
        repair may run a job twice is repaired only if its code is in `codes`.
        """
        chosen = DoctorService(self._store).queues(queues)
        run = _Run(self._store, codes, reason, dry_run)

        def scan(stop: Stop) -> None:
            repaired = [code for code in BY_CODE if self.makes(code, codes)]
            for found in TwoPassScan(self._store, codes or BY_CODE, repaired).run(chosen):
                run.repair(found, stop)

        report = run.report(chosen[0] if len(chosen) == 1 else None, scan)
        return RepairReport.of(report, checked=chosen, left=run.left.findings(chosen))


class _Run(JobRunner):
    """Repairs batch by batch. `left` is the damage that was not repaired."""

    def __init__(self, store: Store, codes: Collection[str], reason: str | None, dry_run: bool) -> None:
        super().__init__(store, ACTION, SOURCE, reason=reason, dry_run=dry_run)
        self._codes = codes
        self._meant = 0
        self.left = Summary()

    def repair(self, found: Confirmed, stop: Stop) -> None:
        stop.between_targets()
        jobs, left_jobs = self._split(found.jobs, lambda one: one[0])
        definitions, left_of_queue = self._split(found.of_queue, lambda one: one.code)
        self.left.add(Confirmed(found.queue, left_jobs, left_of_queue, found.samples))
        self._warn_of_overflow(len(jobs) + len(definitions))
        self._execute(self._batches(self._planned(found.queue, jobs)), stop)
        for one in definitions:
            stop.between_targets()
            self._repair_definition(found.queue, one)

    def _warn_of_overflow(self, more: int) -> None:
        kept, before = self.store.config.audit_maxlen, self._meant
        self._meant += more
        if before <= kept < self._meant and not self.dry_run:
            self.store.warn(
                f"the audit trail keeps about {kept:,} events (ASYNCMQ_AUDIT_MAXLEN): these repairs are more "
                "and push out every earlier one"
            )

    def _split(self, found: Iterable[T], code_of: Callable[[T], str]) -> tuple[list[T], list[T]]:
        """Split the findings into those that are repaired and those that are left."""
        chosen: list[T] = []
        left: list[T] = []
        for one in found:
            (chosen if RepairService.makes(code_of(one), self._codes) else left).append(one)
        return chosen, left

    def _planned(self, queue: str, jobs: Sequence[tuple[str, Evidence]]) -> Iterator[Planned | Refused]:
        for code, evidence, removed in with_removed_data(self.store, queue, jobs):
            attempt = self._attempt(queue, evidence.location.id, code)
            attempt.details.update(removed)
            try:
                change = self._change(code, evidence, attempt.draft())
            except AdminError as exc:
                yield attempt, exc
            else:
                yield attempt, change, f"{code}: {self._note(code)}"

    def _note(self, code: str) -> str:
        if code == "cancel_unfinished":
            return "would be cancelled" if self.dry_run else "is cancelled"
        return REPAIRS[code].planned if self.dry_run else REPAIRS[code].done

    def _change(self, code: str, found: Evidence, draft: EventDraft) -> Change:
        if code == "cancel_unfinished":
            return self.store.changes.cancel(found.location, draft)
        forgets = code == "claim_stale" and not found.has_record
        make = repairs.forget if forgets else REPAIRS[code].make
        return make(found, draft, self.store.audit.maxlen)

    def _repair_definition(self, queue: str, found: QueueFinding) -> None:
        """Keep the member that runs next and delete the others, provided that none has changed since the
        scan."""
        attempt = self._attempt(queue, name_of(found.members[0]), found.code)
        attempt.details["job_def"] = normalized(found.members[0].definition or {})

        def once(attempt: Attempt) -> None:
            first = found.members[0]
            now = self.store.repeatables.find(queue, first.id)
            if tuple(now.members) != found.members:
                raise ChangeRefused(
                    "repeatable_moved", f"repeatable {first.id!r} has changed meanwhile; nothing was changed"
                )
            if not self.dry_run:
                self.store.repeatables.replace(now, first.raw, first.score, attempt.draft())

        def change(attempt: Attempt) -> str | None:
            retry_while_busy(lambda: once(attempt))
            times = len(found.members)
            if self.dry_run:
                return f"{found.code}: it is stored {times} times; one would be kept"
            return f"{found.code}: it was stored {times} times; one was kept"

        self._try(attempt, change)

    def _attempt(self, queue: str, job_id: str, code: str) -> Attempt:
        attempt = Attempt(self, queue, job_id)
        attempt.details["code"] = code
        return attempt


MAX_REMOVED_BYTES = 4096
"""At most this many bytes of JSON are stored in one event: the audit trail keeps 100,000 events in Redis's
memory."""
_RESULTS_AT_A_TIME = 50
_CLAIMS = ("claim_stale", "heartbeat_stale")
_FORGOTTEN = (
    *("id_without_record", "state_without_job", "member_without_job"),
    *("cancel_mark_stale", "result_without_job", "payload_without_record"),
)


def with_removed_data(
    store: Store, queue: str, jobs: Sequence[tuple[str, Evidence]]
) -> Iterator[tuple[str, Evidence, dict[str, Any]]]:
    """Yield the same jobs, each with the data that its repair removes, for the details of its event:
    `removed`, or only `removed_bytes` if the data is too large. Raises WrongType."""
    for piece in chunked(jobs, _RESULTS_AT_A_TIME):
        kept = [found.location.id for _, found in piece if found.has_result and not found.has_record]
        results = dict(zip(kept, store.dumps.results(queue, kept), strict=True)) if kept else {}
        for code, found in piece:
            yield code, found, _removed_details(_removed_by(code, found, results.get(found.location.id)))


def _removed_by(code: str, found: Evidence, result: bytes | None) -> dict[str, Any]:
    location = found.location
    if code == "dead_letter_stale":
        return {"dlq": [as_text(member) for member in location.members["dlq"]]}
    if code not in (*_CLAIMS, *_FORGOTTEN):
        return {}
    claim = {"claim": location.claim, "heartbeat": found.heartbeat}
    if found.has_record:
        return _texts(claim)
    state = None if location.state is None else to_bytes(location.state)
    return _texts({"state": state, "payload": location.payload, "result": result, **claim})


def _texts(values: dict[str, bytes | None]) -> dict[str, Any]:
    return {name: as_text(value) for name, value in values.items() if value is not None}


def _removed_details(removed: dict[str, Any]) -> dict[str, Any]:
    if not removed:
        return {}
    size = len(dumps(removed))
    return {"removed": removed} if size <= MAX_REMOVED_BYTES else {"removed_bytes": size}
