"""The memory that a text can take is estimated before it is decoded."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import pytest

from asyncmq_cli.storage.schema.bounds import LIMITS, decodes_within
from asyncmq_cli.storage.schema.codec import TooLarge, large_outline, loads, member_ids

MB = 1024 * 1024
COUNT = 60_000

DENSE: dict[str, Any] = {
    "empty lists": "[" + ",".join(["[]"] * COUNT) + "]",
    "empty objects": "[" + ",".join(["{}"] * COUNT) + "]",
    "objects of one": "[" + ",".join(f'{{"{n}":[]}}' for n in range(COUNT)) + "]",
    "lists of one": "[" + ",".join(["[1]"] * COUNT) + "]",
    "numbers": "[" + ",".join(map(str, range(1000, 1000 + COUNT))) + "]",
    "floats": "[" + ",".join(f"{n}.5" for n in range(COUNT)) + "]",
    "strings": json.dumps([str(n) for n in range(COUNT)]),
    "one object": json.dumps({str(n): n for n in range(COUNT)}),
    "one string": json.dumps("x" * 1_000_000),
    "a wide string": json.dumps("x" * 1_000_000 + "\U0001f600"),
    "wide as it is": json.dumps("x" * 1_000_000 + "\U0001f600", ensure_ascii=False),
    "text beyond ASCII": json.dumps("ß" * 1_000_000),
    "text beyond ASCII as it is": json.dumps("ß" * 1_000_000, ensure_ascii=False),
    "backslashes before a u": json.dumps("\\u" * 300_000 + "\U0001f600"),
    "quotes and backslashes": json.dumps(['\\"' * 5 + ",[{:"] * COUNT),
}


def taken(text: bytes) -> int:
    tracemalloc.start()
    value = loads(text)
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert value is not None
    return size


@pytest.mark.extended(first=6)
@pytest.mark.parametrize("kind", DENSE)
def test_no_value_takes_more_memory_than_was_said(kind: str) -> None:
    text = DENSE[kind].encode()
    size = taken(text)
    assert not decodes_within(text, size - 1)
    # Nor is much refused that would have fitted.
    assert decodes_within(text, 5 * size)


def test_json_within_a_string_is_text() -> None:
    inner = json.dumps([{"a": n} for n in range(COUNT)])
    text = json.dumps({"args": [inner]}).encode()
    assert decodes_within(text, 2 * len(text))


@pytest.mark.parametrize("text", [b"[" * MB, b'"' * MB, b'{"a":' * MB, b"\\" * MB, b"[" * MB + b"]" * MB])
def test_text_that_is_no_json_is_weighed_too(text: bytes) -> None:
    assert not decodes_within(text, MB // 2)
    with pytest.raises(ValueError):
        loads(text)


def test_a_job_that_is_too_large_is_refused_but_keeps_its_id(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LIMITS, "text", MB)
    text = json.dumps({"args": [[]] * 400_000, "id": "a", "task": "app.send"}).encode()
    with pytest.raises(TooLarge, match=r"too large to be shown \(1,600,0"):
        loads(text)
    assert member_ids([text]) == [b"a"]
    assert large_outline(text) == {"id": "a", "task": "app.send"}
    assert large_outline(b"[" * 2 * MB) == {}
