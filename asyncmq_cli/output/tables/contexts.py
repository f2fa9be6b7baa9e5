"""The rows of `context list` and `context show`, their columns and documents."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict

from asyncmq_cli.output.tables.columns import Column


class ContextRow(Struct, frozen=True):
    """A context of the configuration file. `in_use` says whether a flag, a variable or `context use` selects
    it. `redis_url` has no password; it is None if the context has a `problem`."""

    name: str
    in_use: bool
    redis_url: str | None
    guard: str | None = None
    problem: str | None = None


class Setting(Struct, frozen=True):
    """A setting in effect. `value` is a number, a text, a list of texts or None; `origin` is the flag,
    variable or file that sets it."""

    name: str
    value: Any
    origin: str


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
