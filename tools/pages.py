"""Read our own Markdown: its tables, its code blocks, and the command lines in them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

DOCS = Path(__file__).resolve().parents[1] / "docs"

_FENCE = re.compile(r"^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
BAR = "\\|"
_CELL = re.compile(r"(?<!\\)\|")


@dataclass(frozen=True)
class Block:
    """A fenced block of code. `output` is what is said to come out: the `text` block right under it."""

    language: str
    text: str
    line: int
    section: str
    output: str | None = None


def blocks(markdown: str) -> list[Block]:
    found: list[Block] = []
    end = -1
    for fence in _FENCE.finditer(markdown):
        between = markdown[end : fence.start()] if end >= 0 else "-"
        if fence["language"] == "text" and found and not between.strip():
            last = found.pop()
            found.append(Block(last.language, last.text, last.line, last.section, fence["text"]))
        else:
            line = markdown.count("\n", 0, fence.start()) + 1
            headings = re.findall(r"^#+ (.*)$", markdown[: fence.start()], re.MULTILINE)
            found.append(Block(fence["language"], fence["text"], line, headings[-1] if headings else ""))
        end = fence.end()
    return found


def without_blocks(markdown: str) -> str:
    return _FENCE.sub("", markdown)


def table(markdown: str, title: str) -> list[list[str]]:
    """The rows of the table whose first heading is `title`. Raises LookupError where there is none."""
    lines = iter(markdown.splitlines())
    for line in lines:
        if line.startswith(f"| {title} |"):
            next(lines)
            return [_cells(row) for row in _until_blank(lines)]
    raise LookupError(title)


def with_table(markdown: str, title: str, rows: Iterable[Iterable[str]]) -> str:
    """The page with these rows in the table whose first heading is `title`. Raises LookupError likewise."""
    old = table(markdown, title)
    lines = markdown.splitlines()
    first = next(place for place, line in enumerate(lines) if line.startswith(f"| {title} |")) + 2
    lines[first : first + len(old)] = [
        f"| {' | '.join(cell.replace('|', BAR) for cell in row)} |" for row in rows
    ]
    return "\n".join(lines) + "\n"


def paragraph_under(markdown: str, title: str) -> str:
    """What stands right under the table whose first heading is `title`, on one line."""
    _, _, rest = markdown.partition(f"| {title} |")
    return " ".join(rest.split("\n\n")[1].split())


def _until_blank(lines: Iterator[str]) -> Iterator[str]:
    for line in lines:
        if not line.startswith("|"):
            return
        yield line


def _cells(row: str) -> list[str]:
    return [cell.strip().replace("\\|", "|") for cell in _CELL.split(row)[1:-1]]


def plain(text: str) -> str:
    """Without the signs of code and links."""
    return re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text).replace("`", "")
