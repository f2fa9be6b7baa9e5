"""Decode what AsyncMQ or an application has stored, and encode what we store. No other module does this.

`loads` returns exactly what Python's `json.loads` returns. `dumps` is `json.dumps` with its defaults, as in
AsyncMQ: only Python's encoder accepts everything that applications store (NaN, integers above 64 bits, lone
surrogates).
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, TypedDict

import orjson

from asyncmq_cli.models.values import as_number
from asyncmq_cli.storage.schema.bounds import LIMITS, WEIGHED_FROM, decodes_within, weight
from asyncmq_cli.storage.schema.keys import to_bytes

# Source: asyncmq.stores.redis_store.
SPLIT_AT_BYTES = 64 * 1024
PAYLOAD_FIELDS = ("args", "kwargs")
COMPRESSED_PREFIX = b"asyncmq:zlib-json:v1:"

# orjson decodes an integer above 64 bits as a float, and accepts deeper nesting than Python's encoder. To
# find long runs of digits, map every digit to zero first: this is many times as fast as a regular expression.
_LONG_NUMBER = b"0" * 19
_DIGITS_TO_ZERO = bytes(0x30 if 0x30 <= byte <= 0x39 else 0x78 for byte in range(256))
_MANY_LEVELS = 500
_MOST_DIGITS = 4300
"""Python refuses integers with more digits."""


class _Named(TypedDict):
    id: str


class _Large(TypedDict, total=False):
    id: str
    task: str | None


class Outline(TypedDict, total=False):
    """The keys of a record that determine the job's state and age."""

    status: Any
    depends_on: Any
    created_at: Any
    timestamp: Any


class _Times(TypedDict, total=False):
    """The times that jobs are sorted by. The first one that is set counts."""

    run_at: Any
    created_at: Any
    timestamp: Any


class _Cause(TypedDict, total=False):
    """The job's id, its task and the cause of its death, with all keys that applications and old versions
    use."""

    id: str
    task_id: Any
    task: Any
    name: Any
    error_traceback: Any
    traceback: Any
    stacktrace: Any
    stack: Any
    last_error: Any
    error: Any
    exception: Any


class _Arguments(TypedDict, total=False):
    args: Any
    kwargs: Any


class _CauseAndArguments(_Cause, _Arguments, total=False):
    pass


class CorruptData(ValueError):
    """Stored data cannot be decoded. The message says why, and never quotes the data."""


class TooLarge(CorruptData):
    """The decoded data would exceed our memory limit. A worker, which has no limit, may be able to read
    it."""

    def __init__(self, size: int, unpacked: str = "") -> None:
        super().__init__(
            f"too large to be shown ({size:,} bytes{unpacked}; ASYNCMQ_MAX_PAYLOAD is {LIMITS.text:,})"
        )


def loads(raw: bytes) -> Any:
    """Decode JSON text. Raises CorruptData, and TooLarge above the memory limit."""
    return loads_strictly(raw)[0]


def loads_strictly(raw: bytes) -> tuple[Any, bool]:
    """The decoded JSON text, and whether the text is strictly valid JSON. Raises CorruptData and TooLarge."""
    if is_too_large(raw):
        raise TooLarge(len(raw))
    if _is_shallow(raw) and _LONG_NUMBER not in raw.translate(_DIGITS_TO_ZERO):
        try:
            return orjson.loads(raw), True
        except orjson.JSONDecodeError:
            pass
    try:
        return json.loads(raw.decode("utf-8")), False
    except UnicodeDecodeError as exc:
        raise CorruptData(f"not UTF-8 ({len(raw)} bytes, byte {exc.start})") from exc
    except json.JSONDecodeError as exc:
        raise CorruptData(f"not JSON ({len(raw)} bytes: {exc.msg} at character {exc.pos})") from exc
    except ValueError as exc:
        raise CorruptData(f"not readable as JSON ({len(raw)} bytes)") from exc
    except RecursionError as exc:
        raise CorruptData(f"nested too deeply ({len(raw)} bytes)") from exc


def _is_shallow(raw: bytes) -> bool:
    # Each level takes at least two bytes.
    return len(raw) < 2 * _MANY_LEVELS or raw.count(b"]") + raw.count(b"}") < _MANY_LEVELS


@cache
def _skimmer(members: Any) -> Callable[[Sequence[bytes]], list[Any]]:
    """A function that decodes only these keys of JSON objects, in a quarter of the time of `loads`. For a
    text that is not an object, or for which the result might differ from `loads`, it returns None."""
    from msgspec import DecodeError
    from msgspec.json import Decoder

    decode = Decoder(members).decode

    def skim(texts: Sequence[bytes]) -> list[Any]:
        found: list[Any] = []
        for text in texts:
            skimmed = None
            # msgspec does not check the UTF-8 of values that it skips.
            if len(text) <= _MOST_DIGITS and text.isascii() and _is_shallow(text):
                try:
                    skimmed = decode(text)
                except (DecodeError, RecursionError):
                    # `_is_shallow` counts only closing brackets, so the nesting can still be too deep.
                    skimmed = None
            found.append(skimmed)
        return found

    return skim


def dumps(value: Any) -> str:
    """Encode as AsyncMQ does: JSON in ASCII, with Python's extensions such as NaN."""
    return json.dumps(value)


def decode_record(record: bytes) -> dict[str, Any]:
    """Decode a job's record, without the payload part of a split job. Raises CorruptData."""
    return decode_strict_record(record)[0]


def decode_strict_record(record: bytes) -> tuple[dict[str, Any], bool]:
    """The decoded record, and whether its text is strictly valid JSON. Raises CorruptData."""
    data, is_strict = loads_strictly(record)
    if not isinstance(data, dict):
        raise CorruptData(f"not a JSON object ({len(record)} bytes)")
    return data, is_strict


def is_rabbitmq_note(record: Any) -> bool:
    """Whether it is metadata of AsyncMQ's RabbitMQ backend: `{"id", "payload", "status"}`, or `{"id",
    "job_def", "next_run", …}`."""
    if not isinstance(record, Mapping) or "task" in record or "status" not in record:
        return False
    return isinstance(record.get("payload"), dict) or ("job_def" in record and "next_run" in record)


def of_rabbitmq(record: Any) -> Any:
    """The record as the Redis backend would have written it: the RabbitMQ backend stores the job under
    `payload`."""
    if isinstance(record, dict) and is_rabbitmq_note(record) and isinstance(record.get("payload"), dict):
        return {**record["payload"], **{name: value for name, value in record.items() if name != "payload"}}
    return record


def with_members(text: bytes, changed: Mapping[str, tuple[Any, bytes]]) -> bytes | None:
    """The text of a JSON object with new values for some keys; the rest stays byte for byte. None if their
    positions cannot be determined. `changed` maps each key to its old value (a text or None) and the JSON of
    the new value."""
    if b"\\u" in text:
        # A key may be written with escapes.
        return None
    for name, (before, after) in changed.items():
        if before is not None and not isinstance(before, str):
            return None
        start = b'"%b": ' % name.encode()
        # If the key occurs only once in the text, this is the key's own position.
        rest = text.split(start + orjson.dumps(before), 1)
        if len(rest) != 2 or text.count(start[:-2]) != 1:
            return None
        text = rest[0] + start + after + rest[1]
    return text


def outlines(records: Sequence[bytes]) -> list[Outline | None]:
    """The outline of each record, or the whole record; None if it cannot be decoded."""
    # An empty outline may come from an empty record, so decode it.
    pairs = zip(_skimmer(Outline)(records), records, strict=True)
    return [found or _readable(record) for found, record in pairs]


def sort_times(texts: Sequence[bytes | None]) -> list[float | None]:
    """The sort time of each job, 0.0 if it has none; None if the text is not a job."""
    return [
        None if not text else _sort_time(found or _readable(text))
        for text, found in zip(texts, _skimmer(_Times)([text or b"" for text in texts]), strict=True)
    ]


def _sort_time(job: Any) -> float | None:
    if not job:
        return None
    value = job.get("run_at") or job.get("created_at") or job.get("timestamp") or 0
    return value if type(value) is float and math.isfinite(value) else as_number(value) or 0.0


def causes(members: Sequence[bytes], *, arguments: bool = False) -> list[Mapping[str, Any] | None]:
    """The keys of _Cause of each dead letter, with its arguments if `arguments` is set; None if it must be
    decoded in full."""
    skim = _skimmer(_CauseAndArguments if arguments else _Cause)
    return [found if found and "id" in found else None for found in skim(members)]


def whole_arguments(texts: Sequence[bytes]) -> list[bool]:
    """For each record, whether it certainly contains its arguments, so that it has no payload part."""
    return [found is not None and len(found) == len(PAYLOAD_FIELDS) for found in _skimmer(_Arguments)(texts)]


def _readable(record: bytes) -> Any:
    try:
        return decode_record(record)
    except CorruptData:
        return None


def with_payload(data: Mapping[str, Any], payload: bytes) -> dict[str, Any]:
    """The record of a split job, with the arguments from its payload part. Raises CorruptData."""
    found = payload_fields(payload)
    return {**data, **(found[0] if found else {})}


def payload_fields(payload: bytes, most: int | None = None) -> tuple[dict[str, Any], int] | None:
    """The arguments of a split job, and their estimated size in memory in bytes; None if they exceed `most`.
    If `most` is None, the size is not computed and is 0. Raises CorruptData."""
    text = _inflate(payload)
    size = 0
    if most is not None:
        found = weight(text, min(most, LIMITS.decoded))
        if found is None and not is_too_large(text):
            return None
        size = found or 0
    fields = loads(text)
    if not isinstance(fields, dict):
        raise CorruptData(f"its payload part is not a JSON object ({len(payload)} bytes)")
    return fields, size


def encode_record(data: Mapping[str, Any]) -> tuple[str, str | None]:
    """The text of the record, and that of the payload part, or None if the job is not split.

    Source: `RedisJobStore.encode_for_storage` in asyncmq.stores.redis_store.
    """
    whole = dumps(data)
    fields = {name: data[name] for name in PAYLOAD_FIELDS if name in data}
    # The text is ASCII, so its length is its size in bytes.
    if len(whole) < SPLIT_AT_BYTES or not fields:
        return whole, None
    metadata = {name: value for name, value in data.items() if name not in PAYLOAD_FIELDS}
    return dumps(metadata), _deflate(dumps(fields))


def decode_member(member: bytes) -> dict[str, Any] | None:
    """The job in a member of a sorted set, or None if the member is only a job id.

    JSON that is not an object is also an id: `123` is a valid id.
    """
    found = decode_strict_member(member)
    return None if found is None else found[0]


def decode_strict_member(member: bytes) -> tuple[dict[str, Any], bool] | None:
    """The job in a member, or None, and whether the text is strictly valid JSON."""
    if member.lstrip()[:1] != b"{":
        return None
    try:
        return decode_strict_record(member)
    except CorruptData:
        return None


def is_too_large(text: bytes) -> bool:
    """Whether `loads` would raise TooLarge."""
    size = len(text)
    return size > LIMITS.text or (size >= WEIGHED_FROM and not decodes_within(text, LIMITS.decoded))


def large_outline(text: bytes) -> dict[str, str | None]:
    """The id and task of a job that is too large to be decoded; empty if they cannot be read. Other keys are
    skipped without being decoded."""
    from msgspec import DecodeError
    from msgspec.json import Decoder

    try:
        return {**Decoder(_Large).decode(text)}  # type: ignore[dict-item]
    except (DecodeError, RecursionError):
        return {}


def named_member(member: bytes) -> Mapping[str, Any] | None:
    """The same as `decode_member`, but if the job is too large, only its id and task."""
    return large_outline(member) if is_too_large(member) else decode_member(member)


def member_ids(members: Sequence[bytes]) -> list[bytes]:
    """The ids of the jobs in these members of a sorted set, as bytes for key names; b"" for a member that
    contains no job, or a job without an id."""
    pairs = zip(_skimmer(_Named)(members), members, strict=True)
    return [named["id"].encode() if named else _id_of(named_member(member)) for named, member in pairs]


def member_id(member: bytes) -> bytes:
    """The same as `member_ids`, for one member."""
    return member_ids([member])[0]


def _id_of(job: Mapping[str, Any] | None) -> bytes:
    job_id = None if job is None else job.get("id")
    return b"" if job_id is None else to_bytes(str(job_id))


def _deflate(text: str) -> str:
    packed = COMPRESSED_PREFIX.decode() + base64.b64encode(zlib.compress(text.encode())).decode()
    return packed if len(packed) < len(text) else text


def _inflate(payload: bytes) -> bytes:
    if not payload.startswith(COMPRESSED_PREFIX):
        return payload
    try:
        packed = base64.b64decode(payload[len(COMPRESSED_PREFIX) :], validate=True)
        inflater = zlib.decompressobj()
        text = inflater.decompress(packed, LIMITS.text + 1)
    except (binascii.Error, zlib.error) as exc:
        raise CorruptData(f"its compressed payload part is damaged ({len(payload)} bytes)") from exc
    if len(text) > LIMITS.text:
        raise TooLarge(len(payload), ", and unpacked still more")
    if not inflater.eof:
        raise CorruptData(f"its compressed payload part is cut off ({len(payload)} bytes)")
    return text
