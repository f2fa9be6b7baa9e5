"""Running `asyncmq` itself, or a shell, as a child on the terminal that we are on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence

from asyncmq_cli.demo.environment import module_environment
from asyncmq_cli.demo.processes import exit_status, stop_process

_CTRL_C_SECONDS = 2.0
"""How long a child that should have got a Ctrl-C of its own may take before it is sent one."""


def asyncmq_command(arguments: Sequence[str]) -> list[str]:
    """The command line that runs this very program, whatever `asyncmq` is on PATH."""
    return [sys.executable, "-m", "asyncmq_cli", *arguments]


def asyncmq_environment(url: str) -> dict[str, str]:
    return module_environment(with_redis(url))


def with_redis(url: str) -> dict[str, str]:
    """Our environment, with `url` as the Redis of whatever runs in it."""
    return {**os.environ, "ASYNCMQ_REDIS_URL": url, "REDIS_URL": url}


def run_child(
    argv: Sequence[str], environ: Mapping[str, str], *, farewell: signal.Signals = signal.SIGTERM
) -> int:
    """Run a program with our standard input and outputs and return its exit status.

    A Ctrl-C on the terminal reaches the child too. It gets the time to end as it sees fit, and
    then KeyboardInterrupt goes on. Any other exception ends the child first, with `farewell`.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    child = subprocess.Popen(argv, env=environ)
    try:
        return exit_status(child.wait())
    except KeyboardInterrupt:
        try:
            child.wait(_CTRL_C_SECONDS)
        except subprocess.TimeoutExpired:
            # It may be that only we were sent the signal.
            stop_process(child, (signal.SIGINT, 5), (signal.SIGTERM, 5))
        raise
    except BaseException:
        stop_process(child, (farewell, 5))
        raise
