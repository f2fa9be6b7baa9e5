"""A whole job as a tree that can be folded and searched: its error first, then its other data."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from msgspec import Struct
from rich.text import Text
from textual.binding import Binding
from textual.widgets import Tree

from asyncmq_cli.output.redaction.redact import redact, redact_text
from asyncmq_cli.output.text.cutting import MOST_CHARACTERS, cut_text
from asyncmq_cli.output.text.escape import escape
from asyncmq_cli.output.text.job_detail import HEADINGS
from asyncmq_cli.ui.dialogs.questions import Ask
from asyncmq_cli.ui.pages.page import Page

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.widgets.tree import TreeNode

    from asyncmq_cli.models.jobs import JobDetail

_MOST_CHILDREN = 500
_ASIDE = 20
"""The number of columns that a key scrolls sideways."""
Path = tuple[Any, ...]


class Branch(Struct, frozen=True):
    """A value in the tree, and the keys that lead to it."""

    value: Any
    path: Path


def shown(detail: JobDetail, *, show_secrets: bool) -> dict[str, Any]:
    """The data of the tree: the error, the arguments, the result, then the other fields."""
    record = detail.job.record or {}
    data: dict[str, Any] = dict(record) if show_secrets else redact(record)
    found: dict[str, Any] = {}
    if detail.job.problem is not None:
        found["problem"] = detail.job.problem
    error = detail.error
    if error is not None:
        text = str if show_secrets else redact_text
        frames = [
            f"{one.path}:{one.line} in {one.function or '?'}  {one.source}".rstrip() for one in error.frames
        ]
        found["error"] = {
            "message": text(": ".join(filter(None, (error.type, error.message)))),
            "root cause": text(error.root_cause or ""),
            "frames": [text(frame) for frame in frames],
            "traceback": [text(line) for line in (error.traceback or "").splitlines()],
        }
    for name in ("args", "kwargs", "result"):
        if data.get(name) not in (None, [], {}):
            found[name] = data[name]
    found["fields"] = {name: value for name, value in data.items() if name not in HEADINGS}
    return found


def children(value: Any) -> Iterator[tuple[Any, Any]]:
    """The members of an object or array with their names; empty for other values."""
    if isinstance(value, Mapping):
        yield from value.items()
    elif isinstance(value, list | tuple):
        yield from enumerate(value)


def matches(value: Any, text: str, path: Path = ()) -> Iterator[Path]:
    """The paths of all names and scalars that contain `text`, in the order of the tree."""
    for name, inner in children(value):
        here = (*path, name)
        scalar = "" if isinstance(inner, Mapping | list | tuple) else str(inner)
        if text in str(name).lower() or text in scalar.lower():
            yield here
        yield from matches(inner, text, here)


class WholeJob(Page):
    """The page with the tree of one job."""

    keys: ClassVar[str] = "Enter fold  / search  n next  y copy the value  Esc back  ? keys"
    help: ClassVar[str] = """\
Enter, Space fold or unfold
/, n         search for a name or a value; the next one
Left, Right  scroll to what is cut off
y            copy the value
Esc          back"""

    BINDINGS: ClassVar = [
        Binding("slash", "search", "search", show=False),
        Binding("n", "next", "next", show=False),
        Binding("y", "copy", "copy", show=False),
        Binding("k", "up", "up", show=False),
        Binding("j", "down", "down", show=False),
        Binding("left,h", "aside(-1)", "left", show=False, priority=True),
        Binding("right,l", "aside(1)", "right", show=False, priority=True),
    ]

    def __init__(self, detail: JobDetail) -> None:
        super().__init__()
        self._detail = detail
        self._text = ""
        self._found: Iterator[Path] = iter(())
        self._count = 0
        """The number of matches since the search began."""
        self._data: dict[str, Any] = {}

    @property
    def path(self) -> tuple[str, ...]:
        return (self._detail.job.queue, self._detail.job.id)

    def body(self) -> ComposeResult:
        self._data = shown(self._detail, show_secrets=self.ui.session.show_secrets)
        tree: Tree[Branch] = Tree(Text("job"), Branch(self._data, ()))
        tree.show_root = False
        tree.guide_depth = 2
        yield tree

    async def load(self) -> None:
        tree = self.tree
        if not tree.root.children:
            self._grow(tree.root)
            for node in tree.root.children:
                node.expand()
                self._grow(node)
                for below in node.children:
                    if below.data is not None and below.data.path == ("error", "frames"):
                        below.expand()
            tree.focus()

    @property
    def tree(self) -> Tree[Branch]:  # type: ignore[override]
        return self.query_one(Tree)

    def on_tree_node_expanded(self, event: Tree.NodeExpanded[Branch]) -> None:
        self._grow(event.node)

    def _grow(self, node: TreeNode[Branch]) -> None:
        """Add the children of a node when it is unfolded."""
        branch = node.data
        if branch is None or node.children:
            return
        for number, (name, value) in enumerate(children(branch.value)):
            if number == _MOST_CHILDREN:
                node.add_leaf(Text("… more: 'asyncmq jobs show --full' has them", style="dim"))
                break
            below = Branch(value, (*branch.path, name))
            if any(True for _ in children(value)):
                node.add(label(name, value), below)
            else:
                node.add_leaf(label(name, value), below)

    def action_search(self) -> None:
        self.app.push_screen(Ask("search", self._text, "/ a name or a value"), self._searched)

    def _searched(self, text: str | None) -> None:
        if text is not None and text.strip():
            self._text = text.strip()
            self._found, self._count = matches(self._data, self._text.lower()), 0
            self.action_next()

    def action_next(self) -> None:
        path = next(self._found, None)
        if path is None:
            self.say(self._at_end())
            self._found, self._count = matches(self._data, self._text.lower()) if self._text else iter(()), 0
            return
        self._count += 1
        self.say(f"search: {self._text}")
        node = self.tree.root
        for name in path:
            self._grow(node)
            node.expand()
            found = [
                child for child in node.children if child.data is not None and child.data.path[-1] == name
            ]
            if not found:
                return
            (node, *_) = found
        self.call_after_refresh(self._point_at, node)

    def _at_end(self) -> str:
        if not self._text:
            return "/ searches"
        if not self._count:
            return f"nothing in this job holds {self._text!r}"
        return f"no more of {self._text!r}; n starts again"

    def action_aside(self, by: int) -> None:
        self.tree.scroll_relative(x=by * _ASIDE, animate=False)

    def _point_at(self, node: TreeNode[Branch]) -> None:
        self.tree.move_cursor(node)
        self.tree.scroll_to_node(node, animate=False)

    def action_copy(self) -> None:
        node = self.tree.cursor_node
        if node is not None and node.data is not None:
            value = node.data.value
            self.copy(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))

    def action_up(self) -> None:
        self.tree.action_cursor_up()

    def action_down(self) -> None:
        self.tree.action_cursor_down()


def label(name: Any, value: Any) -> Text:
    """The line of a value: its name, and the value or the number of its members."""
    line = Text(escape(str(name)), style="bold" if isinstance(name, str) else "dim")
    if isinstance(value, Mapping | list | tuple):
        size = f"{{{len(value)}}}" if isinstance(value, Mapping) else f"[{len(value)}]"
        return line.append(f" {size}", style="dim")
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return line.append(": ", style="dim").append(escape(cut_text(text, MOST_CHARACTERS)), style="not bold")
