"""How a parameter of a command is declared: what it is called, and what may stand there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import typer

from asyncmq_cli.errors import UsageProblem, did_you_mean

FILTERS = "Filters"
"""The title under which help shows what a list is narrowed by."""


def argument(metavar: str, help_text: str = "", **given: Any) -> Any:
    return typer.Argument(metavar=metavar, help=help_text or None, show_default=False, **given)


def option(
    name: str, metavar: str, help_text: str, *short: str, title: str | None = None, **given: Any
) -> Any:
    """An option that takes a value; `title` is under which help shows it."""
    return typer.Option(name, *short, metavar=metavar, help=help_text, rich_help_panel=title, **given)


def one_of(choices: Sequence[str]) -> Callable[[Any], Any]:
    """A check of an option's value, or of each of its values; `choices` is also what TAB offers.
    Choices stay plain texts all the way down."""

    def check(given: Any) -> Any:
        for value in given if isinstance(given, list | tuple) else [given]:
            if value is not None and value not in choices:
                raise UsageProblem(
                    f"{value!r} is not one of {', '.join(choices)}", hint=did_you_mean(value, choices)
                )
        return given

    return offering(choices, check)


def offering(
    choices: Sequence[str], check: Callable[[Any], Any] = lambda value: value
) -> Callable[[Any], Any]:
    """A check under which TAB offers these values; alone, it lets all others through too."""

    def checked(value: Any) -> Any:
        return check(value)

    checked.choices = tuple(choices)  # type: ignore[attr-defined]
    return checked
