"""A user with the right to read one queue: other queues are left out with a warning, a mistyped name is
reported as such, and a refusal names the missing right."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from asyncmq_cli.demo.server import PrivateRedis
from tests.conftest import Result, run_tool
from tests.support import library

RULES = ["~queue:emails:*", "~jobs:emails:*", "~deps:emails:*", "~asyncmq-cli:*", "+@all"]


@pytest.fixture(scope="module")
def narrow() -> Iterator[str]:
    """The URL of a user who can see only the queue `emails`; `mail` and `held` also exist."""
    with PrivateRedis() as server, redis.Redis.from_url(server.url) as admin:
        for queue in ("emails", "mail"):
            jobs = [("waiting", library.job("a")), ("failed", library.job("b"))]
            library.with_backend(server.url, lambda opened, q=queue, j=jobs: library.fill(opened, q, j))
        admin.set("queue:held:paused", "1")
        admin.execute_command("ACL", "SETUSER", "one", "on", "nopass", *RULES)
        yield server.url.replace("unix://", "unix://one:x@")


def call(url: str, line: str) -> Result:
    return run_tool(*line.split(), url=url)


def test_what_may_not_be_read_is_left_out_with_the_same_warning_each_time(narrow: str) -> None:
    for _ in range(3):
        result = call(narrow, "queues list --fields name,waiting")
        assert (result.code, result.stdout) == (0, "emails\t1\n"), result
        says = "warning: not listed, because the Redis user may not read them: 'held', 'mail'\n"
        assert result.stderr == says


@pytest.mark.parametrize("line", ["queues show", "jobs list", "dlq list", "queues pause"])
def test_a_typo_is_a_typo(line: str, narrow: str) -> None:
    result = call(narrow, f"{line} emial")
    assert result.code == 4, result
    assert "no queue named 'emial'" in result.stderr
    assert "did you mean emails?" in result.stderr


@pytest.mark.parametrize("line", ["queues show mail", "jobs list mail", "dlq list mail", "queues pause mail"])
def test_a_refusal_names_the_command_and_the_key(line: str, narrow: str) -> None:
    result = call(narrow, line)
    assert result.code in (1, 3), result
    assert "the Redis user may not do this" in result.stderr
    assert any(f" {family}:mail:" in result.stderr for family in ("queue", "jobs")), result


def test_the_own_queue_is_read_and_changed(narrow: str) -> None:
    for line in ("queues show emails", "jobs show emails b", "queues pause emails", "queues resume emails"):
        result = call(narrow, line)
        assert result.code == 0, result


@pytest.mark.parametrize(
    ("rights", "line", "named"),
    [
        (["~*emails*"], "queues pause emails", "(TYPE asyncmq-cli:audit)"),
        (["~*emails*"], "jobs cancel emails --all --yes", "(TYPE asyncmq-cli:audit)"),
        # Of a script that records a refusal.
        (["~*emails*"], "jobs remove emails nope --yes", "(EVALSHA asyncmq-cli:audit)"),
        (["~*", "-zrem"], "jobs cancel emails --all --yes", "(ZREM queue:emails:waiting)"),
    ],
)
def test_a_change_that_is_refused_names_the_command_and_the_key(
    narrow: str, rights: list[str], line: str, named: str
) -> None:
    with redis.Redis.from_url(narrow) as one:
        one.execute_command("ACL", "SETUSER", "changer", "reset", "on", "nopass", "+@all", *rights)
    url = narrow.replace("one:x@", "changer:x@")
    result = call(url, line)
    assert (result.code, named in result.stderr) == (3, True), result
    assert "hint: 'asyncmq doctor --self' shows the rights" in result.stderr


def test_the_doctor_leaves_out_the_keys_of_the_tool_that_may_not_be_read(narrow: str) -> None:
    with redis.Redis.from_url(narrow) as one:
        one.execute_command("ACL", "SETUSER", "changer", "reset", "on", "nopass", "+@all", "~*emails*")
    result = call(narrow.replace("one:x@", "changer:x@"), "doctor emails")
    assert (result.code, result.stderr.count("is not examined")) == (0, 2), result
