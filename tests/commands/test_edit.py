"""Editing jobs where they are, and taking an edit back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import redis

from asyncmq_cli.demo.server import PrivateRedis
from tests.conftest import Run
from tests.support import library
from tests.support.terminal import on_terminal

KWARGS: dict[str, Any] = {"to": "old@b.c", "cc": [1, {"deep": True}], "half": 0.1, "none": None}
# What the library's scripts cannot read: such a job is enqueued, and never claimed.
ODD: dict[str, Any] = {"ratio": float("nan"), "big": 2**70, "lone": "\ud800", "empty": []}
STATES = ("waiting", "delayed", "failed")


@pytest.fixture
def mail(server: PrivateRedis, client: redis.Redis) -> str:
    def job(name: str) -> dict[str, Any]:
        odd = ODD if name in ("waiting", "delayed") else {}
        return library.job(name, args=[1, "é"], kwargs={**KWARGS, **odd})

    made = [(state, job(state)) for state in ("failed", "active", "completed", "delayed", "waiting")]
    # In this order, because dead ones are claimed first.
    for state in ("failed", "delayed", "waiting"):
        one = library.job(f"large-{state}", args=["z" * 70_000], kwargs={"to": "x"})
        made.insert(0 if state == "failed" else len(made), (state, one))
    library.with_backend(server.url, lambda opened: library.fill(opened, "mail", made))
    return "mail"


def stored(server: PrivateRedis, job_id: str) -> dict[str, Any]:
    """The job as the library reads it."""
    found: dict[str, Any] = library.with_backend(
        server.url, lambda opened: opened.job_store.load("mail", job_id)
    )
    return found


@pytest.mark.parametrize("job_id", [*STATES, *(f"large-{state}" for state in STATES)])
def test_an_edit_changes_what_it_says_and_is_taken_back_byte_for_byte(
    job_id: str, mail: str, server: PrivateRedis, client: redis.Redis, cli: Run, tmp_path: Path
) -> None:
    before, was = library.dump(client), stored(server, job_id)
    backup = str(tmp_path / "edit.ndjson")
    assert cli("jobs", "edit", mail, job_id, "--set", "kwargs.to=a@b.c", "--dry-run").code == 0
    assert library.dump(client) == before
    line = ("--set", "kwargs.to=a@b.c", "--set", "args[0]=7", "--set", "max_retries=9", "--backup", backup)
    done = cli("jobs", "edit", mail, job_id, *line, "--reason", "typo", "--json")
    assert (done.code, done.json["action"], done.json["succeeded"]) == (0, "job.edit", 1), done
    now = stored(server, job_id)
    assert now["kwargs"]["to"] == "a@b.c" and now["args"][0] == 7 and now["max_retries"] == 9
    expected = {
        **was,
        "kwargs": {**was["kwargs"], "to": "a@b.c"},
        "args": [7, *was["args"][1:]],
        "max_retries": 9,
    }
    assert json.dumps(now) == json.dumps(expected)
    event = library.events(client)[-1]
    if job_id in STATES:
        assert event["details"]["before"] == {
            "kwargs.to": "old@b.c",
            "args[0]": 1,
            "max_retries": was["max_retries"],
        }
    else:
        assert "before" not in event["details"] and event["details"]["backup"] == backup
    assert event["details"]["reason"] == "typo"
    state = job_id.removeprefix("large-")
    if state != "waiting":
        place = {"delayed": "delayed", "failed": "dlq"}[state]
        members = [json.loads(member) for member in client.zrange(f"queue:mail:{place}", 0, -1)]
        assert len(members) == 2
        (member,) = [each for each in members if each["id"] == job_id]
        assert (member["kwargs"]["to"], member["args"][0]) == ("a@b.c", 7)
    assert cli("jobs", "restore", backup, "--yes", "--json").json["succeeded"] == 1
    assert library.dump(client) == before
    again = cli("jobs", "restore", backup, "--yes")
    assert again.code == 1 and library.dump(client) == before


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("active", "--set", "args[0]=1"), 1, "job 'active' is active"),
        (("completed", "--set", "args[0]=1"), 1, "job 'completed' is completed"),
        (("waiting", "--set", "kwargs.no.where=1"), 1, "'kwargs.no.where' leads nowhere"),
        (("waiting", "--set", "args[3]=1"), 1, "'args[3]' leads nowhere"),
        (("waiting", "--unset", "kwargs.nope"), 1, "'kwargs.nope' leads nowhere"),
        (("waiting", "--set", "status=completed"), 2, "status says where a job is"),
        (("waiting", "--set", "kwargs.to"), 2, "--set must be PATH=VALUE"),
        (("waiting", "--set", "=1"), 2, "begins with no field"),
        (("waiting", "--unset", "args[0]=1"), 2, "--unset must be a path"),
        (("waiting",), 2, "no terminal for an editor"),
        (("ghost", "--set", "args[0]=1"), 4, "ghost"),
    ],
)
def test_an_edit_that_does_not_fit_is_refused(
    words: tuple[str, ...], code: int, says: str, mail: str, client: redis.Redis, cli: Run
) -> None:
    before = library.dump(client)
    refused = cli("jobs", "edit", mail, *words)
    assert refused.code == code and says in refused.stderr, refused
    assert library.dump(client) == before


def test_a_retry_edits_first(mail: str, server: PrivateRedis, client: redis.Redis, cli: Run) -> None:
    refused = cli("jobs", "retry", mail, "failed", "--set", "args[9]=1")
    assert refused.code == 1 and client.zcard("queue:mail:dlq") == 2
    assert cli("jobs", "retry", mail, "failed", "--set", "kwargs.to=a@b.c", "--unset", "kwargs.cc").code == 0
    now = stored(server, "failed")
    assert (now["status"], now["kwargs"]["to"], "cc" in now["kwargs"]) == ("waiting", "a@b.c", False)
    assert [event["action"] for event in library.events(client)[-2:]] == ["job.edit", "job.retry"]
    assert cli("jobs", "retry", mail, "--all", "--set", "args[0]=1", "--yes").code == 2


def test_an_editor_shows_what_was_changed_and_asks(
    mail: str, server: PrivateRedis, client: redis.Redis, tmp_path: Path
) -> None:
    editor = tmp_path / "editor"
    editor.write_text("#!/bin/sh\nsed -i 's/old@b.c/new@b.c/' \"$1\"\n")
    editor.chmod(0o755)
    before = library.dump(client)
    shown = on_terminal(
        "jobs", "edit", mail, "delayed", url=server.url, answer="n\n", env={"VISUAL": str(editor)}
    )
    assert '-    "to": "old@b.c",' in shown.text and '+    "to": "new@b.c",' in shown.text
    assert library.dump(client) == before
    on_terminal("jobs", "edit", mail, "delayed", url=server.url, answer="y\n", env={"VISUAL": str(editor)})
    assert stored(server, "delayed")["kwargs"]["to"] == "new@b.c"
    assert json.dumps(stored(server, "delayed")["kwargs"]["big"]) == str(2**70)
