"""Change many jobs, queue by queue: locate them in chunks and change them in small transactions.

Each transaction is bounded in jobs and bytes, so that it never blocks Redis for long. Between two
transactions the runner handles an interrupt, keeps the rate, and lets `watch` stop the run. The next
transaction is prepared while Redis executes the current one.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from asyncmq_cli.errors import AdminError, JobNotFound, QueueNotFound, RedisProblem, command_line
from asyncmq_cli.models.changes import ChangeReport, ChangeResult
from asyncmq_cli.services.changes.runner import CLOCKS, Attempt, Failover, Runner
from asyncmq_cli.services.jobs.lookup import require_queue
from asyncmq_cli.storage.client.scan import Pace
from asyncmq_cli.storage.schema.job import Location
from asyncmq_cli.storage.write.job_changes import Change

if TYPE_CHECKING:
    from asyncmq_cli.services.backup.writer import BackupWriter
    from asyncmq_cli.services.changes.runner import Stop
    from asyncmq_cli.services.changes.selection import Selection
    from asyncmq_cli.storage.write.scripts import Sent

LOCATED_AT_A_TIME = 200
_LOCATED_BYTES = 16 * 1024 * 1024
CHANGED_AT_A_TIME = 50
_FIRST_LOCATED = 50
_CHANGED_BYTES = 256 * 1024
_DUMPED_BYTES = 4 * 1024 * 1024

# Returns the change for a located job, and a note for the operator. Raises AdminError if the job cannot be
# changed.
Decision = Callable[[Attempt, Location], tuple[Change, str | None]]
Planned = tuple[Attempt, Change, str | None]
Refused = tuple[Attempt, AdminError]
Step = list[Planned] | Refused


class Throttle:
    """Limits a run to `rate` jobs per second, spread evenly; None means no limit."""

    def __init__(self, rate: float | None) -> None:
        self._rate = rate
        self._started = time.monotonic()
        self._done = 0

    @property
    def at_a_time(self) -> int:
        """The number of jobs per transaction: few at a slow rate, so that jobs do not come in bursts."""
        return (
            CHANGED_AT_A_TIME if self._rate is None else max(1, min(CHANGED_AT_A_TIME, int(self._rate / 10)))
        )

    def keep(self, count: int, stop: Stop) -> None:
        """Sleep until `count` more jobs are due."""
        if self._rate is not None:
            stop.wait(self._started + self._done / self._rate - time.monotonic())
        self._done += count


class JobRunner(Runner):
    """Changes jobs in batches. `watch` is called with the queue and the ids of changed jobs, and may raise to
    stop the run; `at_end` is called after the last batch. With a `backup`, jobs are written to it before
    their removal is sent."""

    backup: BackupWriter | None = None
    edit_backup: BackupWriter | None = None
    """The backup of edits, which has only the replaced texts."""
    with_children = False
    """Whether the decision needs to know how many jobs wait for the job."""
    throttle = Throttle(None)
    watch: Callable[[str, Sequence[str]], None] | None = None
    at_end: Callable[[Stop], None] | None = None
    progress: Callable[[int], None] | None = None
    _sent_batch: tuple[Sequence[Planned], Sent] | None = None
    # Ids of jobs that are known to have more dead letters than are read.
    _left_letters: Collection[str] = ()

    @cached_property
    def _failover(self) -> Failover:
        return Failover(self.store)

    def set_pace(self, rate: float | None, progress: Callable[[int], None] | None) -> None:
        """`rate` is jobs per second; a dry run ignores it. `progress` is called with the number of jobs just
        handled."""
        self.progress = progress
        if not self.dry_run:
            self.throttle = Throttle(rate)

    def jobs(
        self, queue: str | None, selection: Selection, places: tuple[str, ...], decide: Decision
    ) -> ChangeReport:
        """Change each selected job once, as `decide` returns. Its location includes its members of the sorted
        sets in `places`. `queue` is the queue of the report, or None if there may be several."""

        def run(stop: Stop) -> None:
            self._change_all(selection, places, decide, stop)

        return self.report(queue, run, selection.count)

    def _change_all(
        self, selection: Selection, places: tuple[str, ...], decide: Decision, stop: Stop
    ) -> None:
        """The same as `jobs`, inside a report. After a failover, continue on the new primary."""
        left = selection
        while True:
            try:
                with self.store.errors():
                    self._execute(self._steps_of(left, places, decide), stop)
                if not self._failover.has_happened():
                    return
            except RedisProblem as exc:
                if self.dry_run:
                    raise
                self._failover.follow(exc, stop)
            left = self._left_after_failover(selection)
            if not left.count:
                return

    def _steps_of(self, selection: Selection, places: tuple[str, ...], decide: Decision) -> Iterator[Step]:
        for job_id, error in selection.unfound:
            yield Attempt(self, None, job_id), error
        for queue, job_ids in selection.by_queue.items():
            yield from self._steps(queue, job_ids, places, decide)

    def _left_after_failover(self, selection: Selection) -> Selection:
        """The jobs that are still to be changed: those not sent yet, and those without an audit event on the
        new primary, even if the old primary confirmed their change."""
        made, sent = list(self._failover.made), list(self.in_flight)
        recorded = {attempt.target for attempt in self._recorded([*made, *sent], clocks=CLOCKS)}
        lost = {attempt.target for attempt in made} - recorded
        self.results = [one for one in self.results if one.error or (one.queue, one.job_id) not in lost]
        self._failover.made = deque(attempt for attempt in made if attempt.target not in lost)
        self._recover([attempt for attempt in sent if attempt.target in recorded])
        again = [*lost, *(attempt.target for attempt in self.in_flight)]
        self.in_flight = []
        if self.backup is not None:
            for queue, job_id in again:
                self.backup.record_outcome(queue or "", removed=[], kept=[job_id or ""])
        if lost:
            self.store.warn(f"{len(lost):,} changes had not reached the new primary and are repeated")
        tried = {(result.queue, result.job_id) for result in self.results}
        return replace(
            selection,
            by_queue={
                queue: [job_id for job_id in job_ids if (queue, job_id) not in tried]
                for queue, job_ids in selection.by_queue.items()
            },
            unfound=[one for one in selection.unfound if (None, one[0]) not in tried],
        )

    def _execute(self, steps: Iterable[Step], stop: Stop) -> None:
        try:
            # The iterator prepares the next step while Redis executes the previous one.
            for step in steps:
                self._finish_batch()
                stop.between_targets()
                if isinstance(step, tuple):
                    self.refused(*step)
                    self._progressed(1)
                else:
                    self.throttle.keep(len(step), stop)
                    self._send(step)
        finally:
            # Redis executes the batch that was sent even if this run is interrupted, so read its result.
            self._finish_batch()
        if self.at_end is not None:
            self.at_end(stop)

    def _steps(
        self, queue: str, job_ids: Iterable[str], places: tuple[str, ...], decide: Decision
    ) -> Iterator[Step]:
        """Yield batches to send together, and refusals. Changes nothing and records nothing."""
        missing = self._missing(queue)
        pace, of_records = Pace(start=_FIRST_LOCATED, piece_bytes=_LOCATED_BYTES), Pace()
        counted = Counter(job_ids)
        repeating = self._repeating(queue, counted) if missing is None and "dlq" in places else set()
        rest = iter(counted)
        while piece := list(islice(rest, min(pace.count, LOCATED_AT_A_TIME))):
            locations = self.store.locate(
                queue, piece, places, repeating, with_children=self.with_children, pace=of_records
            )
            if missing is not None:
                # A job's record alone does not make a queue, but `jobs show` finds such a job.
                nowhere = [one for one in locations if not one.exists]
                yield from ((Attempt(self, queue, one.id), missing) for one in nowhere)
                locations = [one for one in locations if one.exists]
            pace.learn(len(locations), sum(location.size for location in locations))
            for located in self._with_parts(queue, locations):
                yield from self._batches(self._decided(located, decide))

    def _repeating(self, queue: str, counted: Mapping[str, int]) -> set[str]:
        """The jobs whose dead letters must all be found. If a filter selected them, it has already counted
        their dead letters."""
        if self.total is None:
            return self.store.find_repeating(queue, counted)
        several = {job_id for job_id, times in counted.items() if times > 1}
        repeating = self.store.find_repeating(queue, several) if several else set()
        self._left_letters = several - repeating
        return repeating

    def _missing(self, queue: str) -> QueueNotFound | None:
        try:
            require_queue(self.store, queue)
        except QueueNotFound as exc:
            return exc
        return None

    def _with_parts(self, queue: str, locations: list[Location]) -> Iterator[list[Location]]:
        """Yield the same locations. If there is a backup, add all parts of the jobs; these are read only
        after the previous batch has been executed."""
        if self.backup is None or self.dry_run:
            yield locations
            return
        for piece in independent_batches(locations):
            for some in _pieces_by_size(piece):
                self.store.dumps.read(queue, some)
                yield some
                # Free the parts: they are large, and in the backup by now.
                for location in some:
                    location.dump = None

    def _decided(self, locations: Sequence[Location], decide: Decision) -> Iterator[Planned | Refused]:
        for location in locations:
            attempt = Attempt(self, location.queue, location.id)
            try:
                if location.problem is not None:
                    raise location.problem
                if not location.exists:
                    raise JobNotFound(location.queue, location.id)
                change, note = decide(attempt, location)
                if location.id in self._left_letters and location.members["dlq"]:
                    note = "; ".join(filter(None, (note, _of_left_letters(location.queue))))
                yield attempt, change, note
            except AdminError as exc:
                yield attempt, exc

    def _batches(self, decided: Iterable[Planned | Refused]) -> Iterator[Step]:
        batch: list[Planned] = []
        size = 0
        for item in decided:
            if len(item) == 2:
                yield item
                continue
            batch.append(item)
            size += item[1].size
            if len(batch) >= self.throttle.at_a_time or size >= _CHANGED_BYTES:
                yield batch
                batch, size = [], 0
        if batch:
            yield batch

    def _send(self, batch: Sequence[Planned]) -> None:
        if self.dry_run:
            for attempt, change, note in batch:
                state = change.location.job.status if change.location.exists else None
                edit = attempt.details if change.edit and len(batch) == 1 else None
                self.results.append(
                    ChangeResult(attempt.queue, attempt.job_id, note=note, state=state, edit=edit)
                )
            self._progressed(len(batch))
            return
        self.spend(len(batch))
        if self.backup is not None:
            self.backup.write_jobs([change.location.dump for _, change, _ in batch if change.location.dump])
        if self.edit_backup is not None:
            self.edit_backup.write_edits([change.edit for _, change, _ in batch if change.edit])
        self.in_flight = [attempt for attempt, _, _ in batch]
        self._sent_batch = batch, self.store.changes.send([change for _, change, _ in batch])
        if self.backup is not None:
            # Wait for this batch: the parts of the next jobs must be read after it.
            self._finish_batch()

    def _finish_batch(self) -> None:
        """Read the replies to the batch that was sent, and store its results."""
        if self._sent_batch is None:
            return
        (batch, sent), self._sent_batch = self._sent_batch, None
        outcomes = self.store.changes.outcomes([change for _, change, _ in batch], sent)
        self.in_flight = []
        changed: list[str] = []
        made: list[Attempt] = []
        kept: list[tuple[Attempt, AdminError]] = []
        broken: Exception | None = None
        for (attempt, change, note), outcome in zip(batch, outcomes, strict=True):
            if outcome is None:
                self.results.append(ChangeResult(attempt.queue, attempt.job_id, note=note))
                changed.append(change.location.id)
                made.append(attempt)
            elif isinstance(outcome, AdminError):
                self.results.append(ChangeResult(attempt.queue, attempt.job_id, error=outcome))
                kept.append((attempt, outcome))
            else:
                broken = broken or outcome
        self._failover.remember(made)
        self._progressed(len(batch))
        if self.backup is not None:
            names = [attempt.job_id or "" for attempt, _ in kept]
            queue = batch[0][1].location.queue
            self.backup.record_outcome(queue, removed=changed, kept=names)
        # Record refusals last, when all results are stored: recording needs Redis, which may be gone.
        for attempt, refusal in kept:
            self.record_refusal(attempt, refusal)
        for (_, change, _), outcome in zip(batch, outcomes, strict=True):
            if outcome is None:
                self.store.changes.finish(change)
        if broken is not None:
            raise broken
        if self.watch is not None:
            self.watch(batch[0][1].location.queue, changed)

    def _recover(self, confirmed: Sequence[Attempt]) -> None:
        super()._recover(confirmed)
        if self.backup is not None and confirmed:
            # If writing the outcome fails too, the audit trail still has the removals.
            with suppress(AdminError):
                self.backup.record_outcome(
                    confirmed[0].queue or "",
                    removed=[attempt.job_id or "" for attempt in confirmed],
                    kept=[],
                )

    def _progressed(self, count: int) -> None:
        if self.progress is not None:
            self.progress(count)


def _of_left_letters(queue: str) -> str:
    return f"it has more dead letters; {command_line('doctor', queue)} shows what is left of it"


def source_of(targets: Collection[Any]) -> str:
    """The value of `source` in the audit event: `jobs.single` or `jobs.bulk`, by the number of targets."""
    return "jobs.single" if len(set(targets)) == 1 else "jobs.bulk"


def independent_batches(locations: Iterable[Location]) -> Iterator[list[Location]]:
    """Split into batches in which no job waits for another, because removing a parent changes the data of its
    child."""
    piece: list[Location] = []
    ids: set[str] = set()
    parents: set[str] = set()
    for location in locations:
        waits_for = set(location.parents)
        if len(piece) == CHANGED_AT_A_TIME or location.id in parents or not ids.isdisjoint(waits_for):
            yield piece
            piece, ids, parents = [], set(), set()
        piece.append(location)
        ids.add(location.id)
        parents |= waits_for
    if piece:
        yield piece


def _pieces_by_size(locations: Sequence[Location]) -> Iterator[list[Location]]:
    """Split into chunks, in order. A chunk ends once it has `_DUMPED_BYTES` bytes."""
    piece: list[Location] = []
    for location in locations:
        piece.append(location)
        if sum(one.size for one in piece) >= _DUMPED_BYTES:
            yield piece
            piece = []
    if piece:
        yield piece
