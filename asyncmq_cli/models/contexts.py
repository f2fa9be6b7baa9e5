"""Contexts and settings, and what a context demands of a change before it is made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from asyncmq_cli.errors import AdminError, NotConfirmed
from asyncmq_cli.exit_status import ExitStatus
from asyncmq_cli.models.audit.actions import BY_NAME


@dataclass(frozen=True, slots=True)
class ContextRow:
    """A context of the configuration file. `in_use`: it is chosen by a flag, a variable or `context use`.
    `redis_url` is without its password, and None if it has a `problem`."""

    name: str
    in_use: bool
    redis_url: str | None
    guard: str | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting in effect, and its source. The value is a number, a text, a list of texts or None."""

    name: str
    value: Any
    origin: str


class ReadOnly(AdminError):
    """Nothing may be changed, by the context, a flag or a variable."""

    code = "read_only"

    def __init__(self, by: str) -> None:
        super().__init__(f"refused: {by} allows no change", hint=None, details={"by": by})


class TooManyChanges(AdminError):
    """The run has more targets than the context allows."""

    code, exit_code = "too_many_changes", ExitStatus.FAILED


@dataclass(frozen=True, slots=True)
class Rules:
    """`context` is the name to type, `must_confirm` whether it must be. `read_only_by` is what forbids every
    change, "" for nothing. `max_changes` is how many targets one run may have."""

    context: str = ""
    must_confirm: bool = False
    read_only_by: str = ""
    max_changes: int | None = None

    @property
    def kind(self) -> str | None:
        """The `guard` of the context."""
        if self.must_confirm:
            return "confirm"
        return "readonly" if self.read_only_by.startswith("context ") else None


class Guard:
    """The rules for one run of the program, and what has been confirmed in it.

    `ask` is called with what would be done, such as `remove 3 jobs`, where the name of the context has to be
    typed and was not: it returns if that is made up for, and raises NotConfirmed if not.
    """

    def __init__(self, rules: Rules, ask: Callable[[str], None] | None = None) -> None:
        self.rules = rules
        self.ask = ask or self.refuse
        self.confirmed = False
        self._made = 0

    def refuse(self, deed: str) -> None:
        """Raises NotConfirmed."""
        name = self.rules.context
        raise NotConfirmed(
            f"this would {deed} on {name}, which must be confirmed by its name",
            hint=f"--confirm {name} confirms it; --dry-run shows what would be done",
        )

    def require_writable(self) -> None:
        """Raises ReadOnly."""
        if self.rules.read_only_by:
            raise ReadOnly(self.rules.read_only_by)

    def permit(self, action: str, count: int | None) -> None:
        """Before the first change: `count` targets, None if nobody knows yet. Raises AdminError."""
        self.require_writable()
        if count is not None:
            self.spend(count)
        several = count is None or self._made > 1
        if self.rules.must_confirm and not self.confirmed and (several or BY_NAME[action].guarded):
            self.ask(_deed(action, count))
            self.confirmed = True

    @property
    def has_made(self) -> bool:
        """Whether earlier changes of this run were permitted."""
        return self._made > 0

    def spend(self, count: int) -> None:
        """Count so many targets towards `max_changes`. Raises TooManyChanges."""
        self.require_few(count)
        self._made += count

    def require_few(self, count: int) -> None:
        """Raises TooManyChanges if so many more would be too many."""
        name, most, together = self.rules.context, self.rules.max_changes, self._made + count
        if most is not None and together > most:
            raise TooManyChanges(
                f"these are {together:,} changes, and context {name!r} allows {most:,} at a time",
                hint=f"max_changes of [context.{name}] sets how many; --limit, if there is one, takes fewer",
                details={"changes": together, "max_changes": most},
            )


_OF_JOBS = ("queue.drain", "queue.clean", "dlq.retry", "dlq.remove")
"""Actions whose targets are jobs."""


def _deed(action: str, count: int | None) -> str:
    noun = "job" if action in _OF_JOBS else action.partition(".")[0]
    verb = BY_NAME[action].would.removeprefix("Would ")
    if action == "queue.obliterate" and count is not None:
        # The last target is the queue itself.
        return f"obliterate 1 queue with {_counted(count - 1, 'job')}"
    return f"{verb} what is found" if count is None else f"{verb} {_counted(count, noun)}"


def _counted(count: int, noun: str) -> str:
    return f"1 {noun}" if count == 1 else f"{count:,} {noun}s"
