"""The tree of commands: how Typer's groups and commands are built, filled and shown.

A noun is imported and built when the command line names it, so that one does not pay for all.
"""

from __future__ import annotations

import functools
import importlib
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, ClassVar, cast

import typer
from typer.core import TyperCommand, TyperGroup

from asyncmq_cli.errors import UsageProblem

WATCH = "--watch"
FIELDS = "--fields"
# Options that may stand alone, for which Typer has no word: what they mean then, and how what may
# follow them begins.
_ALONE = {WATCH: ("2", re.compile(r"\d")), FIELDS: ("", re.compile(r"[^-]"))}

CONTEXT = {"help_option_names": ["--help", "-h"]}

_TEXT: tuple[Any, ...] = (str, str | None)
_NUMBER: tuple[Any, ...] = (int, int | None)
_FRACTION: tuple[Any, ...] = (float, float | None)
# As many as Python turns into a number.
_DIGITS = re.compile(r"[+-]?[0-9]{1,4300}")
_TEXTS: tuple[Any, ...] = (list[str], list[str] | None)


class _Light:
    """What Typer turns a parameter's value with. Its own way is a validator of pydantic, whose import
    takes longer than most commands run; text, a plain number, and what was not given, need none."""

    def __init__(self, build: Callable[[], Any]) -> None:
        self._build = build

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        several = param.multiple or param.nargs == -1
        kind = getattr(getattr(param, "type_descriptor", None), "annotation", None)
        if value is None:
            return () if several else None
        if several and kind in _TEXTS and all(isinstance(item, str) for item in value):
            return list(value)
        if not several and ((isinstance(value, str) and kind in _TEXT) or value is param.default):
            return value
        if not several and kind in _NUMBER and isinstance(value, str):
            return _number(value, param, ctx)
        if not several and kind in _FRACTION and isinstance(value, str):
            return _fraction(value, param, ctx)
        return self._build().coerce(value, param=param, ctx=ctx)


def _number(text: str, param: Any, ctx: Any) -> int:
    least, most = (getattr(param.type_descriptor.parameter_info, bound) for bound in ("min", "max"))
    number = int(text) if _DIGITS.fullmatch(text.strip()) else None
    if number is None or (least is not None and number < least) or (most is not None and number > most):
        bounds = [f"{word} {bound}" for word, bound in (("from", least), ("to", most)) if bound is not None]
        raise UsageProblem(
            f"{' '.join((param.opts[0], 'must be a whole number', *bounds))}, not {text!r}",
            hint=f"'{ctx.command_path} --help' shows how",
        )
    return number


def _fraction(text: str, param: Any, ctx: Any) -> float:
    try:
        return float(text)
    except ValueError as exc:
        raise UsageProblem(
            f"{param.opts[0]} must be a number, not {text!r}", hint=f"'{ctx.command_path} --help' shows how"
        ) from exc


class _Lightened:
    """A command whose parameters are turned in that way, its `--help` too."""

    def get_help(self, ctx: Any) -> str:
        from asyncmq_cli.output.terminal.ascii_fallback import in_ascii, takes_more_than_ascii

        text: str = cast(Any, super()).get_help(ctx)
        # Three dots are what stands on the command line; a single sign is a word's end in a table.
        return text if takes_more_than_ascii(sys.stdout) else in_ascii(text.replace("…", "..."))

    def get_params(self, ctx: Any) -> list[Any]:
        params: list[Any] = cast(Any, super()).get_params(ctx)
        for param in params:
            build = getattr(param, "get_runtime_param", None)
            if build is not None and not isinstance(build, functools.partial):
                param.get_runtime_param = functools.partial(_Light, build)
        return params


class Command(_Lightened, TyperCommand):
    """A command whose help keeps the global options apart from its own."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        whole = _with_values(args)
        try:
            if [FIELDS, _ALONE[FIELDS][0]] in [whole[place : place + 2] for place in range(len(whole))]:
                # The columns are asked for, of no queue in particular.
                return self._parse_without_arguments(ctx, whole)
            return super().parse_args(ctx, whole)
        except Exception as exc:
            # What Typer finds wrong while it cuts the words apart does not know which command it is of.
            if getattr(exc, "ctx", ctx) is None:
                exc.ctx = ctx  # type: ignore[attr-defined]
            raise

    def _parse_without_arguments(self, ctx: Any, args: list[str]) -> list[str]:
        needed = [p for p in self.get_params(ctx) if p.param_type_name == "argument" and p.required]
        try:
            for param in needed:
                param.required = False
            return super().parse_args(ctx, args)
        finally:
            for param in needed:
                param.required = True

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        arguments = [p for p in self.get_params(ctx) if p.param_type_name == "argument"]
        return ["[OPTIONS]", *(str(p.metavar or p.name) for p in arguments)]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        from asyncmq_cli.cli import help_pages

        help_pages.write_options(self.get_params(ctx), ctx, formatter)


def _with_values(args: Sequence[str]) -> list[str]:
    """The same words, with a value after each option that stands alone."""
    whole: list[str] = []
    for word, following in zip_longest(args, args[1:], fillvalue=""):
        whole.append(word)
        alone, begins = _ALONE.get(word, ("", None))
        if begins is not None and not begins.match(following):
            whole.append(alone)
    return whole


@dataclass(frozen=True)
class Unbuilt:
    """A command that is not imported yet: its module in this package, and its line in the help."""

    module: str
    help: str
    is_noun: bool = False

    def build(self, name: str) -> Any:
        """From the module's `app`, or from what its `register` adds to one."""
        module = importlib.import_module(f"asyncmq_cli.commands.{self.module}")
        holder = typer.Typer(rich_markup_mode=None, add_completion=False)
        holder.callback()(lambda: None)
        if hasattr(module, "register"):
            module.register(holder)
        else:
            holder.add_typer(module.app, name=name)
        return cast(Any, typer.main.get_command(holder)).commands[name]


class _Group(_Lightened, TyperGroup):
    """Commands under one word, or under none."""

    title: ClassVar[str] = "Commands"

    def entries(self) -> Iterator[tuple[str, str, bool]]:
        """Of each command that is shown its name, its line in the help, and whether it is a noun."""
        from asyncmq_cli.cli.help_pages import summary

        for name, command in self.commands.items():
            if not command.hidden:
                yield name, summary(command), hasattr(command, "commands")

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        word = args[0]
        if not word.startswith("-") and self.get_command(ctx, word) is None:
            from asyncmq_cli.cli import suggestions

            raise suggestions.no_such_command(self, word, ctx)
        return super().resolve_command(ctx, args)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        from asyncmq_cli.cli import help_pages

        help_pages.write_commands(self.entries(), self.title, formatter)
        help_pages.write_options(self.get_params(ctx), ctx, formatter)


class Verbs(_Group):
    """The verbs of one noun."""

    title = "Verbs"

    def format_help_text(self, ctx: Any, formatter: Any) -> None:
        from asyncmq_cli.cli import help_pages

        super().format_help_text(ctx, formatter)
        help_pages.write_examples(self.commands.values(), formatter)


class Nouns(_Group):
    """The nouns are plural; the singular works too. Those that are `unbuilt` come first, in order."""

    unbuilt: ClassVar[dict[str, Unbuilt]] = {}

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.commands: Any = {**dict.fromkeys(self.unbuilt), **self.commands}

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        name = next((name for name in (cmd_name, f"{cmd_name}s") if name in self.commands), None)
        if name is not None and self.commands[name] is None:
            self.commands[name] = self.unbuilt[name].build(name)
        return None if name is None else self.commands[name]

    def list_commands(self, ctx: Any) -> list[str]:
        return list(self.commands)

    def entries(self) -> Iterator[tuple[str, str, bool]]:
        return ((name, told.help, told.is_noun) for name, told in self.unbuilt.items())


def noun(help_text: str) -> typer.Typer:
    return typer.Typer(
        cls=Verbs,
        help=help_text,
        subcommand_metavar="VERB [ARGS]...",
        rich_markup_mode=None,
        context_settings=CONTEXT,
    )
