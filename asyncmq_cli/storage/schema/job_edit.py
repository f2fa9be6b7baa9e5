"""An edit of a job: its stored texts before and after, byte for byte."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Texts:
    """What Redis holds of a job: its member of the place, its record, and its payload part, b"" for none. In
    the waiting set the member is mostly the id alone."""

    member: bytes
    record: bytes
    payload: bytes = b""


@dataclass(frozen=True, slots=True)
class JobEdit:
    """`place` is the sorted set in which the job is."""

    queue: bytes
    id: bytes
    place: str
    before: Texts
    after: Texts

    @property
    def reversed(self) -> JobEdit:
        """The edit that takes this one back."""
        return JobEdit(self.queue, self.id, self.place, self.after, self.before)

    @property
    def size(self) -> int:
        """The approximate size in bytes."""
        return sum(len(t.member) + len(t.record) + len(t.payload) for t in (self.before, self.after))
