"""The part of the terminal in which a screen is drawn, and text that fits into it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct

if TYPE_CHECKING:
    from asyncmq_cli.output.printer import Printer


class Viewport(Struct, frozen=True):
    """The area to draw in. `width` and `height` are in characters. `blocks` says whether block characters can
    be shown, `solid` whether they can be shown in colour. With `utc`, times are shown as dates. `context` is
    the name of the context, or "", and `context_color` its colour."""

    width: int
    height: int
    solid: bool
    blocks: bool
    utc: bool = False
    context: str = ""
    context_color: str = ""


def viewport_for(out: Printer, *, width: int | None = None, height: int | None = None) -> Viewport:
    """The viewport of the printer's terminal, or of a part of it."""
    return Viewport(
        width=out.width if width is None else width,
        height=out.height if height is None else height,
        solid=out.in_color and out.has_blocks,
        blocks=out.has_blocks,
        utc=out.utc,
        context=out.context,
        context_color=out.context_color,
    )


def dim(text: str, viewport: Viewport) -> Any:
    from rich.text import Text

    line = Text(text, style="dim")
    line.truncate(viewport.width, overflow="ellipsis")
    return line


def listed(title: str, items: Sequence[str], width: int, *, lines: int) -> list[str]:
    """A list as text: `title item, item`, on at most `lines` lines. An item is never cut; items that have no
    room are counted."""
    for count in range(min(len(items), lines * width), -1, -1):
        rest = [f"{len(items) - count:,} more"] if count < len(items) else []
        packed = _packed(title, [*items[:count], *rest], width)
        if len(packed) <= lines:
            break
    return packed


def _packed(title: str, items: Sequence[str], width: int) -> list[str]:
    from rich.cells import cell_len

    lines = [title]
    for number, item in enumerate(items, 1):
        word = item if number == len(items) else f"{item},"
        if cell_len(lines[-1]) + 1 + cell_len(word) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines
