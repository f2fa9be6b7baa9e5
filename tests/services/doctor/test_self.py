"""`doctor --self`: which program this is, and what it may do."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import redis

from asyncmq_cli.demo.server import PrivateRedis
from tests.conftest import Run
from tests.support.terminal import on_terminal
from tools.pages import DOCS


def test_programs_are_distinguished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli: Run) -> None:
    for name, text in (("asyncmq", "from asyncmq.cli.__main__ import main"), ("asyncmq-cli", "asyncmq_cli")):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    reported = json.loads(cli("doctor", "--self", "--json").stdout)
    assert [(one["name"], one["is"]) for one in reported["programs"]] == [
        ("asyncmq", "library"),
        ("asyncmq-cli", "asyncmq-cli"),
    ]
    assert reported["library_importable"] is True
    assert reported["versions"]["asyncmq"] == "0.10.1"
    text = cli("doctor", "--self").stdout
    assert str(tmp_path / "asyncmq") in text


def test_the_default_user_may_do_everything_and_nothing_is_changed(client: redis.Redis, cli: Run) -> None:
    reported = json.loads(cli("doctor", "--self", "--json").stdout)
    assert reported["redis"]["user"] == "default"
    assert reported["rights"]["reading"]["lacks"] == reported["rights"]["changing"]["lacks"] == []
    assert reported["rights"]["refused"] is None
    assert client.dbsize() == 0


def test_the_rights_that_a_reader_lacks_are_listed(
    server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    client.execute_command(
        "ACL",
        "SETUSER",
        "narrow",
        "on",
        ">s3cret-word",
        "~queue:mail:*",
        "~jobs:mail:*",
        "+@read",
        "+time",
        "+select",
    )
    url = server.url.replace("unix://", "unix://narrow:s3cret-word@", 1)
    try:
        result = cli("doctor", "--self", "mail", "--json", "--redis-url", url)
        reported = json.loads(result.stdout)
        assert result.code == 0
        assert reported["redis"]["from"] == "--redis-url"
        assert "s3cret-word" not in result.stdout + result.stderr
        # The audit trail is not among the keys of this user.
        assert reported["rights"]["reading"]["lacks"] == ["xrange", "xrevrange"]
        assert reported["rights"]["changing"] == {"has": [], "lacks": ["exec", "multi"]}
        other = json.loads(cli("doctor", "--self", "other", "--json", "--redis-url", url).stdout)
        assert "zcard" in other["rights"]["reading"]["lacks"]
    finally:
        client.execute_command("ACL", "DELUSER", "narrow")


@pytest.mark.parametrize(
    ("limit", "policy", "said"),
    [
        ("0", "allkeys-lru", None),
        ("100mb", "noeviction", None),
        ("100mb", "allkeys-lru", "eviction     allkeys-lru: a full Redis removes jobs; noeviction does not"),
        (
            "100mb",
            "volatile-ttl",
            "eviction     volatile-ttl: a full Redis removes keys with a time to live; ",
        ),
    ],
)
def test_a_server_that_evicts_keys_is_named(
    limit: str, policy: str, said: str | None, server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    client.config_set("maxmemory-policy", policy)
    client.config_set("maxmemory", limit)
    try:
        reported = json.loads(cli("doctor", "--self", "--json").stdout)["redis"]
        assert (bool(reported["maxmemory"]), reported["maxmemory_policy"]) == (limit != "0", policy)
        text = cli("doctor", "--self", "-o", "table").stdout
        assert (said in text) if said else ("eviction" not in text)
    finally:
        client.config_set("maxmemory", "0")
        client.config_set("maxmemory-policy", "noeviction")


def test_doctor_self_works_without_redis(cli: Run) -> None:
    result = cli("doctor", "--self", "--json", "--redis-url", "unix:///nowhere/redis.sock")
    assert result.code == 3
    reported = json.loads(result.stdout)
    assert reported["rights"] is None
    assert reported["redis"]["problem"] in result.stderr
    shown = on_terminal("doctor", "--self", url="unix:///nowhere/redis.sock")
    assert shown.code == 3
    assert "redis        unix:///nowhere/redis.sock (from ASYNCMQ_REDIS_URL)" in shown.text


@pytest.mark.parametrize("words", [["--repair"], ["a", "b"], ["--ndjson"], ["--code", "active_lost"]])
def test_doctor_self_takes_no_other_arguments(words: list[str], cli: Run) -> None:
    assert cli("doctor", "--self", *words).code == 2


def test_the_rights_that_are_tried_are_those_of_the_documents(cli: Run) -> None:
    text = (DOCS / "connecting.md").read_text()
    reader, _, operator = (
        set(re.findall(r"\+([a-z]+)", block)) for block in re.findall(r"```\n(~queue.*?)```", text, re.DOTALL)
    )
    rights = json.loads(cli("doctor", "--self", "--json").stdout)["rights"]
    # What selects a database has been used by then.
    assert set(rights["reading"]["has"]) == reader - {"select"}
    assert set(rights["changing"]["has"]) == operator - reader


def test_a_user_without_discard_changes_nothing(server: PrivateRedis, client: redis.Redis, cli: Run) -> None:
    client.execute_command("ACL", "SETUSER", "odd", *["on", ">s3cret-word", "~*", "+@all", "-discard"])
    url = server.url.replace("unix://", "unix://odd:s3cret-word@", 1)
    try:
        reported = json.loads(cli("doctor", "--self", "--json", "--redis-url", url).stdout)
        assert reported["rights"]["changing"]["lacks"] == ["discard"]
        assert client.dbsize() == 0
    finally:
        client.execute_command("ACL", "DELUSER", "odd")
