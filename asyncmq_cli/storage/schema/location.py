"""Where a job was found: the stored pieces of it, byte for byte."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from asyncmq_cli.storage.schema.codec import TooLarge, decode_member, is_too_large
from asyncmq_cli.storage.schema.job import RawJob, add_record, hydrate
from asyncmq_cli.storage.schema.keys import PLACES, to_text

if TYPE_CHECKING:
    from asyncmq_cli.errors import AdminError
    from asyncmq_cli.models.jobs import Job
    from asyncmq_cli.storage.schema.job_dump import JobDump


@lru_cache(maxsize=1)
def decoded(member: bytes) -> Mapping[str, Any] | None:
    """As `decode_member`. One is kept, because a change looks at a job first and then at its dead letter:
    large ones must not pile up."""
    return decode_member(member)


@dataclass(slots=True)
class Location:
    """Where a job was found, byte for byte. `members` holds its members of each sorted set, and
    `score` the score of the last one that is not in the waiting set. `children` is the number
    of jobs that wait for this one, where all places were asked for. `claim` is when a worker took
    it, as that was written. `dump` are all that there is of it, where they were read for a
    backup."""

    queue: str
    id: str
    state: str | None = None
    record: bytes | None = None
    payload: bytes | None = None
    active: bool = False
    claim: bytes | None = None
    cancelled: bool = False
    in_ids: bool = False
    members: dict[str, list[bytes]] = field(default_factory=lambda: {place: [] for place in PLACES})
    score: float | None = None
    children: int = 0
    dump: JobDump | None = None
    problem: AdminError | None = None

    @property
    def exists(self) -> bool:
        """A mark in the cancelled set alone is no job."""
        return (
            self.state is not None
            or self.record is not None
            or self.active
            or self.in_ids
            or any(self.members.values())
        )

    @property
    def size(self) -> int:
        """About how many bytes are held of it."""
        members = sum(len(member) for found in self.members.values() for member in found)
        return len(self.record or b"") + len(self.payload or b"") + members

    @property
    def job(self) -> Job:
        """What AsyncMQ would make of it."""
        place = next((place for place in PLACES if self.members[place]), None)
        member = decoded(self.members[place][0]) if place else None
        raw = RawJob(id=self.id, state=self.state, payload=self.payload, member=member, score=self.score)
        if member is not None and place and self.members[place][0] == self.record:
            # As AsyncMQ writes both.
            raw.record, raw.record_size = member, len(self.record)
        else:
            add_record(raw, self.record)
        if member is None and place and is_too_large(self.members[place][0]):
            raw.problem = raw.problem or f"the job is {TooLarge(len(self.members[place][0]))}"
        return hydrate(self.queue, raw, place=place)

    @property
    def parents(self) -> list[str]:
        """The jobs that this one waits for. A record that cannot be read names none."""
        depends_on = self.job.get("depends_on")
        if not isinstance(depends_on, list):
            return []
        return list(dict.fromkeys(str(parent) for parent in depends_on))


def job_of(dump: JobDump) -> Job:
    """The job that a backup holds, as it would be found again."""
    return Location(
        to_text(dump.queue),
        to_text(dump.id),
        state=None if dump.state is None else to_text(dump.state),
        record=dump.record,
        payload=dump.payload,
        members={place: [member for member, _ in getattr(dump, place)] for place in PLACES},
    ).job
