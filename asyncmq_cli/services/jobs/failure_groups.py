"""Group failures by cause: the same type of error, and the same message but for its changing parts."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from asyncmq_cli.errors import AmbiguousGroup, GroupNotFound
from asyncmq_cli.models.failures import FailureGroup
from asyncmq_cli.nearest import nearest
from asyncmq_cli.services.jobs.traceback import raised_last

if TYPE_CHECKING:
    from asyncmq_cli.models.job_lists import JobFilter
    from asyncmq_cli.models.jobs import Job
    from asyncmq_cli.services.jobs.filter import Matcher
    from asyncmq_cli.storage.store import Store


MAX_GROUPS = 10_000
_MAX_MESSAGE = 200
_MAX_TASKS = 20

# The parts of a message that change from failure to failure, the longest first, and their placeholders.
# No pattern matches a placeholder, so generalizing a message twice changes nothing. Numbers, ids and
# addresses share one placeholder, because an id may by chance look like a number.
_CHANGING: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"""(?<!\w)(?:'[^']*'|"[^"]*"|`[^`]*`)(?!\w)"""), "<value>"),
    (re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s<>]+", re.IGNORECASE), "<url>"),
    (re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"), "<email>"),
    (re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", re.IGNORECASE), "<*>"),
    (re.compile(r"\b0x[0-9a-f]+\b", re.IGNORECASE), "<*>"),
    (re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b"), "<*>"),
    (re.compile(r"\b(?=[0-9a-f]*\d)[0-9a-f]{8,}\b", re.IGNORECASE), "<*>"),
    (re.compile(r"\d+(?:[.,:_-]\d+)*"), "<*>"),
    (re.compile(r"\s+"), " "),
)


@dataclass(frozen=True, slots=True)
class Signature:
    """The type and general message that failures of one cause share."""

    type: str | None
    message: str

    @property
    def id(self) -> str:
        """12 hex digits, the same for the same cause in every run and on every queue."""
        name = f"{self.type or ''}\0{self.message}".encode("utf-8", "surrogatepass")
        return hashlib.sha1(name, usedforsecurity=False).hexdigest()[:12]


def signature(job: Job) -> Signature:
    """The signature of a dead job's cause."""
    return cause(job)[0]


def cause(job: Job) -> tuple[Signature, str]:
    """The signature of the cause, and the job's own message. An expired job did not fail, whatever its record
    says of earlier attempts."""
    if job.status == "expired":
        return _unchanging("expired before it could run")
    if job.problem is not None and job.record is None:
        return _unchanging("the job cannot be read")
    error = raised_last(job)
    if error is None:
        return _unchanging("no error is stored")
    kind, message = error
    return Signature(kind, generalized(message)), message.strip().split("\n", 1)[0][:_MAX_MESSAGE]


def _unchanging(message: str) -> tuple[Signature, str]:
    return Signature(None, message), message


def generalized(message: str) -> str:
    """The first line of the message, with placeholders for its changing parts."""
    text = message.strip().split("\n", 1)[0][: 4 * _MAX_MESSAGE]
    for pattern, word in _CHANGING:
        text = pattern.sub(word, text)
    return text[:_MAX_MESSAGE].strip()


@dataclass(slots=True)
class _Count:
    sample: str
    message: str
    first: float
    last: float
    count: int = 0
    tasks: set[str] = field(default_factory=set)


def grouped(jobs: Iterable[Job]) -> tuple[int, int, list[FailureGroup]]:
    """How many jobs there were, how many were left out because there are too many groups, and the groups, the
    most frequent first."""
    counts: dict[Signature, _Count] = {}
    scanned = left_out = 0
    for job in jobs:
        scanned += 1
        why, message = cause(job)
        died = job.dead_at or 0.0
        found = counts.get(why)
        if found is None:
            if len(counts) >= MAX_GROUPS:
                left_out += 1
                continue
            found = counts[why] = _Count(job.id, message, died, died)
        found.count += 1
        if died < found.first or (died == found.first and job.id < found.sample):
            found.first, found.sample, found.message = died, job.id, message
        found.last = max(found.last, died)
        if job.task_id and len(found.tasks) < _MAX_TASKS:
            found.tasks.add(job.task_id)
    groups = [
        FailureGroup(
            id=why.id,
            type=why.type,
            message=why.message,
            count=n.count,
            first_seen=n.first,
            last_seen=n.last,
            tasks=tuple(sorted(n.tasks)),
            sample_job_id=n.sample,
            sample_message=n.message,
        )
        for why, n in counts.items()
    ]
    groups.sort(key=lambda group: (-group.count, group.id))
    return scanned, left_out, groups


def of_known_group(
    store: Store, queue: str, wanted: JobFilter, matches: Matcher, jobs: Iterable[Job]
) -> Iterator[Job]:
    """The jobs that match. Where there are none, the dead-letter queue is asked for the group that the
    filter names: GroupNotFound, with the nearest ids, is raised for one that there is not; and
    AmbiguousGroup once there are jobs of two."""
    matching = filter(matches, jobs)
    if not wanted.group.strip():
        return matching
    return _or_raise(store, queue, wanted.group.strip().lower(), matches, matching)


def _or_raise(
    store: Store, queue: str, group: str, matches: Matcher, matching: Iterable[Job]
) -> Iterator[Job]:
    found = False
    for job in matching:
        if len(matches.groups) > 1:
            break
        found = True
        yield job
    if len(matches.groups) > 1:
        raise AmbiguousGroup(queue, group, sorted(matches.groups))
    if found:
        return
    _, left_out, groups = grouped(store.jobs.dead_causes(queue))
    ids = [each.id for each in groups]
    if not left_out and not any(each.startswith(group) for each in ids):
        raise GroupNotFound(queue, group, _nearest(group, ids))


def _nearest(group: str, ids: list[str]) -> list[str]:
    """At most three ids. An id may be given by a prefix, so prefixes are compared."""
    by_start: dict[str, list[str]] = {}
    for each in ids:
        by_start.setdefault(each[: len(group)], []).append(each)
    return [each for start in nearest(group, by_start) for each in by_start[start]][:3]
