"""The repairs of a job. Each function prepares the texts to write and the script that writes them.

A repair is prepared from the evidence about a job. Its script changes nothing if any of that evidence has
changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from asyncmq_cli.models.values import DEAD_STATES, as_number
from asyncmq_cli.storage.integrity.probes import parents_of
from asyncmq_cli.storage.schema.codec import dumps, encode_record
from asyncmq_cli.storage.schema.keys import AUDIT_STREAM, QueueKeys, to_bytes
from asyncmq_cli.storage.schema.records import member_of, priority_of, record_of, whole_record
from asyncmq_cli.storage.write.job_changes import Change, require_own_record, shared_out
from asyncmq_cli.storage.write.scripts import (
    REPAIR_DROP,
    REPAIR_ENQUEUE,
    REPAIR_FORGET,
    REPAIR_LIST,
    Call,
    Script,
)

if TYPE_CHECKING:
    from asyncmq_cli.storage.integrity.evidence import Evidence
    from asyncmq_cli.storage.write.audit_stream import EventDraft

_ZSET = {"delayed": "2", "dlq": "3"}


def enqueue(found: Evidence, draft: EventDraft, maxlen: int) -> Change:
    """Enqueue the job. Its record is not changed."""
    record = record_of(found.location)
    return _change(REPAIR_ENQUEUE, found, draft, maxlen, [priority_of(record, found.location.id), "", ""])


def release(found: Evidence, draft: EventDraft, maxlen: int) -> Change:
    """Enqueue a job all of whose parents have completed. Source: `resolve_dependency` in
    asyncmq.backends.redis."""
    record = whole_record(found.location)
    parents = list(dict.fromkeys(parents_of(record)))
    record.pop("depends_on", None)
    record.update(status="waiting", delay_until=None)
    text, payload = encode_record(record)
    own = [priority_of(record, found.location.id), text, payload or ""]
    at_once, later = shared_out(parents)
    return replace(_change(REPAIR_ENQUEUE, found, draft, maxlen, own, at_once), parents=later)


def put_back(found: Evidence, draft: EventDraft, maxlen: int) -> Change:
    """Add the job to the delayed set, due at the time in its record, or to the dead-letter queue, with the
    present time."""
    record = record_of(found.location)
    place = "delayed" if found.status == "delayed" else "dlq"
    score = repr(as_number(record.get("delay_until"))) if place == "delayed" else ""
    own = [_ZSET[place], _member(found, record), score, found.status, "", ""]
    return _change(REPAIR_LIST, found, draft, maxlen, own)


def write_record(found: Evidence, draft: EventDraft, maxlen: int) -> Change:
    """Write the record from the member that contains the whole job, with the state that its sorted set
    implies.

    Source: `move_to_dlq` and `enqueue_delayed` in asyncmq.backends.redis.
    """
    members = found.location.members
    place = "dlq" if members["dlq"] else "delayed"
    job = member_of(members[place][-1], found.location.id)
    status = "delayed"
    if place == "dlq":
        status = job["status"] if job.get("status") in DEAD_STATES else "failed"
    text, payload = encode_record({**job, "status": status})
    return _change(REPAIR_LIST, found, draft, maxlen, ["0", "", "", status, text, payload or ""])


def index(found: Evidence, draft: EventDraft, maxlen: int) -> Change:
    """Add the job to the ids set; nothing else is changed."""
    return _change(REPAIR_LIST, found, draft, maxlen, ["0", "", "", "", "", ""])


def forget(found: Evidence, draft: EventDraft, maxlen: int) -> Change:
    """Delete the leftovers of a job without a record. Its set of children is kept as long as one of them
    exists."""
    own = [found.pending, "" if found.has_living_child else found.children]
    return _change(REPAIR_FORGET, found, draft, maxlen, own, [found.location.id])


def drop_dead_letter(found: Evidence, draft: EventDraft, maxlen: int) -> Change:
    """Remove the job's dead letters; the job is not changed."""
    return _change(REPAIR_DROP, found, draft, maxlen, ["dead"])


def drop_claim(found: Evidence, draft: EventDraft, maxlen: int) -> Change:
    """Remove the claim and the heartbeat; the job is not changed."""
    return _change(REPAIR_DROP, found, draft, maxlen, ["claim"])


def _change(
    script: Script,
    found: Evidence,
    draft: EventDraft,
    maxlen: int,
    own: Sequence[Any],
    parents: Sequence[str] = (),
) -> Change:
    location = found.location
    keys, name = QueueKeys(location.queue), to_bytes(location.id)
    require_own_record(keys, location.id)
    used = [
        keys.waiting,
        keys.delayed,
        keys.dlq,
        *keys.of_job(location.id),
        keys.heartbeats,
        keys.cancelled,
        keys.waiting_seq,
        keys.pending_parents(location.id),
        AUDIT_STREAM,
        *(keys.children(parent) for parent in parents),
    ]
    marks = (location.in_ids, location.cancelled, found.waits_by_id)
    args: list[Any] = [
        name,
        to_bytes(location.state or ""),
        location.record or b"",
        location.claim or b"",
        found.heartbeat or b"",
        "".join("1" if mark else "0" for mark in marks),
        maxlen,
        draft.encode(),
    ]
    for place in ("delayed", "dlq"):
        args += [len(location.members[place]), *location.members[place]]
    return Change(location, Call(script, used, [*args, *own]))


def _member(found: Evidence, record: Mapping[str, Any]) -> bytes:
    """The job as a member of a sorted set: the text of its record if AsyncMQ writes the same text to both."""
    location = found.location
    if location.payload is None and record.get("status") == found.status and location.record is not None:
        return location.record
    return dumps({**whole_record(found.location), "status": found.status}).encode()
