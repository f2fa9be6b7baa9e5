"""Change several targets: a failure of one target does not stop the others, and each attempt is audited.

The script that makes a change also writes its audit event. A refusal, before the script or by it, is recorded
here. After a Sentinel failover only the data of the new primary counts: its audit trail shows which changes
it has, and the others are repeated.
"""

from __future__ import annotations

import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING, Any

from asyncmq_cli.errors import AdminError, RedisProblem
from asyncmq_cli.models.audit.actions import BY_NAME
from asyncmq_cli.models.changes import ChangeReport, ChangeResult
from asyncmq_cli.storage.schema.codec import dumps
from asyncmq_cli.storage.write.audit_stream import EventDraft
from asyncmq_cli.system import process
from asyncmq_cli.system.process import interruption

if TYPE_CHECKING:
    from asyncmq_cli.storage.store import Store


_RECOVERY_PAUSES = (0.0, 0.1, 0.2)
"""Seconds to wait before each read of the audit trail after a reply was lost: Redis may still be executing
the change."""

_ADDING = frozenset({"job.add", "job.rerun"})
"""Actions that add another job whenever they are repeated."""


class Attempt:
    """One target and its audit event. Callers may add to `details` until they call `draft`. With `alone`, the
    change is sent in its own transaction as soon as its event is drafted."""

    def __init__(self, runner: Runner, queue: str | None, job_id: str | None) -> None:
        self._runner = runner
        self.queue = queue
        self.job_id = job_id
        self.details: dict[str, Any] = dict(runner.details)
        self.alone = False

    @property
    def target(self) -> tuple[str | None, str | None]:
        """Its queue and its id."""
        return self.queue, self.job_id

    def draft(self, error: str | None = None) -> EventDraft:
        """The event to send. From now on the target counts as in flight: its reply may be lost."""
        if error is None and self.alone:
            self._runner.in_flight = [self]
        return EventDraft(
            action=self._runner.action,
            source=self._runner.source,
            queue=self.queue,
            job_id=self.job_id,
            actor=self._runner.actor,
            details=self.details,
            error=error,
        )


class Runner:
    """Tries a change on one target after the other, and collects the results.

    A change returns a note for the operator or None, and raises AdminError to refuse a target. With
    `dry_run`, nothing is recorded, because nothing was tried.
    """

    def __init__(
        self,
        store: Store,
        action: str,
        source: str,
        *,
        reason: str | None,
        dry_run: bool,
        details: dict[str, Any] | None = None,
    ) -> None:
        if source not in BY_NAME[action].sources:
            raise ValueError(f"{source!r} is no source of {action!r}")
        self.store = store
        self.action = action
        # The action that a guard checks.
        self.permitted_as = action
        self.source = store.source or source
        self.actor = store.config.actor
        context = store.config.context
        self.details = {
            **({"reason": reason} if reason else {}),
            **({"context": context} if context else {}),
            **(details or {}),
        }
        self.dry_run = dry_run
        self.results: list[ChangeResult] = []
        # The number of matching targets, if only a share of them is tried.
        self.total: int | None = None
        # The targets that were sent and have no reply yet.
        self.in_flight: Sequence[Attempt] = []
        self._started = time.monotonic()
        self.is_counted = True
        # Another thread can stop the run through this, as a signal does.
        self.stop = Stop()

    def queues(self, queues: Sequence[str], change: Callable[[Attempt, str], str | None]) -> ChangeReport:
        """Change each queue once. `change` is called with the attempt and the name of the queue."""

        def run(stop: Stop) -> None:
            for queue in dict.fromkeys(queues):
                stop.between_targets()
                self._try(Attempt(self, queue, None), partial(_on_queue, change))

        return self.report(queues[0] if len(set(queues)) == 1 else None, run, len(set(queues)))

    def one(self, queue: str, job_id: str, change: Callable[[Attempt], str | None]) -> ChangeReport:
        """Change a single target."""
        return self.report(queue, lambda stop: self._try(Attempt(self, queue, job_id), change), 1)

    def each(
        self, targets: Sequence[tuple[str, str]], change: Callable[[Attempt], str | None]
    ) -> ChangeReport:
        """Change each target, given as queue and id, once."""
        queues = {queue for queue, _ in targets}

        def run(stop: Stop) -> None:
            for queue, name in dict.fromkeys(targets):
                stop.between_targets()
                self._try(Attempt(self, queue, name), change)

        return self.report(queues.pop() if len(queues) == 1 else None, run, len(set(targets)))

    def _try(self, attempt: Attempt, change: Callable[[Attempt], str | None]) -> None:
        attempt.alone = True
        self.spend(1)
        try:
            note = change(attempt)
        except AdminError as exc:
            self.refused(attempt, exc)
        else:
            self.results.append(ChangeResult(attempt.queue, attempt.job_id, note=note))
        self.in_flight = []

    def spend(self, count: int) -> None:
        """Count targets before they are changed, if they could not be counted at the start. Raises
        TooManyChanges."""
        if not self.is_counted and not self.dry_run:
            self.store.guard.spend(count)

    def refused(self, attempt: Attempt, error: AdminError) -> None:
        """Add the result of a refused target, and record the refusal."""
        self.in_flight = []
        self.results.append(ChangeResult(attempt.queue, attempt.job_id, error=error))
        self.record_refusal(attempt, error)

    def record_refusal(self, attempt: Attempt, error: AdminError) -> None:
        """Write the event of a failed attempt. Raises WrongType."""
        # Nothing was replaced, so there are no old texts to store.
        attempt.details.pop("was", None)
        if not self.dry_run:
            self.store.audit.record(attempt.draft(error=error.message))

    def report(
        self, queue: str | None, run: Callable[[Stop], None], count: int | None = None
    ) -> ChangeReport:
        """Call `run` with signals such as Ctrl-C deferred, and report on all targets. `count` is their
        number, or None if it is not known yet. Errors caused by the server or the user are not raised; they
        become `interrupted` in the report. Only if the guard refuses the first change is its error raised."""
        interrupted: AdminError | None = None
        guard, self.is_counted = self.store.guard, count is not None
        is_first = not guard.has_made
        if is_first and not self.dry_run:
            guard.permit(self.permitted_as, count)
        try:
            if not is_first and not self.dry_run:
                guard.permit(self.permitted_as, count)
            with self.store.errors(), deferred_interrupt(self.stop) as stop:
                run(stop)
        except RedisProblem as exc:
            interrupted = self._with_progress(exc, count)
        except AdminError as exc:
            interrupted = exc
        except KeyboardInterrupt as exc:
            interrupted = self._with_progress(interruption(exc, "what was done stays done"), count)
        return ChangeReport(
            action=self.action,
            queue=queue,
            dry_run=self.dry_run,
            results=tuple(self.results),
            total=self.total,
            interrupted=interrupted,
        )

    @property
    def _noun(self) -> str:
        noun = self.action.partition(".")[0]
        return noun if noun in ("repeatable", "worker") else "job"

    def _with_progress(self, error: AdminError, count: int | None) -> AdminError:
        """The error, with a hint that says how many of the `count` targets are done and how to do the rest.
        The hint names the targets of which it is not known whether they changed."""
        lost = self._unconfirmed(error)
        hints = [self._how_far(count, len(lost))] if self.results and not self.dry_run else []
        if lost:
            queue, job_id = lost[0].target
            first = f"queue {queue!r}" if job_id is None else f"{self._noun} {job_id!r}"
            targets = first if len(lost) == 1 else f"{first} and {len(lost) - 1} more"
            hints.append(f"it is not known whether {targets} changed; 'asyncmq audit' shows it")
        error.hint = "; ".join(filter(None, hints)) or error.hint
        return error

    def _how_far(self, count: int | None, unknown: int) -> str | None:
        """The progress as text, such as `50 of 300 done, 250 left: run it again to do the rest`."""
        failed = sum(result.error is not None for result in self.results)
        done, tried = len(self.results) - failed, len(self.results)
        if count == 1:
            return None
        of_failed = [f"{failed:,} failed"] if failed else []
        if count is None:
            return ", ".join([f"{done:,} done", *of_failed])
        left = count - tried - unknown
        parts = [f"{done:,} of {count:,} done", *of_failed, f"{left:,} left"]
        if self.action in _ADDING:
            advice = "run it again without those that are done"
        elif self.total is not None and self.total > count:
            advice = f"run it again with --limit {left + unknown} to do the rest"
        else:
            advice = "run it again to do the rest"
        return ", ".join(parts) + (f": {advice}" if left + unknown else "")

    def _unconfirmed(self, error: AdminError) -> Sequence[Attempt]:
        """The targets that may or may not have changed, because the connection broke."""
        if self.dry_run or error.code not in ("redis_timeout", "redis_unreachable"):
            return []
        if self.in_flight:
            self._recover(self._confirmed_in_flight())
        return self.in_flight

    def _confirmed_in_flight(self) -> list[Attempt]:
        """The attempts in flight that the audit trail shows as done, if Redis replies again. An attempt that
        is missing there may still be executing."""
        for pause in _RECOVERY_PAUSES:
            time.sleep(pause)
            try:
                with self.store.errors():
                    confirmed = self._recorded()
            except AdminError:
                return []
            if len(confirmed) == len(self.in_flight):
                break
        return confirmed

    def _recorded(self, attempts: Iterable[Attempt] | None = None, *, clocks: float = 0.0) -> list[Attempt]:
        """The attempts, by default among those in flight, that the audit trail shows as done in this run.
        `clocks` is the number of seconds by which the clocks of this and an earlier primary may differ."""
        since = self.store.now() - (time.monotonic() - self._started) - clocks
        sought = {
            (attempt.queue, attempt.job_id, dumps(attempt.details)): attempt
            for attempt in (self.in_flight if attempts is None else attempts)
        }
        found: dict[tuple[Any, ...], Attempt] = {}
        for event in self.store.audit.newest_first(warn=lambda message: None):
            if event.timestamp < since or len(found) == len(sought):
                break
            key = (event.queue, event.job_id, dumps(dict(event.details)))
            ours = (event.status, event.action, event.actor) == ("success", self.action, self.actor)
            if ours and key in sought:
                found[key] = sought[key]
        return [attempt for key, attempt in sought.items() if key in found]

    def _recover(self, confirmed: Sequence[Attempt]) -> None:
        self.results += [ChangeResult(attempt.queue, attempt.job_id) for attempt in confirmed]
        self.in_flight = [attempt for attempt in self.in_flight if attempt not in confirmed]


def _on_queue(change: Callable[[Attempt, str], str | None], attempt: Attempt) -> str | None:
    return change(attempt, attempt.queue or "")


_POLL_EVERY = 0.1


class Stop:
    """A request to stop the run, made by a signal or by another thread."""

    def __init__(self) -> None:
        self._number: int | None = None

    @property
    def requested(self) -> bool:
        return self._number is not None

    def ask(self, number: int) -> None:
        # This runs in a signal handler, so it must not take a lock.
        self._number = self._number or number

    def wait(self, seconds: float) -> None:
        """Sleep, but no longer than until a signal arrives."""
        until = time.monotonic() + seconds
        while not self.requested and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, _POLL_EVERY))
        self.between_targets()

    def between_targets(self) -> None:
        """Called between two targets: raise process.Ended if a signal has arrived."""
        if self._number is not None:
            raise process.Ended(self._number)


@contextmanager
def deferred_interrupt(stop: Stop) -> Iterator[Stop]:
    """Inside this context, a signal does not interrupt the current change but asks `stop`. A second Ctrl-C
    interrupts at once; a second SIGTERM does not, because supervisors may send it twice. A signal that
    arrives after the last change waits for the report."""
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def note(number: int, frame: FrameType | None) -> None:
        if stop.requested and number == signal.SIGINT:
            raise KeyboardInterrupt
        stop.ask(number)

    before = process.handle_signals(note)
    # A signal that arrived before this run.
    if (noted := process.taken_signal()) is not None:
        stop.ask(noted)
    try:
        yield stop
    finally:
        process.report_first(before.values())
        for number, handler in before.items():
            signal.signal(number, handler)
    stop.between_targets()


PATIENCE = 60.0
"""Seconds to wait until the Sentinels have promoted a replica, which takes longer than their
`down-after-milliseconds`."""
REMEMBERED = 10_000
"""The number of last changes that are checked after a failover. A replica lags behind by far fewer."""
CLOCKS = 5.0
"""Seconds by which the clocks of the old and the new primary may differ."""
_ASK_EVERY = 0.2
_AWAY = ("unreachable", "timeout", "readonly", "loading", "master_down", "no_replicas")
_LOST = frozenset(f"redis_{code}" for code in _AWAY)


class Failover:
    """What a run needs to survive a failover. `made` are the last changes that Redis confirmed; they are
    remembered only if there are Sentinels."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._primary = store.primary
        self.made: deque[Attempt] = deque(maxlen=REMEMBERED)

    def remember(self, attempts: Sequence[Attempt]) -> None:
        if self._store.config.address.sentinels:
            self.made.extend(attempts)

    def has_happened(self) -> bool:
        """Whether the primary has changed since the last call."""
        before, self._primary = self._primary, self._store.primary
        return before not in (None, self._primary)

    def follow(self, problem: RedisProblem, stop: Stop) -> None:
        """Wait until the Sentinels name another primary that replies. Raises `problem` if they name none in
        time, if the old primary still works, or if a failover cannot solve the problem."""
        if self._primary is None or problem.code not in _LOST:
            raise problem
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            try:
                with self._store.errors():
                    self._store.ask_for_primary()
                    self._store.now()
            except RedisProblem:
                stop.wait(_ASK_EVERY)
                continue
            if self.has_happened():
                return
            if problem.code != "redis_readonly":
                # Only the connection was lost, so the changes that were sent may still arrive.
                break
            stop.wait(_ASK_EVERY)
        raise problem
