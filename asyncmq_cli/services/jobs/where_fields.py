"""The fields of `--where`, and the comparison of their values."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from asyncmq_cli.models.values import as_number

if TYPE_CHECKING:
    from asyncmq_cli.models.jobs import Job

Value = Callable[["Job", float], Any]
"""Reads a value of a job at a given time (epoch seconds)."""


class Field(Struct, frozen=True):
    """A field that the language defines. `kind` is the type of its values, or None if there are several
    types."""

    kind: str | None
    read: Value
    is_stored: bool = False
    """Whether its value appears as text in the job's JSON."""


def _error_part(which: int) -> Value:
    def read(job: Job, now: float) -> Any:
        from asyncmq_cli.services.jobs.causes import raised_last

        found = raised_last(job)
        return None if found is None else found[which]

    return read


def _running(job: Job, now: float) -> float | None:
    since = as_number(job.get("active_since")) if job.status == "active" else None
    return None if since is None else now - since


def _age(job: Job, now: float) -> float | None:
    return None if job.aged_from is None else now - job.aged_from


FIELDS: Mapping[str, Field] = {
    "id": Field("text", lambda job, now: job.id),
    "queue": Field("text", lambda job, now: job.queue),
    "task": Field("text", lambda job, now: job.task_id, is_stored=True),
    "state": Field("text", lambda job, now: job.status),
    "age": Field("number", _age),
    "running": Field("number", _running),
    "created": Field("number", lambda job, now: job.created_at),
    "died": Field("number", lambda job, now: job.dead_at),
    "due": Field("number", lambda job, now: job.delay_until),
    "error": Field("text", _error_part(1)),
    "error_type": Field("text", _error_part(0)),
    **{
        name: Field("number", lambda job, now, name=name: job.get(name), is_stored=True)  # type: ignore[misc]
        for name in ("retries", "max_retries", "priority", "ttl")
    },
}
"""The fields with a special meaning; see docs/where.md."""
OF_RECORD = frozenset(
    {
        *("args", "kwargs", "result", "status", "backoff", "last_attempt", "last_error", "error_traceback"),
        *("created_at", "delay_until", "depends_on", "repeat_every", "deduplication", "active_since"),
        *("has_dependents", "progress", "completed_at", "failed_at"),
    }
)
"""The other fields that AsyncMQ writes into records."""


def kind_of(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return "list" if isinstance(value, list) else "object" if isinstance(value, dict) else "text"


def member_of(job: Job, name: str) -> Any:
    value = job.get(name)
    if value is None and job.split is not None:
        value = job.whole().get(name)
    return value


def value_at(value: Any, path: Sequence[str | int]) -> Any:
    for step in path:
        if isinstance(value, dict):
            value = value.get(str(step))
        elif isinstance(value, list) and re.fullmatch(r"-?[0-9]{1,9}", str(step)):
            place = int(step)
            value = value[place] if -len(value) <= place < len(value) else None
        else:
            return None
    return value


def are_equal(one: Any, other: Any) -> bool:
    return kind_of(one) == kind_of(other) and bool(one == other)


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def holds(one: Any, other: Any) -> bool:
        kind = kind_of(one)
        return kind in ("number", "text") and kind == kind_of(other) and compare(one, other)

    return holds


COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "==": are_equal,
    "!=": lambda one, other: not are_equal(one, other),
    "<": _ordered(lambda one, other: one < other),
    "<=": _ordered(lambda one, other: one <= other),
    ">": _ordered(lambda one, other: one > other),
    ">=": _ordered(lambda one, other: one >= other),
}


def holds_part(whole: Any, part: Any) -> bool:
    if isinstance(whole, str | dict):
        return isinstance(part, str) and part in whole
    return isinstance(whole, list) and any(are_equal(each, part) for each in whole)


def field_names() -> Iterator[str]:
    """The names for completion: fields of the language, and the usual fields of a record."""
    yield from sorted({*FIELDS, "args", "kwargs", "result"})
