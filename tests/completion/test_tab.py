"""TAB in real shells: its candidates, the inserted text, and what it must never do."""

from __future__ import annotations

from pathlib import Path

import pytest
import redis
from asyncmq.backends.redis import RedisBackend

from asyncmq_cli.demo.server import PrivateRedis
from tests.completion.conftest import Open
from tests.support import library
from tests.support.shells import Shell

HOSTILE = (
    *("my queue", "it's", 'say "hi"', "$(touch executed)", "`touch executed`", "a;touch executed"),
    *("b|touch executed&", "c>executed", "*?[d]", "{e,f}", "grüße→日本", "g\\n", "h=i", "#j", "~root"),
    *("k!l", "!!", "$HOME", "m\\", "n  o", "%p", "^q", "'r'", '"s"', "tenant:acme", "t:u v"),
)


@pytest.fixture
def mail(server: PrivateRedis, client: redis.Redis) -> None:
    async def fill(opened: RedisBackend) -> None:
        jobs = [("failed", library.job(f"dead-{n}")) for n in (1, 2)]
        await library.fill(opened, "mail", [*jobs, ("waiting", library.job("dear"))])
        await library.fill(opened, "imports", [("waiting", library.job("next"))])
        await opened.upsert_repeatable("mail", {"task_id": "app.tick", "every": 60})

    library.with_backend(server.url, fill)


def only(client: redis.Redis, queue: str) -> None:
    """Make this the only queue."""
    client.flushall()
    client.zadd(f"queue:{queue}:waiting", {"one": 1})


FIXED = (
    ("asyncmq rep", "asyncmq repeatables "),
    ("asyncmq jobs ret", "asyncmq jobs retry "),
    ("asyncmq job ret", "asyncmq job retry "),
    ("asyncmq-cli workers li", "asyncmq-cli workers list "),
    ("asyncmq jobs list mail --sta", "asyncmq jobs list mail --state "),
    ("asyncmq jobs list mail --state ca", "asyncmq jobs list mail --state cancelled "),
    ("asyncmq jobs list mail --state=ca", "asyncmq jobs list mail --state=cancelled "),
    ("asyncmq queues list --fields na", "asyncmq queues list --fields name "),
    ("asyncmq jobs list --fields id,ta", "asyncmq jobs list --fields id,task "),
    ("asyncmq dlq list mail --fields=id,di", "asyncmq dlq list mail --fields=id,died "),
    ("asyncmq --redi", "asyncmq --redis-url "),
    ("asyncmq jobs list mail --redi", "asyncmq jobs list mail --redis-url "),
    ("asyncmq --json --color ne", "asyncmq --json --color never "),
    ("asyncmq help repeatables ad", "asyncmq help repeatables add "),
    ("asyncmq demo -- jobs sh", "asyncmq demo -- jobs show "),
    ("asyncmq --install-completion po", "asyncmq --install-completion powershell "),
    ("asyncmq no such thing", "asyncmq no such thing"),
)


@pytest.mark.extended(first=1)
def test_words_that_are_fixed_are_completed_without_redis(open_shell: Open) -> None:
    shell = open_shell(url="unix:///nowhere/redis.sock")
    assert [shell.tab(typed) for typed, _ in FIXED] == [line for _, line in FIXED]


def test_names_and_ids_come_from_the_live_redis(shell: Shell, mail: None, client: redis.Redis) -> None:
    assert shell.tab("asyncmq jobs list ma") == "asyncmq jobs list mail "
    assert shell.tab("asyncmq queues pause mail im") == "asyncmq queues pause mail imports "
    assert shell.tab("asyncmq workers list --queue im") == "asyncmq workers list --queue imports "
    assert shell.tab("asyncmq jobs show mail dea") == "asyncmq jobs show mail dea", "three begin so"
    assert "dear" in shell.offered and "dead-2" in shell.offered
    assert shell.tab("asyncmq jobs retry mail dea") == "asyncmq jobs retry mail dead-", "two can be retried"
    assert shell.tab("asyncmq repeatables pause mail --task a") == (
        "asyncmq repeatables pause mail --task app.tick "
    )


def test_shells_other_than_bash_describe_the_candidates(shell: Shell, mail: None) -> None:
    shell.tab("asyncmq jobs ", presses=2)
    assert all(verb in shell.offered for verb in ("list", "show", "retry", "remove", "cancel"))
    if shell.name != "bash":
        assert "Remove jobs with everything stored about them." in shell.offered


def test_files_are_completed_by_the_shell(shell: Shell) -> None:
    (shell.home / "my metrics.prom").touch()
    line = shell.tab("asyncmq metrics prometheus --output my")
    assert line.rstrip() == r"asyncmq metrics prometheus --output my\ metrics.prom"


def test_the_url_on_the_line_is_the_one_that_counts(
    open_shell: Open, server: PrivateRedis, mail: None
) -> None:
    shell = open_shell(url="unix:///nowhere/redis.sock", env={"ASYNCMQ_COMPLETION_TIMEOUT": "30"})
    assert shell.tab("asyncmq jobs list ma") == "asyncmq jobs list ma"
    line = f"asyncmq --redis-url '{server.url}' jobs list "
    assert shell.tab(f"{line}ma") == f"{line}mail "
    line = f"asyncmq --redis-url='{server.url}' jobs list "
    assert shell.tab(f"{line}ma") == f"{line}mail "


def test_a_url_in_a_variable_is_read_from_the_environment(
    open_shell: Open, server: PrivateRedis, mail: None
) -> None:
    env = {"MY_REDIS": server.url, "ASYNCMQ_COMPLETION_TIMEOUT": "30"}
    shell = open_shell(url="unix:///nowhere/redis.sock", env=env)
    line = 'asyncmq --redis-url "$MY_REDIS" jobs list '
    assert shell.tab(f"{line}ma") == f"{line}mail "
    line = 'asyncmq --redis-url "$(touch executed)" jobs list '
    assert shell.tab(f"{line}ma") == f"{line}ma"
    assert not (shell.home / "executed").exists()


@pytest.mark.extended
def test_hostile_names_are_inserted_quoted_and_never_run(shell: Shell, client: redis.Redis) -> None:
    for queue in HOSTILE:
        only(client, queue)
        line = shell.tab("asyncmq jobs list ")
        if shell.name == "fish" and queue.startswith("~"):
            assert line == "asyncmq jobs list ", "fish would insert it so that it becomes a home"
            continue
        assert not (shell.home / "executed").exists(), line
        assert shell.evaluate() == ["asyncmq", "jobs", "list", queue], line
    assert not (shell.home / "executed").exists()


QUOTED = (
    (r"my\ q", "my queue"),
    (r"it\'", "it's"),
    (r"\$\(tou", "$(touch executed)"),
    ("tenant:a", "tenant:acme"),
    (r"tenant:a\ ", "tenant:a b"),
    ("grü", "grüße→日本"),
    ("'t:u ", "t:u v"),
    ("'$(touch ex", "$(touch executed)"),
    ("'", "$(touch executed)"),
    ("'", "`touch executed`"),
    ("'", "it's"),
    ("'", "'r'"),
    ("'", "back\\slash"),
    ("'", "tenant:acme"),
    ('"', "$(touch executed)"),
    ('"', "`touch executed`"),
    ('"', 'say "hi"'),
    ('"', "back\\slash"),
    ('"', "tenant:acme"),
    ('"', "k!l"),
)


@pytest.mark.extended
def test_a_typed_word_may_be_quoted(shell: Shell, client: redis.Redis) -> None:
    for typed, queue in QUOTED:
        only(client, queue)
        line = shell.tab(f"asyncmq jobs list {typed}")
        assert shell.evaluate() == ["asyncmq", "jobs", "list", queue], line
        assert not (shell.home / "executed").exists()


def test_hostile_names_are_not_executed_and_unprintable_ones_not_offered(
    shell: Shell, server: PrivateRedis, client: redis.Redis
) -> None:
    for queue in (*HOSTILE, "line\nfeed", "\x1b]0;title\x07", "tab\tbed", "-rf", "\u202eright"):
        client.zadd(f"queue:{queue}:waiting", {"one": 1})
    line = shell.tab("asyncmq jobs list ", presses=2)
    shell.keys("\x1b" if shell.name == "fish" else "")
    assert not (shell.home / "executed").exists(), line
    assert "tenant:acme" in shell.offered
    for unseen in ("feed", "title", "bed", "-rf", "right"):
        assert unseen not in shell.offered


def test_redis_that_is_away_is_not_worth_a_word(open_shell: Open, tmp_path: Path) -> None:
    shell = open_shell(url="redis://127.0.0.1:1/0")
    for line in ("asyncmq jobs list m", "asyncmq jobs show mail abc", "asyncmq dlq retry mail --group a"):
        assert shell.tab(line) == line
        assert all(word not in shell.offered.lower() for word in ("error", "refused", "traceback"))
