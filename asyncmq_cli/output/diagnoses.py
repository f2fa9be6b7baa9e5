"""What the doctor has found, in rows and in words."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from asyncmq_cli.output.columns import Column
from asyncmq_cli.output.escape import escape
from asyncmq_cli.output.redact import redact_text

if TYPE_CHECKING:
    from asyncmq_cli.models.findings import Diagnosis, Finding

_BRIEF: tuple[Column[Finding], ...] = (
    Column("SEVERITY", lambda row: row.severity, "state"),
    Column("CODE", lambda row: row.code, "id"),
    Column("QUEUE", lambda row: row.queue),
    Column("COUNT", lambda row: row.count, "number"),
    Column("FIRST IDS", lambda row: ", ".join(map(redact_text, row.sample_ids)), least=12),
)
_WHOLE: tuple[Column[Finding], ...] = (
    *_BRIEF,
    Column("MESSAGE", lambda row: row.message),
    Column("REPAIR", lambda row: row.repair),
)


def columns(*, for_people: bool) -> tuple[Column[Finding], ...]:
    """People are told what each code means below the table."""
    return _BRIEF if for_people else _WHOLE


def meanings(findings: Sequence[Finding], width: int) -> Iterator[str]:
    """Each code once: why it matters, and what a repair does or an operator can do."""
    for one in {finding.code: finding for finding in findings}.values():
        yield ""
        yield from _wrapped(f"{one.code}: {one.message}.", "", width)
        yield from _wrapped(f"{'Repair' if one.repairable else 'Advice'}: {one.repair}.", "  ", width)


def summary(diagnosis: Diagnosis) -> str:
    queues = _number(len(diagnosis.checked), "queue")
    if not diagnosis.findings:
        return f"No damage in {queues}"
    of_severity = Counter(finding.severity for finding in diagnosis.findings)
    parts = [_number(of_severity[kind], kind) for kind in ("error", "warning") if of_severity[kind]]
    if of_severity["info"]:
        parts.append(f"{of_severity['info']} for information")
    return f"{_number(len(diagnosis.findings), 'finding')} in {queues}: {', '.join(parts)}"


def lines_to_ask(findings: Sequence[Finding]) -> list[str]:
    """What is to be repaired, a line for each finding."""
    lines = []
    for one in findings:
        ids = [*map(redact_text, one.sample_ids[:2]), *(["…"] if one.count > 2 else [])]
        lines.append(f"  {one.code} in {one.queue}: {one.count:,} ({', '.join(ids)})")
    return lines


def remark(finding: Finding) -> str:
    """Of what is left, for a pipe's reader."""
    return f"queue {finding.queue!r}: {finding.count:,} × {finding.code} left; {finding.repair}"


def _wrapped(text: str, indent: str, width: int) -> list[str]:
    return textwrap.wrap(escape(text), max(40, width), initial_indent=indent, subsequent_indent=indent + "  ")


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
