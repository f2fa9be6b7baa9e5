"""Register commands with Typer, with every workaround for it and its reason. All other code uses it as
documented.

- Options that may stand alone, such as `--watch [SECONDS]`: Typer refuses `flag_value`, so `with_values` in
  `options` inserts a value after each of them before Typer reads the line.
- Values stay text. Typer parses every parameter with a validator of pydantic, whose import takes 50 to 90 ms,
  longer than most commands run. `_Text` replaces it; callbacks (in `options`) parse values that are not text.
- An option with one value refuses a second, different value. With Typer the last value would count, and a
  filter would be dropped silently. Options in `_AGAIN` may be repeated, to override a shell alias.
- A command is built when the line names it. Typer builds all commands first, which doubles the start-up time,
  and all verbs of a noun, which takes a seventh of the time of `jobs list --help`.
- Global options are accepted before the noun and after the verb. In Typer, commands inherit no options, so
  `command` adds them to the signature that Typer reads. If an option is given twice, the last one counts.
- Usage errors are replaced by ours where the command is known. Typer's hints have no synonyms, no verbs of
  other nouns, and no advice for extra arguments.
- `help_pages` writes `--help`: Typer groups options only with rich, which is slow to import.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup

from asyncmq_cli.cli.help import help_pages
from asyncmq_cli.cli.options import require_choice
from asyncmq_cli.cli.params import GLOBAL_OPTIONS, OUTPUT, Options, extra_options, output_option
from asyncmq_cli.errors import JobNotFound, QueueNotFound, UsageProblem
from asyncmq_cli.output.formats import EVERY_FORMAT, WITHOUT_NAMES
from asyncmq_cli.system.process import interruption

if TYPE_CHECKING:
    from asyncmq_cli.cli.session import Session

HELP = ("--help", "-h")
# If extra arguments are allowed, Typer returns them instead of refusing them with its own message.
CONTEXT = {"help_option_names": list(HELP), "allow_extra_args": True}

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
    options = args[: args.index("--")] if "--" in args else args
    ctx.meta.setdefault(help_pages.LINE, tuple(options))
    if "--all" not in options or not set(HELP).intersection(options):
        return args
    ctx.meta[help_pages.HELP_ALL] = True
    return [word for word in args if word != "--all"]


def _takes_one(param: Any) -> bool:
    return param.param_type_name == "option" and not (param.is_flag or param.multiple or param.count)


def _collected(option: Any, parser: Any, ctx: Any) -> None:
    parser.add_option(obj=option, opts=option.opts, dest=option.name, action="append", nargs=option.nargs)


def _only_one(values: list[Any], option: Any) -> Any:
    for one in values[1:]:
        if one != values[0]:
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
        help_pages.write_options(self.get_params(ctx), ctx, formatter)


class _Group(_Ours, TyperGroup):
    """A group of commands: the verbs of a noun, or the root."""

    title: ClassVar[str] = "Commands"

    def entries(self) -> Iterator[tuple[str, str, bool]]:
        """Yield, for each visible command, its name, its line in the help, and whether it is a noun."""
        for name, command in self.commands.items():
            if not command.hidden:
                yield name, help_pages.summary(command), False

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        word = args[0]
        if not word.startswith("-") and self.get_command(ctx, word) is None:
            from asyncmq_cli.cli.help import suggestions

            raise suggestions.no_such_command(self, word, ctx)
        return super().resolve_command(ctx, args)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        help_pages.write_commands(self.entries(), self.title, formatter)
        help_pages.write_options(self.get_params(ctx), ctx, formatter)


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


Function = Callable[..., Any]
_ONE_CONTEXT = "only commands that read, and end by themselves, take several"


def command(
    app: typer.Typer,
    name: str,
    *extras: str | Options,
    without: Sequence[str] = (),
    redis: bool = True,
    changes: bool = False,
    formats: Sequence[str] | None = None,
    several: bool = True,
) -> Callable[[Function], Function]:
    """Register a function that takes a Session and its own arguments as `name`.

    `extras` are further options, or names of sets of options; the session has their values. `without` names
    global options that the command accepts only before its name, because it has its own option of that name.
    With `redis=False` the command does not connect to Redis. A function with a parameter `dry_run` makes
    changes, unless `dry_run` is set or its `repair` is not set; with `changes`, the command always makes
    changes. `formats` are the values of its `-o`; by default all for a list, and all but `name` for others.
    `several` says whether the command can run on several contexts; that holds for commands that only read and
    end by themselves.
    """
    is_list = "list" in extras
    formats = (EVERY_FORMAT if is_list else WITHOUT_NAMES) if formats is None else formats
    options = _options(extras, formats, without, is_list=is_list)

    def register(function: Function) -> Function:
        parameters = inspect.signature(function).parameters
        is_change = "dry_run" in parameters
        guard = "guard" if "yes" in (*parameters, *options) else "guard alone"
        shared = {**extra_options(guard), **options} if is_change else options

        def invoke(ctx: typer.Context, **given: Any) -> Any:
            flags = {**(ctx.obj or {}), **pop_options(given, shared)}
            _check_format(ctx, flags, formats)
            reads = redis and not changes and (not is_change or given.get("repair") is False)
            if "all_contexts" in flags or "," in (flags.get("context") or ""):
                from asyncmq_cli.cli.several import run

                if not (several and reads):
                    raise UsageProblem(f"'{ctx.command_path}' takes one context", hint=_ONE_CONTEXT)
                words = ctx.command_path.partition(" ")[2]
                return run(flags, lambda session: function(session, **given), words)
            writes = changes or (is_change and not given["dry_run"] and given.get("repair", True))
            with _session_of(ctx, flags, given, redis=redis) as session:
                if writes:
                    session.require_writable(only_records=changes)
                return function(session, **given)

        add_options(invoke, function, shared)
        app.command(name, cls=Command, context_settings=CONTEXT)(invoke)
        return function

    return register


def _options(
    extras: Sequence[str | Options], formats: Sequence[str], without: Sequence[str], *, is_list: bool
) -> Options:
    """The global options and the options of the sets, in the order of the help."""
    output = output_option(formats, OUTPUT if is_list else help_pages.GLOBAL) if formats else {}
    sets = extra_options(*extras)
    # A set may redefine a global option with an additional short name.
    every = {**sets, **(output if is_list else {}), **GLOBAL_OPTIONS, **sets, **output}
    left_out = (*without, *(() if formats else ("output",)))
    return {name: option for name, option in every.items() if name not in left_out}


@contextmanager
def _session_of(
    ctx: typer.Context, flags: dict[str, Any], given: dict[str, Any], *, redis: bool
) -> Iterator[Session]:
    """Open the session of one call. Errors raised in it get better hints, based on the command line."""
    from asyncmq_cli.cli.session import open_session

    try:
        with open_session(flags, redis=redis) as session:
            try:
                yield session
            except (QueueNotFound, JobNotFound) as exc:
                from asyncmq_cli.cli.help import suggestions

                suggestions.improve(exc, session, ctx.command_path, given)
                raise
    except KeyboardInterrupt as exc:
        raise interruption(exc) from exc


def _check_format(ctx: typer.Context, flags: dict[str, Any], formats: Sequence[str]) -> None:
    """Raises UsageProblem for a format that this command lacks. Needed because -o before the command accepts
    every format."""
    if "output" in flags and not formats:
        raise UsageProblem(f"{ctx.command_path} has no other format", hint="leave -o out")
    if "output" in flags:
        require_choice(flags["output"], formats)


def pop_options(given: dict[str, Any], options: Options) -> dict[str, Any]:
    """Move these options out of `given`, and return those that were set."""
    taken = {name: given.pop(name, default) for name, (_, default) in options.items()}
    return {
        name: value
        for name, value in taken.items()
        if value is not None and value is not False and value != ()
    }


def add_options(invoke: Any, function: Function, options: Options) -> None:
    """Give `invoke` the signature that Typer reads: the Typer context, the parameters of `function` (without
    the first, which is the session or the context, and without *args and **kwargs), and the options."""
    positional, named = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY
    # Do not use get_type_hints: on Python 3.10 it wraps the type of a parameter with the default None in
    # Optional, which hides the annotation from Typer.
    own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
    parameters = [
        inspect.Parameter("ctx", positional, annotation=typer.Context),
        *(each.replace(kind=named) for each in own if each.kind is not inspect.Parameter.VAR_KEYWORD),
        *(
            inspect.Parameter(name, named, default=default, annotation=annotation)
            for name, (annotation, default) in options.items()
        ),
    ]
    invoke.__name__, invoke.__doc__, invoke.__module__ = (
        function.__name__,
        function.__doc__,
        function.__module__,
    )
    invoke.__signature__ = inspect.Signature(parameters)
    invoke.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
