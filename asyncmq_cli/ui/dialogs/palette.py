"""The palette: the actions of a page, each with the command line that does the same, ready to copy."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar

from msgspec import Struct
from rich.text import Text
from textual.binding import Binding
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from asyncmq_cli.output.redaction.redact import redact_text
from asyncmq_cli.output.text.cutting import beginning_of
from asyncmq_cli.output.text.escape import escape

if TYPE_CHECKING:
    from textual.app import ComposeResult

_LONGEST = 300
_LEAST, _MOST = 24, 44
"""The least and the greatest width of the titles, in characters."""
_FRAME = 6
"""The width of the frame around the list, in characters."""


class Entry(Struct, frozen=True):
    """An action: `run` does it on the screen; `words` are the words of the command line that does the same,
    or ()."""

    title: str
    run: Callable[[], object]
    words: Sequence[str] = ()

    @property
    def line(self) -> str:
        """The command line that does the same, or ""."""
        return shlex.join(["asyncmq", *self.words]) if self.words else ""

    def matches(self, text: str) -> bool:
        """Whether all words of the text are in the title or in the command line."""
        shown = f"{self.title} {self.line}".lower()
        return all(word in shown for word in text.lower().split())


class Palette(ModalScreen["Entry | None"]):
    """The dialog: type to search, Enter runs an action, Ctrl-Y copies its command line."""

    BINDINGS: ClassVar = [
        Binding("escape", "dismiss(None)", "close", show=False),
        Binding("down", "move(1)", "down", show=False, priority=True),
        Binding("up", "move(-1)", "up", show=False, priority=True),
        Binding("ctrl+y", "copy", "copy the command line", show=False, priority=True),
    ]

    def __init__(self, entries: Sequence[Entry]) -> None:
        super().__init__()
        self._entries = list(entries)
        self._shown = list(entries)

    def compose(self) -> ComposeResult:
        with Vertical(classes="box palette"):
            yield Input(placeholder="what to do", compact=True)
            yield OptionList(compact=True)
            yield Static(id="line", markup=False)
            yield Static(Text("Enter does it, Ctrl-Y copies the command line", style="dim"), markup=False)

    def on_mount(self) -> None:
        self._fill("")
        self.query_one(Input).focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        self._fill(event.value)

    def _fill(self, text: str) -> None:
        self._shown = [entry for entry in self._entries if entry.matches(text)]
        options = self.query_one(OptionList)
        options.clear_options()
        longest = max((len(escape(entry.title)) for entry in self._shown if entry.words), default=0)
        room = max(_LEAST, min(_MOST, longest))
        options.add_options([Option(self._option(entry, room)) for entry in self._shown])
        options.highlighted = 0 if self._shown else None
        self._show_line()

    def _option(self, entry: Entry, room: int) -> Text:
        line = Text(escape(entry.title).ljust(room)).append(f"  {shown(entry.line)}", style="dim")
        line.truncate(self.app.size.width * 9 // 10 - _FRAME, overflow="ellipsis")
        return line

    def on_option_list_option_highlighted(self) -> None:
        self._show_line()

    def _show_line(self) -> None:
        entry = self.current
        self.query_one("#line", Static).update(Text(shown(entry.line) if entry else "", style="bold"))

    @property
    def current(self) -> Entry | None:
        """The entry in front."""
        at = self.query_one(OptionList).highlighted
        return self._shown[at] if at is not None and at < len(self._shown) else None

    def action_move(self, by: int) -> None:
        options = self.query_one(OptionList)
        if self._shown:
            options.highlighted = max(0, min((options.highlighted or 0) + by, len(self._shown) - 1))

    def action_copy(self) -> None:
        entry = self.current
        if entry is not None and entry.line:
            self.app.copy_to_clipboard(entry.line)
            self.query_one("#line", Static).update(Text(f"copied: {shown(entry.line)}", style="bold"))

    def on_input_submitted(self) -> None:
        self.dismiss(self.current)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self._shown[event.option_index])


def shown(line: str) -> str:
    """A command line, shortened for the screen; the whole line is copied."""
    return beginning_of(escape(redact_text(line)), _LONGEST)
