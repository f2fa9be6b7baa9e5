"""List, add, pause, resume and remove repeatable definitions.

A change acts on one definition, found by its identity, and on every member stored for it.
"""

from __future__ import annotations

import builtins
import heapq
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import chain, islice
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec.structs import replace

from asyncmq_cli.errors import (
    AdminError,
    AmbiguousRepeatable,
    ChangeRefused,
    RepeatableNotFound,
    UsageProblem,
    WrongType,
    nearest,
)
from asyncmq_cli.models.repeatables import ComingRun, Repeatable, RepeatableChange
from asyncmq_cli.services.changes.runner import Attempt, Runner
from asyncmq_cli.services.jobs.lookup import near_new, nearest_suffix, require_queue, require_queues
from asyncmq_cli.services.repeatables import plans
from asyncmq_cli.services.repeatables.plans import Address, Plan, name_of
from asyncmq_cli.services.repeatables.schedule import InvalidSchedule, SchedulerClock, runs_after
from asyncmq_cli.storage.read.repeatables import (
    Found,
    Member,
    NotNow,
    encode,
    identity,
    normalized,
)

if TYPE_CHECKING:
    from asyncmq_cli.storage.store import Store

T = TypeVar("T")
MakePlan = Callable[[Found, float], Plan]

_RETRY_SECONDS = 3.0
"""Seconds for which a change is retried while a scheduler holds its lock; this is many rounds of the
scheduler."""
_RETRY_PAUSE = 0.02
_READS = 5
"""How often a missing definition is read again: a scheduler removes it for a moment, and may release its lock
before we check the lock."""


class RepeatableService:
    """Lists and changes definitions."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def list(self, queue: str | None) -> Iterator[Repeatable]:
        """The definitions of one queue or of all, queue by queue, next run first."""
        now = self._store.now()
        if queue is not None:
            require_queue(self._store, queue)
        for name in self._store.queue_names.all() if queue is None else [queue]:
            try:
                clock = SchedulerClock(self._store, name, now)
                for member, stored in self._store.repeatables.in_order(name):
                    readable = bool(member.id) and member.definition is not None
                    stuck = readable and not member.paused and not clock.advances(member.definition or {})
                    yield _listed(name, member, stored, overdue=clock.is_overdue(member), stuck=stuck)
            except WrongType as exc:
                if queue is not None:
                    raise
                self._store.warn_of(name, exc.message)

    def show(self, address: Address, count: int) -> tuple[Repeatable, Sequence[float]]:
        """One definition, and its next `count` runs; no runs if it is paused. Raises AmbiguousRepeatable,
        RepeatableNotFound or QueueNotFound."""
        member = retry_while_busy(lambda: self._resolve(address))
        rows = (row for row in self.list(address.queue) if row.id == member.id)
        # The scheduler may have removed it for a moment.
        row = next(rows, None) or _listed(address.queue, member, 1, overdue=False)
        runs = islice(_coming(row, self._store.now()), count)
        return row, [run.timestamp for run in runs]

    def coming(self, globs: Sequence[str], count: int) -> builtins.list[ComingRun]:
        """The next `count` runs of all definitions in the queues that are named or match a glob, or in all
        queues, sorted by time. Raises QueueNotFound."""
        queues = require_queues(self._store, globs) if globs else [None]
        rows = chain.from_iterable(map(self.list, queues))
        now = self._store.now()
        runs = [_coming(row, now) for row in rows]
        return list(islice(heapq.merge(*runs, key=attrgetter("timestamp")), count))

    def add(
        self,
        queue: str,
        definition: Mapping[str, Any],
        *,
        paused: bool,
        reason: str | None,
        dry_run: bool,
        replaced: str | None = None,
    ) -> RepeatableChange:
        """Add a definition, or update the one with the same identity. `replaced` is the id (or a prefix) of
        a definition to delete in the same step. Raises UsageProblem for a schedule that never
        runs."""
        clean = normalized(definition)
        plan = partial(plans.adding, clean, paused=paused)
        try:
            plan(Found(queue, 0, []), self._store.now())
        except InvalidSchedule as exc:
            raise UsageProblem(f"this cannot be scheduled: {exc}", hint=exc.hint) from exc
        runner = self._runner("create", reason, dry_run)
        new_queue = self._new_queue(queue)
        wanted = Member(encode(clean, paused=paused).encode(), 0.0, identity(clean), clean)
        old: Member | None = None
        if replaced is not None:
            old = retry_while_busy(lambda: self._resolve(Address(queue, id=replaced)))
        gone = {"", wanted.id, old.id if old is not None else ""}
        others: dict[str, str] = {}
        for member in self._store.repeatables.each(queue):
            if member.id in gone or name_of(member) != name_of(wanted):
                continue
            if plans.runs_of(member) == plans.runs_of(wanted):
                refusal = _runs_twice(member)
                return RepeatableChange.of(runner.one(queue, name_of(wanted), partial(_raise, refusal)))
            others[member.id] = plans.schedule_of(member)
        note = "; ".join(filter(None, (new_queue, _kept(name_of(wanted), others)))) or None
        return self._execute(runner, queue, wanted, plan, must_exist=False, note=note, old=old)

    def pause(self, address: Address, *, reason: str | None, dry_run: bool) -> RepeatableChange:
        """Pause a definition. Raises AmbiguousRepeatable."""
        return self._change(self._runner("pause", reason, dry_run), address, plans.pausing)

    def resume(self, address: Address, *, reason: str | None, dry_run: bool) -> RepeatableChange:
        """Resume a definition; its next run is computed from now. Raises AmbiguousRepeatable."""
        return self._change(self._runner("resume", reason, dry_run), address, plans.resuming)

    def run(self, address: Address, *, reason: str | None, dry_run: bool) -> RepeatableChange:
        """Add one job of a definition now; its schedule does not change. Raises AmbiguousRepeatable."""
        from asyncmq_cli.services.changes.adding import run_definition

        member = self._named(self._runner("run", reason, dry_run), address)
        if isinstance(member, RepeatableChange):
            return member
        definition = normalized(member.definition or {})
        report = run_definition(
            self._store, address.queue, name_of(member), definition, reason=reason, dry_run=dry_run
        )
        return RepeatableChange.of(report, repeatable=_listed(address.queue, member, 1, overdue=False))

    def remove(self, address: Address, *, reason: str | None, dry_run: bool) -> RepeatableChange:
        """Delete a definition with all of its members. Raises AmbiguousRepeatable."""
        return self._change(self._runner("remove", reason, dry_run), address, plans.removing)

    def _runner(self, verb: str, reason: str | None, dry_run: bool) -> Runner:
        source = "repeatables.new" if verb == "create" else "repeatables"
        return Runner(self._store, f"repeatable.{verb}", source, reason=reason, dry_run=dry_run)

    def _change(self, runner: Runner, address: Address, make: MakePlan) -> RepeatableChange:
        """Find the definition and change it."""
        member = self._named(runner, address)
        if isinstance(member, RepeatableChange):
            return member
        return self._execute(runner, address.queue, member, make)

    def _named(self, runner: Runner, address: Address) -> Member | RepeatableChange:
        """The definition; or the report of a failure if it is missing. Raises UsageProblem if the address is
        invalid JSON, AmbiguousRepeatable if it matches several definitions."""
        try:
            return retry_while_busy(lambda: self._resolve(address))
        except UsageProblem:
            raise
        except AdminError as exc:
            refused = runner.one(address.queue, address.text, partial(_raise, exc))
            return RepeatableChange.of(refused)

    def _execute(
        self,
        runner: Runner,
        queue: str,
        wanted: Member,
        make: MakePlan,
        *,
        must_exist: bool = True,
        note: str | None = None,
        old: Member | None = None,
    ) -> RepeatableChange:
        made: list[Plan] = []

        def once(attempt: Attempt) -> Plan:
            found = (
                self._found(queue, wanted.id)
                if must_exist
                else self._store.repeatables.find(queue, wanted.id)
            )
            if must_exist and not found.members:
                raise self._missing(Address(queue, id=wanted.id))
            plan = make(found, self._store.now())
            if old is not None and old.id != wanted.id:
                gone = self._found(queue, old.id)
                if not gone.members:
                    raise self._missing(Address(queue, id=old.id))
                found = replace(found, members=[*found.members, *gone.members])
            if not plan.unchanged and not runner.dry_run:
                self._store.repeatables.replace(found, plan.member, plan.next_run, attempt.draft())
            return plan

        def attempt(attempt: Attempt) -> str | None:
            attempt.details["job_def"] = normalized(wanted.definition or {})
            if old is not None:
                attempt.details["replaced"] = normalized(old.definition or {})
            plan = retry_while_busy(lambda: once(attempt))
            made.append(plan)
            return "; ".join(filter(None, (note, plan.note))) or None

        report = runner.one(queue, name_of(wanted), attempt)
        plan = made[0] if made else Plan()
        return RepeatableChange.of(
            report,
            repeatable=_listed(queue, wanted, 1, overdue=False),
            next_runs=plan.runs,
            existed=plan.existed,
            unchanged=plan.unchanged,
        )

    def _found(self, queue: str, wanted: str) -> Found:
        """The members of a definition. Empty only if several consecutive reads find none."""
        for _ in range(_READS):
            found = self._store.repeatables.find(queue, wanted)
            if found.members:
                break
            self._store.repeatables.require_idle_scheduler(queue)
        return found

    def _resolve(self, address: Address) -> Member:
        for _ in range(_READS):
            found: dict[bool, Member] = {}
            names: dict[bool, dict[str, str]] = {True: {}, False: {}}
            for member in self._store.repeatables.each(address.queue):
                if not member.id:
                    continue
                is_exact = address.means(member)
                if is_exact or address.means_in_part(member):
                    # Definitions may be large, so keep one exact and one partial match.
                    found.setdefault(is_exact, member)
                    names[is_exact][member.id] = f"{name_of(member)}, {plans.schedule_of(member)}"
            candidates = names[True] or names[False]
            if len(candidates) > 1:
                raise AmbiguousRepeatable(address.queue, address.text, candidates)
            if candidates:
                return found[True in found]
            self._store.repeatables.require_idle_scheduler(address.queue)
        raise self._missing(address)

    def _missing(self, address: Address) -> AdminError:
        self._store.repeatables.require_idle_scheduler(address.queue)
        require_queue(self._store, address.queue)
        members = self._store.repeatables.each(address.queue)
        tasks = {name_of(member) for member in members if member.id}
        return RepeatableNotFound(address.queue, address.text, nearest(address.text, sorted(tasks)))

    def _new_queue(self, queue: str) -> str | None:
        near = near_new(self._store, queue)
        return None if near is None else f"{queue!r} is a new queue{nearest_suffix(near)}"


def retry_while_busy(attempt: Callable[[], T]) -> T:
    """Call `attempt`, and repeat it for a few seconds while a scheduler holds its lock (NotNow)."""
    deadline = time.monotonic() + _RETRY_SECONDS
    while True:
        try:
            return attempt()
        except NotNow:
            if time.monotonic() >= deadline:
                raise
        time.sleep(_RETRY_PAUSE)


def _runs_twice(other: Member) -> ChangeRefused:
    return ChangeRefused(
        "runs_twice",
        f"{name_of(other)} already runs by {plans.schedule_of(other)!r} with these arguments: "
        "each run would be enqueued twice",
        hint=f"--replace {other.id} replaces it with this definition",
    )


def _kept(task: str, schedules: Mapping[str, str]) -> str | None:
    """The note on the other definitions of a task, by id, which are kept; None if there are none."""
    named = ", ".join(f"{schedule!r} ({its_id})" for its_id, schedule in list(schedules.items())[:5])
    return f"{task} keeps its other schedules: {named}; --replace ID deletes one" if named else None


def _raise(error: AdminError, attempt: Attempt) -> str | None:
    raise error


def _coming(row: Repeatable, now: float) -> Iterator[ComingRun]:
    """The runs of a definition: the stored one, then the runs of its schedule. Empty if it is paused or
    cannot be read."""
    if row.definition is None or row.paused:
        return
    yield ComingRun(row.next_run, row)
    # If the schedule has no further run, just stop: `add` and `doctor` report it.
    with suppress(InvalidSchedule):
        for run in runs_after(row.definition, max(row.next_run, now)):
            yield ComingRun(run, row)


def _listed(queue: str, member: Member, stored: int, *, overdue: bool, stuck: bool = False) -> Repeatable:
    problem = member.problem
    if problem is None and stuck:
        problem = "its schedule has no later run: once due, the scheduler enqueues its job at every turn"
    if problem is None and stored > 1:
        problem = f"it is stored {stored} times; pausing, resuming or adding it keeps only one"
    return Repeatable(
        queue=queue,
        id=member.id,
        definition=None if member.definition is None else normalized(member.definition),
        next_run=member.score,
        paused=member.paused,
        overdue=overdue,
        problem=problem,
        stuck=stuck,
    )
