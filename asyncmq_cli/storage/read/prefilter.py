"""Telling from the stored bytes alone that a job's JSON cannot hold a text.

What is searched is the JSON that `json.dumps` makes of the whole job, in lower case, escaped or
not. It differs from what is stored in the order and spacing of its members, in the form of numbers
and escapes, and by the values that live outside the record. A needle is a run of characters that
no structure, number or literal can hold, so it lies within one string; and where the stored text
has no escape that `json.dumps` would not make, that string stands in it as it does in the JSON.

A prefilter proves that a job does not match, or lets it pass to be looked at in full.
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

# Printable ASCII that JSON writes as it is, and that is no part of its structure.
_RUN = re.compile(r"[!#-+\-.0-9;-Z^-z|~]+")
_NUMBER = re.compile(r"[0-9.+\-e]+")
_LITERALS = ("true", "false", "null", "nan", "infinity", "-infinity")
# What a job's JSON may hold that is stored in none of its texts.
_PUT_IN = ("id", "status", "result", "active_since", "unknown", *JOB_STATES)
_SHORTEST = 3
_MOST = 0.9
_REST = 10
"""A prefilter that most of a piece has passed is not used for so many pieces."""

# A character below U+0100 as an escape may be a letter that `json.dumps` writes as it is.
_ESCAPED_LOW = b"\\u00"
# The letters beyond ASCII of which one in lower case is, or starts with, one of ASCII.
_FOLDED = {b"k": b"\\u212a", b"i": b"\\u0130"}


# Every value that either name has, wherever in the record: the job's own is one of them.
_TIMES = re.compile(rb'"(?:created_at|timestamp)"\s*:\s*"?\s*([^",}\]\s]*)')


def needle_of(text: str) -> bytes | None:
    """The part of a searched text, in lower case, that a prefilter can look for; None where there is none."""
    runs = [run for run in _RUN.findall(text) if len(run) >= _SHORTEST and _in_strings_only(run)]
    return max(runs, key=len).encode() if runs else None


def _in_strings_only(run: str) -> bool:
    return not _NUMBER.fullmatch(run) and not any(run in word for word in (*_LITERALS, *_PUT_IN))


def certainly_holds(record: Mapping[str, Any], needle: bytes) -> bool:
    """Whether a string within the job holds the needle. False also where it cannot be told so simply."""
    try:
        # It differs from what `json.dumps` makes in numbers, spacing and escapes beyond ASCII alone.
        return needle in orjson.dumps(record).lower()
    except orjson.JSONEncodeError:
        return False


class Prefilter(Protocol):
    """Whatever can tell of jobs and their records which are not wanted."""

    def passing(self, piece: Piece) -> list[int]:
        """The positions of those that may be wanted. None of them may have a payload part."""


class TextPrefilter:
    """Passes jobs whose JSON may hold the needle, which `needle_of` made."""

    def __init__(self, needle: bytes) -> None:
        self._needle = needle
        self._folded = [escape for letter, escape in _FOLDED.items() if letter in needle]
        self._idle_for = 0

    def passing(self, piece: Piece) -> list[int]:
        """The positions of those that may match. None of them may have a payload part."""
        everyone = list(range(len(piece.ids)))
        if self._idle_for:
            self._idle_for -= 1
            return everyone
        if not self._are_without(filter(None, set(piece.states))):
            return everyone
        # Mostly a look at all texts in one is enough.
        if not self._may_match(piece, everyone):
            return []
        found = [i for i in everyone if self._may_match(piece, [i])]
        if len(found) > len(everyone) * _MOST:
            # Where nearly all pass, looking at each costs more than it spares.
            self._idle_for = _REST
        return found

    def _may_match(self, piece: Piece, positions: Sequence[int]) -> bool:
        texts: list[bytes] = []
        for i in positions:
            bodies = piece.bodies(i)
            if not any(b'"' in body for body in bodies):
                # What is no job is shown as something else than it is stored as.
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
        """Whether the needle is in none of these names, and none would be escaped in JSON."""
        joined = b" ".join(ids)
        plain = joined.isascii() and joined.decode("ascii").isprintable()
        return plain and b'"' not in joined and b"\\" not in joined and self._needle not in joined.lower()


class NewestPrefilter:
    """Leaves out jobs that were created before `floor`, which may rise from piece to piece. Where it
    is not above 0, at which jobs without a time are put, everything passes."""

    def __init__(self) -> None:
        self.floor = 0.0

    def passing(self, piece: Piece) -> list[int]:
        """The positions of those that may be among the newest."""
        if self.floor <= 0:
            return list(range(len(piece.ids)))
        return [i for i in range(len(piece.ids)) if self._may_pass(piece.bodies(i))]

    def _may_pass(self, bodies: Sequence[bytes]) -> bool:
        if not bodies or any(_ESCAPED_LOW in body for body in bodies):
            # A name may be spelled with escapes.
            return True
        for text in chain.from_iterable(map(_TIMES.findall, bodies)):
            try:
                # What is not a number is not below the floor either.
                if not float(text) < self.floor:
                    return True
            except ValueError:
                if text != b"null":
                    return True
        return False
