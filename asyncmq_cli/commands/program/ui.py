"""`asyncmq ui`."""

from __future__ import annotations

import importlib.util
import os
import sys
from typing import Annotated

from asyncmq_cli.cli.around_typer import command, lone
from asyncmq_cli.cli.options import option
from asyncmq_cli.cli.session import Session
from asyncmq_cli.cli.watch import LEAST_INTERVAL, ends_quietly
from asyncmq_cli.durations import interval
from asyncmq_cli.errors import AdminError, UsageProblem

app = lone()

EveryOption = Annotated[
    str,
    option("--every", "DURATION", "How often the counts of all queues are read: 5 (seconds), 1m."),
]


# Without --json, because nothing is printed.
@command(app, "ui", "secrets", without=("json",), formats=(), several=False)
def ui(session: Session, every: EveryOption = "2") -> None:
    """Open an interactive screen to browse queues, jobs and failures, and to act on them.

    Needs the extra 'ui': pip install 'asyncmq-cli[ui]'. Press ? for the keys.

    \b
    Examples:
      asyncmq ui
      asyncmq ui --redis-url redis://prod.example.org
    """
    if importlib.util.find_spec("textual") is None:
        raise AdminError(
            "the screen needs textual, which is not installed", hint="pip install 'asyncmq-cli[ui]'"
        )
    _require_terminal(session)
    from asyncmq_cli.ui.app import run

    with ends_quietly():
        run(session, interval("--every", every, LEAST_INTERVAL))


def _require_terminal(session: Session) -> None:
    if session.out.for_programs:
        raise UsageProblem(
            "ui and --json exclude each other", hint="'asyncmq overview --json' is for programs"
        )
    if not (session.out.stdout_is_terminal and sys.stdin.isatty()):
        raise UsageProblem(
            "ui needs a terminal for its keys and its screen", hint="'asyncmq overview' prints once"
        )
    if os.environ.get("TERM", "dumb") == "dumb":
        raise UsageProblem(
            "ui needs a terminal that can draw, but TERM is dumb", hint="'asyncmq overview' prints once"
        )
