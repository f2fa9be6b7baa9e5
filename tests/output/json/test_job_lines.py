"""A job as a line of NDJSON: its record byte for byte, unless something must be changed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from asyncmq_cli.models.jobs import Job
from asyncmq_cli.output.json.documents import dead_job, dead_job_line, job, job_line
from asyncmq_cli.output.json.text import MAX_DEPTH, encode
from asyncmq_cli.storage.schema.job import RawJob, add_record, hydrate
from tests.support.strategies import ANY_TEXT, JSON_VALUES


def stored(record: bytes, **parts: Any) -> Job:
    raw = RawJob(id="a", **parts)
    add_record(raw, record)
    return hydrate("mail", raw)


def printed(found: Job, *, show_secrets: bool = False) -> bytes:
    """The printed line. Fails if it differs from the document."""
    line = encode(job_line(found, show_secrets=show_secrets))
    assert json.loads(line) == json.loads(encode(job(found, show_secrets=show_secrets)))
    dead = encode(dead_job_line(found, show_secrets=show_secrets))
    assert json.loads(dead) == json.loads(encode(dead_job(found, show_secrets=show_secrets)))
    assert b"\n" not in line and b"\x7f" not in line
    return line


def test_a_record_is_printed_byte_for_byte() -> None:
    record = b'{"id": "a",  "args": [1.50, 1e3, "x"], "status": "failed"}'
    assert record in printed(stored(record, state="failed"))


def test_only_the_state_and_the_result_change_in_the_text() -> None:
    record = b'{"id": "a",  "args": [1.50], "status": "waiting", "result": null}'
    line = printed(stored(record, state="completed", result=b'{"sent":  1}'))
    assert b'{"id": "a",  "args": [1.50], "status": "completed", "result": {"sent":  1}}' in line


@pytest.mark.parametrize(
    "record",
    [
        b'{"id": "a", "kwargs": {"password": "hunter2"}}',
        b'{"id": "a", "kwargs": {"p\\u0061ssword": "hunter2"}}',
        b'{"id": "a", "kwargs": {"url": "redis://u:hunter2@host"}}',
    ],
)
def test_a_record_with_a_secret_is_not(record: bytes) -> None:
    assert b"hunter2" not in printed(stored(record))
    assert b"hunter2" in printed(stored(record), show_secrets=True)


@pytest.mark.parametrize(
    "value",
    [
        *(b"NaN", b"1e999", b"-Infinity", b"123456789012345678901234567890", b"1" * 400),
        *(b'"\\ud800"', b'"\x7f"', b'"\\u007f"', '"\u202e"'.encode(), b"\n1", b"\t\r1"),
        b"[" * (MAX_DEPTH + 5) + b"]" * (MAX_DEPTH + 5),
    ],
)
def test_values_unsafe_for_readers_or_terminals_are_replaced_as_in_the_document(value: bytes) -> None:
    printed(stored(b'{"id": "a", "args": [' + value + b"]}"))
    printed(stored(b'{"id": "a", "result": null}', result=value))


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "status": st.sampled_from(["waiting", "completed", 7, None]),
            "result": JSON_VALUES,
            "kwargs": JSON_VALUES
            | st.dictionaries(st.sampled_from(["status", "result", "password"]), ANY_TEXT),
            "run_at": JSON_VALUES,
        },
    ),
    st.sampled_from([None, "waiting", "completed", "cancelled", "active"]),
    st.none() | JSON_VALUES,
    st.booleans(),
)
@example({"status": "waiting", "result": None}, "completed", [float("nan")], False)
def test_a_line_says_what_the_document_says(
    record: dict[str, Any], state: str | None, result: Any, show_secrets: bool
) -> None:
    held = None if result is None else json.dumps(result).encode()
    found = stored(json.dumps(record).encode(), state=state, result=held, claim=b"1.5")
    printed(found, show_secrets=show_secrets)
