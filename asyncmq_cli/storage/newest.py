"""Telling from the stored bytes alone that a job is not among the newest."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncmq_cli.storage.pieces import Piece

# Every value that either name has, wherever in the record: the job's own is one of them.
_TIMES = re.compile(rb'"(?:created_at|timestamp)"\s*:\s*"?\s*([^",}\]\s]*)')
_ESCAPED_LOW = b"\\u00"
"""A name may be spelled with escapes."""


class NewestSieve:
    """Leaves out jobs that were created before `floor`, which may rise from piece to piece. Where it
    is not above 0, at which jobs without a time are put, everything passes."""

    def __init__(self) -> None:
        self.floor = 0.0

    def passing(self, piece: Piece) -> list[int]:
        """The positions of those that may be among the newest."""
        if self.floor <= 0:
            return list(range(len(piece.ids)))
        return [i for i in range(len(piece.ids)) if not piece.records or self._passes(piece.records[i])]

    def _passes(self, record: bytes | None) -> bool:
        return record is None or self._may_pass(record)

    def _may_pass(self, record: bytes) -> bool:
        if _ESCAPED_LOW in record:
            return True
        for text in _TIMES.findall(record):
            try:
                # What is not a number is not below the floor either.
                if not float(text) < self.floor:
                    return True
            except ValueError:
                if text != b"null":
                    return True
        return False
