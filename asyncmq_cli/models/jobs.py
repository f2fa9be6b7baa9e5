"""A job, its parsed traceback and its relatives; the scopes, filters and pages of job lists."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, Protocol

from msgspec import Struct
from msgspec.structs import replace

from asyncmq_cli.models.values import as_number, page_count

NOT_SHOWN = "[not shown: too large]"
_OUTSIDE = ("status", "result", "active_since")
"""Keys of `Job.record` that AsyncMQ stores outside the job's record."""

_SMALL = 1000
"""Characters. In a job that is too large for its page, placeholders replace longer texts and all
collections."""


class SplitPart(Protocol):
    """The payload part of a split job, which is read only when it is needed."""

    def read(self, most: int | None = None) -> tuple[Mapping[str, Any], str | None, int]:
        """Its fields, a problem with them or None, and their approximate size in memory in bytes. With
        `most`, fields that take more bytes are not read."""


class Job(Struct, frozen=True):
    """One job, as AsyncMQ would load it.

    `record` is the decoded record, together with the state, result and time of claim that are stored outside
    it. It is None if the record is missing or cannot be read; then `problem` says why. `due_at` is the job's
    score in the delayed set or the repeatables, `dead_at` its score in the dead-letter queue.
    """

    queue: str
    id: str
    status: str
    record: Mapping[str, Any] | None
    problem: str | None = None
    due_at: float | None = None
    dead_at: float | None = None
    split: SplitPart | None = None
    """The reader of its payload part, if it may have one. Most commands do not need the arguments."""
    text: bytes | None = None
    """The record as strictly valid JSON, usually the stored bytes; None if it would have to be encoded
    first."""
    size: int = 0
    """The approximate size of the record in memory, in bytes."""

    def whole(self, most: int | None = None) -> Job:
        """The same job with its arguments. If they take more than `most` bytes in memory, or exceed the limit
        for one job, a placeholder replaces them and `problem` says so."""
        return self._with_arguments(most)[0]

    def _with_arguments(self, most: int | None) -> tuple[Job, int]:
        if self.split is None or self.record is None:
            return self, 0
        fields, problem, size = self.split.read(most)
        outside = {name: self.record[name] for name in _OUTSIDE if name in self.record}
        record = {**self.record, **fields, **outside}
        return replace(self, record=record, problem=problem or self.problem, split=None, text=None), size

    def _without_large_values(self) -> Job:
        values = (self.record or {}).items()
        record = {name: value if _is_small(value) else NOT_SHOWN for name, value in values}
        why = "the job is not shown whole: together with the jobs before it, it is too large for one page"
        return replace(self, record=record, problem=self.problem or why, size=0, text=None)

    @property
    def task_id(self) -> str | None:
        """The name of its task, or None."""
        # The same order as in asyncmq.core.inspection.
        for key in ("task_id", "task", "name"):
            if value := self.get(key):
                return str(value)
        return None

    @property
    def sort_time(self) -> float:
        """`run_at`, else `created_at`, else `timestamp`; 0.0 if none is a number.

        Source: `extract_job_timestamp` in asyncmq.core.inspection.
        """
        value = self.run_at or self.get("created_at") or self.get("timestamp") or 0
        return as_number(value) or 0.0

    @property
    def moment(self) -> float:
        """The time that its age is measured from: its death, if known, else `sort_time`."""
        return self.dead_at if self.dead_at is not None else self.sort_time

    @property
    def aged_from(self) -> float | None:
        """`moment`, or None if it is unknown: then the job has no age, and no age filter matches it."""
        return self.moment if 0 < self.moment < math.inf else None

    @property
    def run_at(self) -> Any:
        """`run_at` as stored; for a repeatable, the score of its definition."""
        return self.due_at if self.status == "repeatable" else self.get("run_at")

    @property
    def created_at(self) -> float | None:
        """Epoch seconds; None if it is not a number."""
        return as_number(self.get("created_at"))

    @property
    def delay_until(self) -> float | None:
        """Epoch seconds, from its record; for a delayed job without it, its score in the delayed set."""
        stored = as_number(self.get("delay_until"))
        return self.due_at if stored is None and self.status == "delayed" else stored

    def get(self, key: str) -> Any:
        """A value of the record, or None."""
        return None if self.record is None else self.record.get(key)


def _is_small(value: Any) -> bool:
    return len(value) <= _SMALL if isinstance(value, str) else not value or not isinstance(value, dict | list)


def page_within(jobs: Iterable[Job], most: int) -> list[Job]:
    """The jobs, without the large values of those that do not fit: once the jobs take more than `most` bytes
    of memory, a placeholder replaces the large values of each further job, and its `problem` says so."""
    found: list[Job] = []
    for job in jobs:
        one = job if job.size <= most else job._without_large_values()
        most -= one.size
        found.append(one)
    return found


def whole_page(jobs: Sequence[Job], most: int) -> list[Job]:
    """The jobs with their arguments. Together they take at most `most` bytes of memory; see `Job.whole`."""
    found: list[Job] = []
    most -= sum(job.size for job in jobs)
    for job in jobs:
        one, size = job._with_arguments(most)
        most -= size
        found.append(one)
    return found


class QueueScope(Struct, frozen=True):
    """The queues that a command works on. `queue` is the one that was named, or None; then `names` are the
    queues that were found, in order, and `globs` the patterns of --queue that they match."""

    queue: str | None
    names: Sequence[str]
    globs: Sequence[str] = ()

    @classmethod
    def of(cls, queue: str) -> QueueScope:
        return cls(queue, (queue,))

    @property
    def where(self) -> str:
        """The queues in words, for a message: `in queue 'emails'`."""
        if self.queue is not None:
            return f"in queue {self.queue!r}"
        return f"in a queue like {' or '.join(map(repr, self.globs))}" if self.globs else "in any queue"


class JobFilter(Struct, frozen=True):
    """The filter of a job list. An empty text matches every job.

    `group` is the id of a failure group, or the beginning of an id. `where` is an expression of
    `services.jobs.where`. Ages are seconds.
    """

    q: str = ""
    task: str = ""
    job_id: str = ""
    group: str = ""
    older_than: float | None = None
    newer_than: float | None = None
    where: str = ""

    @property
    def narrows(self) -> bool:
        """Whether the filter can exclude a job."""
        return self != JobFilter()


class JobPage(Struct, frozen=True):
    """A page of a job list. `queue` is None if several queues were listed. `state` is None for the
    dead-letter queue, which holds jobs of two states. If `is_exact` is False, `total` is an upper bound."""

    queue: str | None
    state: str | None
    page: int
    size: int
    total: int
    sort: str
    filters: JobFilter
    jobs: Sequence[Job]
    is_exact: bool = True

    @property
    def total_pages(self) -> int:
        """At least 1."""
        return page_count(self.total, self.size)


class Frame(Struct, frozen=True):
    """One call in a traceback. `source` is its line of code, or "" if the traceback has none."""

    path: str
    line: int
    function: str
    source: str


class Raised(Struct, frozen=True):
    """One exception of a chain. `frames` are its calls, the innermost last.

    `led_to` is its relation to the next exception: `cause` (raise … from), or `context` (raised while this
    one was handled); None for the last.
    """

    text: str
    frames: Sequence[Frame]
    led_to: Literal["cause", "context"] | None = None


class JobError(Struct, frozen=True):
    """A parsed traceback. `chain` and `raised` start at the root cause. `frames` are the frames of all
    exceptions in the same order, up to a limit."""

    type: str | None
    message: str | None
    root_cause: str | None
    chain: Sequence[str]
    frames: Sequence[Frame]
    traceback: str | None
    raised: Sequence[Raised] = ()


class Relative(Struct, frozen=True):
    """A parent or a child of a job. `status` is None if that job does not exist. `pending` says whether the
    child still waits for the parent."""

    id: str
    status: str | None
    pending: bool


class Family(Struct, frozen=True):
    """The parents of a job, which it waits for, and its children, which wait for it: the first few of each,
    and their total number."""

    parents: Sequence[Relative]
    children: Sequence[Relative]
    parents_total: int
    children_total: int


class TreeNode(Struct, frozen=True):
    """A job in a dependency tree. `parents` and `children` are ids. `status` is None if the job does not
    exist; `is_whole` says whether all parents and children were read."""

    id: str
    status: str | None
    task_id: str | None
    parents: Sequence[str]
    children: Sequence[str]
    is_whole: bool = True


class Tree(Struct, frozen=True):
    """The ancestors and descendants of a job; `nodes` are by id. `cycles` are rings of jobs that wait for
    each other, and `is_whole` is False if some jobs were not read."""

    queue: str
    job_id: str
    nodes: Mapping[str, TreeNode]
    cycles: Sequence[Sequence[str]]
    is_whole: bool

    def drawn(self) -> Iterator[tuple[int, TreeNode, str | None]]:
        """The lines of the tree, each job below the job that it waits for: the depth, the job, and a note if
        it was drawn before or closes a ring."""
        seen: set[str] = set()
        below: dict[str, list[str]] = {name: [] for name in self.nodes}
        for name, node in self.nodes.items():
            for parent in node.parents:
                if parent in below:
                    below[parent].append(name)
            for child in node.children:
                if child in self.nodes and name not in self.nodes[child].parents:
                    below[name].append(child)
        tops = [name for name, node in self.nodes.items() if not any(p in self.nodes for p in node.parents)]
        for top in [*tops, *self.nodes]:
            if top in seen:
                continue
            stack: list[tuple[int, str, tuple[str, ...]]] = [(0, top, ())]
            while stack:
                depth, name, above = stack.pop()
                if name in above:
                    yield depth, self.nodes[name], "a cycle"
                elif name in seen and below[name]:
                    yield depth, self.nodes[name], "as above"
                else:
                    yield depth, self.nodes[name], None
                    inner = (*above, name)
                    stack += [(depth + 1, each, inner) for each in sorted(set(below[name]), reverse=True)]
                seen.add(name)


class JobDetail(Struct, frozen=True):
    """A job with its decoded result. `error` is None if it did not fail, `family` is None if it was not
    read."""

    job: Job
    result: Any
    error: JobError | None
    family: Family | None = None
