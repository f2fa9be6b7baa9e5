"""Contexts and settings, and the guard: the rules of a context that a change must pass before it is made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from asyncmq_cli.errors import AdminError, NotConfirmed
from asyncmq_cli.exit_status import ExitStatus
from asyncmq_cli.models.audit.actions import BY_NAME
from asyncmq_cli.models.values import counted


class ContextRow(Struct, frozen=True):
    """A context of the configuration file. `in_use` says whether a flag, a variable or `context use` selects
    it. `redis_url` has no password; it is None if the context has a `problem`."""

    name: str
    in_use: bool
    redis_url: str | None
    guard: str | None = None
    problem: str | None = None


class Setting(Struct, frozen=True):
    """A setting in effect. `value` is a number, a text, a list of texts or None; `origin` is the flag,
    variable or file that sets it."""

    name: str
    value: Any
    origin: str


class ReadOnly(AdminError):
    """The context, a flag or a variable forbids every change."""

    code = "read_only"

    def __init__(self, by: str) -> None:
        super().__init__(f"refused: {by} allows no change", hint=None, details={"by": by})


class TooManyChanges(AdminError):
    """The run has more targets than the context allows."""

    code, exit_code = "too_many_changes", ExitStatus.FAILED


class Rules(Struct, frozen=True):
    """The rules of a context. `must_confirm` says whether guarded changes need the name of the `context`
    typed. `read_only_by` names the setting that forbids every change, or is "". `max_changes` is how many
    targets one run may have; None for any number."""

    context: str = ""
    must_confirm: bool = False
    read_only_by: str = ""
    max_changes: int | None = None

    @property
    def kind(self) -> str | None:
        """The value of `guard` in the context: `read-only`, `confirm` or None."""
        if self.must_confirm:
            return "confirm"
        return "readonly" if self.read_only_by.startswith("context ") else None


class Guard:
    """The rules for one run of the program, and what has been confirmed in it.

    If the name of the context must be typed and has not been, `ask` is called with the change in words, such
    as `remove 3 jobs`. It returns if the user then types the name, and raises NotConfirmed otherwise.
    """

    def __init__(self, rules: Rules, ask: Callable[[str], None] | None = None) -> None:
        self.rules = rules
        self.ask = ask or self.refuse
        self.confirmed = False
        self._made = 0

    def refuse(self, deed: str) -> None:
        """Raises NotConfirmed. `deed` is the change in words, such as `remove 3 jobs`."""
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
        """Check the rules before the first change. `count` is the number of targets, or None if it is not
        known yet. Raises ReadOnly, NotConfirmed or TooManyChanges."""
        self.require_writable()
        if count is not None:
            self.spend(count)
        several = count is None or self._made > 1
        if self.rules.must_confirm and not self.confirmed and (several or BY_NAME[action].guarded):
            self.ask(_deed(action, count))
            self.confirmed = True

    @property
    def has_made(self) -> bool:
        """Whether this run has already been permitted a change."""
        return self._made > 0

    def spend(self, count: int) -> None:
        """Count this many targets towards `max_changes`. Raises TooManyChanges."""
        self.require_few(count)
        self._made += count

    def require_few(self, count: int) -> None:
        """Raises TooManyChanges if this many more targets would exceed `max_changes`."""
        name, most, together = self.rules.context, self.rules.max_changes, self._made + count
        if most is not None and together > most:
            raise TooManyChanges(
                f"these are {together:,} changes, and context {name!r} allows {most:,} at a time",
                hint=f"max_changes of [context.{name}] is the limit; a command with --limit can take fewer",
                details={"changes": together, "max_changes": most},
            )


_OF_JOBS = ("queue.drain", "queue.clean", "dlq.retry", "dlq.remove")
"""Actions whose targets are jobs."""


def _deed(action: str, count: int | None) -> str:
    noun = "job" if action in _OF_JOBS else action.partition(".")[0]
    verb = BY_NAME[action].would.removeprefix("Would ")
    if action == "queue.obliterate" and count is not None:
        # The last target is the queue; the others are its jobs.
        return f"obliterate 1 queue with {counted(count - 1, 'job')}"
    return f"{verb} what is found" if count is None else f"{verb} {counted(count, noun)}"
