"""Find out from its stored bytes that a job does not match a search, without decoding it.

A search looks in the output of `json.dumps` for the whole job, in lower case, escaped or not. The stored text
differs from it in the order and spacing of members, in the form of numbers and escapes, and by the values
that are stored outside the record. A needle is a run of characters that cannot be part of structure, numbers
or literals, so it must be inside a string. If the stored text has only escapes that `json.dumps` would also
write, it contains that string in the same form.

A job either certainly does not match, or it passes the prefilter and is decoded.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, Protocol

import orjson

from asyncmq_cli.models.values import JOB_STATES

if TYPE_CHECKING:
    from asyncmq_cli.storage.read.pieces import Piece

# Printable ASCII characters that JSON does not escape and that are not part of its structure.
_RUN = re.compile(r"[!#-+\-.0-9;-Z^-z|~]+")
_NUMBER = re.compile(r"[0-9.+\-e]+")
_LITERALS = ("true", "false", "null", "nan", "infinity", "-infinity")
# Texts that a job's JSON may contain although its stored texts do not.
_PUT_IN = ("id", "status", "result", "active_since", "unknown", *JOB_STATES)
_SHORTEST = 3
_MOST = 0.9
_REST = 10
"""For this many pieces, the prefilter is skipped after nearly all jobs of a piece have passed."""

# An escape below U+0100 may stand for a letter that `json.dumps` does not escape.
_ESCAPED_LOW = b"\\u00"
# Non-ASCII letters whose lower case is, or starts with, an ASCII letter.
_FOLDED = {b"k": b"\\u212a", b"i": b"\\u0130"}


# All values of these two names anywhere in the record. The job's own time is among them.
_TIMES = re.compile(rb'"(?:created_at|timestamp)"\s*:\s*"?\s*([^",}\]\s]*)')


def needle_of(text: str) -> bytes | None:
    """The longest part of a search text (in lower case) that can be a needle; None if there is none."""
    runs = [run for run in _RUN.findall(text) if len(run) >= _SHORTEST and _in_strings_only(run)]
    return max(runs, key=len).encode() if runs else None


def _in_strings_only(run: str) -> bool:
    return not _NUMBER.fullmatch(run) and not any(run in word for word in (*_LITERALS, *_PUT_IN))


def certainly_holds(record: Mapping[str, Any], needle: bytes) -> bool:
    """Whether a string in the record certainly contains the needle."""
    try:
        # The output of orjson differs from that of `json.dumps` only in numbers, spacing and non-ASCII
        # escapes.
        return needle in orjson.dumps(record).lower()
    except orjson.JSONEncodeError:
        return False


class Prefilter(Protocol):
    """Skips jobs that certainly do not match."""

    def passing(self, piece: Piece) -> list[int]:
        """The positions of jobs that may match, judged by these texts without their payload parts."""


class TextPrefilter:
    """Passes jobs whose JSON may contain a needle, which is a result of `needle_of`."""

    def __init__(self, needle: bytes) -> None:
        self._needle = needle
        self._folded = [escape for letter, escape in _FOLDED.items() if letter in needle]
        self._idle_for = 0

    def passing(self, piece: Piece) -> list[int]:
        """The positions of jobs that may match, judged by these texts without their payload parts."""
        everyone = list(range(len(piece.ids)))
        if self._idle_for:
            self._idle_for -= 1
            return everyone
        if not self._are_without(filter(None, set(piece.states))):
            return everyone
        # Usually, one search of all texts together is enough.
        if not self._may_match(piece, everyone):
            return []
        found = [i for i in everyone if self._may_match(piece, [i])]
        if len(found) > len(everyone) * _MOST:
            # If nearly all jobs pass, the search costs more than it saves.
            self._idle_for = _REST
        return found

    def _may_match(self, piece: Piece, positions: Sequence[int]) -> bool:
        texts: list[bytes] = []
        for i in positions:
            bodies = piece.bodies(i)
            if not any(b'"' in body for body in bodies):
                # A text that is not a job is printed in a different form from the stored one.
                return True
            texts += bodies
        texts += [result for i in positions if (result := piece.results.get(i)) is not None]
        return not (self._are_without(texts) and self._are_plain_ids([piece.ids[i] for i in positions]))

    def _are_without(self, texts: Iterable[bytes]) -> bool:
        joined = b"\n".join(texts).lower()
        return (
            self._needle not in joined
            and joined.isascii()
            and b"\x7f" not in joined
            and _ESCAPED_LOW not in joined
            and not any(escape in joined for escape in self._folded)
        )

    def _are_plain_ids(self, ids: Iterable[bytes]) -> bool:
        """Whether no id contains the needle, and JSON would escape none of them."""
        joined = b" ".join(ids)
        plain = joined.isascii() and joined.decode("ascii").isprintable()
        return plain and b'"' not in joined and b"\\" not in joined and self._needle not in joined.lower()


class NewestPrefilter:
    """Skips jobs that were created before `floor`, which may be raised between pieces. While it is 0, which
    is the time of jobs without a time, everything passes."""

    def __init__(self) -> None:
        self.floor = 0.0

    def passing(self, piece: Piece) -> list[int]:
        """The positions of jobs that may be among the newest."""
        if self.floor <= 0:
            return list(range(len(piece.ids)))
        return [i for i in range(len(piece.ids)) if self._may_pass(piece.bodies(i))]

    def _may_pass(self, bodies: Sequence[bytes]) -> bool:
        if not bodies or any(_ESCAPED_LOW in body for body in bodies):
            # A member's name may contain escapes.
            return True
        for text in chain.from_iterable(map(_TIMES.findall, bodies)):
            try:
                # A value that is no number does not count as below the floor.
                if not float(text) < self.floor:
                    return True
            except ValueError:
                if text != b"null":
                    return True
        return False
