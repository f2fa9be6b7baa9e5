"""The actions of the audit trail, one row each, and the rights of the Redis user.

Services, completion, reports and docs/keys.md use these rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct, field


class Action(Struct, frozen=True):
    """`name` is `noun.verb`; `command` is the command that writes the event. `sources` are the possible
    values of `source` in the event, the same as the dashboard's if it has the action. A report says `done`,
    or in a dry run `Would` and the `verb`; `note` is Markdown for docs/keys.md. A `guarded` action removes or
    stops something, or cannot be undone: in a context with `guard = "confirm"` it must be confirmed even for
    a single target."""

    name: str
    command: str
    sources: tuple[str, ...]
    done: str
    verb: str
    note: str = ""
    guarded: bool = True


_QUEUE, _JOBS, _DLQ = ("queues.detail",), ("jobs.single", "jobs.bulk"), ("dlq.bulk",)
_REPEATABLE = ("repeatables",)

ACTIONS = (
    Action("queue.pause", "queues pause", _QUEUE, "Paused", "pause"),
    Action("queue.resume", "queues resume", _QUEUE, "Resumed", "resume", guarded=False),
    Action("queue.drain", "queues drain", _QUEUE, "Removed", "remove", "one event for each job"),
    Action("queue.clean", "queues clean", _QUEUE, "Removed", "remove", "one event for each job"),
    Action(
        "queue.obliterate",
        "queues obliterate",
        _QUEUE,
        "Obliterated",
        "obliterate",
        "one event for each job and each other part of the queue; the last `part` is `sequence`",
    ),
    Action("queue.forget", "queues forget", _QUEUE, "Forgot", "forget"),
    Action("job.add", "jobs add", _JOBS, "Added", "add", guarded=False),
    Action("job.rerun", "jobs rerun", _JOBS, "Added", "add", "`details` has `copy_of`", guarded=False),
    Action("job.run-now", "jobs run-now", _JOBS, "Moved up", "move up", "a delayed job waits at once"),
    Action(
        "job.retry",
        "jobs retry",
        _JOBS,
        "Retried",
        "retry",
        "a dead job waits again; with `--set`, `details` also has the keys of `job.edit`",
        guarded=False,
    ),
    Action("job.requeue", "jobs requeue", _JOBS, "Requeued", "requeue", "a stuck job waits again"),
    Action("job.remove", "jobs remove", _JOBS, "Removed", "remove"),
    Action("job.cancel", "jobs cancel", _JOBS, "Cancelled", "cancel"),
    Action(
        "job.edit",
        "jobs edit",
        _JOBS,
        "Edited",
        "edit",
        "`details` has what was `set` and `unset`, what was there `before`, and the job as it `was`",
    ),
    Action(
        "job.restore",
        "jobs restore",
        _JOBS,
        "Restored",
        "restore",
        "from a backup; if an edit was undone, `details` may have the `event` of that edit",
        guarded=False,
    ),
    Action("dlq.retry", "dlq retry", _DLQ, "Retried", "retry", guarded=False),
    Action("dlq.remove", "dlq remove", _DLQ, "Removed", "remove"),
    Action("repeatable.create", "repeatables add", ("repeatables.new",), "Added", "add", guarded=False),
    Action("repeatable.pause", "repeatables pause", _REPEATABLE, "Paused", "pause"),
    Action("repeatable.resume", "repeatables resume", _REPEATABLE, "Resumed", "resume"),
    Action(
        "repeatable.run",
        "repeatables run",
        _REPEATABLE,
        "Ran",
        "run",
        "`details` has `new_job`",
        guarded=False,
    ),
    Action("repeatable.remove", "repeatables remove", _REPEATABLE, "Removed", "remove"),
    Action(
        "worker.forget",
        "workers forget",
        ("workers",),
        "Forgot",
        "forget",
        "`job_id` is the worker's id",
    ),
    Action(
        "doctor.repair",
        "doctor --repair",
        ("doctor",),
        "Repaired",
        "repair",
        "`details` has the `code` of the damage",
    ),
)
BY_NAME = {action.name: action for action in ACTIONS}
_OF_JOBS = ("retry", "requeue", "run-now", "edit", "cancel", "remove")
ON_SCREEN = {
    name: BY_NAME[name]
    for name in (
        *("queue.pause", "queue.resume"),
        *(f"job.{verb}" for verb in _OF_JOBS),
        *("dlq.retry", "dlq.remove"),
        *(f"repeatable.{verb}" for verb in ("create", "pause", "resume", "remove")),
    )
}
"""The names of the actions that `asyncmq ui` offers. Their events then have the source `ui`."""


OPTIONAL_RIGHTS = frozenset({"pttl", "unlink"})
"""Rights that no command needs to do its work."""
MAINTAINER_RIGHTS = frozenset({"srem"})
"""Rights for changes that remove a job from its queue. Changes that make a job run again do not need them."""


class Rights(Struct, frozen=True):
    """The rights of the Redis user. `reading` and `changing` map each Redis command, in lower case, to
    whether it is allowed. `user`, `server`, `maxmemory` (bytes, 0 for no limit) and `maxmemory_policy` are
    None if the server does not report them. `refused` is the server's error for the first command that it
    refused, or None."""

    user: str | None
    server: str | None
    reading: dict[str, bool]
    changing: dict[str, bool]
    refused: str | None
    lacks: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """For each of our commands that changes something, the Redis commands that it needs and that are not
    allowed."""
    maxmemory: int | None = None
    maxmemory_policy: str | None = None

    @property
    def role(self) -> str | None:
        """The highest role of docs/connecting.md whose rights the user has; None for less than a viewer's."""
        missing = {name for taken in (self.reading, self.changing) for name, has in taken.items() if not has}
        missing -= OPTIONAL_RIGHTS
        if not missing:
            return "maintainer"
        if missing <= MAINTAINER_RIGHTS:
            return "operator"
        return None if missing & self.reading.keys() else "viewer"
