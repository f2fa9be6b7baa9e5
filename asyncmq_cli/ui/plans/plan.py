"""A change that waits for confirmation, planned in the same way as on the command line."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct, field

from asyncmq_cli.models.audit.actions import ON_SCREEN

if TYPE_CHECKING:
    from asyncmq_cli.cli.session import Session
    from asyncmq_cli.models.changes import ChangeReport
    from asyncmq_cli.services.changes.runner import Stop

SHOWN = 5
"""At most this many targets are named in a plan."""
REASON = {"reason": "goes into the audit trail"}


def option_words(values: Mapping[str, str]) -> list[str]:
    """Values by the names of options, as words of the command line."""
    return [word for name, text in values.items() for word in (f"--{name.replace('_', '-')}", text)]


class Given(Struct, frozen=True):
    """The values that were typed into the dialog. A field that is empty is not in `fields`."""

    fields: Mapping[str, str] = field(default_factory=dict)
    dry_run: bool = False
    stop: Stop | None = None
    progress: Callable[[int], None] | None = None

    @property
    def reason(self) -> str | None:
        return self.fields.get("reason")

    @property
    def options(self) -> list[str]:
        """The fields as options of the command line."""
        return [*option_words(self.fields), *(["--dry-run"] if self.dry_run else [])]

    def backup(self) -> str | None:
        """The file for the backup, or None. Raises UsageProblem if it exists already."""
        file = self.fields.get("backup")
        if file is not None:
            from asyncmq_cli.services.backup.writer import require_new

            require_new(file)
        return file


class Plan(Struct, frozen=True):
    """A change that waits for confirmation. `fields` are the fields of the dialog, each with its help;
    `command` is the command line without their options. `count` is the number of targets. `run` makes the
    change and is called in its own lane."""

    action: str
    question: str
    lines: Sequence[str]
    fields: Mapping[str, str]
    command: Sequence[str]
    count: int
    run: Callable[[Session, Given], ChangeReport]
    refused: bool = False
    """Whether nothing can be changed; `lines` say why."""
    values: Mapping[str, str] = field(default_factory=dict)
    """The initial values of the fields."""
    line: Callable[[Given], Sequence[str]] | None = None
    """A function for the words of the command line, if they are not `command` and the fields as options."""

    def words(self, given: Given) -> list[str]:
        """The words of the command line that makes the same change."""
        return [*self.command, *given.options] if self.line is None else list(self.line(given))

    @property
    def verb(self) -> str:
        """The label of the button."""
        return self.action.partition(".")[2].replace("-", " ")

    @property
    def is_guarded(self) -> bool:
        """Whether the change needs the name of a context that has `guard = "confirm"`."""
        return self.count > 1 or ON_SCREEN[self.action].guarded
