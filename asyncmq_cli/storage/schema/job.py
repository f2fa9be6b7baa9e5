"""Building a `Job` from its stored pieces, by AsyncMQ's own rules of which value wins.

Source: `RedisBackend._hydrate_job` and `_load_indexed_job` in asyncmq.backends.redis, and
`matches_job_type` in asyncmq.core.inspection.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

from asyncmq_cli.models.jobs import Job, SplitPart
from asyncmq_cli.models.values import WAITING_CHILDREN
from asyncmq_cli.storage.schema.codec import (
    CorruptData,
    TooLarge,
    decode_strict_record,
    dumps,
    loads_strictly,
    with_members,
    with_payload,
)
from asyncmq_cli.storage.schema.keys import to_text
from asyncmq_cli.storage.schema.payloads import HeldPart
from asyncmq_cli.storage.schema.rabbitmq import merged

_NO_CLAIM_TIME = "the job's claim holds no time"

# The states of jobs that have not run yet. Only these can wait for a parent.
PENDING_STATES = frozenset({"waiting", "delayed", "queued"})


@dataclass(slots=True)
class RawJob:
    """The stored pieces of one job.

    `state` is its entry in the states hash, `record` its decoded record without the payload part,
    `member` the job as a sorted set holds it, and `score` its score there. A piece that does not exist
    is None. `problem` says which piece could not be read. `text` is the JSON of the record, or of the member
    if there is no record, where every strict reader takes it. `size` is about how many
    bytes of memory they take.
    """

    id: str
    state: str | None = None
    record: Mapping[str, Any] | None = None
    record_size: int = 0
    payload: bytes | SplitPart | None = None
    result: bytes | None = None
    claim: bytes | None = None
    member: Mapping[str, Any] | None = None
    score: float | None = None
    problem: str | None = None
    text: bytes | None = None
    size: int = 0
    is_note: bool = False
    """Whether the record is a note of the RabbitMQ backend."""


def add_record(raw: RawJob, record: bytes | None) -> None:
    """Set the record from its stored text, or the `problem` if it cannot be read."""
    if record is None:
        return
    raw.record_size = len(record)
    try:
        decoded, is_strict = decode_strict_record(record)
        raw.record = merged(decoded)
        raw.is_note = raw.record is not decoded
        if raw.record:
            raw.text = record if is_strict and not raw.is_note else None
    except TooLarge as exc:
        raw.problem = f"the job's record is {exc}"
    except CorruptData as exc:
        raw.problem = f"the job's record is damaged: {exc}"


def hydrate(queue: str, raw: RawJob, *, place: str | None = None, status: str | None = None) -> Job:
    """The job, with the state, result and claim that are stored outside its record.

    `place` is where it was found: `waiting`, `delayed`, `dlq` or `active`. `status` defaults to its
    effective state.
    """
    record, problem = _found(raw)
    data = dict(record) if record is not None else None
    text = None
    if record is not None and data is not None:
        overlaid, is_strict = _overlay(data, raw)
        problem = overlaid or problem
        text = None if overlaid or not is_strict else _overlaid_text(raw, record, data)
    return Job(
        queue=queue,
        id=raw.id,
        status=effective_state(raw.state, data, place) if status is None else status,
        record=data,
        problem=problem,
        due_at=raw.score if place == "delayed" else None,
        dead_at=raw.score if place == "dlq" else None,
        size=raw.size,
        split=HeldPart(raw.payload) if isinstance(raw.payload, bytes) else raw.payload,
        text=text,
    )


def effective_state(state: str | None, record: Mapping[str, Any] | None, place: str | None) -> str:
    """The one state under which a job is counted and listed.

    The states hash wins over the record, and the record over the place. A job that has not run yet and
    has pending parents is `waiting-children`.
    """
    status = state
    if status is None and record is not None and record.get("status") is not None:
        status = str(record["status"])
    if status is None:
        status = {"waiting": "waiting", "delayed": "delayed", "dlq": "failed"}.get(place or "", "unknown")
    if status == "wait":
        status = "waiting"
    if (status in PENDING_STATES or status == "unknown") and has_pending_parents(record):
        return WAITING_CHILDREN
    return status


def has_pending_parents(record: Mapping[str, Any] | None) -> bool:
    """Whether the record lists jobs that this one waits for."""
    depends_on = record.get("depends_on") if record is not None else None
    return isinstance(depends_on, list) and len(depends_on) > 0


def has_unreadable_arguments(record: Mapping[str, Any], payload: bytes | None) -> bool:
    """Whether a worker cannot run the job, because its payload part is damaged or its arguments are missing.
    Source: `dequeue` in asyncmq.backends.redis, which reads the payload part only if the record lacks
    `args` or `kwargs`."""
    if "args" in record and "kwargs" in record:
        return False
    if payload is None:
        # The library stores both for every job. A job of another producer may have neither, and runs without.
        return "args" not in record and "kwargs" not in record and "max_retries" in record
    try:
        with_payload(record, payload)
    except TooLarge:
        # A worker has no limit, so it may be able to run the job.
        return False
    except CorruptData:
        return True
    return False


def _found(raw: RawJob) -> tuple[Mapping[str, Any] | None, str | None]:
    # An empty record counts as missing, as in AsyncMQ.
    data = raw.record or raw.member
    if data is None:
        return raw.record, raw.problem or (None if raw.record is not None else "the job has no record")
    return data, raw.problem


def _overlay(data: dict[str, Any], raw: RawJob) -> tuple[str | None, bool]:
    """What is wrong with a value to insert, and whether every strict parser accepts the result."""
    if raw.state is not None:
        data["status"] = raw.state
    problem, is_strict = None, True
    if raw.result is not None:
        try:
            data["result"], is_strict = loads_strictly(raw.result)
        except TooLarge as exc:
            problem = f"the job's result is {exc}"
        except CorruptData as exc:
            problem = f"the job's result is damaged: {exc}"
    elif raw.state == "cancelled":
        data.pop("result", None)
    if raw.state == "active" and raw.claim is not None:
        try:
            data["active_since"] = float(to_text(raw.claim))
        except ValueError:
            problem = _NO_CLAIM_TIME
        else:
            problem = problem if isfinite(data["active_since"]) else _NO_CLAIM_TIME
    return problem, is_strict


_LONGEST_TEXT = 1024 * 1024


def _overlaid_text(raw: RawJob, before: Mapping[str, Any], after: Mapping[str, Any]) -> bytes | None:
    """The text of the record `before`, changed as `_overlay` did; None where that would take an encoder."""
    if raw.text is None or len(after) != len(before) or (raw.state == "active" and raw.claim is not None):
        return None
    if len(raw.text) > _LONGEST_TEXT:
        # It would be in memory twice.
        return None
    changed: dict[str, tuple[Any, bytes]] = {}
    if raw.state is not None and raw.state != before.get("status"):
        changed["status"] = before.get("status"), dumps(raw.state).encode()
    if raw.result is not None:
        changed["result"] = before.get("result"), raw.result
    return with_members(raw.text, changed) if changed else raw.text
