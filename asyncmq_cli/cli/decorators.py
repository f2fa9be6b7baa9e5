"""How a command is registered.

The global options are taken before the noun as well as after the verb. Typer has no word for
that, so `command` adds them to the signature of every command; what was given later wins.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import typer

from asyncmq_cli.cli.groups import CONTEXT, Command
from asyncmq_cli.cli.params import GLOBAL_OPTIONS, Options, extra_options
from asyncmq_cli.errors import interruption

Function = Callable[..., Any]

CONTEXT_PARAMETER = inspect.Parameter(
    "ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context
)


def command(
    group: typer.Typer, name: str, *extras: str, without: Sequence[str] = ()
) -> Callable[[Function], Function]:
    """Register a function that takes a Session and its own arguments as `name`.

    `extras` names the further sets of options that the session takes account of. `without` names
    global options that the command takes only before its name, because it has its own.
    """
    own = extra_options(*extras)
    # A set may have a global option of its own, with a short name more.
    every = {**own, **GLOBAL_OPTIONS, **own}
    shared = {name: option for name, option in every.items() if name not in without}

    def register(function: Function) -> Function:
        def invoke(ctx: typer.Context, **given: Any) -> Any:
            from asyncmq_cli.cli.session import open_session

            flags = {**(ctx.obj or {}), **take(given, shared)}
            try:
                with open_session(flags) as session:
                    return function(session, **given)
            except KeyboardInterrupt as exc:
                raise interruption(exc) from exc

        _add(group, name, invoke, function, [*_own_parameters(function), *parameters_of(shared)])
        return function

    return register


def bare_command(group: typer.Typer, name: str) -> Callable[[Function], Function]:
    """Register a function that takes Typer's context and its own arguments: it needs no Redis, and so
    takes none of the global options."""

    def register(function: Function) -> Function:
        def invoke(ctx: typer.Context, **given: Any) -> Any:
            return function(ctx, **given)

        _add(group, name, invoke, function, _own_parameters(function))
        return function

    return register


def _add(
    group: typer.Typer, name: str, invoke: Function, function: Function, own: list[inspect.Parameter]
) -> None:
    copy_signature(invoke, function, [CONTEXT_PARAMETER, *own])
    group.command(name, cls=Command, context_settings=CONTEXT)(invoke)


def _own_parameters(function: Function) -> list[inspect.Parameter]:
    """Without the first: the session or the context."""
    # Not by get_type_hints: on Python 3.10 that wraps what has a default of None in Optional,
    # and Typer then no longer sees what the annotation says.
    parameters = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
    return [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in parameters]


def parameters_of(options: Options) -> list[inspect.Parameter]:
    return [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        for name, (annotation, default) in options.items()
    ]


def take(given: dict[str, Any], options: Options) -> dict[str, Any]:
    """Move these options out of `given`; those that were not set are left out."""
    taken = {name: given.pop(name, default) for name, (_, default) in options.items()}
    return {name: value for name, value in taken.items() if value is not None and value is not False}


def copy_signature(invoke: Any, function: Function, parameters: list[inspect.Parameter]) -> None:
    """Give the wrapper the face that Typer reads a command's options from."""
    invoke.__name__, invoke.__doc__, invoke.__module__ = (
        function.__name__,
        function.__doc__,
        function.__module__,
    )
    invoke.__signature__ = inspect.Signature(parameters)
    invoke.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
