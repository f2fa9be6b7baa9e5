"""Check a queue as a whole: its keys, its pause mark, its definitions and its workers.

Like damage of jobs, a finding is reported only if a second pass finds it unchanged.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from asyncmq_cli.errors import WrongType
from asyncmq_cli.services.monitoring.lost_jobs import LostJobs
from asyncmq_cli.services.repeatables.plans import name_of, runs_of
from asyncmq_cli.services.repeatables.schedule import SchedulerClock
from asyncmq_cli.storage.schema.keys import to_text

if TYPE_CHECKING:
    from asyncmq_cli.storage.read.repeatables import Member
    from asyncmq_cli.storage.store import Store

_SAMPLE = 5


class QueueFinding(Struct, frozen=True):
    """A finding about a queue. `ids` are the ids of its jobs, keys, workers or definitions; empty if it is
    about the whole queue. `marks` are compared between the two passes to see whether the finding has changed.
    `tasks` are the tasks of definitions. `members` are the members of a definition that is stored more than
    once."""

    code: str
    ids: tuple[str, ...]
    count: int
    marks: tuple[Any, ...] = ()
    members: tuple[Member, ...] = ()
    tasks: tuple[str, ...] = ()


def queue_findings(store: Store, queue: str) -> list[QueueFinding]:
    """The findings of one pass."""
    found: list[QueueFinding] = []
    for check in (_keys, _pause, _definitions, _claims):
        try:
            found.extend(check(store, queue))
        except WrongType:
            # Reported by `_keys`.
            continue
    return found


def confirmed(first: Sequence[QueueFinding], second: Sequence[QueueFinding]) -> Iterator[QueueFinding]:
    """The findings of the second pass that are unchanged since the first."""
    seen = {(finding.code, finding.marks) for finding in first}
    yield from (finding for finding in second if (finding.code, finding.marks) in seen)


def _keys(store: Store, queue: str) -> Iterator[QueueFinding]:
    for key in store.damaged_keys.wrong_types(queue):
        yield QueueFinding("wrong_type", (key,), 1, (key,))


def _pause(store: Store, queue: str) -> Iterator[QueueFinding]:
    backlog = store.jobs.count(queue, "waiting") if store.queues.is_paused(queue) else 0
    if backlog:
        yield QueueFinding("paused_backlog", (), backlog)


def _claims(store: Store, queue: str) -> Iterator[QueueFinding]:
    workers = store.workers.in_queue(queue)
    lost = LostJobs(store, queue, store.now(), workers)
    lost.count()
    if lost.surplus:
        yield QueueFinding("active_surplus", (), lost.surplus)
    gone = sorted(worker.id for worker in workers if not worker.is_live and worker.age_seconds is not None)
    if gone:
        yield QueueFinding("worker_gone", tuple(gone[:_SAMPLE]), len(gone))
    if lost.silent:
        yield QueueFinding("active_silent", tuple(lost.longest_silent), lost.silent)


class _Outline(Struct, frozen=True):
    """The parts of a definition that are compared, without its arguments, which may be large. `schedule`
    begins with its task; `runs` is the result of `runs_of`, `advances` that of `schedule.advances`."""

    id: str
    next_run: float
    digest: bytes
    schedule: tuple[str, str, str]
    paused: bool
    overdue: bool
    bare: bool
    advances: bool | None
    runs: tuple[bytes, str | float | None]

    @classmethod
    def of(cls, member: Member, clock: SchedulerClock) -> _Outline:
        definition = member.definition or {}
        return cls(
            member.id,
            member.score,
            member.digest,
            (name_of(member), repr(definition.get("every")), repr(definition.get("cron"))),
            member.paused,
            clock.is_overdue(member),
            bare=not set(definition) - {"task_id", "every", "cron", "name", "key", "paused"},
            advances=clock.advances(definition),
            runs=runs_of(member),
        )

    @property
    def place(self) -> tuple[float, bytes]:
        return self.next_run, self.digest

    def finding(self, code: str) -> QueueFinding:
        return QueueFinding(code, (self.id,), 1, (self.digest, self.next_run), tasks=self.schedule[:1])


def _definitions(store: Store, queue: str) -> Iterator[QueueFinding]:
    clock = SchedulerClock(store, queue, store.now())
    unreadable: list[QueueFinding] = []
    repeated: set[str] = set()
    first: dict[str, _Outline] = {}
    for member in store.repeatables.each(queue):
        if not member.id:
            unreadable.append(_unreadable(member))
            continue
        outline = _Outline.of(member, clock)
        known = first.setdefault(member.id, outline)
        if known is not outline:
            repeated.add(member.id)
            first[member.id] = min(known, outline, key=lambda one: one.place)
    if repeated:
        yield from _repeated(member for member in store.repeatables.each(queue) if member.id in repeated)
    yield from sorted(unreadable, key=lambda finding: finding.marks[::-1])
    in_order = sorted(first.values(), key=lambda one: one.place)
    running = [one for one in in_order if not one.paused]
    yield from (one.finding("repeatable_stuck") for one in running if not one.advances)
    # A scheduler fails on the first of these definitions and never reaches the later ones. So if those are
    # overdue, that does not mean that no scheduler runs.
    last = next((one.next_run for one in running if one.advances is None), math.inf)
    unscheduled = (one for one in in_order if one.overdue and one.advances and one.next_run <= last)
    yield from (one.finding("repeatable_unscheduled") for one in unscheduled)
    yield from (one.finding("repeatable_shadow") for one in _shadows(in_order))
    yield from _scheduled_twice(in_order)


def _repeated(members: Iterable[Member]) -> Iterator[QueueFinding]:
    by_identity: dict[str, list[Member]] = defaultdict(list)
    for member in members:
        by_identity[member.id].append(member)
    stored = [sorted(found, key=lambda one: one.place) for found in by_identity.values()]
    for same in sorted(stored, key=lambda found: found[0].place):
        if len(same) > 1:
            mixed = len({member.paused for member in same}) > 1
            code = "repeatable_conflict" if mixed else "repeatable_duplicate"
            marks = tuple((member.raw, member.score) for member in same)
            yield QueueFinding(code, (same[0].id,), 1, marks, tuple(same), (name_of(same[0]),))


def _shadows(first: Sequence[_Outline]) -> list[_Outline]:
    """Definitions that have only a task and a schedule, while a paused definition has the same task and
    schedule and more.

    Source: `build_repeatable_action_definition` in asyncmq.contrib.dashboard, which the dashboard uses for a
    resume.
    """
    fuller = {one.schedule for one in first if one.paused and not one.bare}
    return [one for one in first if not one.paused and one.bare and one.schedule in fuller]


def _scheduled_twice(first: Sequence[_Outline]) -> Iterator[QueueFinding]:
    """Definitions that enqueue the same runs, and pairs of definitions of which one may be the old schedule
    of the other. Paused definitions are left out, because they schedule nothing."""
    same_runs: dict[Any, list[_Outline]] = defaultdict(list)
    same_arguments: dict[bytes, list[_Outline]] = defaultdict(list)
    for one in first:
        if not one.paused:
            same_runs[one.runs].append(one)
            same_arguments[one.runs[0]].append(one)
    yield from (_together("repeatable_same_runs", same) for same in same_runs.values() if len(same) > 1)
    for same in same_arguments.values():
        near = _near_schedules({one.runs[1] for one in same})
        if near:
            rescheduled = [one for one in same if one.runs[1] in near]
            yield _together("repeatable_rescheduled", rescheduled)


def _near_schedules(schedules: Collection[str | float | None]) -> set[str | float | None]:
    """The intervals, and the cron expressions that differ from another one in a single field, so that one
    expression could replace both."""
    by_rest: dict[Any, set[str | float | None]] = defaultdict(set)
    for schedule in schedules:
        if isinstance(schedule, str):
            fields = schedule.split()
            for i in range(len(fields)):
                by_rest[i, " ".join(fields[:i]), " ".join(fields[i + 1 :])].add(schedule)
        elif schedule is not None:
            by_rest["every"].add(schedule)
    return {schedule for near in by_rest.values() if len(near) > 1 for schedule in near}


def _together(code: str, definitions: Iterable[_Outline]) -> QueueFinding:
    """One finding for all of these definitions. Its marks do not include the next runs, which change between
    the passes."""
    found = sorted(definitions, key=lambda one: one.id)
    ids = tuple(one.id for one in found)
    tasks = tuple(one.schedule[0] for one in found[:_SAMPLE])
    return QueueFinding(code, ids[:_SAMPLE], len(ids), ids, tasks=tasks)


def _unreadable(member: Member) -> QueueFinding:
    marks = (member.digest, member.score)
    return QueueFinding("repeatable_unreadable", (to_text(member.raw[:60]),), 1, marks)
