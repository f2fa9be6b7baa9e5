"""A short tour: real commands with their real output."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from asyncmq_cli.demo.child import asyncmq_command, run_for_people
from asyncmq_cli.demo.processes import exit_status

_QUEUE = "emails"
_LINES = 17
"""The lines of the screen for each step. The whole tour should fit on a page of 60 lines."""


_DIM, _BOLD = "2", "1"


class _StepFailed(Exception):
    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def tour(environ: Mapping[str, str]) -> int:
    """Print the tour on stdout. Returns the exit status of the step that failed, or 0. `environ` names the
    Redis. Raises OutputClosed if the reader closes the pipe."""
    try:
        _remark("This is a private Redis with real AsyncMQ workers, removed at the end. What is wrong?")
        _step(environ, "overview")
        _remark("Why did jobs die?")
        _step(environ, "dlq", "groups", _QUEUE)
        cause = _cause_that_has_passed(environ)
        _remark("Show one of them, with its error and root cause.")
        _step(environ, "jobs", "show", _QUEUE, cause["sample_job_id"])
        _remark("The mail server is back: retry the jobs of that cause only.")
        why = ("--reason", "mail server is back")
        _step(environ, "dlq", "retry", _QUEUE, "--group", cause["id"][:6], *why, "--wait", "--yes", gap=False)
        _step(environ, "audit", "--limit", "3")
        _remark("Try it yourself: asyncmq demo --shell")
        sys.stdout.flush()
    except _StepFailed as failed:
        return failed.status
    return 0


def _remark(text: str) -> None:
    sys.stdout.write(_styled(f"# {text}", _DIM) + "\n")


def _styled(text: str, style: str) -> str:
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not sys.stdout.isatty()
    return text if plain else f"\x1b[{style}m{text}\x1b[0m"


def _step(environ: Mapping[str, str], *arguments: str, gap: bool = True) -> None:
    sys.stdout.write(f"{_styled('$', _DIM)} {_styled(shlex.join(['asyncmq', *arguments]), _BOLD)}\n")
    status = run_for_people(asyncmq_command(arguments), environ, lines=_LINES)
    # Write before checking the status: if the reader has closed the pipe, that is not a failure of the step.
    sys.stdout.write("\n" if gap else "")
    sys.stdout.flush()
    if status:
        raise _StepFailed(status)


def _cause_that_has_passed(environ: Mapping[str, str]) -> Mapping[str, Any]:
    """The failure group whose cause is over (the mail server is back), so that a retry helps."""
    arguments = ("dlq", "groups", _QUEUE, "--json")
    listed = subprocess.run(asyncmq_command(arguments), env=environ, stdout=subprocess.PIPE, check=False)
    if listed.returncode:
        raise _StepFailed(exit_status(listed.returncode))
    groups: Sequence[Mapping[str, Any]] = json.loads(listed.stdout)["groups"]
    passed = [group for group in groups if group["type"] == "ConnectionRefusedError"]
    return (passed or groups)[0]
