"""The doctor's findings, as rows and as text."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from asyncmq_cli.output.redaction.redact import redact_text
from asyncmq_cli.output.tables.columns import Column
from asyncmq_cli.output.tables.tables import counted
from asyncmq_cli.output.text.escape import escape

if TYPE_CHECKING:
    from asyncmq_cli.models.findings import Diagnosis, Finding

_BRIEF: tuple[Column[Finding], ...] = (
    Column("SEVERITY", lambda row: row.severity, "state"),
    Column("CODE", lambda row: row.code, "id"),
    Column("QUEUE", lambda row: row.queue, "name"),
    Column("COUNT", lambda row: row.count, "number"),
)
_WHOLE: tuple[Column[Finding], ...] = (
    *_BRIEF,
    Column("FIRST IDS", lambda row: ", ".join(map(redact_text, row.sample_ids))),
    Column("MESSAGE", lambda row: row.message),
    Column("REPAIR", lambda row: row.repair),
)


def columns(*, for_people: bool) -> tuple[Column[Finding], ...]:
    """For people, message and ids are printed below the table instead."""
    return _BRIEF if for_people else _WHOLE


def meanings(findings: Sequence[Finding], width: int) -> Iterator[str]:
    """Each code once: why it matters, what a repair does or an operator can do, and the first ids of
    each queue, whole."""
    for code in dict.fromkeys(finding.code for finding in findings):
        same = [finding for finding in findings if finding.code == code]
        yield ""
        yield from _wrapped(f"{code}: {same[0].message}.", "", width)
        word = "Repair" if same[0].repairable else "Advice"
        for repair in dict.fromkeys(one.repair for one in same):
            yield from _wrapped(f"{word}: {repair}.", "  ", width)
        for one in same:
            if one.sample_ids:
                yield escape(f"  In {one.queue}:")
                yield from _first_ids(one, len(one.sample_ids))


def _first_ids(finding: Finding, most: int) -> Iterator[str]:
    """A line for each of the first ids, with its task; an id is never cut."""
    tasks = [*finding.sample_tasks, *([None] * len(finding.sample_ids))]
    for name, task in list(zip(finding.sample_ids, tasks, strict=False))[:most]:
        yield escape(redact_text(f"    {name}" + (f"  {task}" if task else "")))
    if finding.count > min(most, len(finding.sample_ids)):
        yield f"    … and {finding.count - min(most, len(finding.sample_ids)):,} more"


def summary(diagnosis: Diagnosis) -> str:
    queues = counted(len(diagnosis.checked), "queue")
    if not diagnosis.findings:
        return f"No damage in {queues}"
    of_severity = Counter(finding.severity for finding in diagnosis.findings)
    parts = [counted(of_severity[kind], kind) for kind in ("error", "warning") if of_severity[kind]]
    if of_severity["info"]:
        parts.append(f"{of_severity['info']} for information")
    return f"{counted(len(diagnosis.findings), 'finding')} in {queues}: {', '.join(parts)}"


def lines_to_ask(findings: Sequence[Finding]) -> list[str]:
    """The findings to be repaired: the number of jobs, and the first ids of each."""
    lines = []
    for one in findings:
        lines += [f"  {one.code} in {one.queue}: {one.count:,}", *_first_ids(one, 2)]
    return lines


def remark(finding: Finding) -> str:
    """One finding that is left, as a remark beside piped output."""
    return f"queue {finding.queue!r}: {finding.count:,} × {finding.code} left; {finding.repair}"


def _wrapped(text: str, indent: str, width: int) -> list[str]:
    return textwrap.wrap(
        escape(text),
        max(40, width),
        initial_indent=indent,
        subsequent_indent=indent + "  ",
        break_on_hyphens=False,
    )
