"""The actions of the audit trail, one row each. Services, completion, reports and docs/keys.md go by it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Action:
    """`name` is `noun.verb`. `sources` are the values of `source` in the event: those of the dashboard, where
    it has the action. `done` and `would` begin the report of a target; `meaning` is Markdown. One that is
    `guarded` needs the name of a context with `guard = "confirm"` for a single target too: it takes something
    away, stops something, or cannot be undone."""

    name: str
    sources: tuple[str, ...]
    meaning: str
    done: str
    would: str
    guarded: bool = True


_QUEUE, _JOBS, _DLQ = ("queues.detail",), ("jobs.single", "jobs.bulk"), ("dlq.bulk",)
_REPEATABLE = ("repeatables",)
_MILD = {"guarded": False}

ACTIONS = (
    Action("queue.pause", _QUEUE, "`queues pause`", "Paused", "Would pause"),
    Action("queue.resume", _QUEUE, "`queues resume`", "Resumed", "Would resume", **_MILD),
    Action("queue.forget", _QUEUE, "`queues forget`", "Forgot", "Would forget"),
    Action(
        "job.retry", _JOBS, "`jobs retry`: a dead job waits again", "Retried", "Would retry", guarded=False
    ),
    Action("job.requeue", _JOBS, "`jobs requeue`: a stuck job waits again", "Requeued", "Would requeue"),
    Action("job.remove", _JOBS, "`jobs remove`", "Removed", "Would remove"),
    Action("job.cancel", _JOBS, "`jobs cancel`", "Cancelled", "Would cancel"),
    Action("job.restore", _JOBS, "`jobs restore`, from a backup", "Restored", "Would restore", **_MILD),
    Action("dlq.retry", _DLQ, "`dlq retry`", "Retried", "Would retry", **_MILD),
    Action("dlq.remove", _DLQ, "`dlq remove`", "Removed", "Would remove"),
    Action(
        "repeatable.create", ("repeatables.new",), "`repeatables add`", "Added", "Would add", guarded=False
    ),
    Action("repeatable.pause", _REPEATABLE, "`repeatables pause`", "Paused", "Would pause"),
    Action("repeatable.resume", _REPEATABLE, "`repeatables resume`", "Resumed", "Would resume"),
    Action("repeatable.remove", _REPEATABLE, "`repeatables remove`", "Removed", "Would remove"),
    Action(
        "worker.forget",
        ("workers",),
        "`workers forget`; `job_id` is the worker's id",
        "Forgot",
        "Would forget",
    ),
    Action(
        "doctor.repair",
        ("doctor",),
        "`doctor --repair`; `details` has the `code` of the damage",
        "Repaired",
        "Would repair",
    ),
)
BY_NAME = {action.name: action for action in ACTIONS}
