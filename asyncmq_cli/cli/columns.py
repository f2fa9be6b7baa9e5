"""The columns of each list, for `--fields`: by themselves, and for completion."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asyncmq_cli.output.tables.columns import Column

Columns = Callable[[str | None], "Sequence[Column[Any]]"]


def _of(name: str, **given: Any) -> Columns:
    """Columns of `views` by their name, made with `given` where they are made."""

    def columns(state: str | None) -> Sequence[Column[Any]]:
        from asyncmq_cli.output.tables import views

        found: Any = getattr(views, name)
        return found(**given) if given else found  # type: ignore[no-any-return]

    return columns


def _of_jobs(state: str | None) -> Sequence[Column[Any]]:
    from asyncmq_cli.output.tables import views

    return views.jobs(state or "waiting", show_secrets=False, with_queue=True)


def _of_history(state: str | None) -> Sequence[Column[Any]]:
    from asyncmq_cli.output.text import metrics

    return metrics.HISTORY


_COLUMNS: dict[tuple[str, ...], Columns] = {
    ("queues", "list"): _of("QUEUES"),
    ("queues", "show"): _of("QUEUES"),
    ("jobs", "list"): _of_jobs,
    ("dlq", "list"): _of("jobs", state=None, show_secrets=False, with_queue=True),
    ("dlq", "groups"): _of("groups", show_secrets=False),
    ("tasks", "list"): _of("tasks", show_secrets=False),
    ("tasks", "top"): _of("top_tasks", show_secrets=False),
    ("repeatables", "list"): _of("repeatables", show_secrets=False),
    ("repeatables", "next"): _of("coming_runs", now=0.0, utc=False, show_secrets=False),
    ("workers", "list"): _of("WORKERS"),
    ("metrics", "history"): _of_history,
    ("audit", "list"): _of("AUDIT"),
}


def fields_of(command: Sequence[str], state: str | None) -> list[str]:
    """The names of a list's columns, by the words of its command. `state` is that of `--state`, or None."""
    columns = _COLUMNS.get(tuple(command))
    return [] if columns is None else [column.field for column in columns(state)]
