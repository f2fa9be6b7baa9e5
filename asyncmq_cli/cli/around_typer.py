"""Every workaround for Typer, with its reason. All other code uses Typer as documented.

- Options that may stand alone, such as `--watch [SECONDS]`: Typer refuses `flag_value`, so `with_values`
  inserts a value after each of them before Typer reads the line.
- Values stay text. Typer parses every parameter with a validator of pydantic, whose import takes 50 to 90 ms,
  longer than most commands run. `_Text` replaces it; callbacks (in `options`) parse values that are not text.
- An option with one value refuses a second, different value. With Typer the last value would count, and a
  filter would be dropped silently. Options in `_AGAIN` may be repeated, to override a shell alias.
- A command is built when the line names it. Typer builds all commands first, which doubles the start-up time,
  and all verbs of a noun, which takes a seventh of the time of `jobs list --help`.
- Usage errors are replaced by ours where the command is known. Typer's hints have no synonyms, no verbs of
  other nouns, and no advice for extra arguments.
- `help_pages` writes `--help`: Typer groups options only with rich, which is slow to import.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup

# If extra arguments are allowed, Typer returns them instead of refusing them with its own message.
CONTEXT = {"help_option_names": ["--help", "-h"], "allow_extra_args": True}

FIELDS = "--fields"
_ANY_VALUE = r"[^-]|$"


def _duration() -> str:
    from asyncmq_cli.durations import LOOKS_LIKE_ONE

    return rf"(?i:{LOOKS_LIKE_ONE})$|$"


# For each option: its value if none is given, and the pattern that a value begins with. It is made and
# compiled only if the option is given.
_ALONE: dict[str, tuple[str, str | Callable[[], str]]] = {
    "--watch": ("2", r"\d|$"),
    "--wait": ("10m", _duration),
    FIELDS: ("", _ANY_VALUE),
    "--install-completion": ("", _ANY_VALUE),
    "--show-completion": ("", _ANY_VALUE),
}


def with_values(args: Sequence[str]) -> list[str]:
    """The same words, with a value inserted after each option that has none. Words after `--` are not
    options. `--fields` without a value moves to the end, because the columns depend on options such as
    `--state`, and Typer reads options from left to right.
    """
    end = args.index("--") if "--" in args else len(args)
    whole: list[str] = []
    last: list[str] = []
    for place, word in enumerate(args[:end]):
        if word not in _ALONE:
            whole.append(word)
            continue
        meaning, value = _ALONE[word]
        pattern = value if isinstance(value, str) else value()
        has_value = place + 1 < end and re.match(pattern, args[place + 1])
        (last if word == FIELDS and not has_value else whole).append(
            word if has_value else f"{word}={meaning}"
        )
    return [*whole, *last, *args[end:]]


_AGAIN = frozenset(
    ("redis_url", "context", "settings", "python", "timeout", "actor", "output", "jq", "color", "confirm")
)


class _Text:
    """Replaces pydantic's validator: returns the value as typed, or the default."""

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        if param.multiple or param.nargs == -1:
            return () if value is None else list(value)
        if isinstance(value, list):
            return value[-1] if ctx.resilient_parsing else _only_one(value, param)
        return value


def _for_help(ctx: Any, args: list[str]) -> list[str]:
    """The words to parse, without the `--all` of `--help --all`, which prints the help with all options: most
    commands have no --all themselves."""
    from asyncmq_cli.cli.help.help_pages import HELP_ALL, LINE

    options = args[: args.index("--")] if "--" in args else args
    ctx.meta.setdefault(LINE, tuple(options))
    if "--all" not in options or not {"--help", "-h"}.intersection(options):
        return args
    ctx.meta[HELP_ALL] = True
    return [word for word in args if word != "--all"]


def _takes_one(param: Any) -> bool:
    return param.param_type_name == "option" and not (param.is_flag or param.multiple or param.count)


def _collected(option: Any, parser: Any, ctx: Any) -> None:
    parser.add_option(obj=option, opts=option.opts, dest=option.name, action="append", nargs=option.nargs)


def _only_one(values: list[Any], option: Any) -> Any:
    for one in values[1:]:
        if one != values[0]:
            from asyncmq_cli.errors import UsageProblem

            name = option.opts[0]
            hint = "join them with 'and' or 'or'" if name == "--where" else "give it once"
            raise UsageProblem(f"{name} is given twice: {values[0]!r} and {one!r}", hint=hint)
    return values[0]


if TYPE_CHECKING:
    _Base = TyperCommand
else:
    _Base = object


class _Ours(_Base):
    """The base class of commands and groups."""

    def get_params(self, ctx: Any) -> list[Any]:
        params: list[Any] = super().get_params(ctx)
        for param in params:
            param.get_runtime_param = _Text
            if _takes_one(param) and param.name not in _AGAIN:
                param.add_to_parser = partial(_collected, param)
        return params

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        args = _for_help(ctx, args)
        try:
            return super().parse_args(ctx, args)
        except typer.TyperException as exc:
            from asyncmq_cli.cli.help import suggestions

            raise suggestions.usage_problem(exc, ctx) from exc

    def get_help(self, ctx: Any) -> str:
        from asyncmq_cli.output.text.escape import in_ascii, takes_more_than_ascii

        text = super().get_help(ctx)
        # In ASCII, write the ellipsis as three dots: the usual fallback is a tilde, which marks a text that
        # was cut.
        return text if takes_more_than_ascii(sys.stdout) else in_ascii(text.replace("…", "..."))


class Command(_Ours, TyperCommand):
    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        rest = super().parse_args(ctx, args)
        if rest and not ctx.resilient_parsing:
            from asyncmq_cli.cli.help import suggestions

            raise suggestions.extra_argument(ctx, rest[0])
        return rest

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        arguments = [p for p in self.get_params(ctx) if p.param_type_name == "argument"]
        return ["[OPTIONS]", *(str(p.metavar or p.name) for p in arguments)]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        from asyncmq_cli.cli.help import help_pages

        help_pages.write_options(self.get_params(ctx), ctx, formatter)


class _Group(_Ours, TyperGroup):
    """A group of commands: the verbs of a noun, or the root."""

    title: ClassVar[str] = "Commands"

    def entries(self) -> Iterator[tuple[str, str, bool]]:
        """Yield, for each visible command, its name, its line in the help, and whether it is a noun."""
        from asyncmq_cli.cli.help.help_pages import summary

        for name, command in self.commands.items():
            if not command.hidden:
                yield name, summary(command), False

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        word = args[0]
        if not word.startswith("-") and self.get_command(ctx, word) is None:
            from asyncmq_cli.cli.help import suggestions

            raise suggestions.no_such_command(self, word, ctx)
        return super().resolve_command(ctx, args)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        from asyncmq_cli.cli.help import help_pages

        help_pages.write_commands(self.entries(), self.title, formatter)
        help_pages.write_options(self.get_params(ctx), ctx, formatter)


HELP = ("--help", "-h")
_ALIASES = {"ls": "list", "get": "show", "describe": "show", "rm": "remove", "delete": "remove"}


class Verbs(_Group):
    """The verbs of one noun."""

    title = "Verbs"

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The verb of this name; the names of other tools, such as `ls`, work too."""
        return super().get_command(ctx, cmd_name) or super().get_command(ctx, _ALIASES.get(cmd_name, ""))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if set(args) <= {"--"} and not ctx.resilient_parsing:
            from asyncmq_cli.cli.help import suggestions

            raise suggestions.no_verb(ctx.command_path, list(self.commands))
        return super().parse_args(ctx, args)

    def format_help_text(self, ctx: Any, formatter: Any) -> None:
        from asyncmq_cli.cli.help import help_pages

        super().format_help_text(ctx, formatter)
        help_pages.write_examples(self.commands.values(), formatter)


class VerbsOrList(Verbs):
    """The verbs of a noun whose default verb is `list`: without a verb, options are those of `list`."""

    default_verb: ClassVar[str] = "list"

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        is_help = bool(set(HELP).intersection(args[:1]))
        if not ctx.resilient_parsing and not is_help and all(word.startswith("-") for word in args[:1]):
            args = [self.default_verb, *args]
        return super().parse_args(ctx, args)


class LazyCommands(_Group):
    """The root. `nouns` and `others` map each command to its line in the help. A command's module is imported
    and its `app` built only when the line names the command: the module of that name under
    `asyncmq_cli.commands`, unless `modules` has another. A noun is plural; its singular works too."""

    nouns: ClassVar[Mapping[str, str]] = {}
    others: ClassVar[Mapping[str, str]] = {}
    modules: ClassVar[Mapping[str, str]] = {}

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.commands: Any = dict.fromkeys([*self.nouns, *self.others])

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        either = (cmd_name, f"{cmd_name}s", cmd_name.removesuffix("s"))
        name = next(
            (name for name in either if name in self.commands and (name in self.nouns or name == cmd_name)),
            None,
        )
        if name is not None and self.commands[name] is None:
            module = self.modules.get(name, name)
            app = importlib.import_module(f"asyncmq_cli.commands.{module}").app
            command: Any = _group_of(app) if name in self.nouns else typer.main.get_command(app)
            command.name = name
            self.commands[name] = command
        return None if name is None else self.commands[name]

    def entries(self) -> Iterator[tuple[str, str, bool]]:
        for table in (self.nouns, self.others):
            yield from ((name, text, table is self.nouns) for name, text in table.items())

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        from asyncmq_cli.cli.help import help_pages

        help_pages.write_environment(formatter)


class _BuiltVerbs(Mapping[str, Any]):
    """The verbs of a noun. Each is built on first use."""

    def __init__(self, registered: Sequence[Any]) -> None:
        self._registered = {str(each.name): each for each in registered}
        self._built: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._built:
            alone = lone()
            alone.registered_commands = [self._registered[name]]
            self._built[name] = typer.main.get_command(alone)
        return self._built[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._registered)

    def __len__(self) -> int:
        return len(self._registered)


def _group_of(app: typer.Typer) -> Any:
    """The group of a noun, even if it has only one verb."""
    empty = copy(app)
    empty.registered_commands = []
    group: Any = typer.main.get_group(empty)
    group.commands = _BuiltVerbs(app.registered_commands)
    return group


def noun(help_text: str, *, cls: type[Verbs] = Verbs) -> typer.Typer:
    """The Typer app with which the verbs of a noun are registered."""
    return typer.Typer(
        cls=cls,
        help=help_text,
        subcommand_metavar="VERB [ARGS]...",
        rich_markup_mode=None,
        context_settings=CONTEXT,
    )


def lone() -> typer.Typer:
    """The Typer app with which a command without a noun is registered."""
    return typer.Typer(rich_markup_mode=None, add_completion=False)
