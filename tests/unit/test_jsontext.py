from __future__ import annotations

import json
import math
from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import example, given

from asyncmq_cli.output.jsontext import MAX_DEPTH, TOO_DEEP, encode
from tests.unit.strategies import JSON_VALUES, same


def refuse(constant: str) -> Any:
    raise AssertionError(f"{constant} is no JSON")


def strictly(document: bytes) -> Any:
    return json.loads(document.decode("utf-8"), parse_constant=refuse)


def as_written(value: Any) -> Any:
    """The value with NaN and the infinities as the strings that stand for them."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {key: as_written(inner) for key, inner in value.items()}
    return [as_written(inner) for inner in value] if isinstance(value, list) else value


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


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 400, 100_000])
def test_only_what_is_nested_too_deeply_is_left_out(depth: int) -> None:
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
