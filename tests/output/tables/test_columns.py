"""A single document in a pipe: each value is on its own line, which nothing in it can end early."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from asyncmq_cli.output.tables.columns import pairs

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


def reported(**document: Any) -> dict[str, str]:
    return dict(pairs(document))


@given(anything, st.sampled_from(["payload", "result", "priority", "created_at", "run_at", "task_id", "id"]))
def test_a_description_of_any_data_is_one_line_with_one_tab(value: Any, name: str) -> None:
    line = "\t".join(*pairs({name: value}))
    assert line.startswith(f"{name}\t") and line.count("\t") == 1 and len(line.splitlines()) == 1


@given(st.dictionaries(st.text(), st.text()) | st.text() | st.lists(st.integers(0, 9)))
def test_what_was_stored_is_json_that_reads_back(value: Any) -> None:
    assert json.loads(reported(payload=value)["payload"]) == value


def test_times_are_dates_and_numbers_have_no_separators() -> None:
    assert reported(created_at=1e9, delay_until=None, run_at="soon", waiting=1234567, paused=True) == {
        "created_at": "2001-09-09T01:46:40.000000+00:00",
        "delay_until": "",
        "run_at": "soon",
        "waiting": "1234567",
        "paused": "true",
    }


def test_our_own_objects_have_a_line_for_each_member() -> None:
    assert reported(
        error={"type": "ValueError", "chain": [1], "traceback": "a\n\tb"}, counts={"waiting": 1}
    ) == {
        "error.type": "ValueError",
        "error.chain": "[1]",
        "error.traceback": "a\\n\\tb",
        "counts.waiting": "1",
    }
    assert reported(error=None, payload={"error": {"type": 1}}) == {
        "error": "",
        "payload": '{"error":{"type":1}}',
    }
