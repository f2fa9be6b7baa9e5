"""Telling which jobs of the ids set are not where their state says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING

from asyncmq_cli.models.values import DEAD_STATES, ENDED_STATES, WAITING_CHILDREN
from asyncmq_cli.storage.dependencies import parent_states, parents_of
from asyncmq_cli.storage.hydrate import PENDING_STATES, RawJob, add_record, effective_state
from asyncmq_cli.storage.locate import expected_members
from asyncmq_cli.storage.questions import answer, ask

if TYPE_CHECKING:
    from asyncmq_cli.storage.probes import Probes

_PLACED = frozenset({None, "waiting", "wait", "delayed", "active", *ENDED_STATES})
_ENDED_BADLY = frozenset({None, *ENDED_STATES} - {"completed"})


def misplaced(probes: Probes, raws: Sequence[RawJob]) -> Iterator[str]:
    """Of jobs that have a record, with what the states hash says of them, those that are not where they
    should be; some twice. Raises WrongType."""
    active = [raw.id for raw in raws if raw.state == "active"]
    claims = probes.fields(probes.keys.active, active)
    yield from (job_id for job_id, claim in zip(active, claims, strict=True) if claim is None)
    # Wherever such a job lies: a state that no place belongs to tells nothing of it.
    yield from (raw.id for raw in raws if raw.state not in _PLACED)

    waiting = [raw.id for raw in raws if raw.state in (None, "waiting", "wait")]
    absent = {job_id for job_id, waits in zip(waiting, probes.waits_by_id(waiting), strict=True) if not waits}
    unsettled = [
        raw
        for raw in raws
        if raw.state is None or raw.state in DEAD_STATES or raw.state == "delayed" or raw.id in absent
    ]
    yield from _unsettled(probes, unsettled, absent)


def _unsettled(probes: Probes, raws: Sequence[RawJob], absent: set[str]) -> Iterator[str]:
    """Of jobs whose state or place the record tells, those that are not there."""
    states = {raw.id: raw.state for raw in raws}
    for piece in probes.records(list(states)):
        children: list[RawJob] = []
        placed: list[tuple[str, str, bytes]] = []
        for job_id, record in piece:
            raw = RawJob(id=job_id, state=states[job_id])
            add_record(raw, record)
            status = effective_state(raw.state, raw.record, None)
            if status == WAITING_CHILDREN:
                children.append(raw)
            elif status == "delayed" or status in DEAD_STATES:
                placed.append((job_id, "delayed" if status == "delayed" else "dlq", record or b""))
            elif _lies_elsewhere(status, job_id in absent):
                yield job_id
        yield from _not_listed(probes, placed)
        yield from _waiting_in_vain(probes, children)


def _lies_elsewhere(status: str, is_absent: bool) -> bool:
    """Whether a job of this state that the waiting set lacks, or not, is not where it should be."""
    if status in PENDING_STATES:
        return is_absent
    return status == "active" or status not in _PLACED


def _not_listed(probes: Probes, placed: Sequence[tuple[str, str, bytes]]) -> Iterator[str]:
    """Jobs of which the member that AsyncMQ writes beside their record is not there."""
    questions = [
        ("ZMSCORE", getattr(probes.keys, place), *expected_members(record, place))
        for _, place, record in placed
    ]
    for (job_id, _, _), scores in zip(placed, map(answer, ask(probes.client, questions)), strict=True):
        if all(score is None for score in scores):
            yield job_id


def _waiting_in_vain(probes: Probes, children: Sequence[RawJob]) -> Iterator[str]:
    """Jobs that wait for one that has ended badly or is gone, or for none that is still to come; and
    those whose arguments may be damaged."""
    wanted = {raw.id: parents_of(raw.record) for raw in children}
    states = parent_states(probes, chain.from_iterable(wanted.values()))
    for raw in children:
        of_them = {states[parent] for parent in wanted[raw.id]}
        in_vain = of_them <= {"completed"} or not of_them.isdisjoint(_ENDED_BADLY)
        if in_vain or "args" not in (raw.record or {}) or "kwargs" not in (raw.record or {}):
            yield raw.id
