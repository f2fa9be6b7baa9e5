"""Production cannot be changed by accident: the guards of contexts, and read-only runs."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import redis

from asyncmq_cli.demo.server import PrivateRedis
from asyncmq_cli.errors import AdminError
from asyncmq_cli.models.changes import Guard, Rules
from tests.conftest import environment
from tests.faults.support import CHANGES, seed
from tests.support.forked import Forked
from tests.support.operator import Operator, dead_jobs
from tools import commandtree

CONFIRM, READONLY = 'guard = "confirm"', 'guard = "readonly"'


@pytest.fixture
def operator(server: PrivateRedis, client: redis.Redis, tmp_path: Path) -> Operator:
    operator = Operator(server, tmp_path)
    operator.write(CONFIRM)
    dead_jobs(operator.url(2), "one", "two", "three")
    return operator


def events(operator: Operator) -> int:
    with operator.client(2) as opened:
        return int(opened.xlen("asyncmq-cli:audit"))


@pytest.mark.parametrize(
    "args",
    [
        # Destructive, of one job.
        ("jobs", "remove", "mail", "one", "--yes"),
        ("queues", "pause", "mail"),
        # Of more than one.
        ("jobs", "retry", "mail", "one", "two"),
        ("dlq", "retry", "mail", "--all", "--yes"),
    ],
    ids=" ".join,
)
def test_a_script_has_to_name_the_context(args: Sequence[str], operator: Operator) -> None:
    refused = operator(*args, "--context", "prod")
    assert (refused.code, refused.stdout) == (5, ""), refused
    assert "--confirm prod" in refused.stderr
    assert events(operator) == 0
    for name in ("dev", "Prod", ""):
        wrong = operator(*args, "--context", "prod", "--confirm", name)
        assert (wrong.code, events(operator)) == (5, 0), wrong
    assert operator(*args, "--context", "prod", "--confirm", "prod").code == 0


def test_one_retry_needs_no_name_and_a_name_is_no_yes(operator: Operator) -> None:
    assert operator("jobs", "retry", "mail", "one", "--context", "prod").code == 0
    refused = operator("jobs", "remove", "mail", "two", "--context", "prod", "--confirm", "prod")
    assert refused.code == 5 and "--yes does it without asking" in refused.stderr, refused
    dry = operator("jobs", "remove", "mail", "two", "three", "--context", "prod", "--dry-run")
    assert dry.code == 0, dry


def test_a_name_that_is_confirmed_elsewhere_does_nothing(operator: Operator) -> None:
    dead_jobs(operator.url(3), "one")
    result = operator("jobs", "retry", "mail", "one", "--redis-url", operator.url(3), "--confirm", "prod")
    assert result.code == 5 and "is not a context; nothing was changed" in result.stderr
    here = operator("jobs", "retry", "mail", "one", "--context", "dev", "--confirm", "prod")
    assert here.code == 5 and "--confirm names 'prod', but this is dev" in here.stderr


def test_whoever_names_the_same_redis_by_its_address_meets_the_guard(operator: Operator) -> None:
    args = ("jobs", "remove", "mail", "one", "--redis-url", operator.url(2), "--yes")
    assert operator(*args).code == 5
    assert operator(*args, "--confirm", "prod").code == 0


PROMPT = "Type prod to go on: "


@pytest.mark.parametrize(
    ("args", "shown"),
    [
        (("jobs", "remove", "mail", "one"), "Remove 1 failed job in mail on prod ("),
        (("jobs", "remove", "mail", "one", "--yes"), "This would remove 1 job on prod ("),
        (("jobs", "retry", "mail", "one", "two"), "This would retry 2 jobs on prod ("),
        (("queues", "pause", "mail"), "This would pause 1 queue on prod ("),
    ],
    ids=str,
)
def test_on_a_terminal_the_name_is_typed_once(args: Sequence[str], shown: str, operator: Operator) -> None:
    for answer in ("y\n", "dev\n", "\n"):
        screen = operator.on_terminal(*args, "--context", "prod", answer=answer, prompt=PROMPT)
        assert (screen.code, events(operator)) == (5, 0), screen
        assert shown in screen.text
    done = operator.on_terminal(*args, "--context", "prod", answer="prod\n", prompt=PROMPT)
    assert done.code == 0 and done.text.count(PROMPT) == 1, done


def test_no_run_changes_more_than_the_context_allows(operator: Operator) -> None:
    operator.write("max_changes = 2")
    refused = operator("dlq", "retry", "mail", "--all", "--yes", "--context", "prod", "--json")
    assert refused.code == 1 and '"too_many_changes"' in refused.stderr, refused
    assert (refused.stdout, events(operator)) == ("", 0)
    screen = operator.on_terminal("dlq", "retry", "mail", "--all", "--context", "prod")
    assert screen.code == 1 and "[y/N]" not in screen.text, screen
    assert operator("dlq", "retry", "mail", "--all", "--limit", "2", "--yes", "--context", "prod").code == 0
    assert events(operator) == 2


def test_a_repair_ends_at_the_number_that_the_context_allows(operator: Operator) -> None:
    operator.write("max_changes = 2")
    with operator.client(2) as opened:
        opened.hset("jobs:mail:results", mapping={f"gone-{n}": "1" for n in range(5)})
    result = operator("doctor", "mail", "--repair", "--yes", "--context", "prod", "--json")
    assert result.code == 1 and '"too_many_changes"' in result.stderr, result
    assert events(operator) <= 2


@pytest.mark.parametrize("setting", ["--read-only", "ASYNCMQ_READ_ONLY", "guard"])
def test_a_read_only_user_records_no_metrics(setting: str, operator: Operator) -> None:
    operator.write(READONLY if setting == "guard" else "")
    args = ["--context", "prod", *(["--read-only"] if setting.startswith("--") else [])]
    env = {**operator.env, "ASYNCMQ_READ_ONLY": "1"} if setting.startswith("ASYNCMQ") else operator.env
    operator.env = env
    assert operator(*args, "metrics", "show").code == 0
    assert operator(*args, "events", "tail", "--once").code == 0
    refused = operator(*args, "metrics", "record")
    assert refused.code == 1 and "refused: " in refused.stderr
    with operator.client(2) as opened:
        assert not opened.exists("asyncmq-cli:metrics")
    operator.write(f"{READONLY}\nrecord = true")
    assert operator(*args, "metrics", "record").code == 0
    assert operator(*args, "queues", "pause", "mail").code == 1
    with operator.client(2) as opened:
        assert opened.xlen("asyncmq-cli:metrics") == 1


def examples() -> Iterator[list[str]]:
    """The first example of each command in its help."""
    for command in commandtree.commands():
        if command.path[0] in ("demo", "help"):
            continue
        yield from map(words_of, command.examples[:1])


def words_of(example: str) -> list[str]:
    lexer = shlex.shlex(example, posix=True, punctuation_chars="|>;&()")
    lexer.whitespace_split = True
    words: list[str] = []
    for word in lexer:
        if set(word) <= set("|>;&()"):
            break
        words.append(word)
    return words[words.index("asyncmq") + 1 :] if "asyncmq" in words else words


def run_briefly(args: Sequence[str], url: str) -> tuple[int | None, str]:
    """Run a command. Commands that do not end by themselves are stopped after one read."""
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    process = Forked(["-m", "asyncmq_cli", "--read-only", *args], env=environment(url), **pipes)
    try:
        _, err = process.communicate(timeout=3)
    except subprocess.TimeoutExpired:
        process.kill()
        return None, ""
    return process.wait(10), err.decode()


def test_no_command_of_the_program_writes_in_a_read_only_run(tmp_path: Path) -> None:
    with PrivateRedis() as server:
        seed(server.url)
        with redis.Redis.from_url(server.url) as client:
            writes = {
                name.upper()
                for name, about in client.command().items()
                if {"write", b"write"} & set(about["flags"])
            }
            before = {key: client.dump(key) for key in client.scan_iter()}
            lines = [*examples(), *map(list, CHANGES.values())]
            with client.monitor() as monitor, ThreadPoolExecutor(4) as pool:
                ended = list(pool.map(lambda args: run_briefly(args, server.url), lines))
                client.echo("the last command")
                seen: set[str] = set()
                for each in monitor.listen():
                    seen.add(each["command"].split(" ")[0].strip('"').upper())
                    if "the last command" in each["command"]:
                        break
            after = {key: client.dump(key) for key in client.scan_iter()}
    assert {"SCAN", "ZCARD"} <= seen
    assert not seen & {*writes, "EVAL", "EVALSHA", "FCALL"}, seen
    assert before == after
    refused = [args for args, (code, err) in zip(lines, ended, strict=True) if "error: refused: " in err]
    changing = {command.path for command in commandtree.commands() if "--dry-run" in command.takes}
    assert {tuple(args[: len(path)]) for path in changing for args in refused} >= changing - {("doctor",)}


def test_a_refused_change_asks_redis_nothing(client: redis.Redis, server: PrivateRedis) -> None:
    seed(server.url)
    with redis.Redis.from_url(server.url) as watching, watching.monitor() as monitor:
        client.ping()
        assert "PING" in next(monitor.listen())["command"]
        for args in CHANGES.values():
            code, err = run_briefly(args, server.url)
            assert (code, "error: refused: --read-only allows no change" in err) == (1, True), args
        client.echo("the last command")
        assert "the last command" in next(monitor.listen())["command"]


@pytest.mark.parametrize(
    ("rules", "changes", "message"),
    [
        (Rules(), [("job.remove", 5)], None),
        (Rules("prod", must_confirm=True), [("job.retry", 1)], None),
        (Rules("prod", must_confirm=True), [("job.retry", 2)], "would retry 2 jobs on prod"),
        (Rules("prod", must_confirm=True), [("job.retry", None)], "would retry what is found on prod"),
        (Rules("prod", must_confirm=True), [("job.retry", 1), ("job.retry", 1)], "would retry 1 job on prod"),
        (Rules("prod", must_confirm=True), [("dlq.remove", 1)], "would remove 1 job on prod"),
        (Rules("prod", must_confirm=True), [("queue.drain", 3)], "would remove 3 jobs on prod"),
        (Rules("prod", must_confirm=True), [("queue.obliterate", 4)], "obliterate 1 queue with 3 jobs on"),
        (Rules("prod", must_confirm=True), [("queue.pause", 2)], "would pause 2 queues on prod"),
        (Rules("prod", max_changes=2), [("job.retry", 2)], None),
        (Rules("prod", max_changes=2), [("job.retry", 1)] * 3, "these are 3 changes"),
        (Rules("", read_only_by="--read-only"), [("queue.pause", 1)], "--read-only allows no change"),
    ],
)
def test_the_rules(rules: Rules, changes: list[tuple[str, int | None]], message: str | None) -> None:
    guard = Guard(rules)

    def make_all() -> None:
        for action, count in changes:
            guard.permit(action, count)

    if message is None:
        make_all()
    else:
        with pytest.raises(AdminError, match=re.escape(message)):
            make_all()
