"""The columns that --fields may name, for each list: what TAB offers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asyncmq_cli.output.columns import Column


def _views(name: str, **given: Any) -> Callable[[str | None], Sequence[Column[Any]]]:
    """Columns of `views` by their name, made with `given` where they are made."""

    def columns(state: str | None) -> Sequence[Column[Any]]:
        from asyncmq_cli.output import views

        found: Any = getattr(views, name)
        return found(**given) if given else found  # type: ignore[no-any-return]

    return columns


def _of_jobs(state: str | None) -> Sequence[Column[Any]]:
    from asyncmq_cli.output import views

    return views.jobs(state or "waiting", show_secrets=False)


def _of_history(state: str | None) -> Sequence[Column[Any]]:
    from asyncmq_cli.output import metrics

    return metrics.HISTORY


_COLUMNS: dict[tuple[str, ...], Callable[[str | None], Sequence[Column[Any]]]] = {
    ("queues", "list"): _views("QUEUES"),
    ("jobs", "list"): _of_jobs,
    ("dlq", "list"): _views("jobs", state=None, show_secrets=False),
    ("dlq", "groups"): _views("groups", show_secrets=False),
    ("repeatables", "list"): _views("repeatables", show_secrets=False),
    ("workers", "list"): _views("WORKERS"),
    ("metrics", "history"): _of_history,
    ("audit",): _views("AUDIT"),
}


def fields_of(command: Sequence[str], state: str | None) -> list[str]:
    """By the words of the command; `state` is the one that was asked for, None where none was."""
    columns = _COLUMNS.get(tuple(command))
    return [] if columns is None else [column.field for column in columns(state)]
