"""Of which kind a parameter's value is, where its declaration does not list the values."""

from __future__ import annotations

from typing import Any

COMMAND_LINE, FILES, COLUMNS = "command line", "files", "columns"
_KINDS = {
    "FILE": FILES,
    "QUEUE": "queues",
    "job_id": "jobs",
    "job_ids": "jobs",
    "repeatable_ids": "repeatables",
    "group": "groups",
    "task": "tasks",
    "command": COMMAND_LINE,
    "fields": COLUMNS,
}
NEEDS_A_BEGINNING = ("jobs",)


def kind_of(param: Any) -> str | None:
    """By what it is called in the help, or by its own name. A new option that is called like these is
    completed like these."""
    return _KINDS.get(str(param.metavar).strip("[].")) or _KINDS.get(param.name)
