"""The root of the program: run a command line, and convert errors to exit statuses. No other module does
this."""

from __future__ import annotations

import functools
import gc
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Annotated, Any

import typer

from asyncmq_cli import commands
from asyncmq_cli.cli import around_typer
from asyncmq_cli.cli.options import completed_by, option, wants_json, with_values
from asyncmq_cli.cli.params import GLOBAL_OPTIONS
from asyncmq_cli.errors import AdminError, OutputClosed, OutputFailed, Shortage, UsageProblem, command_line
from asyncmq_cli.exit_status import CheckStatus, ExitStatus
from asyncmq_cli.system.process import interruption
from asyncmq_cli.system.shortage import is_check, shortage

SHELLS = ("bash", "zsh", "fish", "powershell")
COMPLETE = "__complete"
"""The first argument in the calls of the completion scripts."""
LIBRARY_NOUNS = frozenset({"queue", "job", "worker", "info"})
"""The nouns of the library's own command. If a line has none of them, `library` is not imported."""


class _Root(around_typer.LazyCommands):
    nouns, others, modules = commands.NOUNS, commands.COMMANDS, commands.MODULES


app = typer.Typer(
    cls=_Root,
    rich_markup_mode=None,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings=around_typer.CONTEXT,
)


def _show_completion(shell: str | None) -> None:
    if shell is not None:
        from asyncmq_cli.completion import scripts

        sys.stdout.write(scripts.script(scripts.shell_of(shell)))
        raise typer.Exit


def _install_completion(shell: str | None) -> None:
    if shell is not None:
        from asyncmq_cli.completion import scripts

        done = scripts.install(scripts.shell_of(shell))
        for path in done.files:
            sys.stdout.write(f"{'Wrote' if path in done.written else 'Unchanged:'} {path}\n")
        sys.stdout.write("".join(f"{step}\n" for step in done.next_steps))
        raise typer.Exit


def _of_completion(name: str, callback: Callable[[str | None], None], text: str) -> Any:
    return option(
        name,
        "[SHELL]",
        f"{text}: {', '.join(SHELLS)}. [default: the shell in use]",
        title="Completion",
        callback=callback,
        is_eager=True,
        **completed_by(SHELLS),
    )


InstallOption = Annotated[
    str | None,
    _of_completion("--install-completion", _install_completion, "Set up TAB completion for a shell"),
]
ShowOption = Annotated[
    str | None,
    _of_completion("--show-completion", _show_completion, "Print the completion script for a shell"),
]


def _root(
    ctx: typer.Context,
    install_completion: InstallOption = None,
    show_completion: ShowOption = None,
    **given: Any,
) -> None:
    """The command line for AsyncMQ: find, read, retry and audit the jobs of live queues.

    \b
    Examples:
      asyncmq overview
      asyncmq dlq list emails --group 3f9c21
      asyncmq jobs show emails ID
      asyncmq dlq retry emails --group 3f9c21 --limit 10 --wait
      asyncmq demo
    """
    ctx.obj = around_typer.pop_options(given, GLOBAL_OPTIONS)
    if ctx.invoked_subcommand is None:
        sys.stdout.write(ctx.get_help() + "\n")
        if sys.stdout.isatty():
            sys.stdout.write("\n'asyncmq ui' opens an interactive screen.\n")


def _with_global_options(**given: Any) -> None:
    _root(**given)


around_typer.add_options(_with_global_options, _root, GLOBAL_OPTIONS)
app.callback(invoke_without_command=True)(_with_global_options)


@functools.cache
def _built() -> Any:
    """The root command. Building it takes most of the start-up time."""
    return typer.main.get_command(app)


def main() -> int:
    """Run the command line of this process and return its exit status."""
    # Jobs are read by the thousand and have no reference cycles, so frequent garbage collection is useless.
    gc.set_threshold(100_000, 20, 20)
    if os.environ.get("HOME") == "":
        # If HOME is empty, Python would use / as the home directory; if it is unset, Python asks the user
        # database.
        del os.environ["HOME"]
    if not os.environ.get("ASYNCMQ_DEBUG"):
        # No code can handle an error in a destructor, and Python would print its traceback.
        sys.unraisablehook = lambda unraisable: None
    # Names of queues and jobs are UTF-8 in Redis, whatever the locale is.
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
        return _fail(_unexpected(exc), args)


def _run(args: Sequence[str]) -> int:
    if list(args[:1]) == [COMPLETE]:
        from asyncmq_cli.completion.protocol import serve

        return serve(_built, args[1:])
    if not LIBRARY_NOUNS.isdisjoint(args):
        return _run_as_the_library_means(args)
    return _run_line(args)


def _run_as_the_library_means(args: Sequence[str]) -> int:
    """Run a line that may have the form of the library's command. If it stands for several commands, the
    first that fails ends the run."""
    from asyncmq_cli.cli import library

    meaning = library.translate(args)
    if isinstance(meaning, library.HandOver):
        library.hand_over(meaning)
    for line in [args] if meaning is None else meaning.lines:
        if meaning is not None and meaning.changes:
            from asyncmq_cli.output.printer import Printer

            out = Printer("json" if wants_json(args) else None, color="never")
            out.remark("note", f"read as {command_line(*line)}")
        status = _run_line(line)
        if status:
            return status
    return 0


def _run_line(args: Sequence[str]) -> int:
    try:
        status = _built()(args=with_values(args), prog_name="asyncmq", standalone_mode=False)
    except typer.TyperException as exc:
        raise UsageProblem(exc.message, hint="'asyncmq --help' shows how") from exc
    except typer.Abort as exc:
        raise KeyboardInterrupt from exc
    return status if isinstance(status, int) else 0


def _unexpected(exc: Exception) -> AdminError:
    """The error to show for an unexpected exception."""
    found = shortage(exc)
    if found is not None:
        return Shortage(found[0], hint=found[1])
    if isinstance(exc, RecursionError):
        return AdminError("a value is nested too deeply to be read")
    return AdminError(
        f"this is a bug in asyncmq-cli: {type(exc).__name__}: {exc}",
        hint="run it again with ASYNCMQ_DEBUG=1 and report what it prints, with 'asyncmq --version --json'",
    )


def _fail(error: AdminError, args: Sequence[str]) -> int:
    from asyncmq_cli.output.printer import error_line
    from asyncmq_cli.output.text.escape import printable_on, takes_more_than_ascii

    # Write earlier output first. If that fails, the error is still more important.
    with suppress(OutputClosed, OutputFailed):
        sys.stdout.flush()
    as_json = wants_json(args)
    text = error_line(error, as_json=as_json)
    # JSON is not converted to ASCII.
    plain = not as_json and not takes_more_than_ascii(sys.stderr)
    sys.stderr.write(printable_on(sys.stderr, text, plain=plain) + "\n")
    # For `check`, 1 and 2 mean warning and critical, and would page somebody.
    unlucky = error.exit_code in (ExitStatus.FAILED, ExitStatus.USAGE) and is_check(args)
    return CheckStatus.UNKNOWN if unlucky else error.exit_code
