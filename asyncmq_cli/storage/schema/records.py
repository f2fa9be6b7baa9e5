"""Build the records that changes write from the records that were found."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from asyncmq_cli.errors import ChangeRefused
from asyncmq_cli.models.values import DEAD_STATES
from asyncmq_cli.storage.schema.codec import (
    CorruptData,
    TooLarge,
    decode_record,
    dumps,
    encode_record,
    is_too_large,
    with_payload,
)
from asyncmq_cli.storage.schema.job import decoded
from asyncmq_cli.storage.schema.job_dump import DeadLetter, JobEdit, Texts
from asyncmq_cli.storage.schema.keys import PLACES, to_bytes

if TYPE_CHECKING:
    from asyncmq_cli.models.jobs import Job
    from asyncmq_cli.storage.schema.job import Location

_RETRY_DROPS = ("result", "failed_at", "completed_at", "last_error", "error_traceback")


def retried(
    letter: Mapping[str, Any], location: Location, *, reset_at: float | None
) -> tuple[dict[str, Any], int]:
    """The record that a retry writes for a dead letter, and its priority.

    Source: `_prepare_retry_payload` in asyncmq.backends.base and `enqueue` in asyncmq.backends.redis, with
    the same order of keys. A job that others wait for gets the mark for that, which AsyncMQ loses when a job
    dies: without it, the job would complete and release none of them.
    """
    job_id = location.id
    record = {**letter, "id": job_id, "status": "waiting", "delay_until": None}
    for name in _RETRY_DROPS:
        record.pop(name, None)
    record["has_dependents"] = bool(record.get("has_dependents", False)) or location.children > 0
    if reset_at is not None:
        record.update(created_at=reset_at, retries=0)
    return record, priority_of(record, job_id)


def created(
    job_id: str,
    *,
    task: str,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    created_at: float,
    retries: int = 0,
    backoff: float | None = None,
    ttl: float | None = None,
    priority: int = 5,
    delay_until: float | None = None,
    deduplication: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The record of a new job before it is enqueued. Times are epoch seconds; `ttl` is seconds. Source:
    `Job.to_dict` in asyncmq.jobs, with the same order of keys, and `Queue.add`, with the same defaults."""
    return {
        "id": job_id,
        "task": task,
        "args": list(args),
        "kwargs": dict(kwargs),
        "retries": 0,
        "max_retries": retries,
        "backoff": backoff,
        "ttl": ttl,
        "created_at": created_at,
        "last_attempt": None,
        "status": "waiting",
        "result": None,
        "last_error": None,
        "error_traceback": None,
        "delay_until": delay_until,
        "priority": priority,
        "depends_on": [],
        "repeat_every": None,
        "deduplication": None if deduplication is None else dict(deduplication),
    }


def deduplication(key: str) -> dict[str, Any]:
    """The part of a job's record for its deduplication key. Source: `normalize_deduplication_options` in
    asyncmq.core.deduplication."""
    options: dict[str, Any] = {"id": key, "ttl": None, "extend": False, "replace": False, "delay": None}
    return {**options, "mode": "simple", "expires_at": None}


def deduplicates(job: Job, now: float) -> str | None:
    """The deduplication key that other jobs cannot use because of this job; None if it has none, or if it is
    no longer in force. Source: `is_deduplication_active` in asyncmq.core.deduplication."""
    found = job.get("deduplication")
    key = found.get("id") if isinstance(found, Mapping) else None
    if not isinstance(key, str) or not key:
        return None
    expires = found.get("expires_at")
    if isinstance(expires, int | float):
        return key if expires > now else None
    return None if job.status in ("completed", *DEAD_STATES) else key


_OF_A_RUN = ("active_since", "completed_at", "failed_at", "progress", "has_dependents")
"""Keys of a record that a run writes; the record of a job that has not run has none of them."""


def copied(found: Mapping[str, Any], job_id: str, *, created_at: float) -> dict[str, Any]:
    """The record of a new job that does the same as this one. Keys that an application added are kept."""
    record = {name: value for name, value in found.items() if name not in _OF_A_RUN}
    fresh = created(job_id, task="", args=(), kwargs={}, created_at=created_at)
    for name in ("task", "args", "kwargs", "max_retries", "backoff", "ttl", "priority"):
        fresh.pop(name)
    return {**record, **fresh}


def promoted(member: Mapping[str, Any], job_id: str) -> tuple[dict[str, Any], int]:
    """The record that a delayed job gets when it is moved to the waiting set, and its priority. Source:
    `promote_due_delayed` in asyncmq.backends.redis."""
    record = {**member, "id": job_id, "status": "waiting", "delay_until": None}
    return record, priority_of(record, job_id)


def cancelled(location: Location) -> dict[str, Any]:
    """The record that a job gets when it is cancelled. Source: `cancel_job` in asyncmq.backends.redis."""
    record = dict(_stored(location))
    record.update(status="cancelled", delay_until=None)
    record.pop("result", None)
    return record


def edited(location: Location, change: Callable[[Mapping[str, Any]], dict[str, Any]]) -> JobEdit:
    """The edit that applies `change` to the record of a job, and to its member if that contains the whole
    job. Raises ChangeRefused unless the job is waiting, delayed or dead, and in only one place."""
    members = [(place, member) for place in PLACES for member in location.members[place]]
    if location.active or len(members) != 1:
        where = "in several places" if len(members) > 1 else location.job.status
        raise ChangeRefused(
            "job_not_editable",
            f"job {location.id!r} is {where}: only a job that waits, is delayed or dead can be edited",
        )
    ((place, member),) = members
    text, payload = encode_record(change(whole_record(location)))
    new_member = member
    if member.lstrip()[:1] == b"{":
        new_member = dumps(change(member_of(member, location.id))).encode()
    return JobEdit(
        to_bytes(location.queue),
        to_bytes(location.id),
        place,
        Texts(member, location.record or b"", location.payload or b""),
        Texts(new_member, text.encode(), (payload or "").encode()),
    )


def edited_and_retried(
    location: Location,
    change: Callable[[Mapping[str, Any]], dict[str, Any]],
    result: bytes | None,
    *,
    reset_at: float | None,
) -> tuple[JobEdit, int]:
    """The edit that applies `change` to a dead job and puts it back into the waiting set, and the job's
    priority. `result` is its stored result. Raises ChangeRefused."""
    letters = location.members["dlq"]
    if len(letters) != 1:
        raise ChangeRefused(
            "job_not_editable",
            f"job {location.id!r} has {len(letters):,} dead letters, so it is not known which one to edit",
        )
    (letter,) = letters
    whole_record(location)
    changed = change(member_of(letter, location.id))
    record, priority = retried(changed, location, reset_at=reset_at)
    text, payload = encode_record(record)
    state = None if location.state is None else to_bytes(location.state)
    edit = JobEdit(
        to_bytes(location.queue),
        to_bytes(location.id),
        "dlq",
        Texts(letter, location.record or b"", location.payload or b""),
        Texts(to_bytes(location.id), text.encode(), (payload or "").encode()),
        DeadLetter(location.score or 0.0, state, result, location.in_ids),
    )
    return edit, priority


def record_of(location: Location) -> dict[str, Any]:
    """The record that was found, without the payload part of a split job. Raises ChangeRefused."""
    try:
        return decode_record(location.record or b"")
    except CorruptData as exc:
        raise _unreadable(location.id, exc) from exc


def whole_record(location: Location) -> dict[str, Any]:
    """The record that was found, with the payload part of a split job. Raises ChangeRefused."""
    record = record_of(location)
    if location.payload is None:
        return record
    try:
        return with_payload(record, location.payload)
    except CorruptData as exc:
        raise _unreadable(location.id, exc) from exc


def member_of(member: bytes, job_id: str) -> Mapping[str, Any]:
    """The job in a member of the delayed set or dead-letter queue. Raises ChangeRefused."""
    job = decoded(member)
    if job is None:
        raise _unreadable(
            job_id, TooLarge(len(member)) if is_too_large(member) else "its member is not a JSON object"
        )
    return job


def priority_of(record: Mapping[str, Any], job_id: str) -> int:
    """The job's priority. Raises ChangeRefused if it is not a number. Source: `enqueue` in
    asyncmq.backends.redis."""
    priority = record.get("priority", 5)
    try:
        return int(5 if priority is None else priority)
    except (TypeError, ValueError, OverflowError) as exc:
        raise _unreadable(job_id, "its priority is not a number") from exc


def _stored(location: Location) -> Mapping[str, Any]:
    if location.record is not None:
        return whole_record(location)
    for place in ("waiting", "delayed"):
        for member in location.members[place]:
            # A member that is only an id contains no job.
            if member.lstrip()[:1] == b"{":
                return member_of(member, location.id)
    raise _unreadable(location.id, "it has no record")


def _unreadable(job_id: str, why: str | CorruptData) -> ChangeRefused:
    if isinstance(why, TooLarge):
        return ChangeRefused(
            "job_too_large",
            f"job {job_id!r} is {why}",
            cause="decoding",
        )
    return ChangeRefused("job_unreadable", f"job {job_id!r} cannot be read: {why}")
