"""The jobs that jobs wait for, and those that wait for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from asyncmq_cli.models.values import chunked
from asyncmq_cli.storage.client import scan
from asyncmq_cli.storage.schema.job import RawJob, add_record, effective_state, has_pending_parents
from asyncmq_cli.storage.schema.keys import to_text

if TYPE_CHECKING:
    from asyncmq_cli.storage.integrity.wrong_types import Probes


def parents_of(record: Mapping[str, Any] | None) -> list[str]:
    """The ids of the jobs that this one waits for, by its record."""
    if record is None or not has_pending_parents(record):
        return []
    return [str(parent) for parent in record["depends_on"]]


def parents_by_set(probes: Probes, job_id: str) -> list[str]:
    """The same by the set of its pending parents, sorted. Raises WrongType."""
    pieces = scan.set_members(probes.client, probes.keys.pending_parents(job_id))
    return sorted(to_text(name) for names in pieces for name in names)


def parent_states(probes: Probes, parents: Iterable[str]) -> dict[str, str | None]:
    """The state of each, None for a job of which there is neither a state nor a record nor an id.
    Raises WrongType."""
    found: dict[str, str | None] = {}
    for piece in chunked(dict.fromkeys(parents)):
        found.update(zip(piece, probes.states(piece), strict=True))
        stateless = [parent for parent in piece if found[parent] is None]
        listed = dict(zip(stateless, probes.in_ids(stateless), strict=True))
        for records in probes.records(stateless):
            found.update((parent, _stateless(parent, record, listed[parent])) for parent, record in records)
    return found


def has_living_child(probes: Probes, job_id: str) -> bool:
    """Whether there is one of the jobs in the set of its children. Raises WrongType."""
    return any(
        probes.client.exists(*(probes.keys.record(to_text(name)) for name in piece))
        for members in scan.set_members(probes.client, probes.keys.children(job_id))
        for piece in chunked(members)
    )


def _stateless(job_id: str, record: bytes | None, in_ids: bool) -> str | None:
    """What a job is of which the states hash says nothing."""
    if record is None:
        return "unknown" if in_ids else None
    raw = RawJob(id=job_id)
    add_record(raw, record)
    return effective_state(None, raw.record, None)
