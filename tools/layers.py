"""The picture of the layers: docs/images/layers.svg, written by `make reference`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "asyncmq_cli"
PICTURE = ROOT / "docs" / "images" / "layers.svg"

_WIDTH, _HEIGHT = 880, 610


@dataclass(frozen=True)
class Box:
    """A part of the house: a folder with its sub-packages, or a few files. `x`, `y` and `width` in pixels."""

    title: str
    text: str
    x: int
    y: int
    width: int
    folder: str | None = None

    @property
    def parts(self) -> list[str]:
        if self.folder is None:
            return []
        return sorted(path.parent.name for path in (PACKAGE / self.folder).glob("*/__init__.py"))

    @property
    def height(self) -> int:
        return 56 + 26 * len({y for _, y, _, _ in self.chips()})

    def chips(self) -> list[tuple[int, int, int, str]]:
        """Where each sub-package is drawn: x, y, width and name."""
        found = []
        x, y = self.x + 12, self.y + 52
        for name in self.parts:
            width = 14 + 7 * len(name)
            if x + width > self.x + self.width - 8:
                x, y = self.x + 12, y + 26
            found.append((x, y, width, name))
            x += width + 8
        return found


BOXES = (
    Box(
        "__main__.py, app.py",
        "streams, signals, the command tree; an error becomes an exit status",
        20,
        20,
        600,
    ),
    Box("completion/", "the answers to TAB", 20, 110, 190),
    Box("commands/", "one file per noun: parse, call, print", 230, 110, 240),
    Box("ui/", "the screen of `ui`", 490, 110, 130),
    Box(
        "cli/",
        "what all commands share: options, session, filters, confirmation, lists, --watch",
        20,
        200,
        600,
    ),
    Box("services/", "the use cases and their rules", 20, 290, 600, "services"),
    Box(
        "storage/",
        "AsyncMQ's data in Redis: keys, codec, reads, one Lua script per change",
        20,
        402,
        600,
        "storage",
    ),
    Box("Redis", "shared with AsyncMQ's workers", 20, 530, 600),
    Box("output/", "values to tables, text, JSON", 660, 110, 200, "output"),
    Box("models/", "values that all layers pass", 660, 290, 200),
    Box("config.py, errors.py", "durations.py, system/", 660, 360, 200),
    Box("demo/", "a private Redis with workers", 660, 530, 200),
)
_DOWN = (
    *((350, 76, 110), (115, 76, 110)),
    *((350, 166, 200), (115, 166, 200), (555, 166, 200)),
    *((320, 256, 290), (320, 372, 402)),
)


def picture() -> str:
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" '
        f'height="{_HEIGHT}" font-family="Helvetica, Arial, sans-serif">',
        "<title>The layers of asyncmq-cli: imports point down</title>",
        '<defs><marker id="end" markerWidth="8" markerHeight="8" refX="6" refY="3" orient="auto">'
        '<path d="M0,0 L6,3 L0,6 z" fill="#57606a"/></marker></defs>',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>',
    ]
    for box in BOXES:
        lines += _box(box)
    lines += [_arrow(x, top, x, bottom) for x, top, bottom in _DOWN]
    lines += [_arrow(320, 484, 320, 530), _arrow(470, 138, 490, 138), _arrow(620, 138, 660, 138)]
    for y, line in enumerate(("Imports follow the arrows.", "Every layer may use these two.")):
        lines.append(_text(660, 440 + 18 * y, line, 12, "#57606a"))
    return "\n".join([*lines, "</svg>", ""])


def _box(box: Box) -> Iterator[str]:
    yield (
        f'<rect x="{box.x}" y="{box.y}" width="{box.width}" height="{box.height}" rx="6" '
        'fill="#f6f8fa" stroke="#57606a"/>'
    )
    yield _text(box.x + 12, box.y + 22, box.title, 15, "#0969da", weight="bold")
    yield _text(box.x + 12, box.y + 42, box.text, 12, "#24292f")
    for x, y, width, name in box.chips():
        yield f'<rect x="{x}" y="{y}" width="{width}" height="20" rx="4" fill="#ddf4ff"/>'
        yield _text(x + 7, y + 14, name, 12, "#24292f")


def _arrow(x1: int, y1: int, x2: int, y2: int) -> str:
    return f'<path d="M{x1},{y1} L{x2},{y2}" stroke="#57606a" stroke-width="1.5" marker-end="url(#end)"/>'


def _text(x: int, y: int, text: str, size: int, fill: str, weight: str = "normal") -> str:
    return (
        f'<text x="{x}" y="{y}" font-size="{size}" font-weight="{weight}" fill="{fill}">{escape(text)}</text>'
    )
