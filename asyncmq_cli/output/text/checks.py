"""Write the results of `check` and `doctor` for people and for monitors.

The line of `check` is `ASYNCMQ STATE - TEXT | PERFDATA`, as in the Monitoring Plugins' guidelines.
Performance data are `LABEL=VALUE[s];WARN;CRIT;MIN`, with each bound written as a range; a lower bound is
`N:`.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from asyncmq_cli.models.monitoring.checks import (
    CHECK_STATES,
    PROBE_BY_NAME,
    CheckReport,
    Probe,
    Range,
    Threshold,
)
from asyncmq_cli.models.values import counted
from asyncmq_cli.output.redaction.redact import redact_text
from asyncmq_cli.output.tables.columns import Column
from asyncmq_cli.output.text.cutting import beginning_of
from asyncmq_cli.output.text.escape import escape
from asyncmq_cli.output.text.times import duration, rfc3339

if TYPE_CHECKING:
    from asyncmq_cli.models.findings import Diagnosis, Finding
    from asyncmq_cli.output.json.documents import Document


_NAMED = 3
_LONGEST = 200
"""The number of troubles in the line, and the characters of each: monitors cut a long line, and people do not
read it."""


def line(report: CheckReport, rest: str = "--json has all") -> str:
    """The line of `check`, without characters that would end its text early or control a terminal. `rest`
    says where the troubles can be found that the line leaves out."""
    text = escape(f"ASYNCMQ {report.state.upper()} - {summary(report, rest)}").replace("|", "\\x7c")
    numbers = " ".join(_perfdata(report.probes))
    return f"{text} | {numbers}" if numbers else text


def for_people(report: CheckReport) -> list[str]:
    """The line and, if it leaves out or cuts a trouble, every trouble on a line below it."""
    troubles = _troubles(report)
    if len(troubles) <= _NAMED and all(len(text) <= _LONGEST for text in troubles):
        return [line(report)]
    states = {trouble(probe): probe.state for probe in report.probes if probe.state != "ok"}
    return [line(report, "below"), *(escape(f"  {states[text]:<8}  {text}") for text in troubles)]


def _troubles(report: CheckReport) -> list[str]:
    """The troubles as text, the worst first."""
    bad = sorted((probe for probe in report.probes if probe.state != "ok"), key=_badness, reverse=True)
    # One key that cannot be read may make several values unknown, so drop repeated texts.
    return list(dict.fromkeys(trouble(probe) for probe in bad))


def summary(report: CheckReport, rest: str = "") -> str:
    """The text of the line: the worst troubles first, then how many more there are, and where they are
    shown."""
    texts = _troubles(report)
    if not texts:
        many = len(report.queues)
        return "1 queue is well" if many == 1 else f"{many:,} queues are well" if many else "no queues"
    named = [beginning_of(text, _LONGEST) for text in texts[:_NAMED]]
    more = len(texts) - len(named)
    where = f" ({rest})" if rest else ""
    return "; ".join([*named, *([f"and {more:,} more{where}"] if more else [])])


def trouble(probe: Probe) -> str:
    """The text of a probe that is not OK: `emails: 412 failed (at most 50)`."""
    if probe.state == "unknown":
        said = redact_text(probe.problem or "it cannot be read")
        return said if probe.queue is None or probe.name == "exists" else f"{probe.queue}: {said}"
    said = PROBE_BY_NAME[probe.name].text.format(
        _human(probe, probe.value), s="" if probe.value == 1 else "s"
    )
    bound = probe.threshold.bound_of(probe.state)
    if isinstance(bound, Range):
        where = "not within" if bound.inside else "within"
        said += f" (to be {where} {_range(probe.threshold, bound).removeprefix('@')})"
    elif bound:
        said += f" (at {'least' if probe.threshold.least else 'most'} {_human(probe, bound)})"
    return f"{'no queues' if probe.queue is None else probe.queue}: {said}"


def document(report: CheckReport, exit_status: int) -> Document:
    return {
        "state": report.state,
        "exit_status": exit_status,
        "summary": summary(report),
        "timestamp": report.timestamp,
        "time": rfc3339(report.timestamp),
        "queues": list(report.queues),
        "probes": [_probe(probe) for probe in report.probes],
    }


def _probe(probe: Probe) -> Document:
    return {
        "probe": probe.name,
        "queue": probe.queue,
        "value": probe.value,
        "warning": _bound(probe.threshold, probe.threshold.warning),
        "critical": _bound(probe.threshold, probe.threshold.critical),
        "state": probe.state,
        "message": None if probe.state == "ok" else trouble(probe),
    }


def _bound(threshold: Threshold, bound: float | Range | None) -> float | str | None:
    return _range(threshold, bound) if isinstance(bound, Range) else bound


def _badness(probe: Probe) -> tuple[int, float]:
    """The sort key of a problem: its state, then how many times its value exceeds the threshold."""
    bound, value = probe.threshold.bound_of(probe.state), probe.value
    if bound is None or value is None:
        return CHECK_STATES.index(probe.state), 0.0
    is_below = probe.threshold.least
    if isinstance(bound, Range):
        is_below = not bound.inside and bound.low is not None and value < bound.low
        bound = (bound.low if is_below else bound.high) or 0.0
    far = (bound + 1) / (value + 1) if is_below else (value + 1) / (bound + 1)
    return CHECK_STATES.index(probe.state), far


def _human(probe: Probe, value: float | None) -> str:
    if value is None:
        return "-"
    return duration(value) if PROBE_BY_NAME[probe.name].is_duration else _number(value, ",")


def _perfdata(probes: Sequence[Probe]) -> list[str]:
    """The performance data: for each probe the worst value of all queues, so that the labels never change."""
    by_name: dict[str, list[Probe]] = {}
    for probe in probes:
        if probe.name in PROBE_BY_NAME:
            by_name.setdefault(probe.name, []).append(probe)
    return [_measured(name, of_queues) for name, of_queues in by_name.items()]


def _measured(name: str, probes: Sequence[Probe]) -> str:
    threshold, unit = probes[0].threshold, "s" if PROBE_BY_NAME[name].is_duration else ""
    # If no job waits or runs, the duration is 0.
    known = [probe.value or 0 for probe in probes if probe.state != "unknown"]
    # In the guidelines, U stands for a value that could not be determined.
    worst = "U" if not known else _number(_worst(threshold, known)) + unit
    bounds = [_range(threshold, bound) for bound in (threshold.warning, threshold.critical)]
    return f"{name}={worst};{bounds[0]};{bounds[1]};0"


def _worst(threshold: Threshold, values: Sequence[float]) -> float:
    """The worst of these values: by state, then the highest, or for `least` probes the lowest."""
    return max(
        values,
        key=lambda value: (
            CHECK_STATES.index(threshold.state_of(value)),
            -value if threshold.least else value,
        ),
    )


def _range(threshold: Threshold, bound: float | Range | None) -> str:
    """The range in the guidelines' notation."""
    if bound is None:
        return ""
    if not isinstance(bound, Range):
        return _number(bound) + (":" if threshold.least else "")
    low = "~" if bound.low is None else _number(bound.low)
    high = "" if bound.high is None else _number(bound.high)
    return f"{'@' if bound.inside else ''}{low}:{high}"


def _number(value: float, separator: str = "") -> str:
    return f"{value:{separator}.3f}".rstrip("0").rstrip(".")


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
    """The columns of findings. For people, message and ids are printed below the table instead."""
    return _BRIEF if for_people else _WHOLE


def meanings(findings: Sequence[Finding], width: int) -> Iterator[str]:
    """The explanation of each code: why it matters, what a repair does or an operator can do, and the first
    ids of each queue, uncut."""
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


def diagnosis_summary(diagnosis: Diagnosis) -> str:
    queues = counted(len(diagnosis.checked), "queue")
    if not diagnosis.findings:
        return f"No damage in {queues}"
    of_severity = Counter(finding.severity for finding in diagnosis.findings)
    parts = [counted(of_severity[kind], kind) for kind in ("error", "warning") if of_severity[kind]]
    if of_severity["info"]:
        parts.append(f"{of_severity['info']} for information")
    return f"{counted(len(diagnosis.findings), 'finding')} in {queues}: {', '.join(parts)}"


def lines_to_ask(findings: Sequence[Finding]) -> list[str]:
    """The lines that the confirmation shows: for each finding to be repaired, the number of jobs and the
    first ids."""
    lines = []
    for one in findings:
        lines += [f"  {one.code} in {one.queue}: {one.count:,}", *_first_ids(one, 2)]
    return lines


def remark(finding: Finding) -> str:
    """A finding that was not repaired, as a warning on stderr."""
    return f"queue {finding.queue!r}: {finding.count:,} × {finding.code} left; {finding.repair}"


def _wrapped(text: str, indent: str, width: int) -> list[str]:
    return textwrap.wrap(
        escape(text),
        max(40, width),
        initial_indent=indent,
        subsequent_indent=indent + "  ",
        break_on_hyphens=False,
    )
