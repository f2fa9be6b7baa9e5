"""`asyncmq context`: named Redis servers, and the choice of one of them. Nothing here connects to Redis."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from asyncmq_cli import config as configuration
from asyncmq_cli.cli.around_typer import command, noun
from asyncmq_cli.cli.options import argument, context_names
from asyncmq_cli.cli.session import Session
from asyncmq_cli.commands import NOUNS
from asyncmq_cli.contexts import ConfigFile, chosen_context
from asyncmq_cli.contexts import read as read_file
from asyncmq_cli.contexts import use as choose
from asyncmq_cli.errors import UsageProblem
from asyncmq_cli.output.tables import contexts
from asyncmq_cli.output.tables.contexts import ContextRow, Setting

app = noun(NOUNS["context"])

ContextArg = Annotated[
    str | None,
    argument("[NAME]", "Name of a context.", autocompletion=context_names),
]
CurrentContextArg = Annotated[
    str | None,
    argument("[NAME]", "Name of a context. [default: the current one]", autocompletion=context_names),
]


@command(app, "list", redis=False)
def list_(session: Session) -> None:
    """List the contexts of the configuration file.

    \b
    Example:
      asyncmq context list
    """
    file = _read(session)
    chosen = chosen_context(session.flags, os.environ, file)
    rows = [_row(name, file, in_use=chosen is not None and chosen.name == name) for name in file.contexts]
    if session.out.for_programs:
        session.out.document(contexts.listed(rows))
        return
    if rows:
        session.out.rows(rows, contexts.CONTEXTS, now=0.0)
    elif session.out.for_people:
        session.out.remark("note", f"no contexts; add a table [context.NAME] to {file.path}")


def _read(session: Session) -> ConfigFile:
    file = read_file(os.environ)
    for warning in file.warnings:
        session.out.remark("warning", warning)
    return file


def _row(name: str, file: ConfigFile, *, in_use: bool) -> ContextRow:
    guard = file.contexts[name].get("guard")
    try:
        found = configuration.resolve({"context": name}, os.environ, ask=False)
    except UsageProblem as exc:
        return ContextRow(name, in_use, None, guard, exc.message)
    settings = file.contexts[name].get("settings")
    return ContextRow(name, in_use, f"settings {settings}" if settings else found.shown_url, guard)


@command(app, "show", redis=False)
def show(session: Session, name: CurrentContextArg = None) -> None:
    """Show the settings in effect, and where each one comes from.

    \b
    Examples:
      asyncmq context show
      asyncmq context show prod --json | jq .settings.redis_url
    """
    flags = session.flags if name is None else {**session.flags, "context": name}
    found = configuration.resolve(flags)
    for warning in found.warnings:
        session.out.remark("warning", warning)
    rows = list(_settings(found))
    if session.out.for_programs:
        session.out.document(contexts.shown(found.context, rows))
    else:
        session.out.rows(rows, contexts.SETTINGS, now=0.0)


def _settings(found: configuration.Config) -> Iterator[Setting]:
    values: dict[str, Any] = {
        "redis_url": found.shown_url,
        "password": found.password_source,
        "actor": found.actor,
        "timeout": found.timeout,
        "heartbeat_ttl": found.heartbeat_ttl,
        "stalled_check_interval": found.stalled_check_interval,
        "color": found.context_color or found.color,
        "redact": list(found.redact),
        "guard": found.guard.kind,
        "read_only": bool(found.guard.read_only_by),
        "max_changes": found.guard.max_changes,
        "record": found.records,
    }
    yield Setting("context", found.context or None, found.origins["context"])
    for name, value in values.items():
        yield Setting(name, value, found.origins[name])


@command(app, "use", redis=False)
def use(
    session: Session,
    name: ContextArg = None,
    none: Annotated[bool, typer.Option("--none", help="Use no context.")] = False,
) -> None:
    """Choose the context to use when no flag or variable names another.

    \b
    Examples:
      asyncmq context use staging
      asyncmq context use --none
    """
    if (name is None) is not none:
        raise UsageProblem("give the name of a context, or --none", hint="'asyncmq context list' lists them")
    choose(_read(session), name)
    if session.out.for_programs:
        session.out.document({"context": name})
    elif session.out.for_people:
        session.out.line("no context is in use" if name is None else f"{name} is in use")


@command(app, "prompt", redis=False)
def prompt(session: Session) -> None:
    """Print the name of the current context for a shell prompt, or nothing if there is none.

    \b
    Example:
      asyncmq context prompt
    """
    # Do not import the application's settings: that would run its code for each prompt.
    name = configuration.resolve(session.flags, ask=False).context
    if session.out.for_programs:
        session.out.document({"context": name or None})
    elif name:
        session.out.line(name)
