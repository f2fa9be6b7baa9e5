"""No part of an error shows a secret: not its message, nor its hint, nor its details."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import redis

from tests.conftest import Run


def test_an_id_that_holds_a_secret_is_not_quoted_with_it(client: redis.Redis, cli: Run) -> None:
    client.sadd("jobs:mail:ids", "known")
    for args in (
        ["jobs", "retry", "mail", "token=hunter2", "other"],
        ["jobs", "show", "mail", "token=hunter2"],
        ["jobs", "list", "password=hunter2"],
        ["repeatables", "pause", "mail", "--task", "api_key=hunter2"],
    ):
        for form in ([], ["--json"]):
            result = cli(*args, *form)
            assert result.code in (1, 4), result
            assert "hunter2" not in result.stderr, args


def test_how_a_url_is_written_stays_readable(cli: Run) -> None:
    result = cli("queues", "list", "--redis-url", "http://example.org")
    assert "redis://" in result.stderr
    assert "[redacted]" not in cli("queues", "list", "--redis-url", "redis://h/x").stderr


_LEFT_BEHIND = """
import sys
from asyncmq_cli import app

class Unclosed:
    def __del__(self):
        raise RecursionError

sys.argv[1:] = ["--version"]
app.main()
Unclosed()
"""


@pytest.mark.parametrize(("setting", "shown"), [("", False), ("1", True)])
def test_an_error_in_a_destructor_is_shown_only_to_who_debugs(setting: str, shown: bool) -> None:
    environment = {**os.environ, "ASYNCMQ_DEBUG": setting}
    ran = subprocess.run(
        [sys.executable, "-c", _LEFT_BEHIND], env=environment, capture_output=True, text=True, check=True
    )
    assert ran.stdout.startswith("asyncmq")
    assert ("Traceback" in ran.stderr) is shown
    assert shown or ran.stderr == ""


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        (
            "jobs list mail --state failed --state expired",
            2,
            "--state is given twice: 'failed' and 'expired'",
        ),
        ("jobs remove mail --task=a --task b --yes", 2, "--task is given twice: 'a' and 'b'"),
        ("jobs cancel mail --all --limit 1 --limit 2 --yes", 2, "--limit is given twice: '1' and '2'"),
        ("dlq groups mail --q a --q a", 4, "no queue named 'mail'"),
        ("check --max-dlq 1 --max-dlq 2", 3, "--max-dlq is given twice: '1' and '2'"),
        # An alias may say one of these already.
        ("-o json queues list -o table -o name", 0, ""),
    ],
)
def test_an_option_that_is_given_twice_must_say_the_same(cli: Run, line: str, code: int, said: str) -> None:
    result = cli(*line.split())
    assert (result.code, said in result.stderr) == (code, True)
