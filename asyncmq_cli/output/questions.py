"""What stands above a question: which jobs a change would hit, and how many of which kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from asyncmq_cli.output.escape import escape
from asyncmq_cli.output.redact import redact_text
from asyncmq_cli.output.tables import shortened_path
from asyncmq_cli.output.views import short_error

if TYPE_CHECKING:
    from asyncmq_cli.models.jobs import Job

_GAP = "  "
_LEAST = 12
"""Cells below which a task or an error says nothing any more."""


@dataclass(frozen=True, slots=True)
class _Row:
    id: str
    words: tuple[str, ...]
    error: str


def kinds(states: Mapping[str, int]) -> str:
    """`1 failed job`, or `12 jobs (9 failed, 3 waiting)`. The state None is one that is not known."""
    total = sum(states.values())
    noun = "job" if total == 1 else "jobs"
    if len(states) == 1:
        (state,) = states
        return f"{total:,} {state} {noun}"
    parts = sorted(states.items(), key=lambda item: (-item[1], item[0]))
    told = f" ({', '.join(f'{count:,} {state}' for state, count in parts)})" if parts else ""
    return f"{total:,} {noun}{told}"


def job_lines(
    jobs: Sequence[Job], notes: Mapping[str, str], *, more: int, with_state: bool, width: int
) -> list[str]:
    """A line for each job: its id, whole, its state where they differ, its task and its error. A
    note has a line of its own, and `more` is how many jobs are not shown."""
    rows = [_row(job, with_state=with_state) for job in jobs]
    widths = _widths(rows, width)
    lines = []
    for job, row in zip(jobs, rows, strict=True):
        lines.append(_line(row, widths, width))
        if job.id in notes:
            lines.append(f"    ({escape(notes[job.id])})")
    return [*lines, f"  … and {more:,} more"] if more else lines


def _row(job: Job, *, with_state: bool) -> _Row:
    words = [*([job.status] if with_state else []), job.task_id or ""]
    return _Row(_safe(job.id), tuple(map(_safe, words)), _safe(short_error(job) or ""))


def _safe(text: str) -> str:
    return escape(redact_text(text))


def _widths(rows: Sequence[_Row], width: int) -> list[int]:
    """Of the columns before the error. A task is cut, within its module, to what the ids leave."""
    from rich.cells import cell_len

    columns = zip(*((row.id, *row.words) for row in rows), strict=True)
    widths = [max(map(cell_len, column)) for column in columns]
    if widths:
        taken = sum(widths[:-1]) + len(_GAP) * len(widths)
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
