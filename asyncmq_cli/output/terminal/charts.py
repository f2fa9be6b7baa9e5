"""Bars, sparklines and charts. Bars have an ASCII form; the others are not drawn on an ASCII terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from math import ceil
from typing import TYPE_CHECKING

from msgspec import Struct

from asyncmq_cli.output.tables.tables import STATE_STYLES
from asyncmq_cli.output.text.times import clock

if TYPE_CHECKING:
    from rich.text import Text

# The letters of a bar without colour, in which two states must not have the same letter.
_LETTERS = {"completed": "c", "cancelled": "x", "waiting-children": "p"}
# In a bar, unlike in tables, two states must not have the same colour.
_BAR_STYLES = {
    **STATE_STYLES,
    "waiting": "blue",
    "expired": "magenta",
    "cancelled": "bright_black",
    "waiting-children": "bright_cyan",
}
_LEAST_POINTS = 2
# The number of steps on the value axis, as many as fit into nine lines.
_STEPS = 4


def bar(counts: Mapping[str, int], *, width: int, solid: bool) -> Text:
    """A bar of `width` characters with a stretch for each state, at least one character if there is a job.

    With `solid`, it is drawn with blocks in the states' colours, else with letters.
    """
    from rich.text import Text

    drawn = Text()
    for state, cells in _stretches(counts, width).items():
        drawn.append(("█" if solid else letter(state)) * cells, style=state_style(state))
    return drawn


def letter(state: str) -> str:
    return _LETTERS.get(state, state[0])


def state_style(state: str) -> str:
    return _BAR_STYLES[state]


def _stretches(counts: Mapping[str, int], width: int) -> dict[str, int]:
    """The cells of each state: one for each state with jobs, and its share of the others. Cells that rounding
    leaves go to the states that lost most by it."""
    present = {state: count for state, count in counts.items() if count > 0}
    total, room = sum(present.values()), max(0, width - len(present))
    cells = {state: 1 + count * room // total for state, count in present.items()}
    lost = sorted(present, key=lambda state: -(present[state] * room % total))
    for state in lost[: max(0, width - sum(cells.values()))]:
        cells[state] += 1
    return cells


def resampled(times: Sequence[float], values: Sequence[float | None], width: int) -> Sequence[float | None]:
    """The mean values of `width` equal parts of the time; None for a part without a value. If there are at
    most `width` values, they are returned unchanged."""
    if len(values) <= width:
        return values
    start, span = times[0], times[-1] - times[0]
    parts: list[list[float]] = [[] for _ in range(width)]
    for time, value in zip(times, values, strict=True):
        if value is not None:
            part = int((time - start) / span * width) if span else width
            parts[min(part, width - 1)].append(value)
    return [sum(part) / len(part) if part else None for part in parts]


def sparkline(values: Sequence[float | None], width: int) -> str:
    """The last `width` values as one character each, scaled from 0. None is a gap."""
    from sparklines import sparklines

    shown = list(values)[-width:]
    known = [value for value in shown if value is not None]
    if not known:
        return ""
    return str(sparklines(shown, minimum=0, maximum=max(known) or 1)[0])


def histogram(counts: Sequence[tuple[float, int]], span: float, start: float, end: float, width: int) -> str:
    """The counts over the time from `start` to `end` as `width` bars of one character. Each pair of `counts`
    is the start of a span and the count in it; `span` is its length in seconds."""
    if not width or not counts or not end > start or not math.isfinite(end - start):
        return ""
    cells = [0.0] * width
    for moment, count in counts:
        # Place a span by its middle, but not before the first death or after the last.
        middle = min(max(moment + span / 2, start), end)
        cells[min(width - 1, int((middle - start) / (end - start) * width))] += count
    return sparkline([count or None for count in cells], width)


class Series(Struct, frozen=True):
    """Values over time; an unknown value is None. With `whole` they are counts, so the axis has whole
    numbers."""

    title: str
    values: Sequence[float | None]
    whole: bool = False

    @property
    def known(self) -> list[float]:
        return [value for value in self.values if value is not None]

    @property
    def ticks(self) -> list[float]:
        """The labels of the value axis: from 0 to at least the largest value, in round steps."""
        most = max(self.known, default=0) or 1
        step = ceil(most / _STEPS) if self.whole or most >= _STEPS else most / _STEPS
        return [step * number for number in range(_STEPS + 1) if step * (number - 1) < most]


def over_time(
    times: Sequence[float], series: Sequence[Series], *, width: int, height: int, utc: bool = False
) -> list[str]:
    """The lines of several charts, one below the other, over the same time, the oldest values first. Each
    chart has `height` lines. A series with fewer than two values is left out."""
    drawn = [each for each in series if len(each.known) >= _LEAST_POINTS]
    margin = max((len(_label(tick)) for each in drawn for tick in each.ticks), default=0)
    return [
        line
        for each in drawn
        for line in _chart(times, each, margin=margin, width=width, height=height, utc=utc)
    ]


def _chart(
    times: Sequence[float], series: Series, *, margin: int, width: int, height: int, utc: bool
) -> list[str]:
    import plotext

    points = [
        (moment, value) for moment, value in zip(times, series.values, strict=True) if value is not None
    ]
    figure = plotext.figure
    figure.clear()
    figure.theme("colorless")
    figure.plot_size(width, height)
    figure.title(series.title)
    signal = figure.signal(*zip(*points, strict=True), marker="braille")
    signal.lines()
    figure.draw(signal)
    ticks = series.ticks
    figure.ruler("y").lim(0, ticks[-1])
    figure.ruler("y").ticks(ticks, [_label(tick).rjust(margin) for tick in ticks])
    span = times[-1] - times[0]
    if span:
        figure.ruler("x").lim(times[0], times[-1])
    moments = [times[0] + span * part / 4 for part in range(5)]
    figure.ruler("x").ticks(moments, [clock(moment, span=span, utc=utc) for moment in moments])
    drawn: str = plotext.uncolorize(figure.build().string())
    return [line.rstrip() for line in drawn.splitlines()]


def _label(tick: float) -> str:
    if tick >= 10**7:
        return f"{tick / 10**6:,.1f}M"
    return f"{tick:,.0f}" if tick == int(tick) else f"{tick:.2g}"
