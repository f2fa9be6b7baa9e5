"""What is cut on a terminal, and the note in its place."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given

from asyncmq_cli.output.text.cutting import MOST_ELEMENTS, MOST_LINES, cut_text, value_lines
from asyncmq_cli.output.text.escape import escape
from tests.support.strategies import JSON_VALUES


def test_a_long_text_says_how_much_is_left_out() -> None:
    assert cut_text("x" * 1000) == "x" * 1000
    assert cut_text("x" * 1001) == "x" * 1000 + "… 1 more character, --full shows them"
    assert cut_text("x" * 2_000_000).endswith("x… 1,999,000 more characters, --full shows them")


def test_a_long_text_in_a_value_is_cut_outside_of_its_quotes() -> None:
    (line,) = value_lines("x" * 3000, full=False)
    assert line == f'"{"x" * 1000}"… 2,000 more characters, --full shows them'
    assert list(value_lines("x" * 3000, full=True)) == [f'"{"x" * 3000}"']


@pytest.mark.parametrize("value", [list(range(80)), {str(number): number for number in range(80)}])
def test_of_a_long_collection_the_first_elements_are_shown(value: Any) -> None:
    lines = list(value_lines(value, full=False))
    assert len(lines) == MOST_ELEMENTS + 3
    assert lines[-2] == "  … 30 more elements, --full shows them"
    assert len(list(value_lines(value, full=True))) == 82


@pytest.mark.parametrize(
    "value",
    [
        [[[[[0] * 60] * 60] * 60] * 60],
        {str(number): {"a": [1, {"b": [2] * 50}] * 10} for number in range(1000)},
        [[number] * 40 for number in range(50)],
    ],
)
def test_a_value_of_any_shape_takes_few_lines(value: Any) -> None:
    lines = list(value_lines(value, full=False))
    # What was opened is closed, and each says what it leaves out.
    assert len(lines) < MOST_LINES + 20
    assert any("more elements, --full shows them" in line for line in lines)


@given(JSON_VALUES)
def test_a_value_that_is_not_cut_is_its_json(value: Any) -> None:
    plain = json.dumps(value, indent=2, ensure_ascii=False)
    assert list(value_lines(value, full=True)) == [escape(line) for line in plain.split("\n")]


def test_no_depth_is_too_much() -> None:
    value: Any = "core"
    for _ in range(100_000):
        value = [value]
    assert "nested too deeply" in "\n".join(value_lines(value, full=True))
