"""Small dialogs on top of a page: type a line, choose one name or several, or read the keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, SelectionList, Static
from textual.widgets.option_list import Option
from textual.widgets.selection_list import Selection

from asyncmq_cli.hints import hint_for
from asyncmq_cli.output.redaction.redact import redact_text
from asyncmq_cli.output.tables.tables import CAUTION
from asyncmq_cli.output.text.escape import escape

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from asyncmq_cli.errors import AdminError

_CLOSES: list[BindingType] = [Binding("escape", "dismiss(None)", "close", show=False)]


class Keys(ModalScreen[None]):
    """Shows the keys of the page below."""

    BINDINGS: ClassVar = [Binding("escape,question_mark,q,enter", "dismiss(None)", "close", show=False)]

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="box"):
            yield Static(self._text, markup=False)


class Ask(ModalScreen["str | None"]):
    """Asks for a line of text at the bottom of the screen. The result is None after Esc."""

    BINDINGS: ClassVar = _CLOSES

    def __init__(self, prompt: str, value: str = "", help_text: str = "") -> None:
        super().__init__()
        self._prompt, self._value, self._help = prompt, value, help_text

    def compose(self) -> ComposeResult:
        with Vertical(id="ask"):
            yield Static(Text(self._help, style="dim"), markup=False)
            yield Input(self._value, placeholder=self._prompt, compact=True, select_on_focus=False)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        self.dismiss(event.value)


class Choose(ModalScreen["str | None"]):
    """Asks for one of several names. The result is None after Esc."""

    BINDINGS: ClassVar = _CLOSES

    def __init__(self, title: str, names: Sequence[str], current: str | None = None) -> None:
        super().__init__()
        self._title, self._names, self._current = title, list(names), current

    def compose(self) -> ComposeResult:
        with Vertical(classes="box"):
            yield Static(Text(self._title, style="bold"), markup=False)
            yield OptionList(
                *(Option(Text(name), id=f"n{n}") for n, name in enumerate(self._names)), compact=True
            )

    def on_mount(self) -> None:
        if self._current in self._names:
            self.query_one(OptionList).highlighted = self._names.index(self._current)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self._names[event.option_index])


class Pick(ModalScreen["list[str] | None"]):
    """Asks for any number of names. The result has them in their original order; it is None after Esc."""

    BINDINGS: ClassVar = [*_CLOSES, Binding("enter", "done", "done", show=False, priority=True)]

    def __init__(self, title: str, names: Sequence[str], picked: Sequence[str]) -> None:
        super().__init__()
        self._title, self._names, self._picked = title, list(names), set(picked)

    def compose(self) -> ComposeResult:
        with Vertical(classes="box"):
            yield Static(Text(self._title, style="bold"), markup=False)
            yield SelectionList[str](
                *(Selection(Text(name), name, name in self._picked) for name in self._names), compact=True
            )
            yield Static(Text("Space selects, Enter confirms, Esc cancels", style="dim"), markup=False)

    def action_done(self) -> None:
        picked = set(self.query_one(SelectionList).selected)
        self.dismiss([name for name in self._names if name in picked])


def problem_line(error: AdminError) -> Text:
    """An error and its hint on one line."""
    line = Text(f"error: {escape(redact_text(error.message))}", style="bold red")
    hint = hint_for(error)
    return line.append(f"  {escape(redact_text(hint))}", style=CAUTION) if hint else line
