"""Parse the job filters that the user types; and the states in which jobs are listed."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.style import Style
from rich.text import Text

from asyncmq_cli.cli.session import FILTERS
from asyncmq_cli.errors import UsageProblem
from asyncmq_cli.models.jobs import QueueScope
from asyncmq_cli.output.tables.tables import STATE_STYLES

if TYPE_CHECKING:
    from asyncmq_cli.models.failures import FailureGroup
    from asyncmq_cli.models.queues import QueueStats

DEAD = "dead"
ALL = "all"
STATES = ("waiting", "active", "delayed", DEAD, "completed", "cancelled", "waiting-children")
"""`dead` stands for the dead-letter queue: failed and expired jobs, the last death first."""
ORDERED = ("waiting", "active", "delayed", DEAD)
"""States whose place has an order, so that only the visible page must be read."""
ORDERS = ("queue", "newest", "oldest")
WHOLE_LIST: Mapping[str, Sequence[str]] = {
    "waiting": ("cancel", "remove"),
    "active": ("requeue", "cancel", "remove"),
    "delayed": ("run-now", "cancel", "remove"),
    DEAD: ("retry", "remove"),
    "completed": ("remove",),
    "cancelled": ("remove",),
    "waiting-children": ("cancel", "remove"),
    ALL: ("cancel", "remove"),
}
"""By state, the changes that can be made to the whole list."""
_FIELDS = {DEAD: "dlq", "waiting-children": "waiting_children"}
_SHORT = {"waiting-children": "children"}
_GLOB = "queue"


def count_of(row: QueueStats | None, state: str) -> int | None:
    """The number of jobs of the queue in a state, from its row; None if it is unknown."""
    if row is not None and state == ALL:
        found = [count_of(row, one) for one in STATES]
        return sum(count or 0 for count in found)
    return None if row is None else getattr(row, _FIELDS.get(state, state))


def total_of(rows: Sequence[QueueStats], state: str) -> int | None:
    """The number of jobs of these queues in a state; None if it is unknown for one of them."""
    found = [count for row in rows if (count := count_of(row, state)) is not None]
    return sum(found) if found or not rows else None


def states_line(states: Sequence[str], current: str, counts: Mapping[str, int | None], width: int) -> Text:
    """The line of clickable states with their counts. If there is not enough room, some states are left out,
    but never the current one."""
    parts = []
    for state in states:
        count = counts[state]
        style = STATE_STYLES.get(state, "") if count else "dim"
        style = "reverse bold" if state == current else style
        shown = "?" if count is None else f"{count:,}"
        text = f" {_SHORT.get(state, state)} {shown} "
        parts.append(
            Text(text, style=Style.parse(style) + Style(meta={"@click": f"screen.state('{state}')"}))
        )
    at = states.index(current)
    while sum(part.cell_len for part in parts[: at + 1]) > width and at:
        del parts[0]
        at -= 1
    line = Text().join(parts)
    line.truncate(width, overflow="ellipsis")
    return line


def flags_of(text: str, *, across: bool = False) -> dict[str, str]:
    """Parse a typed filter into values by the names of options. Plain text is the value of --q; options are
    read as on the command line. `across` says that the list has all queues, so that --queue is accepted too.
    Raises UsageProblem."""
    known = (*FILTERS, _GLOB) if across else FILTERS
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
        if not option.startswith("--") or name not in known:
            options = ", ".join(f"--{each.replace('_', '-')}" for each in known)
            raise UsageProblem(f"no such filter {option!r}", hint=f"choose from {options}")
        if not given:
            if not words:
                raise UsageProblem(f"{option} needs a value")
            value = words.pop(0)
        found[name] = value
    return found


def scope_of(group: FailureGroup) -> QueueScope:
    """The scope of the queues in which jobs died of this cause."""
    queues = group.queues
    return QueueScope.of(queues[0]) if len(queues) == 1 else QueueScope(None, queues)


def named(scope: QueueScope) -> list[str]:
    """The queue as an argument for a command line; empty if there are several."""
    return [] if scope.queue is None else [scope.queue]


def first_state(row: QueueStats | None) -> str:
    """The state that is shown first when a queue is opened: dead if it has dead jobs."""
    return next((state for state in (DEAD, *STATES) if count_of(row, state)), STATES[0])
