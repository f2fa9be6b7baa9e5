from __future__ import annotations

import io
import json
import sys
from typing import Any

import pytest

from asyncmq_cli.output.printer import Printer


class _Counting(io.RawIOBase):
    """A file that records each write."""

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.written.append(bytes(data))
        return len(data)


def test_documents_are_written_in_large_pieces_and_in_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    raw = _Counting()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BufferedWriter(raw), encoding="utf-8"))
    out = Printer("jsonl", color="never")
    out.line("first")
    out.documents({"number": number} for number in range(200))
    out.flush()
    first, *lines = b"".join(raw.written).decode().splitlines()
    assert (first, [json.loads(line)["number"] for line in lines]) == ("first", list(range(200)))
    assert len(raw.written) < 5


def test_a_table_is_drawn_with_any_values_of_columns_and_lines(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("COLUMNS", "LINES"):
        monkeypatch.setenv(name, "\N{SUPERSCRIPT TWO}")
    out = Printer("table", color="never")
    assert (out.drawn("text"), out.line_width) == (["text"], None)
