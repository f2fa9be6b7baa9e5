"""The hash chain of the audit trail: parse its links, and find where the chain breaks.

The script that writes an event (`storage/write/lua/prelude.lua`) adds the field `chain`: the event's number,
the length to which its writer trims the stream, and the id and hash of the event before it. The head, which
is a separate key, has the number, id and hash of the newest event. A hash is the SHA-1 of `chain`,
`timestamp` and `event`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct, field

_HEAD = re.compile(rb"(\d{1,16}) (\d{1,20}-\d{1,20}) ([0-9a-f]{40})\Z")
_CHAIN = re.compile(rb"(\d{1,16}) (\d{1,16}) (?:(\d{1,20}-\d{1,20}) ([0-9a-f]{40})|0-0 -)\Z")
_ANCHOR = re.compile(r"(\d{1,20}-\d{1,20}):([0-9a-f]{40})\Z")
_FIELDS = (b"timestamp", b"event", b"chain")
MOST_BREAKS = 1000
"""At most this many breaks are listed; the others are only counted."""


class Head(Struct, frozen=True):
    """The number, id and hash of an event, as the head or the next event records them."""

    number: int
    id: str
    hash: str

    @classmethod
    def of(cls, stored: bytes) -> Head | None:
        """Parse the stored head; None if it is damaged."""
        found = _HEAD.match(stored)
        return None if found is None else cls(int(found[1]), found[2].decode(), found[3].decode())

    @classmethod
    def noted(cls, text: str) -> Head | None:
        """Parse `ID:HASH`, as an operator noted it; None if it has another form. Its number is unknown."""
        found = _ANCHOR.match(text.strip())
        return None if found is None else cls(0, found[1], found[2])


class Link(Struct, frozen=True):
    """One entry of the audit stream. `number` is None if its `chain` is missing or cannot be read. `before`
    is None for the first event of a chain."""

    id: str
    hash: str
    timestamp: float | None
    number: int | None = None
    limit: int = 0
    before: Head | None = None

    @classmethod
    def of(cls, entry_id: bytes, fields: Mapping[bytes, bytes]) -> Link:
        chain, name = fields.get(b"chain", b""), entry_id.decode("ascii", "replace")
        text = b"\n".join((chain, fields.get(b"timestamp", b""), fields.get(b"event", b"")))
        # A field that no script writes was added by an edit, so include it in the hash.
        more = [word for key in fields.items() if key[0] not in _FIELDS for word in key]
        # SHA-1 is the only hash that Redis offers to scripts.
        digest = hashlib.sha1(b"\n".join((text, *more)), usedforsecurity=False).hexdigest()
        found = _CHAIN.match(chain)
        if found is None:
            return cls(name, digest, _time(name))
        number = int(found[1])
        before = Head(number - 1, found[3].decode(), found[4].decode()) if found[3] else None
        return cls(name, digest, _time(name), number, int(found[2]), before)


class Break(Struct, frozen=True):
    """A break in the chain. `kind` is one of `edited`, `removed`, `forged`, `unchained`, `restarted` and
    `no_head`. `id` is the id of the event, or of the newest of `count` events."""

    kind: str
    id: str | None
    time: float | None
    count: int
    message: str


class ChainReport(Struct):
    """The result of `examined`. `events` counts the events read; `chained` of them are in the chain, and
    `unchained` of them are older than it. `trimmed` counts the events of the chain that were trimmed. `noted`
    is the state of the head that an operator noted: `found`, `trimmed`, or None if none was given, or it is
    missing or another event now."""

    head: Head | None
    events: int = 0
    chained: int = 0
    unchained: int = 0
    trimmed: int = 0
    oldest: Link | None = None
    noted: str | None = None
    breaks: list[Break] = field(default_factory=list)
    more_breaks: int = 0

    def add(self, kind: str, link_id: str | None, message: str, count: int = 1) -> None:
        if len(self.breaks) == MOST_BREAKS:
            self.more_breaks += 1
            return
        when = None if link_id is None else _time(link_id)
        self.breaks.append(Break(kind, link_id, when, count, message))


def examined(
    head: Head | None, links: Iterable[Link], *, noted: Head | None, first: str | None
) -> ChainReport:
    """Check the chain from its head to the oldest event; `links` are newest first. `noted` is a head that an
    operator noted earlier. `first` is the id of the oldest entry at the start of the read; it may be trimmed
    while the others are read."""
    reading = _Reading(ChainReport(head), noted)
    last = None
    for link in links:
        reading.take(link)
        last = link.id
    return reading.finish(was_overtaken=first != last)


class _Reading:
    """Follows the chain from the newest event to the oldest. `_expected` is what the event just read recorded
    about the one before it; without an id, only its number is known. It is None at the beginning of a chain,
    and before the first event is read."""

    def __init__(self, report: ChainReport, noted: Head | None) -> None:
        self._report = report
        self._noted = noted
        self._expected = report.head
        self._has_begun = report.head is not None
        self._apart: list[Link] = []
        # The lowest of the lengths to which the writers trim the stream.
        self._least: int | None = None

    def take(self, link: Link) -> None:
        self._report.events += 1
        self._look_for_noted(link)
        if self._expected is None:
            if link.number is None:
                self._set_apart(link)
                return
            self._begin(link)
        expected: Any = self._expected
        is_newer = order(link.id) > order(expected.id or link.id)
        if is_newer or (link.number is None and not expected.id):
            self._insert(link)
        elif link.id == expected.id:
            is_whole = link.hash == expected.hash
            if not is_whole:
                self._report.add("edited", link.id, "its hash does not match its content")
            self._follow(link, expected.number, is_whole=is_whole)
        else:
            if expected.number > (link.number or 0):
                self._miss(expected, expected.number - (link.number or 0))
            self._follow(link, link.number or 0, is_whole=True)

    def _begin(self, link: Link) -> None:
        if self._has_begun:
            text = "a new chain begins after this event: the head was deleted, or the event is forged"
            self._report.add("restarted", link.id, text)
        else:
            text = "the head is missing, so newer events may have been removed"
            self._report.add("no_head", link.id, text)
        for one in self._apart:
            self._insert(one)
        self._apart, self._report.unchained = [], 0
        self._has_begun = True
        self._expected = Head(link.number or 0, link.id, link.hash)

    def _follow(self, link: Link, number: int, *, is_whole: bool) -> None:
        """Continue with the event before `link`. If `link` was edited, do not trust the hash that it
        records."""
        report = self._report
        if link.number is not None:
            report.chained += 1
            report.oldest = link
            least = link.limit + report.events - 1
            self._least = least if self._least is None else min(least, self._least)
        elif is_whole:
            self._set_apart(link)
        if is_whole:
            self._expected = link.before
        else:
            self._expected = Head(number - 1, "", "") if number > 1 else None

    def _insert(self, link: Link) -> None:
        if link.number is None:
            text = "it is not part of the chain: written by hand, or by a release without the chain"
            self._report.add("unchained", link.id, text)
        else:
            self._report.add("forged", link.id, "it was inserted: the next event follows a different one")

    def _miss(self, expected: Head, count: int) -> None:
        self._report.add("removed", expected.id or None, _gone(count), count)

    def _set_apart(self, link: Link) -> None:
        """Count an event without a `chain`: it is older than the chain, unless an even older event is in the
        chain."""
        self._report.unchained += 1
        if len(self._apart) < MOST_BREAKS:
            self._apart.append(link)

    def _look_for_noted(self, link: Link) -> None:
        if self._noted is None or link.id != self._noted.id:
            return
        if link.hash == self._noted.hash:
            self._report.noted = "found"
        else:
            self._report.add("edited", link.id, "it is not the event that was noted")
        self._noted = None

    def finish(self, *, was_overtaken: bool) -> ChainReport:
        report, expected = self._report, self._expected
        was_trimmed = was_overtaken or (self._least is not None and report.events >= self._least)
        if expected is not None and was_trimmed:
            report.trimmed = expected.number
        elif expected is not None:
            self._miss(expected, expected.number)
        if self._noted is not None and report.noted is None:
            end = report.oldest
            if was_trimmed and end is not None and order(self._noted.id) < order(end.id):
                report.noted = "trimmed"
            else:
                report.add("removed", self._noted.id, "the event that was noted is gone")
        return report


def _gone(count: int) -> str:
    return "it is gone" if count == 1 else f"it is gone, and the {count - 1:,} before it"


def order(stream_id: str) -> tuple[int, int]:
    """The sort key of a stream id: its milliseconds and its sequence number."""
    first, _, second = stream_id.partition("-")
    return (int(first), int(second)) if first.isdigit() and second.isdigit() else (0, 0)


def _time(stream_id: str) -> float | None:
    return order(stream_id)[0] / 1000 or None
