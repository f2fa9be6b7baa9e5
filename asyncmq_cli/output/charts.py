"""Numbers drawn with characters. Each has a form for a terminal that has none but ASCII."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from asyncmq_cli.output.tables import STATE_STYLES
from asyncmq_cli.output.times import clock

if TYPE_CHECKING:
    from rich.text import Text

# Of a bar that has no colour; no two states begin with the same one.
_LETTERS = {"completed": "c", "cancelled": "x", "waiting-children": "p"}
# In tables two states may share a colour, side by side in a bar they may not.
_BAR_STYLES = {
    **STATE_STYLES,
    "waiting": "blue",
    "expired": "magenta",
    "cancelled": "bright_black",
    "waiting-children": "bright_cyan",
}
_LEAST_POINTS = 2


def bar(counts: Mapping[str, int], *, width: int, solid: bool) -> Text:
    """Each state's part of the whole as a stretch of the bar: nothing that there is goes missing.

    `solid`: in blocks of the states' colours, else in letters.
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
    """A cell for each state that there is, and its share of the others: what rounding leaves goes to
    those that lost most by it."""
    present = {state: count for state, count in counts.items() if count > 0}
    total, room = sum(present.values()), max(0, width - len(present))
    cells = {state: 1 + count * room // total for state, count in present.items()}
    lost = sorted(present, key=lambda state: -(present[state] * room % total))
    for state in lost[: max(0, width - sum(cells.values()))]:
        cells[state] += 1
    return cells


def sparkline(values: Sequence[float | None], width: int) -> str:
    """The last values, one a cell, from 0 up; a gap where there is none."""
    from sparklines import sparklines

    shown = list(values)[-width:]
    known = [value for value in shown if value is not None]
    if not known:
        return ""
    return str(sparklines(shown, minimum=0, maximum=max(known) or 1)[0])


def over_time(
    times: Sequence[float],
    values: Sequence[float | None],
    *,
    title: str,
    width: int,
    height: int,
    utc: bool = False,
) -> list[str]:
    """The lines of a chart, the oldest value first; none where there are too few to draw."""
    import plotext

    points = [(moment, value) for moment, value in zip(times, values, strict=True) if value is not None]
    if len(points) < _LEAST_POINTS:
        return []
    figure = plotext.figure
    figure.clear()
    figure.theme("colorless")
    figure.plot_size(width, height)
    figure.title(title)
    signal = figure.signal(*zip(*points, strict=True), marker="braille")
    signal.lines()
    figure.draw(signal)
    figure.ruler("y").lim(0, max(value for _, value in points) or 1)
    span = times[-1] - times[0]
    ticks = [times[0] + span * part / 4 for part in range(5)]
    figure.ruler("x").ticks(ticks, [clock(tick, span=span, utc=utc) for tick in ticks])
    drawn: str = plotext.uncolorize(figure.build().string())
    return [line.rstrip() for line in drawn.splitlines()]
