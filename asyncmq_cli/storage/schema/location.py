"""Where a job was found, with its stored pieces, byte for byte."""

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
    """As `decode_member`, caching one: a change reads the same member twice, and large ones must not pile
    up."""
    return decode_member(member)


@dataclass(slots=True)
class Location:
    """Where a job was found, byte for byte.

    `members` are its members of each sorted set, and `score` is the score of the last one outside the
    waiting set. `children` is the number of jobs that wait for it, if all places were read. `claim` is
    the stored time at which a worker claimed it. `dump` is everything stored about it, if it was read for a
    backup. `problem` is set when the location could not be read.
    """

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
        """Whether there is such a job. An id in the cancelled set alone is none."""
        return (
            self.state is not None
            or self.record is not None
            or self.active
            or self.in_ids
            or any(self.members.values())
        )

    @property
    def size(self) -> int:
        """The approximate size of its pieces, in bytes."""
        members = sum(len(member) for found in self.members.values() for member in found)
        return len(self.record or b"") + len(self.payload or b"") + members

    @property
    def job(self) -> Job:
        """The job as AsyncMQ would load it."""
        place = next((place for place in PLACES if self.members[place]), None)
        member = decoded(self.members[place][0]) if place else None
        raw = RawJob(id=self.id, state=self.state, payload=self.payload, member=member, score=self.score)
        if member is not None and place and self.members[place][0] == self.record:
            # AsyncMQ mostly writes the same text to both: decode it once.
            raw.record, raw.record_size = member, len(self.record)
        else:
            add_record(raw, self.record)
        if member is None and place and is_too_large(self.members[place][0]):
            raw.problem = raw.problem or f"the job is {TooLarge(len(self.members[place][0]))}"
        return hydrate(self.queue, raw, place=place)

    @property
    def parents(self) -> list[str]:
        """The ids of the jobs that this one waits for; none if its record cannot be read."""
        depends_on = self.job.get("depends_on")
        if not isinstance(depends_on, list):
            return []
        return list(dict.fromkeys(str(parent) for parent in depends_on))


def job_of(dump: JobDump) -> Job:
    """The dumped job, as it would be loaded after a restore."""
    return Location(
        to_text(dump.queue),
        to_text(dump.id),
        state=None if dump.state is None else to_text(dump.state),
        record=dump.record,
        payload=dump.payload,
        members={place: [member for member, _ in getattr(dump, place)] for place in PLACES},
    ).job
