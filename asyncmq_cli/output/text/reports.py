"""Write the report of a change in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from asyncmq_cli.models.audit.actions import BY_NAME
from asyncmq_cli.models.findings import RepairReport
from asyncmq_cli.models.repeatables import RepeatableChange
from asyncmq_cli.models.values import DEAD_STATES, counted
from asyncmq_cli.output.json.text import encode
from asyncmq_cli.output.redaction.redact import redact, redact_text
from asyncmq_cli.output.tables.tables import shortened, shortened_path
from asyncmq_cli.output.tables.views import short_error
from asyncmq_cli.output.text.cutting import beginning_of
from asyncmq_cli.output.text.escape import escape
from asyncmq_cli.output.text.times import duration, rfc3339

if TYPE_CHECKING:
    from asyncmq_cli.models.changes import ChangeReport, ChangeResult, RetryOutcome
    from asyncmq_cli.models.jobs import Job
    from asyncmq_cli.output.tables.views import CauseOf


_FIRST_SHOWN = 10
_STATE_SHOWN = 40
_MOST_SHOWN = 100
_VALUE_SHOWN = 200


def single(report: ChangeReport) -> Iterator[tuple[str, str]]:
    """The lines for one target, each with its kind (`done` or `warning`). A failure has no lines, because it
    is raised as an error."""
    result = report.results[0]
    if result.error is not None:
        return
    if isinstance(report, RepeatableChange):
        yield from _repeatable(report)
        return
    target = (
        f"queue {result.queue}"
        if result.job_id is None
        else f"{_noun(report)} {result.job_id} in {result.queue}"
    )
    if result.note is not None and result.job_id is None:
        # The change had no effect, for example a pause of a paused queue.
        yield "done", escape(f"{target.capitalize()} {result.note}")
        return
    yield "done", escape(redact_text(f"{_words(report)} {target}"))
    for line in _edit_lines(result.edit or {}):
        yield "done", escape(line)
    if result.note is not None:
        yield "warning", result.note


def _edit_lines(details: Mapping[str, Any]) -> Iterator[str]:
    """One line per value that an edit would change, such as `  kwargs.to: "a@b.c" -> "d@e.f"`. Values that
    are too large for the audit event are left out."""
    before, after = redact(details.get("before", {})), redact(details.get("set", {}))

    def shown(values: Mapping[str, Any], path: str) -> str:
        return beginning_of(encode(values[path]).decode(), _VALUE_SHOWN) if path in values else "nothing"

    for path in [*after, *details.get("unset", ())]:
        yield f"  {path}: {shown(before, path)} -> {shown(after, path)}"


def _noun(report: ChangeReport) -> str:
    return "worker" if report.action.startswith("worker.") else "job"


def worth_a_row(report: ChangeReport) -> list[ChangeResult]:
    """The rows of a long report that people need: failures and notes; in a dry run, also some other rows."""
    obliterates = report.action == "queue.obliterate"
    special = [
        result
        for result in report.results
        if result.error is not None or (result.note and not (obliterates and result.job_id is None))
    ]
    plain = [result for result in report.results if result.error is None and not result.note]
    return [*(plain[:_FIRST_SHOWN] if report.dry_run else []), *special[:_MOST_SHOWN]]


def summary(report: ChangeReport) -> str:
    if isinstance(report, RepairReport) and not report.matched:
        if not report.left:
            return f"No damage in {counted(len(report.checked), 'queue')}"
        found = counted(sum(one.count for one in report.left), "finding")
        would = "would be repaired" if report.dry_run else "was repaired"
        return f"Nothing {would}: {found} left as it is"
    if not report.matched:
        return "Nothing was done"
    if report.action == "queue.obliterate":
        return _obliterated(report)
    tried = len(report.results)
    rest = f" (of {report.matched:,} that match)" if report.matched > tried else ""
    if report.failed:
        return f"{_words(report)} {report.succeeded:,} of {tried:,}{rest}; {report.failed:,} failed"
    if report.dry_run and report.action != "doctor.repair" and all(one.state for one in report.results):
        states = Counter(result.state or "" for result in report.results)
        return f"{_words(report)} {kinds(states)}{rest}"
    return f"{_words(report)} {tried:,}{rest or f' of {tried:,}'}"


def _obliterated(report: ChangeReport) -> str:
    """The summary of an obliterated queue: `Obliterated queue mail: 12 completed jobs, 2 definitions`, or how
    many jobs were removed if the run ended early."""
    jobs = [result for result in report.results if result.job_id is not None]
    gone = [result for result in jobs if result.error is None]
    whole = next((each for each in report.results if each.job_id is None and each.error is None), None)
    if whole is None:
        if not gone:
            return "Nothing was done"
        return f"Removed {counted(len(gone), 'job')}; the queue still exists: run it again to remove the rest"
    states = Counter(result.state or "" for result in gone)
    what = kinds(states) if report.dry_run and gone else counted(len(gone), "job")
    return escape(f"{_words(report)} queue {whole.queue}: {', '.join(filter(None, (what, whole.note)))}")


def outcome(value: RetryOutcome) -> str:
    """The outcome of retried jobs: `Retried 5: 4 completed, 1 failed again (SMTPError)`, and how many are
    left, and why."""
    failed = f"{value.failed:,} failed again"
    if value.causes:
        failed += f" ({_causes(value)})"
    left = f"{value.left:,} yet to end"
    if value.left and value.stopped == "timeout":
        left += f" after {duration(value.waited_seconds)}"
    elif value.left and value.stopped is not None:
        left = f"{value.left:,} waiting: {value.stopped}"
    parts = (
        (value.completed, f"{value.completed:,} completed"),
        (value.failed, failed),
        (value.cancelled, f"{value.cancelled:,} cancelled"),
        (value.gone, f"{value.gone:,} gone"),
        (value.left, left),
    )
    return f"Retried {value.total:,}: {', '.join(text for count, text in parts if count)}"


def _causes(value: RetryOutcome) -> str:
    names = [
        redact_text(name.rpartition(".")[2]) + (f" ×{count:,}" if len(value.causes) > 1 else "")
        for name, count in list(value.causes.items())[:3]
    ]
    return escape(", ".join([*names, *(["…"] if len(value.causes) > 3 else [])]))


def _words(report: ChangeReport) -> str:
    action = BY_NAME[report.action]
    return f"Would {action.verb}" if report.dry_run else action.done


def repeatable_name(report: RepeatableChange) -> str:
    """The name of a definition for people: its task and its schedule."""
    from asyncmq_cli.output.tables.repeatables import schedule

    definition = report.repeatable
    name = report.results[0].job_id or ""
    return name if definition is None else f"{name}, {schedule(definition)}"


def _repeatable(report: RepeatableChange) -> Iterator[tuple[str, str]]:
    result, definition = report.results[0], report.repeatable
    if report.unchanged:
        yield "done", escape(f"Repeatable {result.job_id} in {result.queue} {result.note}")
        return
    words = _words(report)
    if report.action == "repeatable.create" and report.existed:
        words = "Would update" if report.dry_run else "Updated"
    yield "done", escape(f"{words} {repeatable_name(report)}, in {result.queue}")
    if definition is not None:
        yield "done", f"  {definition.id}"
    if report.next_runs:
        yield "done", "Next runs:"
    for run in report.next_runs:
        yield "done", f"  {rfc3339(run)}"
    if result.note is not None:
        yield "warning", result.note


_GAP = "  "
_LEAST = 12
"""The least useful width of a task or an error, in cells."""
_ENOUGH = 24
"""The width of an error, in cells, from which it is informative. A task is cut to leave this much room."""


class _Row(Struct, frozen=True):
    id: str
    words: tuple[str, ...]
    error: str


def kinds(states: Mapping[str, int]) -> str:
    """Counts of jobs by state as text: `1 failed job`, or `12 jobs (9 failed, 3 waiting)`. The state None is
    unknown."""
    total = sum(states.values())
    noun = "job" if total == 1 else "jobs"
    if len(states) == 1:
        (state,) = states
        return f"{total:,} {_state(state)} {noun}"
    parts = sorted(states.items(), key=lambda item: (-item[1], item[0]))
    detail = f" ({', '.join(f'{count:,} {_state(state)}' for state, count in parts)})" if parts else ""
    return f"{total:,} {noun}{detail}"


def _state(state: str | None) -> str:
    """A state as safe text: the states hash may contain any text."""
    shown = redact_text(str(state))
    return shown if len(shown) <= _STATE_SHOWN else shortened(shown, _STATE_SHOWN)


def job_lines(
    jobs: Sequence[Job],
    notes: Mapping[tuple[str, str], str],
    *,
    more: int,
    with_state: bool,
    with_queue: bool,
    width: int,
    cause_of: CauseOf | None = None,
) -> list[str]:
    """One line per job: its full id, its queue and state if they differ among the jobs, its task and, if it
    is dead, the cause. A note is on the next line. `more` is the number of jobs that are not shown."""
    rows = [_row(job, cause_of, with_state=with_state, with_queue=with_queue) for job in jobs]
    widths = _widths(rows, width)
    lines = []
    for job, row in zip(jobs, rows, strict=True):
        lines.append(_line(row, widths, width))
        if (job.queue, job.id) in notes:
            lines.append(f"    ({escape(notes[job.queue, job.id])})")
    return [*lines, f"  … and {more:,} more"] if more else lines


def _row(job: Job, cause_of: CauseOf | None, *, with_state: bool, with_queue: bool) -> _Row:
    differing = [*([job.queue] if with_queue else []), *([job.status] if with_state else [])]
    words = [*differing, job.task_id or ""]
    of_dead = cause_of if job.status in DEAD_STATES else None
    return _Row(_safe(job.id), tuple(map(_safe, words)), _safe(short_error(job, of_dead) or ""))


def _safe(text: str) -> str:
    return escape(redact_text(text))


def _widths(rows: Sequence[_Row], width: int) -> list[int]:
    """The widths of the columns before the error. A task is cut inside its module to the room that the ids
    and the beginning of the error leave."""
    from rich.cells import cell_len

    columns = zip(*((row.id, *row.words) for row in rows), strict=True)
    widths = [max(map(cell_len, column)) for column in columns]
    if widths:
        taken = sum(widths[:-1]) + len(_GAP) * len(widths)
        if longest := max(cell_len(row.error) for row in rows):
            taken += min(longest, _ENOUGH) + len(_GAP)
        widths[-1] = min(widths[-1], max(_LEAST, width - taken))
    return widths


def _line(row: _Row, widths: Sequence[int], width: int) -> str:
    from rich.cells import cell_len

    cells = [row.id, *(shortened_path(word, room) for word, room in zip(row.words, widths[1:], strict=True))]
    padded = [cell + " " * (room - cell_len(cell)) for cell, room in zip(cells, widths, strict=True)]
    line = _GAP + _GAP.join(padded)
    room = width - cell_len(line) - len(_GAP)
    if row.error and room >= _LEAST:
        line += _GAP + _start_of(row.error, room)
    return line.rstrip()


def _start_of(text: str, room: int) -> str:
    from rich.cells import cell_len, set_cell_size

    return text if cell_len(text) <= room else set_cell_size(text, room - 1).rstrip() + "…"
