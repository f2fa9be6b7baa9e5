"""The columns and documents of `context list` and `context show`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from msgspec.structs import asdict

from asyncmq_cli.output.tables.columns import Column

if TYPE_CHECKING:
    from asyncmq_cli.models.contexts import ContextRow, Setting

CONTEXTS: list[Column[ContextRow]] = [
    Column("NAME", lambda row: row.name, "id"),
    Column("USED", lambda row: "yes" if row.in_use else None),
    Column("GUARD", lambda row: row.guard),
    Column("REDIS", lambda row: row.redis_url or row.problem),
]
SETTINGS: list[Column[Setting]] = [
    Column("SETTING", lambda row: row.name, "id"),
    Column("VALUE", lambda row: _written(row.value), ample=30),
    Column("FROM", lambda row: row.origin, ample=20),
]


def _written(value: Any) -> str | None:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(value) or None
    return f"{value:g}" if isinstance(value, float) else None if value is None else str(value)


def listed(rows: Iterable[ContextRow]) -> dict[str, Any]:
    """The document of `context list`."""
    return {"contexts": [asdict(row) for row in rows]}


def shown(name: str, rows: Iterable[Setting]) -> dict[str, Any]:
    """The document of `context show`."""
    settings = {row.name: {"value": row.value, "from": row.origin} for row in rows}
    return {"context": name or None, "settings": settings}
