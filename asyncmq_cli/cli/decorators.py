"""Register commands, with the options that they share.

Global options are accepted before the noun and after the verb. In Typer, commands inherit no options, so
`command` adds them to the signature that Typer reads. If an option is given twice, the last one counts.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

from asyncmq_cli.cli.around_typer import CONTEXT, Command
from asyncmq_cli.cli.help.help_pages import GLOBAL
from asyncmq_cli.cli.options import require_choice
from asyncmq_cli.cli.params import GLOBAL_OPTIONS, OUTPUT, Options, extra_options, output_option
from asyncmq_cli.errors import JobNotFound, QueueNotFound, UsageProblem
from asyncmq_cli.output.formats import EVERY_FORMAT, WITHOUT_NAMES
from asyncmq_cli.system.process import interruption

if TYPE_CHECKING:
    from asyncmq_cli.cli.session import Session

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
    guard, options = extra_options("guard"), _options(extras, formats, without, is_list=is_list)

    def register(function: Function) -> Function:
        is_change = "dry_run" in inspect.signature(function).parameters
        shared = {**guard, **options} if is_change else options

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
    output = output_option(formats, OUTPUT if is_list else GLOBAL) if formats else {}
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
