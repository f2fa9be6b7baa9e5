"""The root of the program, and the only place where an error becomes an exit status."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import typer

from asyncmq_cli.commands import audit, demo, dlq, jobs, options, queues, repeatables, workers
from asyncmq_cli.errors import AdminError, Interrupted, OutputClosed, UsageProblem

# Typer's base of all errors of usage has no public name of its own.
_UsageError: Any = typer.BadParameter.__mro__[1]

app = typer.Typer(
    cls=options.Nouns,
    rich_markup_mode=None,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings=options.CONTEXT,
)
app.add_typer(queues.app, name="queues")
app.add_typer(jobs.app, name="jobs")
app.add_typer(dlq.app, name="dlq")
app.add_typer(repeatables.app, name="repeatables")
app.add_typer(workers.app, name="workers")
audit.register(app)
demo.register(app)


def _root(ctx: typer.Context, **given: Any) -> None:
    """The command line for AsyncMQ: find, read, retry and audit the jobs of live queues.

    \b
    Examples:
      asyncmq queues list
      asyncmq jobs list emails --state failed
      asyncmq jobs retry emails ID --reason "mail server is back"
      asyncmq demo
    """
    ctx.obj = options.take(given, options.GLOBAL_OPTIONS)
    if ctx.invoked_subcommand is None:
        sys.stdout.write(ctx.get_help() + "\n")


options.dress(_root, _root, [options.CONTEXT_PARAMETER, *options.parameters_of(options.GLOBAL_OPTIONS)])
app.callback(invoke_without_command=True)(_root)


@functools.cache
def _built() -> Any:
    """All commands with their options; building them is most of what a small command costs."""
    return typer.main.get_command(app)


def main() -> NoReturn:
    # The names of queues and jobs are UTF-8 in Redis, whatever the locale says.
    sys.exit(run([os.fsencode(arg).decode("utf-8", "surrogateescape") for arg in sys.argv[1:]]))


def run(args: Sequence[str]) -> int:
    """Run one command line and return its exit status."""
    try:
        status = _built()(args=list(args), prog_name="asyncmq", standalone_mode=False)
        sys.stdout.flush()
        return status if isinstance(status, int) else 0
    except AdminError as exc:
        return _fail(exc, args)
    except _UsageError as exc:
        return _fail(_usage_problem(exc), args)
    except (KeyboardInterrupt, typer.Abort):
        return _fail(Interrupted("interrupted"), args)
    except (OutputClosed, BrokenPipeError):
        # The reader has what it wanted. What is still buffered must not be flushed into the
        # closed pipe when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as exc:
        if os.environ.get("ASYNCMQ_DEBUG"):
            raise
        return _fail(
            AdminError(
                f"this is a fault of asyncmq-cli: {type(exc).__name__}: {exc}",
                hint="run it again with ASYNCMQ_DEBUG=1 and report what it prints",
            ),
            args,
        )


def _usage_problem(exc: Any) -> UsageProblem:
    path = exc.ctx.command_path if getattr(exc, "ctx", None) is not None else "asyncmq"
    message = " ".join(exc.format_message().split())
    return UsageProblem(message[:1].lower() + message[1:].rstrip("."), hint=f"'{path} --help' shows how")


def _fail(error: AdminError, args: Sequence[str]) -> int:
    from asyncmq_cli.output.printer import error_line

    before_rest = list(args)[: list(args).index("--")] if "--" in args else list(args)
    try:
        sys.stdout.flush()
        text = error_line(error, as_json="--json" in before_rest or "--ndjson" in before_rest)
        encoding = sys.stderr.encoding or "utf-8"
        sys.stderr.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return error.exit_code
