"""The results as a table, and the page that they go into."""

from __future__ import annotations

import datetime
import platform
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.benchmarks.measure import COMMAND, ROOT, Cost

PAGE = ROOT / "docs" / "performance.md"
_TEMPLATE = Path(__file__).parent / "performance.md"
MEMORY = 90e6
WAIT = 0.015


@dataclass(frozen=True, slots=True)
class Row:
    """One case: the runs of the tool and of its floor, in pairs."""

    name: str
    runs: Sequence[Cost]
    floors: Sequence[Cost] = ()
    at_most: float | None = None
    worked_at_most: float | None = None
    sent_at_most: float | None = None

    @property
    def worked(self) -> float:
        """Seconds of Redis within commands."""
        return statistics.median(run.worked for run in self.runs)

    @property
    def sent(self) -> int:
        return self.runs[-1].sent

    @property
    def seconds(self) -> float:
        return statistics.median(run.seconds for run in self.runs)

    @property
    def ratio(self) -> float | None:
        """The median ratio of the runs that were made in turn."""
        if not self.floors:
            return None
        pairs = zip(self.runs, self.floors, strict=True)
        return statistics.median(run.seconds / floor.seconds for run, floor in pairs)

    @property
    def cells(self) -> list[str]:
        ratio = self.ratio
        floor = f"{statistics.median(run.seconds for run in self.floors):.2f}" if self.floors else ""
        return [
            self.name,
            f"{self.seconds:.2f}",
            floor,
            "" if ratio is None else f"{ratio:.2f}",
            "" if self.at_most is None else f"{self.at_most:g}",
            f"{statistics.median(run.cpu for run in self.runs):.2f}",
            f"{statistics.median(run.redis_cpu for run in self.runs):.2f}",
            _within(f"{self.worked * 1e3:,.1f}", self.worked_at_most, 1e3),
            f"{max(run.peak for run in self.runs) / 1e6:.0f}",
            f"{self.runs[-1].commands:,}",
            _within(f"{self.sent / 1e6:,.1f}", self.sent_at_most, 1e-6),
            f"{_milliseconds(max(run.longest for run in self.runs))} / "
            f"{max(run.too_long for run in self.runs)}",
            f"{_milliseconds(statistics.median(run.wait_999 for run in self.runs))} / "
            f"{_milliseconds(max(run.wait for run in self.runs))}",
        ]


HEAD = (
    "",
    "seconds",
    "floor, s",
    "ratio",
    "to reach",
    "CPU, s",
    "Redis's CPU, s",
    "in commands, ms",
    "memory, MB",
    "commands",
    "MB",
    "longest, ms / over 10 ms",
    "PING 99.9% / max, ms",
)


@dataclass(slots=True)
class Report:
    total: int
    rows: list[Row] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    shortfalls: list[str] = field(default_factory=list)
    """What was not reached of what no row shows."""
    pauses: dict[int, float] = field(default_factory=dict)
    """By how many processes read the clock at once, the longest that one of them was held up, in seconds."""

    def missed(self) -> list[str]:
        """Each thing to reach that was not reached, in words."""
        found = list(self.shortfalls)
        for row in self.rows:
            if row.at_most is not None and row.ratio is not None and row.ratio > row.at_most:
                found.append(f"{row.name}: {row.ratio:.2f} times its floor; target {row.at_most:g}")
            if row.worked_at_most is not None and row.worked > row.worked_at_most:
                found.append(
                    f"{row.name}: {row.worked * 1e3:.1f} ms of Redis; target {row.worked_at_most * 1e3:g} ms"
                )
            if row.sent_at_most is not None and row.sent > row.sent_at_most:
                found.append(f"{row.name}: {row.sent / 1e6:.1f} MB; target {row.sent_at_most / 1e6:g} MB")
            if (peak := max(run.peak for run in row.runs)) > MEMORY:
                found.append(f"{row.name}: {peak / 1e6:.0f} MB of memory; target 90 MB")
            slowest = max(row.runs, key=lambda run: run.longest)
            if slowest.longest > COMMAND:
                found.append(
                    f"{row.name}: {slowest.slowest} of {slowest.longest * 1e3:.1f} ms; target 10 ms: "
                    f"{slowest.too_long:,} of {slowest.commands:,} commands took longer "
                    f"({_given_away(slowest)})"
                )
            latest = max(row.runs, key=lambda run: run.wait)
            if latest.wait > WAIT:
                theirs = max((run.wait for run in row.floors), default=0.0)
                found.append(
                    f"{row.name}: a PING of {latest.wait * 1e3:.1f} ms; target 15 ms "
                    f"(beside its floor: {theirs * 1e3:.1f} ms; {_given_away(latest)})"
                )
        return found

    def write(self) -> None:
        missed = self.missed()
        text = _TEMPLATE.read_text(encoding="utf-8").format(
            date=datetime.datetime.now(tz=datetime.timezone.utc).date().isoformat(),
            machine=machine(),
            total=f"{self.total:,}",
            table="\n".join(markdown(HEAD, (row.cells for row in self.rows))),
            remarks="\n".join(f"- {remark}" for remark in self.remarks) or "Not measured.",
            alone=f"{self.pauses[1] * 1e3:.0f}",
            three=f"{self.pauses[3] * 1e3:.0f}",
            missed="\n".join(f"- {one}" for one in missed) or "Nothing.",
        )
        PAGE.write_text(text, encoding="utf-8")


def _within(shown: str, bound: float | None, unit: float) -> str:
    return shown if bound is None else f"{shown} (≤ {bound * unit:g})"


def _given_away(run: Cost) -> str:
    return f"meanwhile the host gave {run.stolen:.2f} s of the processors to other machines"


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:.1f}" if seconds else "< 0.5"


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    ruler = "| --- |" + " ---: |" * (len(head) - 1)
    return [_line(head), ruler, *(_line(row) for row in rows)]


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def machine() -> str:
    """The processor, cores, memory and versions, as far as the machine reports them."""
    processor = platform.processor() or platform.machine()
    cores = 0
    for line in _lines("/proc/cpuinfo"):
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            processor, cores = value.strip(), cores + 1
    memory = next(
        (int(line.split()[1]) for line in _lines("/proc/meminfo") if line.startswith("MemTotal")), 0
    )
    load = next(iter(_lines("/proc/loadavg")), "unknown").split()[0]
    return (
        f"{processor}, {cores or '?'} cores, {memory / 1e6:.0f} GB, "
        f"{platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}; load at the end: {load}"
    )


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
