"""The oracle is AsyncMQ's own store, which encodes and decodes without a connection."""

from __future__ import annotations

import base64
import json
import random
import zlib
from typing import Any

import pytest
from asyncmq.stores.redis_store import RedisJobStore
from hypothesis import example, given
from hypothesis import strategies as st

from asyncmq_cli.storage.schema import codec
from asyncmq_cli.storage.schema.bounds import LIMITS
from asyncmq_cli.storage.schema.codec import (
    COMPRESSED_PREFIX,
    SPLIT_AT_BYTES,
    CorruptData,
    TooLarge,
    decode_record,
    encode_record,
    with_payload,
)
from tests.support.strategies import ANY_TEXT, JSON_VALUES, same

STORE = RedisJobStore(redis_client=object())  # type: ignore[arg-type]
PRINTABLE = [chr(code) for code in range(0x20, 0x7F)]


def noise(size: int) -> str:
    """Text that zlib and base64 do not make smaller."""
    return "".join(random.Random(size).choices(PRINTABLE, k=size))


SIZES = st.integers(SPLIT_AT_BYTES - 300, SPLIT_AT_BYTES + 300)
FILLINGS = st.just("") | SIZES.map(lambda size: "x" * size) | SIZES.map(noise)
JOBS = st.builds(
    lambda known, extra, large: {**extra, **known, **large},
    st.fixed_dictionaries(
        {"id": ANY_TEXT, "status": st.just("failed"), "priority": st.integers() | st.floats()},
        optional={
            "args": st.lists(JSON_VALUES, max_size=3),
            "depends_on": st.just([]),
            "result": JSON_VALUES,
        },
    ),
    st.dictionaries(ANY_TEXT, JSON_VALUES, max_size=3),
    st.dictionaries(st.sampled_from(["args", "kwargs", "notes"]), FILLINGS, max_size=2),
)


def job_of_size(size: int, field: str) -> dict[str, Any]:
    empty = len(codec.dumps({"id": "1", field: ""}))
    return {"id": "1", field: "x" * (size - empty)}


@given(JOBS)
@example(job_of_size(SPLIT_AT_BYTES - 1, "args"))
@example(job_of_size(SPLIT_AT_BYTES, "args"))
@example(job_of_size(SPLIT_AT_BYTES, "kwargs"))
@example(job_of_size(SPLIT_AT_BYTES, "notes"))
@example({"id": "1", "args": noise(SPLIT_AT_BYTES)})
def test_a_record_is_written_as_asyncmq_writes_it_and_both_read_it(job: dict[str, Any]) -> None:
    record, payload = encode_record(job)
    assert (record, payload) == STORE.encode_for_storage(job)
    read = decode_record(record.encode())
    ours = read if payload is None else with_payload(read, payload.encode())
    # A split job comes back with its payload fields last.
    assert same(ours, STORE.decode_from_storage(record, payload))
    assert ours.keys() == job.keys() and all(same(ours[key], job[key]) for key in job)


@pytest.mark.parametrize(
    ("job", "is_split", "is_compressed"),
    [
        (job_of_size(SPLIT_AT_BYTES - 1, "args"), False, False),
        (job_of_size(SPLIT_AT_BYTES, "args"), True, True),
        ({"id": "1", "args": noise(SPLIT_AT_BYTES)}, True, False),
        (job_of_size(SPLIT_AT_BYTES, "notes"), False, False),
    ],
)
def test_a_payload_is_split_off_and_compressed_only_where_that_pays(
    job: dict[str, Any], is_split: bool, is_compressed: bool
) -> None:
    _, payload = encode_record(job)
    assert (payload is not None) is is_split
    assert (payload or "").startswith(COMPRESSED_PREFIX.decode()) is is_compressed


def packed(text: str) -> bytes:
    return COMPRESSED_PREFIX + base64.b64encode(zlib.compress(text.encode()))


def test_a_payload_cut_off_anywhere_is_corrupt() -> None:
    payload = packed('{"args": [1, 2, 3], "kwargs": {"to": "ada@example.org"}}')
    assert with_payload({"id": "1"}, payload)["args"] == [1, 2, 3]
    for end in range(len(payload)):
        with pytest.raises(CorruptData):
            with_payload({"id": "1"}, payload[:end])


@pytest.mark.parametrize(
    "payload",
    [
        COMPRESSED_PREFIX,
        COMPRESSED_PREFIX + b"not base64!",
        COMPRESSED_PREFIX + "Größe".encode(),
        COMPRESSED_PREFIX + base64.b64encode(b"not zlib"),
        packed('{"args": []}').replace(b":v1:e", b":v1:e!"),
        packed("[1]"),
        packed('{"args": '),
        b"null",
        b'[{"args": []}]',
        b"",
    ],
)
def test_a_damaged_payload_is_corrupt(payload: bytes) -> None:
    with pytest.raises(CorruptData):
        with_payload({"id": "1"}, payload)


@given(st.binary(max_size=60), st.integers(0, 80))
def test_a_payload_with_changed_bytes_is_read_or_corrupt_but_never_a_crash(put: bytes, at: int) -> None:
    payload = packed('{"args": [1, 2, 3], "kwargs": {}}')
    changed = payload[: len(COMPRESSED_PREFIX) + at] + put + payload[len(COMPRESSED_PREFIX) + at + 1 :]
    try:
        assert with_payload({"id": "1"}, changed)["id"] == "1"
    except CorruptData as exc:
        assert str(exc)


def test_a_payload_may_inflate_to_the_limit_and_no_further(monkeypatch: pytest.MonkeyPatch) -> None:
    text = codec.dumps({"args": "x" * 5000})
    monkeypatch.setattr(LIMITS, "text", len(text))
    assert with_payload({}, packed(text)) == {"args": "x" * 5000}
    monkeypatch.setattr(LIMITS, "text", len(text) - 1)
    with pytest.raises(TooLarge, match="unpacked still more"):
        with_payload({}, packed(text))


def test_a_bomb_is_refused_before_it_fills_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    import tracemalloc

    bomb = packed('{"args": "' + "x" * 50_000_000 + '"}')
    monkeypatch.setattr(LIMITS, "text", 1_000_000)
    tracemalloc.start()
    with pytest.raises(TooLarge, match="unpacked still more"):
        with_payload({}, bomb)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5_000_000


@pytest.mark.parametrize(
    ("text", "before", "expected"),
    [
        (b'{"id": "a", "status": "waiting"}', "waiting", b'{"id": "a", "status": "done"}'),
        (b'{"status": null, "id": "a"}', None, b'{"status": "done", "id": "a"}'),
        (b'{"status": "waiting", "notes": "\\"status\\": \\"waiting\\""}', "waiting", ...),
        # It is unknown which of the two is the member, and a different spelling is not recognised.
        (b'{"status": "waiting", "kwargs": {"status": "waiting"}}', "waiting", None),
        (b'{"args": ["status"], "status": "waiting"}', "waiting", None),
        (b'{"st\\u0061tus": "waiting", "kwargs": {"status": "waiting"}}', "waiting", None),
        (b'{"status":"waiting"}', "waiting", None),
        (b'{"status": 10}', 1, None),
        (b'{"id": "a"}', None, None),
    ],
)
def test_a_member_gets_another_value_in_the_text(text: bytes, before: Any, expected: Any) -> None:
    if expected is ...:
        expected = text.replace(b'"waiting"', b'"done"', 1)
    assert codec.with_members(text, {"status": (before, b'"done"')}) == expected


NAMES = st.sampled_from(["status", "result", "sta", '"status"', "status\\", "x"])
NESTED = st.recursive(
    NAMES | st.none() | st.booleans() | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(NAMES, NESTED, max_size=4), st.booleans())
def test_no_other_member_changes_in_the_text(record: dict[str, Any], is_compact: bool) -> None:
    text = json.dumps(record, separators=(",", ":") if is_compact else None).encode()
    if "status" in record:
        changed = codec.with_members(text, {"status": (record["status"], b"[7]")})
        assert changed is None or list(json.loads(changed).items()) == list({**record, "status": [7]}.items())
