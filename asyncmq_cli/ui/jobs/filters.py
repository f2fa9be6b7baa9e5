"""Filters of jobs as they are typed, and the states by which jobs are listed."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from asyncmq_cli.cli.targets import FILTERS
from asyncmq_cli.errors import UsageProblem
from asyncmq_cli.models.queues import QueueScope

if TYPE_CHECKING:
    from asyncmq_cli.models.failures import FailureGroup
    from asyncmq_cli.models.queues import QueueStats

DEAD = "dead"
STATES = ("waiting", "active", "delayed", DEAD, "completed", "cancelled", "waiting-children")
"""`dead` is the dead-letter queue: failed and expired jobs, the last that died first."""
ORDERED = ("waiting", "active", "delayed", DEAD)
"""States whose place has an order, so that a page costs a page."""
_FIELDS = {DEAD: "dlq", "waiting-children": "waiting_children"}
SHORT = {"waiting-children": "children"}
ORDERS = ("queue", "newest", "oldest")


def count_of(row: QueueStats | None, state: str) -> int | None:
    """How many jobs of a state the queue has, by its row; None where that is not known."""
    return None if row is None else getattr(row, _FIELDS.get(state, state))


def flags_of(text: str) -> dict[str, str]:
    """The filter that was typed, by the names of the options: a text is that of --q, and options are read as
    on the command line. Raises UsageProblem."""
    if not text.lstrip().startswith("--"):
        return {"q": text} if text.strip() else {}
    try:
        words = shlex.split(text)
    except ValueError as exc:
        raise UsageProblem(f"this filter cannot be read: {exc}") from exc
    found: dict[str, str] = {}
    while words:
        option, given, value = words.pop(0).partition("=")
        name = option.removeprefix("--").replace("-", "_")
        if not option.startswith("--") or name not in FILTERS:
            known = ", ".join(f"--{each.replace('_', '-')}" for each in FILTERS)
            raise UsageProblem(f"no such filter {option!r}", hint=f"choose from {known}")
        if not given:
            if not words:
                raise UsageProblem(f"{option} needs a value")
            value = words.pop(0)
        found[name] = value
    return found


def words_of(flags: dict[str, str]) -> list[str]:
    """The same as options."""
    return [word for name, value in flags.items() for word in (f"--{name.replace('_', '-')}", value)]


def scope_of(group: FailureGroup) -> QueueScope:
    """The queues in which jobs died of this cause."""
    queues = group.queues
    return QueueScope.of(queues[0]) if len(queues) == 1 else QueueScope(None, queues)


def named(scope: QueueScope) -> list[str]:
    """The queue, if it is one alone, for a command line."""
    return [] if scope.queue is None else [scope.queue]


def first_state(row: QueueStats | None) -> str:
    """The state with which a queue opens: its dead jobs, if there are any."""
    return next((state for state in (DEAD, *STATES) if count_of(row, state)), STATES[0])
