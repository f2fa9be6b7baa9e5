"""Counting a queue's jobs by state without reading each in every place where it lies.

The ids set and the states hash tell all jobs and their states; records are read only where the
state alone does not say it. A sorted set is then only compared: if its members are exactly the
jobs of its states, these are counted already. Two sets are the same if they have as many members
and the same sum of their hashes, which Python keys anew in each process. If they differ, the
caller counts that set member by member.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from asyncmq_cli.models.values import as_number
from asyncmq_cli.storage.codec import outlines
from asyncmq_cli.storage.hydrate import PENDING_STATES, effective_state
from asyncmq_cli.storage.keys import PLACE_OF_STATE, to_bytes, to_text

if TYPE_CHECKING:
    from asyncmq_cli.storage.walk import Listed

# What the states hash may say of a job that waits for its parents: only the record tells.
PENDING_ENTRIES = frozenset({*map(to_bytes, PENDING_STATES), b"wait", b"unknown"})
_UNTOLD = frozenset({None, *PENDING_ENTRIES})
_DEAD_ENTRIES = frozenset({b"failed", b"expired"})


@dataclass(slots=True)
class Fingerprint:
    """Of a collection of names, whatever their order."""

    count: int = 0
    total: int = 0

    def add(self, names: Sequence[bytes]) -> None:
        self.count += len(names)
        self.total += sum(map(hash, names))


def _fingerprints() -> dict[str, Fingerprint]:
    return {place: Fingerprint() for place in set(PLACE_OF_STATE.values())}


@dataclass(slots=True)
class Tally:
    """`states` counts the jobs found by the ids set and the states hash, and `placed` those of them
    that are the members of a sorted set where that `is_settled`. `oldest` is when the oldest waiting
    one was created."""

    states: Counter[str] = field(default_factory=Counter)
    placed: Counter[str] = field(default_factory=Counter)
    oldest: float | None = None
    _expected: dict[str, Fingerprint] = field(default_factory=_fingerprints)
    _found: dict[str, Fingerprint] = field(default_factory=_fingerprints)
    _unlike: set[str] = field(default_factory=set)

    def add_listed(self, listed: Listed) -> None:
        """Jobs by id. Those that `untold` names are counted once their records are given."""
        for entry, count in Counter(listed.states).items():
            if entry is not None and entry not in PENDING_ENTRIES:
                self.states[to_text(entry)] += count
            if entry in _DEAD_ENTRIES:
                self.placed[to_text(entry)] += count
        dead = [i for i, state in zip(listed.ids, listed.states, strict=True) if state in _DEAD_ENTRIES]
        self._expected["dlq"].add(dead)

    def add_records(self, listed: Listed, records: Sequence[bytes | None]) -> None:
        """The records of jobs whose entry in the states hash does not tell their state."""
        expected: dict[str, list[bytes]] = {place: [] for place in self._expected}
        texts = {entry: None if entry is None else to_text(entry) for entry in set(listed.states)}
        outlined = iter(outlines([record for record in records if record is not None]))
        statuses = []
        for name, entry, stored in zip(listed.ids, listed.states, records, strict=True):
            record = None if stored is None else next(outlined)
            status = effective_state(texts[entry], record, None)
            statuses.append(status)
            place = PLACE_OF_STATE.get(status)
            # Without a record a sorted set's member may say something else of its job.
            if place is not None and record:
                expected[place].append(name)
                self.placed[status] += 1
                if place == "waiting":
                    self._note_age(record)
        self.states.update(statuses)
        for place, names in expected.items():
            self._expected[place].add(names)

    def add_members(self, place: str, members: Sequence[bytes], ids: Sequence[bytes]) -> None:
        if b"" in ids or (place == "waiting" and b"{" in b"".join(members)):
            self._unlike.add(place)
        self._found[place].add(ids)

    def forget_members(self, place: str) -> None:
        """Of this sorted set, before they are all added again."""
        self._found[place] = Fingerprint()
        self._unlike.discard(place)

    def is_settled(self, place: str) -> bool:
        """Whether the sorted set's members are exactly the jobs counted under its states."""
        return place not in self._unlike and self._found[place] == self._expected[place]

    def _note_age(self, record: Mapping[str, Any]) -> None:
        created = record.get("created_at")
        if self.oldest is not None and type(created) is float and created >= self.oldest:
            return
        number = as_number(created)
        if number is not None and (self.oldest is None or number < self.oldest):
            self.oldest = number


def untold(listed: Listed) -> Listed:
    """Those whose state is told only by their records."""
    return listed.only([i for i, state in enumerate(listed.states) if state in _UNTOLD])


def told(pieces: Iterator[Listed], tally: Tally) -> Iterator[Listed]:
    """Count what the states tell of each piece, and pass on what only records will."""
    for piece in pieces:
        tally.add_listed(piece)
        yield untold(piece)
