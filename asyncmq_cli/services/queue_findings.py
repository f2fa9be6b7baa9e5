"""What is wrong with a queue as such: its keys, its pause mark, its definitions, its workers.

Like what is wrong with a job, it is told of only if a second look shows the same.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from asyncmq_cli.services.lost_jobs import LostJobs
from asyncmq_cli.services.repeatable_plans import name_of
from asyncmq_cli.services.schedule import is_overdue
from asyncmq_cli.storage.keys import to_text
from asyncmq_cli.storage.scan import WrongType

if TYPE_CHECKING:
    from asyncmq_cli.storage.repeatables import Member
    from asyncmq_cli.storage.store import Store

_SCHEDULE = ("task_id", "every", "cron")


@dataclass(frozen=True, slots=True)
class QueueFinding:
    """`marks` tell whether a second look has found the same. `ids` names what it is of, where it is
    not of the whole queue, and `tasks` are theirs where they are definitions. `members` are those of
    one that is stored more than once."""

    code: str
    ids: tuple[str, ...]
    count: int
    marks: tuple[Any, ...] = ()
    members: tuple[Member, ...] = ()
    tasks: tuple[str, ...] = ()


def queue_findings(store: Store, queue: str) -> list[QueueFinding]:
    """What is wrong with the queue as one look sees it."""
    found: list[QueueFinding] = []
    for look in (_keys, _pause, _definitions, _surplus):
        try:
            found.extend(look(store, queue))
        except WrongType:
            # The key is told of as one of a wrong type.
            continue
    return found


def confirmed(first: Sequence[QueueFinding], second: Sequence[QueueFinding]) -> Iterator[QueueFinding]:
    """Those of the second look that the first one had seen, in as far as nothing has changed."""
    seen = {(finding.code, finding.marks) for finding in first}
    yield from (finding for finding in second if (finding.code, finding.marks) in seen)


def _keys(store: Store, queue: str) -> Iterator[QueueFinding]:
    for key in store.wrong_keys(queue):
        yield QueueFinding("wrong_type", (key,), 1, (key,))


def _pause(store: Store, queue: str) -> Iterator[QueueFinding]:
    backlog = store.queues.count_waiting(queue) if store.queues.is_paused(queue) else 0
    if backlog:
        yield QueueFinding("paused_backlog", (), backlog)


def _surplus(store: Store, queue: str) -> Iterator[QueueFinding]:
    lost = LostJobs(store, queue, store.now())
    for _ in lost:
        pass
    if lost.surplus:
        yield QueueFinding("active_surplus", (), lost.surplus)


def _definitions(store: Store, queue: str) -> Iterator[QueueFinding]:
    members = store.repeatables.read(queue)
    by_identity: dict[str, list[Member]] = defaultdict(list)
    for member in members:
        if member.id:
            by_identity[member.id].append(member)
    yield from _repeated(by_identity)
    first = [same[0] for same in by_identity.values()]
    now = store.now()
    yield from (_of("repeatable_unreadable", one) for one in members if not one.id)
    yield from (_of("repeatable_unscheduled", one) for one in first if is_overdue(one, now))
    yield from (_of("repeatable_shadow", one) for one in _shadows(first))


def _repeated(by_identity: dict[str, list[Member]]) -> Iterator[QueueFinding]:
    for identity, same in by_identity.items():
        if len(same) > 1:
            mixed = len({member.paused for member in same}) > 1
            code = "repeatable_conflict" if mixed else "repeatable_duplicate"
            marks = tuple((member.raw, member.score) for member in same)
            yield QueueFinding(code, (identity,), 1, marks, tuple(same), (name_of(same[0]),))


def _shadows(first: Sequence[Member]) -> list[Member]:
    """Definitions of nothing but a task and a schedule, beside a fuller one of these that is paused.

    Source: `build_repeatable_action_definition` in asyncmq.contrib.dashboard, by which the
    dashboard resumes.
    """
    fuller = {_schedule(one) for one in first if one.paused and not _is_bare(one)}
    return [one for one in first if not one.paused and _is_bare(one) and _schedule(one) in fuller]


def _is_bare(member: Member) -> bool:
    return not set(member.definition or {}) - {*_SCHEDULE, "name", "key", "paused"}


def _schedule(member: Member) -> tuple[str, str, str]:
    definition = member.definition or {}
    return name_of(member), repr(definition.get("every")), repr(definition.get("cron"))


def _of(code: str, member: Member) -> QueueFinding:
    tasks = (name_of(member),) if member.id else ()
    ids = (member.id or to_text(member.raw[:60]),)
    return QueueFinding(code, ids, 1, (member.raw, member.score), tasks=tasks)
