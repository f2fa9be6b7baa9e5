"""A job with its parsed traceback."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from asyncmq_cli.models.jobs import Job


@dataclass(frozen=True, slots=True)
class Frame:
    """One call in a traceback. `source` is its line of code, or empty."""

    path: str
    line: int
    function: str
    source: str


@dataclass(frozen=True, slots=True)
class Raised:
    """One exception of a chain, and its frames, the innermost last.

    `led_to` is its relation to the next exception: `cause` (raise … from), or `context` (raised while this
    one was handled); None for the last.
    """

    text: str
    frames: Sequence[Frame]
    led_to: Literal["cause", "context"] | None = None


@dataclass(frozen=True, slots=True)
class JobError:
    """A parsed traceback. `chain` and `raised` start at the root cause. `frames` are those of all exceptions,
    in the same order, up to a bound."""

    type: str | None
    message: str | None
    root_cause: str | None
    chain: Sequence[str]
    frames: Sequence[Frame]
    traceback: str | None
    raised: Sequence[Raised] = ()


@dataclass(frozen=True, slots=True)
class Relative:
    """A job that another one waits for, or that waits for it. `status` is None if there is no such job.
    `pending` says whether it is still waited for."""

    id: str
    status: str | None
    pending: bool


@dataclass(frozen=True, slots=True)
class Family:
    """The jobs that one waits for, and those that wait for it: the first of them, and how many there are."""

    parents: Sequence[Relative]
    children: Sequence[Relative]
    parents_total: int
    children_total: int


@dataclass(frozen=True, slots=True)
class TreeNode:
    """A job of a tree, with the ids that it waits for and those that wait for it. `status` is None if there
    is no such job; `is_whole` says whether all of its relatives were read."""

    id: str
    status: str | None
    task_id: str | None
    parents: Sequence[str]
    children: Sequence[str]
    is_whole: bool = True


@dataclass(frozen=True, slots=True)
class Tree:
    """The ancestors and the descendants of a job. `cycles` are rings of jobs that wait for each other."""

    queue: str
    job_id: str
    nodes: Mapping[str, TreeNode]
    cycles: Sequence[Sequence[str]]
    is_whole: bool

    def drawn(self) -> Iterator[tuple[int, TreeNode, str | None]]:
        """Each job below what it waits for: its depth, and a note if it was drawn before or closes a ring."""
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


@dataclass(frozen=True, slots=True)
class JobDetail:
    """A job, its decoded result, its error, or None, and its family, or None where that was not read."""

    job: Job
    result: Any
    error: JobError | None
    family: Family | None = None
