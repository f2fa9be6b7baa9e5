"""The errors that a user can get, and the parts of their hints.

Each class has a `code` (stable, for programs), an `exit_code` and, in most cases, a `hint` that says what to
do. Only `app.run` converts them to an error line and an exit status.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from asyncmq_cli.exit_status import ExitStatus
from asyncmq_cli.models.values import few


def command_line(*words: str) -> str:
    """`'asyncmq WORDS…'` with the words quoted for a shell, for a hint."""
    import shlex

    line = shlex.join(["asyncmq", *words])
    return f"`{line}`" if "'" in line else f"'{line}'"


def nearest(word: str, known: Iterable[str], *, most: int = 3, cutoff: float = 0.6) -> list[str]:
    """At most `most` of the known names, the nearest first, ignoring case.

    `cutoff` is the least similarity, between 0 and 1.
    """
    from difflib import get_close_matches

    by_lower = {name.lower(): name for name in known}
    return [by_lower[found] for found in get_close_matches(word.lower(), by_lower, n=most, cutoff=cutoff)]


def did_you_mean(near: Sequence[str]) -> str | None:
    """The hint that suggests these names, or None if there are none."""
    return f"did you mean {' or '.join(near)}?" if near else None


class OutputClosed(Exception):
    """The reader has closed stdout (`| head`). This is not an error: the run ends quietly."""


class AdminError(Exception):
    """The base class of all errors that are shown as one line instead of a traceback."""

    code = "error"
    exit_code: int = ExitStatus.FAILED
    cause = ""
    facts: Mapping[str, Any] = {}
    excerpt: Sequence[str] = ()
    """Lines between the error and its hint that show people the wrong position in their input."""

    def __init__(
        self, message: str, *, hint: str | None = None, details: Mapping[str, Any] | None = None
    ) -> None:
        """`details` are printed with --json."""
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.details = dict(details or {})


class OutputFailed(AdminError):
    """The output cannot be written, for example because the disk is full."""

    code = "output_failed"

    def __init__(self, problem: OSError) -> None:
        super().__init__(f"cannot write to standard output: {problem.strerror or problem}")


class Shortage(AdminError):
    """The machine, or a limit of this process, has too few resources."""

    code = "shortage"


class Halted(AdminError):
    """The user has stopped a search."""

    code = "halted"

    def __init__(self) -> None:
        super().__init__("the search was stopped")


class UsageProblem(AdminError):
    """The command was called wrongly."""

    code, exit_code = "usage", ExitStatus.USAGE


class CodedError(AdminError):
    """The base class of errors with several codes. If `hint` is None, `hints.hint_for` makes a hint from
    `cause` and `facts`, which are not printed."""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        hint: str | None = None,
        details: Mapping[str, Any] | None = None,
        cause: str = "",
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message, hint=hint, details=details)
        self.code = code
        self.cause = cause
        self.facts = facts or {}


class RedisProblem(CodedError):
    """Redis is unreachable, too slow, or refuses a command."""

    exit_code = ExitStatus.REDIS

    @property
    def may_pass(self) -> bool:
        """Whether trying again may help. It does not help if a password or right is wrong."""
        return self.is_away or self.code in _NO_WRITES

    @property
    def is_away(self) -> bool:
        """Whether Redis cannot even be read at the moment."""
        return self.code in _AWAY


_AWAY = frozenset(
    f"redis_{code}"
    for code in ("unreachable", "timeout", "loading", "busy", "cluster_down", "master_down", "max_clients")
)
_NO_WRITES = frozenset(f"redis_{code}" for code in ("no_replicas", "out_of_memory", "misconf"))


class WrongType(AdminError):
    """A key of AsyncMQ's layout has a value of the wrong type. `key` is its name."""

    code = "wrong_type"

    def __init__(self, key: bytes) -> None:
        self.key = key
        name = key.decode("utf-8", "surrogateescape")
        super().__init__(f"the key {name!r} is not of the type that AsyncMQ uses")


class QueueNotFound(AdminError):
    """Redis has no key of this queue. `nearest` are similar names."""

    code, exit_code = "queue_not_found", ExitStatus.NOT_FOUND

    def __init__(self, queue: str, nearest: Sequence[str] = ()) -> None:
        hint = did_you_mean(nearest) or "'asyncmq queues list' shows the queues that exist"
        super().__init__(
            f"no queue named {queue!r}", hint=hint, details={"queue": queue, "nearest": list(nearest)}
        )


_MOST_NAMED = 3


class JobNotFound(AdminError):
    """Redis has no data about this job. `nearest` are ids that begin with the given one. If `queue` is None,
    several queues were searched, which `where` describes."""

    code, exit_code = "job_not_found", ExitStatus.NOT_FOUND

    def __init__(
        self, queue: str | None, job_id: str, nearest: Sequence[str] = (), *, where: str = "in any queue"
    ) -> None:
        shown = nearest[:_MOST_NAMED]
        hint: str | None
        if len(nearest) == 1:
            hint = did_you_mean(nearest)
        elif nearest:
            more = ["…"] if len(shown) < len(nearest) else []
            hint = f"{len(nearest)} ids begin with it: {', '.join([*shown, *more])}"
        else:
            named = [] if queue is None else [queue]
            line = command_line("jobs", "list", *named, "--state", "all", "--job-id", "PART")
            hint = f"{line} finds a job by part of its id"
        super().__init__(
            f"no job {job_id!r} {where if queue is None else f'in queue {queue!r}'}",
            hint=hint,
            details={"queue": queue, "job_id": job_id, "nearest": list(shown)},
        )


class AmbiguousJob(UsageProblem):
    """Jobs of more than one queue have this id."""

    code = "ambiguous_job"

    def __init__(self, job_id: str, queues: Sequence[str]) -> None:
        shown = [repr(queue) for queue in queues[:_MOST_NAMED]]
        if len(queues) > _MOST_NAMED:
            shown.append(f"{len(queues) - _MOST_NAMED} more")
        super().__init__(
            f"job {job_id!r} is in the queues {', '.join(shown[:-1])} and {shown[-1]}",
            hint="name the queue before the id",
            details={"job_id": job_id, "queues": list(queues)},
        )


class WorkerNotFound(AdminError):
    """No heartbeat of this worker is stored."""

    code, exit_code = "worker_not_found", ExitStatus.NOT_FOUND

    def __init__(self, worker_id: str, queue: str | None = None) -> None:
        where = "" if queue is None else f" in queue {queue!r}"
        super().__init__(
            f"no worker {worker_id!r}{where}",
            hint="'asyncmq workers list' lists the workers",
            details={"queue": queue, "worker": worker_id},
        )


class GroupNotFound(AdminError):
    """No dead job belongs to this failure group. `queue` is None if several were searched."""

    code, exit_code = "group_not_found", ExitStatus.NOT_FOUND

    def __init__(self, queue: str | None, group: str, nearest: Sequence[str] = ()) -> None:
        super().__init__(
            f"no failure group {group!r} in {_queue_or_any(queue)}",
            hint=did_you_mean(nearest) or _lists_groups(queue, "lists them"),
            details={"queue": queue, "group": group, "nearest": list(nearest)},
        )


class FormerGroup(GroupNotFound):
    """The id is a failure group's id in older versions, which grouped by the outermost error."""

    code = "former_group"

    def __init__(self, queue: str | None, group: str) -> None:
        super().__init__(queue, group)
        self.message = f"{group!r} is a group id of an older version, which grouped by the outermost error"
        self.hint = _lists_groups(queue, "lists the groups by root cause, with their new ids")


def _queue_or_any(queue: str | None) -> str:
    return "any queue" if queue is None else f"queue {queue!r}"


def _lists_groups(queue: str | None, what: str) -> str:
    return f"{command_line('dlq', 'groups', *([] if queue is None else [queue]))} {what}"


class TaskNotFound(AdminError):
    """No job of this task was found. `nearest` are similar tasks."""

    code, exit_code = "task_not_found", ExitStatus.NOT_FOUND

    def __init__(
        self, task: str, where: str, nearest: Sequence[str] = (), *, is_sampled: bool = False
    ) -> None:
        rare = "only a sample of the jobs was read: a rare task may be missing"
        super().__init__(
            f"no job of task {task!r} {where}",
            hint=did_you_mean(nearest) or (rare if is_sampled else "'asyncmq tasks list' lists the tasks"),
            details={"task": task, "nearest": list(nearest)},
        )


class RepeatableNotFound(AdminError):
    """No definition in the queue has this id or task. `nearest` are similar tasks."""

    code, exit_code = "repeatable_not_found", ExitStatus.NOT_FOUND

    def __init__(self, queue: str, address: str, nearest: Sequence[str] = ()) -> None:
        hint = did_you_mean([f"--task {task}" for task in nearest])
        hint = hint or f"{command_line('repeatables', 'list', queue)} lists the definitions"
        super().__init__(
            f"no repeatable {address!r} in queue {queue!r}",
            hint=hint,
            details={"queue": queue, "repeatable": address, "nearest": list(nearest)},
        )


class AmbiguousGroup(UsageProblem):
    """Several failure groups have an id that begins like this. `queue` is None if several were searched."""

    code = "ambiguous_group"

    def __init__(self, queue: str | None, group: str, candidates: Sequence[str]) -> None:
        super().__init__(
            f"more than one failure group in {_queue_or_any(queue)} begins with {group!r}",
            hint=f"among them {' and '.join(candidates)}; {_lists_groups(queue, 'lists them')}",
            details={"queue": queue, "group": group, "candidates": list(candidates)},
        )


class AmbiguousRepeatable(UsageProblem):
    """Several definitions match. `candidates` maps their ids to task and schedule."""

    code = "ambiguous_repeatable"

    def __init__(self, queue: str, address: str, candidates: Mapping[str, str]) -> None:
        shown = [f"{identity} ({task})" for identity, task in sorted(candidates.items())]
        super().__init__(
            f"{address!r} may be any of {len(candidates)} repeatables in queue {queue!r}",
            hint=f"give one of the ids: {few(shown, between='; ')}",
            details={"queue": queue, "repeatable": address, "candidates": sorted(candidates)},
        )


class ChangeRefused(CodedError):
    """The target exists, but this change cannot be made to it."""


class TargetsFailed(AdminError):
    """Some of several targets failed. The report on stdout names each of them."""

    code = "targets_failed"


class NotConfirmed(AdminError):
    """The change needs confirmation, and was not confirmed."""

    code, exit_code = "not_confirmed", ExitStatus.NOT_CONFIRMED


class WaitFailed(CodedError):
    """The goal of `wait` was not reached, or cannot be."""


class WaitTimeout(AdminError):
    """The wait has timed out. The exit status is the same as that of timeout(1)."""

    code, exit_code = "timeout", ExitStatus.TIMED_OUT


class DemoUnavailable(AdminError):
    """The demo lacks a Redis server or the AsyncMQ library."""

    code = "demo_unavailable"


class Interrupted(CodedError):
    """A signal has ended the command. Changes made so far stay, and are audited. `exit_code` is the status
    that a shell reports for a process that the signal has ended."""
