"""Changing many jobs of one queue: located in pieces, and changed in small transactions.

A transaction is small enough not to hold Redis up, so the number of jobs in it and the bytes it
sends are bounded. Between two of them an interrupt is heard, the pace is kept, and whoever
watches may end the run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from asyncmq_cli.errors import AdminError, JobNotFound, QueueNotFound
from asyncmq_cli.models import ChangeReport, ChangeResult
from asyncmq_cli.services.change import Attempt, Runner
from asyncmq_cli.services.existence import require_queue
from asyncmq_cli.services.interrupt import Stop
from asyncmq_cli.storage.changes import Change
from asyncmq_cli.storage.locate import Location
from asyncmq_cli.storage.scan import chunked

LOCATED_AT_A_TIME = 200
CHANGED_AT_A_TIME = 50
_CHANGED_BYTES = 256 * 1024

# What is decided of a job that was found: its change, and a note for the operator. A change that
# does not fit the job raises AdminError. Without the change nothing is left to do.
Decision = Callable[[Attempt, Location], tuple[Change, str | None]]
Planned = tuple[Attempt, Change, str | None]


class Pace:
    """At most `rate` jobs a second, evenly; no bound where it is None."""

    def __init__(self, rate: float | None) -> None:
        self._rate = rate
        self._started = time.monotonic()
        self._done = 0

    @property
    def at_a_time(self) -> int:
        """A slow pace goes in single steps rather than in bursts."""
        return (
            CHANGED_AT_A_TIME if self._rate is None else max(1, min(CHANGED_AT_A_TIME, int(self._rate / 10)))
        )

    def keep(self, count: int, stop: Stop) -> None:
        """Wait until `count` more are due."""
        if self._rate is not None:
            stop.wait(self._started + self._done / self._rate - time.monotonic())
        self._done += count


class JobRunner(Runner):
    """Tries a change on job after job. `watch` is told which were changed, and may raise."""

    pace: Pace = Pace(None)
    watch: Callable[[Sequence[str]], None] | None = None
    progress: Callable[[int], None] | None = None

    def jobs(
        self, queue: str, job_ids: Iterable[str], places: tuple[str, ...], decide: Decision
    ) -> ChangeReport:
        def run(stop: Stop) -> None:
            missing = self._missing(queue)
            for piece in chunked(dict.fromkeys(job_ids), LOCATED_AT_A_TIME):
                stop.between_targets()
                if missing is not None:
                    for job_id in piece:
                        self.refused(Attempt(self, queue, job_id), missing)
                    continue
                planned = self._decided(self.store.locate(queue, piece, places), decide)
                for batch in self._batches(planned):
                    stop.between_targets()
                    self.pace.keep(len(batch), stop)
                    self._carry_out(batch)

        return self.report(queue, run)

    def _missing(self, queue: str) -> QueueNotFound | None:
        try:
            require_queue(self.store, queue)
        except QueueNotFound as exc:
            return exc
        return None

    def _decided(self, locations: Sequence[Location], decide: Decision) -> Iterator[Planned]:
        for location in locations:
            attempt = Attempt(self, location.queue, location.id)
            try:
                if location.problem is not None:
                    raise location.problem
                if not location.exists:
                    raise JobNotFound(location.queue, location.id)
                change, note = decide(attempt, location)
            except AdminError as exc:
                self.refused(attempt, exc)
                self._progressed(1)
            else:
                yield attempt, change, note

    def _batches(self, planned: Iterator[Planned]) -> Iterator[list[Planned]]:
        batch: list[Planned] = []
        size = 0
        for item in planned:
            batch.append(item)
            size += item[1].call.size
            if len(batch) >= self.pace.at_a_time or size >= _CHANGED_BYTES:
                yield batch
                batch, size = [], 0
        if batch:
            yield batch

    def _carry_out(self, batch: Sequence[Planned]) -> None:
        if self.dry_run:
            for attempt, _, note in batch:
                self.results.append(ChangeResult(attempt.queue, attempt.job_id, note=note))
            self._progressed(len(batch))
            return
        self.in_flight = [attempt for attempt, _, _ in batch]
        outcomes = self.store.changes.carry_out([change for _, change, _ in batch])
        self.in_flight = []
        changed: list[str] = []
        broken: Exception | None = None
        for (attempt, change, note), outcome in zip(batch, outcomes, strict=True):
            if outcome is None:
                self.results.append(ChangeResult(attempt.queue, attempt.job_id, note=note))
                changed.append(change.location.id)
            elif isinstance(outcome, AdminError):
                self.refused(attempt, outcome)
            else:
                broken = broken or outcome
        self._progressed(len(batch))
        if broken is not None:
            raise broken
        if self.watch is not None:
            self.watch(changed)

    def _progressed(self, count: int) -> None:
        if self.progress is not None:
            self.progress(count)
