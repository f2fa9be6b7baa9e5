from __future__ import annotations

import json
import math
from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import jq
import orjson
import pytest
from hypothesis import example, given

from asyncmq_cli.output.json.text import MAX_DEPTH, TOO_DEEP, encode
from tests.support.strategies import JSON_VALUES, same


def refuse(constant: str) -> Any:
    raise AssertionError(f"{constant} is no JSON")


def strictly(document: bytes) -> Any:
    return json.loads(document.decode("utf-8"), parse_constant=refuse)


def as_written(value: Any) -> Any:
    """The value with strings in place of values that a strict reader refuses."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, str):
        return whole(value)
    if isinstance(value, dict):
        return {whole(key): as_written(inner) for key, inner in value.items()}
    return [as_written(inner) for inner in value] if isinstance(value, list) else value


def whole(text: str) -> str:
    """The text with a byte that was not UTF-8 as `\xff`, and any other lone surrogate as `\ud83d`."""
    return "".join(
        c
        if not "\ud800" <= c <= "\udfff"
        else f"\\x{ord(c) - 0xDC00:02x}"
        if "\udc80" <= c <= "\udcff"
        else f"\\u{ord(c):04x}"
        for c in text
    )


def nested(depth: int) -> Any:
    value: Any = "core"
    for level in range(depth):
        value = [value] if level % 2 else {"in": value}
    return value


@given(JSON_VALUES)
@example([math.nan, math.inf, -math.inf])
@example({"\ud800": [2**70, -(2**70), 2**64, "\udcff", "\u2028"]})
@example([1e16, 5e-324, 1.7976931348623157e308, -0.0, 0.1 + 0.2])
@example(nested(MAX_DEPTH - 1))
@example(nested(MAX_DEPTH))
def test_any_value_is_one_line_of_strict_json_that_reads_back_equal(value: Any) -> None:
    document = encode(value)
    assert same(strictly(document), as_written(value))
    assert len(document.decode().splitlines()) == 1


HOSTILE: tuple[Any, ...] = (
    "cut in the middle of an emoji \ud83d",
    {"\udcff": ["\udcff", "\\xff"], "\\xff": 1},
    [2**64, -(2**63) - 1, 10**308, 10**309, -(10**4000)],
    [math.nan, math.inf, -math.inf, 1.7976931348623157e308],
    {"a\ud800": {"a\ud800": 2**70}},
    "\u2028\u2029\x00\x7f\x85\ufeff\ufffe\U000e0041",
    nested(MAX_DEPTH - 1),
    nested(10_000),
)


@given(JSON_VALUES)
@example(HOSTILE[:-2])
def test_every_strict_reader_takes_any_value(value: Any) -> None:
    document = encode({"value": value})
    assert orjson.loads(document) is not None
    assert json.loads(document, parse_constant=refuse) is not None
    assert jq.compile(".value | tojson").input_text(document.decode()).first() is not None


@pytest.mark.parametrize("value", HOSTILE)
def test_jq_reads_what_we_write_and_what_comes_behind_it(value: Any) -> None:
    lines = b"\n".join((encode({"id": 1, "value": value}), encode({"id": 2}))).decode()
    assert jq.compile(".id").input_text(lines).all() == [1, 2]


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("a\ud83d", '"a\\\\ud83d"'),
        ("a\udcff", '"a\\\\xff"'),
        (2**64, "18446744073709551616"),
        (-(10**309), '"-1' + "0" * 309 + '"'),
        ({"\udcff": 1, "\\xff": 2}, '{"\\\\\\\\xff":1,"\\\\xff":2}'),
        ({"\\xff": 2, "\udcff": 1}, '{"\\\\xff":2,"\\\\\\\\xff":1}'),
        ("a\u200bb\U000e0041", '"a\\u200bb\\udb40\\udc41"'),
    ],
)
def test_what_readers_refuse_is_a_text_and_all_else_is_itself(value: Any, written: str) -> None:
    assert encode(value) == written.encode()


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 400, 100_000])
def test_only_values_nested_too_deeply_are_left_out(depth: int) -> None:
    shown = strictly(encode({"id": "1", "payload": nested(depth), "also": [2**70]}))
    assert (shown["id"], shown["also"]) == ("1", [2**70])
    assert TOO_DEEP in json.dumps(shown["payload"]) and "core" not in json.dumps(shown["payload"])


def test_a_tuple_is_an_array_and_a_key_keeps_its_place() -> None:
    assert encode({"b": (1, 2), "a": None}) == b'{"b":[1,2],"a":null}'


@given(JSON_VALUES)
def test_what_needs_no_copy_is_printed_as_its_copy_would_be(value: Any) -> None:
    assert encode(value) == encode(MappingProxyType({"in": value})).removeprefix(b'{"in":')[:-1]


@pytest.mark.parametrize("depth", [MAX_DEPTH - 1, MAX_DEPTH, MAX_DEPTH + 1])
@pytest.mark.parametrize("wrap", [lambda inner: [inner], lambda inner: {"in": inner}])
def test_without_a_copy_the_same_is_too_deep(depth: int, wrap: Callable[[Any], Any]) -> None:
    value: Any = 1.5
    for _ in range(depth):
        value = wrap(value)
    too_deep = TOO_DEEP.encode() in encode(value)
    assert too_deep is (depth > MAX_DEPTH)
