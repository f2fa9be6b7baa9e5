"""The root of the program, and the only place where an error becomes an exit status."""

from __future__ import annotations

import functools
import gc
import inspect
import os
import re
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Annotated, Any

import typer

from asyncmq_cli.cli import decorators, groups
from asyncmq_cli.cli.params import GLOBAL_OPTIONS, offering, option
from asyncmq_cli.errors import (
    AdminError,
    OutputClosed,
    OutputFailed,
    Shortage,
    UsageProblem,
    command_line,
    interruption,
)
from asyncmq_cli.system.shortage import is_check, shortage

# Typer's base of all errors of usage has no public name of its own.
_UsageError: Any = typer.BadParameter.__mro__[1]

_EXTRA_ARGUMENT = re.compile(r"Got unexpected extra argument(?:\(s\)|s)? \((?P<words>.*)\)")

SHELLS = ("bash", "zsh", "fish", "powershell")
_INSTALL, _SHOW = _COMPLETION_OPTIONS = ("--install-completion", "--show-completion")
COMPLETE = "__complete"
"""With this word the shells' scripts ask what TAB has to offer."""
LIBRARY_NOUNS = frozenset({"queue", "job", "worker", "info"})
"""Without one of them a line is none of the library's own, and what reads those is not imported."""


class _Root(groups.Nouns):
    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, _with_shell(args))

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        from asyncmq_cli.cli import help_pages

        help_pages.write_environment(formatter)


def _with_shell(args: list[str]) -> list[str]:
    """The options of the completion may stand alone; Typer has no word for that."""
    for number, word in enumerate(args):
        if not word.startswith("-"):
            break
        if word in _COMPLETION_OPTIONS and args[number + 1 : number + 2] in ([], ["--help"], ["-h"]):
            return [*args[:number], f"{word}=", *args[number + 1 :]]
    return args


app = typer.Typer(
    cls=_Root,
    rich_markup_mode=None,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings=groups.CONTEXT,
)
# Each is imported and built when the command line names it, so that one does not pay for all.
_NOUNS = {
    "queues": "Find queues, see how they stand, pause and resume them.",
    "jobs": "Find jobs, read why they failed, retry, requeue, remove and cancel them.",
    "dlq": "Look into the dead-letter queue: failed and expired jobs, and why they died.",
    "repeatables": "See what is scheduled, add definitions, pause, resume and remove them.",
    "workers": "See which workers are there and how they are; forget those that are gone.",
    "metrics": "Measure throughput and backlog, keep a history, feed Prometheus.",
    "events": "Follow what happens in the queues.",
}
_COMMANDS = {
    "overview": "Show all queues on one screen: totals, states, workers, the latest jobs and queues.",
    "audit": "List what was done to queues and jobs, by whom and why, newest first.",
    "check": "Probe the queues for cron, CI and Nagios: one line, and the state as the exit status.",
    "wait": "Wait until a queue is empty, or until jobs have ended.",
    "doctor": "Look for what crashes and bugs leave behind: lost jobs, leftovers, duplicates.",
    "demo": "Try everything on a throw-away Redis with a real AsyncMQ worker in it.",
    "help": "Show how a command is used: the same as --help behind it.",
}
groups.Nouns.unbuilt = {
    name: groups.Unbuilt(name, text, is_noun=name in _NOUNS) for name, text in {**_NOUNS, **_COMMANDS}.items()
}


def _root(ctx: typer.Context, **given: Any) -> None:
    """The command line for AsyncMQ: find, read, retry and audit the jobs of live queues.

    \b
    Examples:
      asyncmq queues list
      asyncmq jobs list emails --state failed
      asyncmq jobs retry emails ID --reason "mail server is back"
      asyncmq demo
    """
    ctx.obj = decorators.take(given, GLOBAL_OPTIONS)
    if ctx.invoked_subcommand is None:
        sys.stdout.write(ctx.get_help() + "\n")


def _show_completion(shell: str | None) -> None:
    if shell is not None:
        from asyncmq_cli.completion import scripts

        sys.stdout.write(scripts.script(scripts.shell_named(shell)))
        raise typer.Exit


def _install_completion(shell: str | None) -> None:
    if shell is not None:
        from asyncmq_cli.completion import install, scripts

        done = install.install(scripts.shell_named(shell))
        for path in done.files:
            sys.stdout.write(f"{'Wrote' if path in done.written else 'Unchanged:'} {path}\n")
        sys.stdout.write("".join(f"{step}\n" for step in done.next_steps))
        raise typer.Exit


def _completion_option(name: str, does: Callable[[str | None], None], text: str) -> inspect.Parameter:
    annotation = Annotated[
        str | None,
        option(
            name,
            "[SHELL]",
            f"{text}: {', '.join(SHELLS)}. [default: the shell in use]",
            title="Completion",
            callback=offering(SHELLS, does),
            is_eager=True,
        ),
    ]
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name[2:].replace("-", "_"), kind, default=None, annotation=annotation)


decorators.copy_signature(
    _root,
    _root,
    [
        decorators.CONTEXT_PARAMETER,
        _completion_option(
            _INSTALL, _install_completion, "Let a shell complete the words of a command at TAB"
        ),
        _completion_option(_SHOW, _show_completion, "Print a shell's script for it"),
        *decorators.parameters_of(GLOBAL_OPTIONS),
    ],
)
app.callback(invoke_without_command=True)(_root)


@functools.cache
def _built() -> Any:
    """All commands with their options; building them is most of what a small command costs."""
    return typer.main.get_command(app)


def main() -> int:
    """Run the command line of this process and return its exit status."""
    # Jobs are read by the thousand, and none of them holds itself: little is to be collected.
    gc.set_threshold(100_000, 20, 20)
    # The names of queues and jobs are UTF-8 in Redis, whatever the locale says.
    return run([os.fsencode(arg).decode("utf-8", "surrogateescape") for arg in sys.argv[1:]])


def run(args: Sequence[str]) -> int:
    """Run one command line and return its exit status."""
    try:
        status = _run(args)
        sys.stdout.flush()
        return status
    except AdminError as exc:
        return _fail(exc, args)
    except KeyboardInterrupt as exc:
        return _fail(interruption(exc), args)
    except OutputClosed:
        return 0
    except Exception as exc:
        if os.environ.get("ASYNCMQ_DEBUG"):
            raise
        return _fail(_told(exc), args)


def _run(args: Sequence[str]) -> int:
    if list(args[:1]) == [COMPLETE]:
        from asyncmq_cli.completion.protocol import serve

        return serve(_built, args[1:])
    if not LIBRARY_NOUNS.isdisjoint(args):
        return _run_as_the_library_means(args)
    return _run_line(args)


def _run_as_the_library_means(args: Sequence[str]) -> int:
    """Run a line that may be one of the library's own; the first of several that fails is the last."""
    from asyncmq_cli.cli import library

    meaning = library.translate(args)
    if isinstance(meaning, library.HandOver):
        library.hand_over(meaning)
    if isinstance(meaning, library.Refused):
        raise AdminError(meaning.message, hint=meaning.hint)
    for line in [args] if meaning is None else meaning.lines:
        if meaning is not None and meaning.changes:
            _note(f"read as {command_line(*line)}", as_json=_wants_json(args))
        status = _run_line(line)
        if status:
            return status
    return 0


def _note(message: str, *, as_json: bool) -> None:
    from asyncmq_cli.output.json.text import encode
    from asyncmq_cli.output.redaction.redact import redact_text
    from asyncmq_cli.output.text.escape import escape

    safe = redact_text(message)
    text = encode({"note": {"message": safe}}).decode() if as_json else f"note: {escape(safe)}"
    sys.stderr.write(f"{text}\n")


def _wants_json(args: Sequence[str]) -> bool:
    before_rest = list(args)[: list(args).index("--")] if "--" in args else list(args)
    return "--json" in before_rest or "--ndjson" in before_rest


def _run_line(args: Sequence[str]) -> int:
    try:
        status = _built()(args=list(args), prog_name="asyncmq", standalone_mode=False)
    except _UsageError as exc:
        raise _usage_problem(exc) from exc
    except typer.Abort as exc:
        raise KeyboardInterrupt from exc
    return status if isinstance(status, int) else 0


def _told(exc: Exception) -> AdminError:
    """An error for people of what nobody has caught."""
    found = shortage(exc)
    if found is not None:
        return Shortage(found[0], hint=found[1])
    if isinstance(exc, RecursionError):
        return AdminError("something is nested too deeply to be read")
    return AdminError(
        f"this is a fault of asyncmq-cli: {type(exc).__name__}: {exc}",
        hint="run it again with ASYNCMQ_DEBUG=1 and report what it prints",
    )


def _usage_problem(exc: Any) -> UsageProblem:
    context = getattr(exc, "ctx", None)
    path = context.command_path if context is not None else "asyncmq"
    if context is not None and hasattr(exc, "possibilities"):
        from asyncmq_cli.cli import suggestions

        return suggestions.no_such_option(context.command, context, exc.option_name, path)
    verbs = getattr(context.command, "commands", {}) if context is not None else {}
    if verbs and exc.message.startswith("Missing command"):
        return UsageProblem(
            f"{path} needs a verb", hint=f"one of {', '.join(verbs)}; '{path} --help' shows how"
        )
    message = " ".join(exc.format_message().split())
    extra = _EXTRA_ARGUMENT.match(message)
    if extra is not None:
        from asyncmq_cli.cli import suggestions

        word = extra["words"].split()[0]
        return UsageProblem(f"{path} takes no {word!r} there", hint=suggestions.word_too_many(path, word))
    return UsageProblem(message[:1].lower() + message[1:].rstrip("."), hint=f"'{path} --help' shows how")


def _fail(error: AdminError, args: Sequence[str]) -> int:
    from asyncmq_cli.output.printer import error_line
    from asyncmq_cli.output.terminal.ascii_fallback import printable_on, takes_more_than_ascii

    # What was printed before it comes first; that it cannot be written is the smaller trouble.
    with suppress(OutputClosed, OutputFailed):
        sys.stdout.flush()
    as_json = _wants_json(args)
    text = error_line(error, as_json=as_json)
    # What is quoted in JSON stays what it is.
    plain = not as_json and not takes_more_than_ascii(sys.stderr)
    sys.stderr.write(printable_on(sys.stderr, text, plain=plain) + "\n")
    # Its 1 and 2 page people, and say what was found.
    return 3 if error.exit_code in (1, 2) and is_check(args) else error.exit_code
