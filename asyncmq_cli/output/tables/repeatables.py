"""Repeatable definitions: the columns of their lists, their documents, and the lines of a single one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from asyncmq_cli.models.values import as_number
from asyncmq_cli.output.json.text import encode
from asyncmq_cli.output.redaction.redact import redact, redact_any
from asyncmq_cli.output.tables.columns import Column
from asyncmq_cli.output.tables.views import shown_text
from asyncmq_cli.output.text.cutting import cut_text
from asyncmq_cli.output.text.escape import escape
from asyncmq_cli.output.text.times import interval, moment, relative, rfc3339

if TYPE_CHECKING:
    from asyncmq_cli.models.repeatables import ComingRun, Repeatable


def definitions(*, show_secrets: bool) -> tuple[Column[Repeatable], ...]:
    """The columns of definitions. People see only the beginning of an id: commands accept any unique
    beginning."""
    shown = shown_text(show_secrets)
    return (
        Column("ID", lambda row: row.id, "id", short=short_id),
        Column("QUEUE", lambda row: row.queue, "name", ample=14, worth=1),
        Column(
            "TASK",
            lambda row: shown(row.get("task_id") or row.get("name")),
            "path",
            ample=22,
            least=15,
            worth=1,
        ),
        Column("SCHEDULE", lambda row: shown(schedule(row)), ample=15, least=15),
        Column(
            "NEXT RUN",
            lambda row: None if row.paused else row.next_run,
            "time",
            # On a narrow terminal, only this column shows that it is paused.
            for_row=lambda row: "paused" if row.paused else row.next_run,
            alarm=lambda row: not row.paused and (row.overdue or row.stuck),
        ),
        Column("STATE", state_of, "state", wide=True),
        Column("ARGUMENTS", arguments(show_secrets=show_secrets), ample=12, least=8, worth=-1),
    )


def arguments(*, show_secrets: bool) -> Callable[[Repeatable], str | None]:
    """A function that writes the arguments of a definition as in a call: `"inbox", to="ana"`. They
    distinguish definitions of the same task."""

    def text(row: Repeatable) -> str | None:
        held = dict(row.definition or {})
        held = held if show_secrets else redact(held)
        args, kwargs = held.get("args"), held.get("kwargs")
        parts = [encode(value).decode() for value in args] if isinstance(args, list | tuple) else []
        if isinstance(kwargs, Mapping):
            parts += [f"{name}={encode(value).decode()}" for name, value in kwargs.items()]
        return ", ".join(parts) or None

    return text


def coming_runs(now: float, *, utc: bool, show_secrets: bool) -> tuple[Column[ComingRun], ...]:
    shown = shown_text(show_secrets)
    call = arguments(show_secrets=show_secrets)

    def wait(run: ComingRun) -> str:
        return "overdue" if run.overdue else relative(run.timestamp, now)

    def at(run: ComingRun) -> str:
        return moment(run.timestamp, utc=utc or None)

    return (
        Column("AT", lambda run: rfc3339(run.timestamp), for_row=at, ample=20, least=20),
        Column("IN", lambda run: wait(run), ample=11, least=11, worth=1),
        Column("QUEUE", lambda run: run.repeatable.queue, "name"),
        Column("TASK", lambda run: shown(run.repeatable.get("task_id")), "path", ample=15),
        Column("ARGUMENTS", lambda run: call(run.repeatable), ample=12, least=8, worth=-1),
        Column("SCHEDULE", lambda run: shown(schedule(run.repeatable)), ample=15, least=15),
        Column("ID", lambda run: run.repeatable.id, "id", wide=True, short=short_id),
    )


def short_id(text: str) -> str:
    return text.removeprefix("repeatable:")[:10]


def state_of(row: Repeatable) -> str:
    if row.definition is None:
        return "unreadable"
    if row.paused or row.stuck:
        return "paused" if row.paused else "stuck"
    return "overdue" if row.overdue else "scheduled"


def schedule(row: Repeatable) -> str | None:
    """The schedule as text: the cron expression, or else `every 5m`."""
    cron, every = row.get("cron"), row.get("every")
    if cron is not None:
        return str(cron)
    seconds = as_number(every)
    return f"every {every if seconds is None else interval(seconds)}" if every is not None else None


_OPTIONS = ("retries", "priority", "ttl", "backoff")


def detail(
    row: Repeatable, runs: Sequence[float], *, now: float, utc: bool, show_secrets: bool, full: bool
) -> Iterator[str]:
    """The lines of one definition: a title and a value per line, then the next runs with the time zone. Long
    values are cut unless `full` is set."""

    def shown(value: Any) -> Any:
        return value if show_secrets or value is None else redact_any(value)

    options = ", ".join(f"{name} {row.get(name)}" for name in _OPTIONS if row.get(name) is not None)
    pairs = (
        ("Id", row.id),
        ("Queue", row.queue),
        ("Task", shown(row.get("task_id"))),
        ("Schedule", shown(schedule(row)) + (" (in UTC)" if row.get("cron") is not None else "")),
        ("Arguments", arguments(show_secrets=show_secrets)(row)),
        ("Options", options or None),
        ("State", state_of(row)),
    )
    for title, value in pairs:
        text = "-" if value is None else str(value)
        yield f"{title + ':':<11}{escape(text if full else cut_text(text))}"
    if not runs:
        yield "Next runs: none while it is paused" if row.paused else "Next runs: none"
        return
    yield f"Next runs ({'UTC' if utc else 'local time'}):"
    for run in runs:
        yield f"  {moment(run, utc=utc or None)}  {relative(run, now)}"


def document(value: Repeatable, *, show_secrets: bool) -> dict[str, Any]:
    """One definition. `problem` says why it cannot be read, or that it is stored more than once."""
    definition = None if value.definition is None else dict(value.definition)
    shown = definition if show_secrets or definition is None else redact(definition)
    held = shown or {}
    return {
        "id": value.id or None,
        "queue": value.queue,
        "task_id": held.get("task_id"),
        "every": held.get("every"),
        "cron": held.get("cron"),
        "next_run": value.next_run,
        "time": rfc3339(value.next_run),
        "paused": value.paused,
        "overdue": value.overdue,
        "job_def": shown,
        "problem": value.problem,
    }


def list_document(values: Iterable[Repeatable], *, show_secrets: bool) -> dict[str, Any]:
    return {"repeatables": [document(value, show_secrets=show_secrets) for value in values]}


def detail_document(value: Repeatable, next_runs: Sequence[float], *, show_secrets: bool) -> dict[str, Any]:
    return {**document(value, show_secrets=show_secrets), "next_runs": list(next_runs)}


def run_document(run: ComingRun) -> dict[str, Any]:
    row = document(run.repeatable, show_secrets=False)
    return {
        "timestamp": run.timestamp,
        "time": rfc3339(run.timestamp),
        **{name: row[name] for name in ("queue", "id", "task_id", "every", "cron")},
        "overdue": run.overdue,
    }


def coming_document(runs: Iterable[ComingRun]) -> dict[str, Any]:
    return {"runs": [run_document(run) for run in runs]}
