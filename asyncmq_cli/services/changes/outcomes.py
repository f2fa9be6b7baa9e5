"""Watch retried jobs: wait until they have ended, find out why they will not end, or stop the retry if too
many fail again."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from asyncmq_cli.errors import AdminError, WrongType, command_line
from asyncmq_cli.models.changes import RetryOutcome
from asyncmq_cli.models.values import DEAD_STATES, ENDED_STATES, chunked
from asyncmq_cli.services.jobs.causes import signature
from asyncmq_cli.services.monitoring.goals import GoalReading, Progress
from asyncmq_cli.system import process
from asyncmq_cli.system.process import interruption

if TYPE_CHECKING:
    from asyncmq_cli.models.monitoring.waits import Standing
    from asyncmq_cli.services.changes.runner import Stop
    from asyncmq_cli.storage.store import Store

_INTERVAL = 0.5
_JOBS_A_ROUND_TRIP = 1000
_CAUSES_READ = 200
_GONE = "gone"

Targets = Mapping[str, Sequence[str]]
Watch = Callable[["Standing"], None]
WhyIdle = Callable[[str], "str | None"]


class OutcomeService:
    """Waits for retried jobs to end."""

    def __init__(self, store: Store, why_idle: WhyIdle) -> None:
        """`why_idle` returns the reason why no worker runs jobs of a queue now, or None."""
        self._store = store
        self._why_idle = why_idle

    def wait(self, targets: Targets, limit: float, watch: Watch) -> RetryOutcome:
        """Wait until these jobs have ended, at most `limit` seconds. Ends at once if no worker will run the
        remaining jobs. Returns the outcome so far even if a signal or an error of Redis ended the wait."""
        states: dict[tuple[str, str], str] = {
            (queue, job_id): "waiting" for queue, job_ids in targets.items() for job_id in job_ids
        }
        progress, started = Progress(len(states)), time.monotonic()
        stopped: str | None = None
        error: AdminError | None = None
        try:
            process.reported()
            with self._store.errors():
                while True:
                    self._read(states)
                    left = [target for target, state in states.items() if not _has_ended(state)]
                    untaken = sum(1 for target in left if states[target] != "active")
                    watch(progress.standing(GoalReading(len(left), untaken), time.monotonic()))
                    waited = time.monotonic() - started
                    stopped = self._obstacle(left, states) if left else None
                    if not left or stopped is not None:
                        break
                    if waited >= limit:
                        stopped = "timeout"
                        break
                    time.sleep(min(_INTERVAL, limit - waited))
        except KeyboardInterrupt as exc:
            error = interruption(exc, "the jobs were retried anyway")
        except (AdminError, WrongType) as exc:
            error = exc
        return self._outcome(states, stopped, error, time.monotonic() - started)

    def _read(self, states: dict[tuple[str, str], str]) -> None:
        for queue, job_ids in _by_queue(target for target, state in states.items() if not _has_ended(state)):
            for piece in chunked(job_ids, _JOBS_A_ROUND_TRIP):
                for job_id, state in zip(piece, self._store.jobs.states(queue, piece), strict=True):
                    states[queue, job_id] = _GONE if state is None else state

    def _obstacle(self, left: Sequence[tuple[str, str]], states: Mapping[tuple[str, str], str]) -> str | None:
        """The reason why none of the remaining jobs will end (none is active, and no worker serves their
        queues), or None."""
        if any(states[target] == "active" for target in left):
            return None
        reasons = [self._why_idle(queue) for queue, _ in _by_queue(left)]
        return None if None in reasons else reasons[0]

    def _outcome(
        self,
        states: Mapping[tuple[str, str], str],
        stopped: str | None,
        error: AdminError | None,
        waited: float,
    ) -> RetryOutcome:
        counts = Counter(states.values())
        failed = [target for target, state in states.items() if state in DEAD_STATES]
        return RetryOutcome(
            total=len(states),
            completed=counts["completed"],
            failed=len(failed),
            cancelled=counts["cancelled"],
            gone=counts[_GONE],
            left=sum(count for state, count in counts.items() if not _has_ended(state)),
            causes={} if error is not None else self._causes(failed[:_CAUSES_READ]),
            stopped=stopped,
            waited_seconds=waited,
            error=error,
        )

    def _causes(self, failed: Sequence[tuple[str, str]]) -> dict[str, int]:
        found: Counter[str] = Counter()
        with self._store.errors():
            for queue, job_ids in _by_queue(failed):
                for job in self._store.jobs.load(queue, job_ids):
                    if job is not None:
                        cause = signature(job)
                        found[cause.type or cause.message] += 1
        return dict(found.most_common())


def _has_ended(state: str) -> bool:
    return state in ENDED_STATES or state == _GONE


def _by_queue(targets: Iterable[tuple[str, str]]) -> Iterator[tuple[str, list[str]]]:
    found: dict[str, list[str]] = {}
    for queue, job_id in targets:
        found.setdefault(queue, []).append(job_id)
    yield from found.items()


_POLL_EVERY = 1.0
"""Seconds. Each poll costs one round trip per thousand unfinished jobs."""
_LAST_WAIT = 5.0
"""Seconds to wait for the last jobs to finish: if there are few, all are sent before the first has ended."""


class TooManyFailures(AdminError):
    """More of the retried jobs failed again than --abort-above allows."""

    code = "aborted"


class AbortGuard:
    """Stops a retry if too many jobs fail again: it polls the states of retried jobs. `share` (0 to 1) of the
    finished jobs may fail.

    A job that fails but has retries left is delayed, so it does not count as finished.
    """

    def __init__(self, store: Store, share: float) -> None:
        self._store = store
        self._share = share
        self._running: dict[str, list[str]] = {}
        self._finished = self._failed = 0
        self._next_poll = time.monotonic() + _POLL_EVERY

    def __call__(self, queue: str, retried: Sequence[str]) -> None:
        """Also watch these jobs, and poll if the last poll is long enough ago. Raises TooManyFailures."""
        self._running.setdefault(queue, []).extend(retried)
        if time.monotonic() < self._next_poll:
            return
        self.poll()
        self._next_poll = time.monotonic() + _POLL_EVERY

    def finish(self, stop: Stop) -> None:
        """Wait a few seconds for the jobs that were retried last. Raises TooManyFailures."""
        deadline = time.monotonic() + _LAST_WAIT
        self.poll()
        while any(self._running.values()) and time.monotonic() < deadline:
            stop.wait(_POLL_EVERY / 2)
            self.poll()

    @property
    def _named(self) -> list[str]:
        """The queue as an argument for a command line; empty if there are several."""
        return list(self._running) if len(self._running) == 1 else []

    def poll(self) -> None:
        """Read the states of the unfinished jobs. Raises TooManyFailures."""
        for queue, job_ids in self._running.items():
            running: list[str] = []
            for piece in chunked(job_ids):
                for job_id, state in zip(piece, self._store.jobs.states(queue, piece), strict=True):
                    if state in ("completed", *DEAD_STATES):
                        self._finished += 1
                        self._failed += state != "completed"
                    elif state is not None:
                        running.append(job_id)
            self._running[queue] = running
        if self._finished and self._failed / self._finished > self._share:
            failed = f"{self._failed:,} of the {self._finished:,}"
            raise TooManyFailures(
                f"stopped: {failed} retried jobs that finished failed again",
                hint=f"{command_line('dlq', 'groups', *self._named)} shows why",
                details={"finished": self._finished, "failed": self._failed},
            )
