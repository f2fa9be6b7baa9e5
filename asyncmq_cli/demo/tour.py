"""A short tour: real commands and what they really print."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from asyncmq_cli.demo.child import asyncmq_command, asyncmq_environment, run_child
from asyncmq_cli.demo.processes import exit_status

_QUEUE = "emails"


class _StepFailed(Exception):
    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def tour(url: str) -> int:
    """Show the tour on standard output; the exit status is that of the step that failed, or 0. Raises
    OutputClosed where its reader has seen enough."""
    environ = asyncmq_environment(url)
    try:
        _remark("A private Redis and real AsyncMQ workers are running; both go when this ends.")
        _step(environ, "queues", "list")
        _step(environ, "jobs", "list", _QUEUE, "--state", "failed")
        job_id = _job_worth_a_retry(environ)
        _remark("Why did this one fail?")
        _step(environ, "jobs", "show", _QUEUE, job_id)
        _remark("The mail host answers again.")
        _step(environ, "jobs", "retry", _QUEUE, job_id, "--reason", "mail server is back")
        _step(environ, "queues", "pause", "reports")
        _remark("Every change left a record.")
        _step(environ, "audit")
        _remark("Go on by yourself: asyncmq demo --shell")
        sys.stdout.flush()
    except _StepFailed as failed:
        return failed.status
    return 0


def _remark(text: str) -> None:
    sys.stdout.write(f"# {text}\n")


def _step(environ: Mapping[str, str], *arguments: str) -> None:
    sys.stdout.write(f"$ {shlex.join(['asyncmq', *arguments])}\n")
    status = run_child(asyncmq_command(arguments), environ)
    # Before the status is judged: a reader that has gone is no fault of the step's.
    sys.stdout.write("\n")
    sys.stdout.flush()
    if status:
        raise _StepFailed(status)


def _job_worth_a_retry(environ: Mapping[str, str]) -> str:
    """A job that failed for a cause that has passed, not for what it was given."""
    arguments = ("jobs", "list", _QUEUE, "--state", "failed", "--json")
    listed = subprocess.run(asyncmq_command(arguments), env=environ, stdout=subprocess.PIPE, check=False)
    if listed.returncode:
        raise _StepFailed(exit_status(listed.returncode))
    jobs: Sequence[Mapping[str, Any]] = json.loads(listed.stdout)["jobs"]
    passed = [job for job in jobs if "DeliveryError" in str(job["last_error"])]
    return str((passed or jobs)[0]["id"])
