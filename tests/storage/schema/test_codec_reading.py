from __future__ import annotations

import json
from typing import Any, get_type_hints

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from asyncmq_cli.storage.schema.codec import (
    CorruptData,
    Outline,
    decode_member,
    decode_record,
    dumps,
    loads,
    member_id,
    outlines,
)
from asyncmq_cli.storage.schema.keys import to_bytes
from tests.support.strategies import same

_BLANK = st.sampled_from(["", " ", "\n\t", "\r\n"])
_NUMBERS = st.from_regex(
    r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?", fullmatch=True
) | st.sampled_from(
    ["NaN", "Infinity", "-Infinity", str(2**70), str(-(2**70)), "1e-9", "1E400", "-0", "-0.0"]
)
_PIECES = (
    st.characters(min_codepoint=0x20, exclude_categories=["Cs"], exclude_characters='"\\')
    | st.from_regex(r"\\u[0-9a-fA-F]{4}", fullmatch=True)
    | st.sampled_from(["\\n", "\\/", '\\"', "\\\\", "\\ud800", "\\udfff", "\\ud83d\\ude00", "\x7f"])
)
_STRINGS = st.lists(_PIECES, max_size=8).map(lambda pieces: f'"{"".join(pieces)}"')
_KEYS = (
    st.sampled_from(['"id"', '"\\u0069d"', '"a"', '"\\u0061"', '"status"', '"depends_on"', '"created_at"'])
    | _STRINGS
)


def _containers(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    members = st.builds("{}{}:{}{}".format, _KEYS, _BLANK, _BLANK, inner)
    lists = st.lists(inner, max_size=5).map(lambda texts: f"[{','.join(texts)}]")
    objects = st.lists(members, max_size=5).map(lambda texts: f"{{{','.join(texts)}}}")
    return st.builds("{}{}{}".format, _BLANK, lists | objects, _BLANK)


JSON_TEXTS = st.recursive(
    _NUMBERS | _STRINGS | st.sampled_from(["null", "true", "false"]), _containers, max_leaves=20
)
NESTED = ["[" * depth + "]" * depth for depth in (300, 499, 500, 800)]


@given(JSON_TEXTS)
@example(NESTED[0])
@example(NESTED[1])
@example(NESTED[2])
@example(NESTED[3])
@example('{"a":1,"b":2,"a":[{"a":3,"a":4}]}')
def test_reading_agrees_with_python_in_value_and_type(text: str) -> None:
    assert same(loads(text.encode()), json.loads(text))


def _as_python_reads(raw: bytes) -> tuple[bool, Any]:
    try:
        return True, json.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError):
        return False, None


def _spoiled(text: str, start: int, length: int, put: bytes) -> bytes:
    raw = text.encode()
    start %= len(raw) + 1
    return raw[:start] + put + raw[start + length :]


_SPOILED_TEXTS = st.binary(max_size=40) | st.builds(
    _spoiled, JSON_TEXTS, st.integers(0, 200), st.integers(0, 3), st.binary(max_size=2)
)


@given(_SPOILED_TEXTS)
@example(b"")
@example(b"\xef\xbb\xbf1")
@example(b'"\xed\xa0\x80"')
@example("{}".encode("utf-16"))
@example(b'"a\tb"')
@example(b"9" * 5000)
@example(b"[" * 100_000 + b"]" * 100_000)
@example(b'{"a":' * 100_000)
def test_what_python_cannot_read_is_corrupt_and_nothing_else(raw: bytes) -> None:
    readable, expected = _as_python_reads(raw)
    if readable:
        assert same(loads(raw), expected)
    else:
        with pytest.raises(CorruptData):
            loads(raw)


_OBJECTS = st.lists(
    st.builds("{}{}:{}{}".format, _KEYS, _BLANK, _BLANK, JSON_TEXTS), min_size=1, max_size=4
).map(lambda members: f"{{{','.join(members)}}}")
_SKIMMED = _SPOILED_TEXTS | st.builds(
    _spoiled, _OBJECTS, st.integers(0, 200), st.just(0), st.binary(max_size=1)
)
_UNUSUAL = (
    *(b'{"id": "a", "id": 1}', b'{"id": 1, "id": "b"}', b'{"\\u0069d": "c"}', b'{"id": null}'),
    *(b'{"id": ""}', b'{"id": "\\ud83d\\ude00"}', b'{"id": "\\ud800"}', b'{"id": "a\x01"}', b"{}", b" { } "),
    *(b'{"id": "a\xff"}', b'{"id": "a", "x": "\xff"}', b'{"id": "a", "\xff": 1}', b'{"id": "a"} x', b"[1]"),
    *(
        b'{"id": "a", "x": "\x01"}',
        b'{"id": "a", "x": "\\q"}',
        b'{"id": "a", "x": 01}',
        b'{"id": "a", "x": 1.}',
    ),
    *(
        b'{"id": "a", "x": NaN}',
        b'{"id": "a", "x": 1e999}',
        b'{"id": "a", "x": [1,]}',
        b'{"id": "a", "x": tru}',
    ),
    *(b'\xef\xbb\xbf{"id":"a"}', b'{"created_at": 123456789012345678901234567890}', b'{"created_at": 1e400}'),
    *(b'{"status": {"a": 1e-9}}', b'{"id": "a", "x": tru}'),
    *(
        b'{"id": "a", "x": ' + text.encode() + b"}"
        for text in (*NESTED, "9" * 4400, "[" * 950, "[" * 4000, "[" * 100_000)
    ),
)


def _unusual(test: Any) -> Any:
    for text in _UNUSUAL:
        test = example(text)(test)
    return test


@given(_SKIMMED)
@_unusual
def test_a_skimmed_record_has_the_state_and_age_of_the_decoded_one(record: bytes) -> None:
    (found,) = outlines([record])
    try:
        whole = decode_record(record)
    except CorruptData:
        assert found is None
    else:
        assert found is not None
        assert bool(found) is bool(whole)
        for name in get_type_hints(Outline):
            assert same(found.get(name), whole.get(name)) and (name in found) is (name in whole)


@given(_SKIMMED)
@_unusual
def test_the_id_of_a_member_that_is_skimmed_is_that_of_the_whole(member: bytes) -> None:
    job_id = (decode_member(member) or {}).get("id")
    assert member_id(member) == (b"" if job_id is None else to_bytes(str(job_id)))


@pytest.mark.parametrize("depth", [100, 499, 900, 1000, 1020, 5000])
def test_what_can_be_read_can_be_written_back(depth: int) -> None:
    text = "[" * depth + "]" * depth
    try:
        value = loads(text.encode())
    except CorruptData:
        assert depth >= 900
    else:
        assert dumps(value) == text


@pytest.mark.parametrize("raw", [b'{"password": hunter2}', b'"hunter2', b"hunter2\xff", b"[hunter2]"])
def test_an_error_does_not_quote_the_data(raw: bytes) -> None:
    with pytest.raises(CorruptData) as caught:
        loads(raw)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("raw", [b"[]", b"null", b'"text"', b"1", b""])
def test_a_record_is_an_object(raw: bytes) -> None:
    with pytest.raises(CorruptData):
        decode_record(raw)


@pytest.mark.parametrize(
    "member",
    [b"123", b'"abc"', b"null", b"[1]", b"NaN", b'{"id": "a"', b"{", b"{id}", b"", b"\xff\xfe", b'["{}"]'],
)
def test_a_member_that_is_no_object_is_a_job_id(member: bytes) -> None:
    assert decode_member(member) is None


@pytest.mark.parametrize("member", [b'{"id": "a", "n": 1e400}', b'\n {"n":Infinity,"id":"a"}'])
def test_a_member_that_is_an_object_is_a_job(member: bytes) -> None:
    assert decode_member(member) == {"id": "a", "n": float("inf")}
