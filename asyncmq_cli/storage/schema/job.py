"""Make a `Job` from its stored parts by AsyncMQ's rules; and the location of a job.

Source: `RedisBackend._hydrate_job` and `_load_indexed_job` in asyncmq.backends.redis, and `matches_job_type`
in asyncmq.core.inspection. The arguments of a split job have their own key, the payload part. They are read
when they are used and not kept: most commands do not need them, and together the arguments of a page may
exceed the limit for one job.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from math import inf, isfinite
from typing import TYPE_CHECKING, Any, ClassVar

import redis
from msgspec import Struct, field

from asyncmq_cli.errors import WrongType
from asyncmq_cli.models.jobs import NOT_SHOWN, Job, SplitPart
from asyncmq_cli.models.values import END_OF_CALENDAR, WAITING_CHILDREN, as_number
from asyncmq_cli.storage.client.connection import run_pipeline
from asyncmq_cli.storage.client.scan import PIECE_BYTES, typed
from asyncmq_cli.storage.schema.bounds import LIMITS
from asyncmq_cli.storage.schema.codec import (
    PAYLOAD_FIELDS,
    CorruptData,
    TooLarge,
    decode_member,
    decode_strict_record,
    dumps,
    is_too_large,
    loads_strictly,
    of_rabbitmq,
    payload_fields,
    with_members,
    with_payload,
)
from asyncmq_cli.storage.schema.keys import PLACES, to_text

if TYPE_CHECKING:
    from asyncmq_cli.errors import AdminError
    from asyncmq_cli.storage.schema.job_dump import JobDump


Arguments = tuple[Mapping[str, Any], str | None, int]
"""The fields, a problem with them or None, and their approximate size in memory in bytes."""


class HeldPart:
    """A payload part that has been read already. It is decoded when it is used."""

    def __init__(self, payload: bytes) -> None:
        self._payload = payload

    def read(self, most: int | None = None) -> Arguments:
        return _decoded(self._payload, most)


class Payloads:
    """The payload parts of several jobs. Reading one also reads the following ones, up to a size limit. Only
    the instance that was used last keeps them in memory."""

    _last: ClassVar[Payloads | None] = None

    def __init__(self, client: redis.Redis, keys: Sequence[bytes]) -> None:
        self._redis = client
        self._keys = keys
        self._sizes: list[int] = []
        self._held: dict[int, bytes | None] = {}

    def part(self, position: int) -> Part:
        return Part(self, position)

    def get(self, position: int) -> bytes | None:
        """The payload part; None if it does not exist or is not a string. Raises TooLarge if it is too long
        to be read."""
        if position not in self._held:
            self._read_from(position)
        return self._held[position]

    def _read_from(self, start: int) -> None:
        if not self._sizes:
            replies = run_pipeline(self._redis, [("STRLEN", key) for key in self._keys], keep=WrongType)
            self._sizes = [reply if isinstance(reply, int) else 0 for reply in replies]
        total = self._sizes[start]
        if total > LIMITS.text:
            raise TooLarge(total)
        end = start + 1
        while end < len(self._keys) and total + self._sizes[end] <= PIECE_BYTES:
            total += self._sizes[end]
            end += 1
        if Payloads._last is not None:
            Payloads._last._held = {}
        Payloads._last = self
        found: list[bytes | None] = typed(self._keys[start], self._redis.mget, self._keys[start:end])
        self._held = dict(zip(range(start, end), found, strict=True))


class Part:
    """One payload part of a `Payloads`."""

    def __init__(self, payloads: Payloads, position: int) -> None:
        self._payloads = payloads
        self._position = position

    def read(self, most: int | None = None) -> Arguments:
        """The decoded arguments, or NOT_SHOWN instead of them if they take more than `most` bytes."""
        try:
            payload = self._payloads.get(self._position)
        except TooLarge as exc:
            return _beyond(exc)
        return ({}, None, 0) if payload is None else _decoded(payload, most)


def _decoded(payload: bytes, most: int | None) -> Arguments:
    try:
        found = payload_fields(payload, most)
    except TooLarge as exc:
        return _beyond(exc)
    except CorruptData as exc:
        return {}, f"the job is damaged: {exc}", 0
    if found is None:
        why = "the job's arguments are not shown: with those before them, they are too large for one page"
        return dict.fromkeys(PAYLOAD_FIELDS, NOT_SHOWN), why, 0
    fields, size = found
    return fields, None, size


def _beyond(problem: TooLarge) -> Arguments:
    return dict.fromkeys(PAYLOAD_FIELDS, NOT_SHOWN), f"the job's arguments are {problem}", 0


_NO_CLAIM_TIME = "the job's claim holds no time"

# The states of jobs that have not run yet. Only such jobs can wait for a parent.
PENDING_STATES = frozenset({"waiting", "delayed", "queued"})


class RawJob(Struct):
    """The stored parts of one job.

    `state` is its entry in the states hash, `record` its decoded record without the payload part, `member`
    the decoded job in a sorted set, and `score` its score there. A part that does not exist is None.
    `problem` says which part could not be read. `text` is the JSON of the record, or of the member if there
    is no record, if it is strictly valid JSON. `size` is their approximate size in memory in bytes.
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
    """Whether the record is metadata of the RabbitMQ backend."""


def add_record(raw: RawJob, record: bytes | None) -> None:
    """Set the record from its stored text, or the `problem` if it cannot be read."""
    if record is None:
        return
    raw.record_size = len(record)
    try:
        decoded, is_strict = decode_strict_record(record)
        raw.record = of_rabbitmq(decoded)
        raw.is_note = raw.record is not decoded
        if raw.record:
            raw.text = record if is_strict and not raw.is_note else None
    except TooLarge as exc:
        raw.problem = f"the job's record is {exc}"
    except CorruptData as exc:
        raw.problem = f"the job's record is damaged: {exc}"


def hydrate(queue: str, raw: RawJob, *, place: str | None = None, status: str | None = None) -> Job:
    """The job, including the state, result and claim that are stored outside its record.

    `place` is where it was found: `waiting`, `delayed`, `dlq` or `active`. `status` defaults to its
    effective state.
    """
    # An empty record counts as missing, as in AsyncMQ.
    record = raw.record if raw.record or raw.member is None else raw.member
    problem = raw.problem or ("the job has no record" if record is None else None)
    data = None if record is None else dict(record)
    text = None
    if record is not None and data is not None:
        overlaid, is_strict = _overlay(data, raw)
        problem = overlaid or problem or _beyond_calendar(data)
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
    """The state under which a job is counted and listed.

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
    """Whether the record lists parents that the job waits for."""
    depends_on = record.get("depends_on") if record is not None else None
    return isinstance(depends_on, list) and len(depends_on) > 0


def has_unreadable_arguments(record: Mapping[str, Any], payload: bytes | None) -> bool:
    """Whether a worker cannot run the job because its payload part is damaged or its arguments are missing.
    Source: `dequeue` in asyncmq.backends.redis, which reads the payload part only if the record lacks `args`
    or `kwargs`."""
    if "args" in record and "kwargs" in record:
        return False
    if payload is None:
        # AsyncMQ stores both for every job. A job of another producer may have neither, and runs without
        # arguments.
        return "args" not in record and "kwargs" not in record and "max_retries" in record
    try:
        with_payload(record, payload)
    except TooLarge:
        # It is too large for us, but a worker has no limit and may be able to run the job.
        return False
    except CorruptData:
        return True
    return False


def _overlay(data: dict[str, Any], raw: RawJob) -> tuple[str | None, bool]:
    """Insert the state, result and claim into `data`. Returns a problem with one of them or None, and whether
    the result is strictly valid JSON."""
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


def _beyond_calendar(data: Mapping[str, Any]) -> str | None:
    """The problem of a time that is beyond the calendar, such as one that another producer wrote in
    milliseconds; None if there is none."""
    for name in ("created_at", "delay_until"):
        value = data.get(name)
        seconds = as_number(value) if isinstance(value, str) else value
        if isinstance(seconds, float | int) and END_OF_CALENDAR <= seconds < inf:
            return f"its {name} is after the year 9999: {seconds:.16g} (milliseconds instead of seconds?)"
    return None


_LONGEST_TEXT = 1024 * 1024


def _overlaid_text(raw: RawJob, before: Mapping[str, Any], after: Mapping[str, Any]) -> bytes | None:
    """The text of the record `before` with the changes that `_overlay` made; None if it would have to be
    encoded again."""
    if raw.text is None or len(after) != len(before) or (raw.state == "active" and raw.claim is not None):
        return None
    if len(raw.text) > _LONGEST_TEXT:
        # The text would be in memory twice.
        return None
    changed: dict[str, tuple[Any, bytes]] = {}
    if raw.state is not None and raw.state != before.get("status"):
        changed["status"] = before.get("status"), dumps(raw.state).encode()
    if raw.result is not None:
        changed["result"] = before.get("result"), raw.result
    return with_members(raw.text, changed) if changed else raw.text


@lru_cache(maxsize=1)
def decoded(member: bytes) -> Mapping[str, Any] | None:
    """The same as `decode_member`, with a cache of one: a change decodes the same member twice, and large
    members must not accumulate."""
    return decode_member(member)


class Location(Struct):
    """Everything that was found of a job, byte for byte.

    `members` are its members of each sorted set, and `score` is the score of the last member outside the
    waiting set. `children` is the number of jobs that wait for it, if that was read. `claim` is the stored
    time at which a worker claimed it. `dump` is everything stored about it, if it was read for a backup.
    `problem` is set if the location could not be read.
    """

    queue: str
    id: str
    state: str | None = None
    record: bytes | None = None
    payload: bytes | None = None
    active: bool = False
    claim: bytes | None = None
    cancelled: bool = False
    in_ids: bool = False
    members: dict[str, list[bytes]] = field(default_factory=lambda: {place: [] for place in PLACES})
    score: float | None = None
    children: int = 0
    dump: JobDump | None = None
    problem: AdminError | None = None

    @property
    def exists(self) -> bool:
        """Whether the job exists. An id that is only in the cancelled set is not a job."""
        return (
            self.state is not None
            or self.record is not None
            or self.active
            or self.in_ids
            or any(self.members.values())
        )

    @property
    def size(self) -> int:
        """The approximate size of its parts in bytes."""
        members = sum(len(member) for found in self.members.values() for member in found)
        return len(self.record or b"") + len(self.payload or b"") + members

    @property
    def job(self) -> Job:
        """The job as AsyncMQ would load it."""
        place = next((place for place in PLACES if self.members[place]), None)
        member = decoded(self.members[place][0]) if place else None
        raw = RawJob(id=self.id, state=self.state, payload=self.payload, member=member, score=self.score)
        if member is not None and place and self.members[place][0] == self.record:
            # AsyncMQ usually writes the same text to both, so decode it once.
            raw.record, raw.record_size = member, len(self.record)
        else:
            add_record(raw, self.record)
        if member is None and place and is_too_large(self.members[place][0]):
            raw.problem = raw.problem or f"the job is {TooLarge(len(self.members[place][0]))}"
        return hydrate(self.queue, raw, place=place)

    @property
    def parents(self) -> list[str]:
        """The ids of the jobs that this job waits for; empty if its record cannot be read."""
        depends_on = self.job.get("depends_on")
        if not isinstance(depends_on, list):
            return []
        return list(dict.fromkeys(str(parent) for parent in depends_on))


def job_of(dump: JobDump) -> Job:
    """The job in a dump, as it would be loaded after a restore."""
    return Location(
        to_text(dump.queue),
        to_text(dump.id),
        state=None if dump.state is None else to_text(dump.state),
        record=dump.record,
        payload=dump.payload,
        members={place: [member for member, _ in getattr(dump, place)] for place in PLACES},
    ).job
