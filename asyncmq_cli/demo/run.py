"""`asyncmq demo`: run the tour, a command or a shell on a private Redis."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from asyncmq_cli.errors import UsageProblem


def demo(shell: bool, command: Sequence[str]) -> int:
    """Run the demo, and return the exit status of the command, the shell or the tour.

    Raises UsageProblem for a shell together with a command, DemoUnavailable if the demo cannot run on this
    machine, and KeyboardInterrupt after everything has been cleaned up.
    """
    if shell and command:
        raise UsageProblem(
            "the demo opens a shell or runs a command, not both",
            hint="'asyncmq demo --shell', or 'asyncmq demo -- queues list'",
        )
    from asyncmq_cli.demo.child import asyncmq_command, asyncmq_environment, run_child
    from asyncmq_cli.demo.environment import DemoEnvironment

    if not command and sys.stderr.isatty():
        sys.stderr.write("starting a private Redis and AsyncMQ workers…\n")
        sys.stderr.flush()
    with DemoEnvironment() as environment:
        url, directory = environment.url, environment.directory
        if shell:
            return _run_shell(url, directory)
        environ = asyncmq_environment(url, directory)
        if command:
            return run_child(asyncmq_command(command), environ)
        from asyncmq_cli.demo.tour import tour

        return tour(environ)


def _run_shell(url: str, directory: Path) -> int:
    from asyncmq_cli.demo import shells
    from asyncmq_cli.demo.child import run_child, with_redis

    environ = with_redis(url, directory)
    programs = _own_programs(directory)
    environ["PATH"] = os.pathsep.join([str(programs), environ.get("PATH") or os.defpath])
    argv, prepared = shells.prepared(os.environ.get("SHELL") or "/bin/sh", environ, directory)
    sys.stderr.write(f"demo: ASYNCMQ_REDIS_URL is {url}\n")
    sys.stderr.write("demo: try 'asyncmq overview'; TAB completes; 'exit' ends the demo\n")
    with _deaf_to_ctrl_c():
        # An interactive shell ignores SIGTERM.
        return run_child(argv, prepared, farewell=signal.SIGHUP)


@contextmanager
def _deaf_to_ctrl_c() -> Iterator[None]:
    """Ignore Ctrl-C, which is meant for the programs in the shell, even if the shell is in our process group.

    This uses a handler, because the shell would inherit SIG_IGN.
    """
    before = signal.signal(signal.SIGINT, lambda signum, frame: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _own_programs(directory: Path) -> Path:
    """Make a directory for PATH in which `asyncmq` is this program."""
    programs = directory / "bin"
    programs.mkdir()
    for name in ("asyncmq", "asyncmq-cli"):
        program = programs / name
        program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m asyncmq_cli "$@"\n')
        program.chmod(0o700)
    return programs
