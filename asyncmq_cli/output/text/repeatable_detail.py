"""One repeatable definition, for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from asyncmq_cli.output.redaction.redact import redact_any
from asyncmq_cli.output.tables import views
from asyncmq_cli.output.text.cutting import cut_text
from asyncmq_cli.output.text.escape import escape
from asyncmq_cli.output.text.times import moment, relative

if TYPE_CHECKING:
    from asyncmq_cli.models.repeatables import Repeatable

_OPTIONS = ("retries", "priority", "ttl", "backoff")


def lines(
    row: Repeatable, runs: Sequence[float], *, now: float, utc: bool, show_secrets: bool, full: bool
) -> Iterator[str]:
    """Title and value, one pair a line; then the next runs, with the time zone. Long values are cut unless
    `full`."""

    def shown(value: Any) -> Any:
        return value if show_secrets or value is None else redact_any(value)

    options = ", ".join(f"{name} {row.get(name)}" for name in _OPTIONS if row.get(name) is not None)
    pairs = (
        ("Id", row.id),
        ("Queue", row.queue),
        ("Task", shown(row.get("task_id"))),
        ("Schedule", shown(views.schedule(row)) + (" (in UTC)" if row.get("cron") is not None else "")),
        ("Arguments", views.arguments(show_secrets=show_secrets)(row)),
        ("Options", options or None),
        ("State", views.repeatable_state(row)),
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
