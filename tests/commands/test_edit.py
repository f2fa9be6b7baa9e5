"""Editing jobs in place, and undoing an edit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from asyncmq_cli.demo.server import PrivateRedis
from tests.conftest import Run
from tests.support import library
from tests.support.terminal import on_terminal

KWARGS: dict[str, Any] = {"to": "old@b.c", "cc": [1, {"deep": True}], "half": 0.1, "none": None}
# A job that the library's scripts cannot read is enqueued, but never claimed.
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


def record_of(client: redis.Redis, job_id: str) -> dict[str, Any]:
    text = client.get(f"jobs:mail:{job_id}")
    assert isinstance(text, bytes)
    found: dict[str, Any] = json.loads(text)
    return found


def test_a_dry_run_shows_the_edit_without_secrets(mail: str, server: PrivateRedis) -> None:
    words = ("--set", "kwargs.to=a@b.c", "--set", "kwargs.api_token=hidden", "--unset", "kwargs.cc")
    for verb in ("edit", "retry"):
        shown = on_terminal("jobs", verb, mail, "failed", *words, "--dry-run", url=server.url).text
        assert [line.strip() for line in shown.split("\n")[1:5] if line.startswith("  ")] == [
            'kwargs.to: "old@b.c" -> "a@b.c"',
            'kwargs.api_token: nothing -> "[redacted]"',
            'kwargs.cc: [1,{"deep":true}] -> nothing',
        ], shown


@pytest.mark.parametrize("job_id", [*STATES, *(f"large-{state}" for state in STATES)])
def test_an_edit_changes_what_it_says_and_is_taken_back_byte_for_byte(
    job_id: str, mail: str, server: PrivateRedis, client: redis.Redis, cli: Run, tmp_path: Path
) -> None:
    before, was = library.dump(client), stored(server, job_id)
    backup = str(tmp_path / "edit.ndjson")
    line = ("--set", "kwargs.to=a@b.c", "--set", "args[0]=7", "--set", "max_retries=9", "--backup", backup)
    assert cli("jobs", "edit", mail, job_id, *line, "--dry-run").code == 0
    assert library.dump(client) == before
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


UNFIT: list[tuple[tuple[str, ...], int, str]] = [
    (("active", "--set", "args[0]=1"), 1, "job 'active' is active"),
    (("completed", "--set", "args[0]=1"), 1, "job 'completed' is completed"),
    (("waiting", "--set", "kwargs.no.where=1"), 1, "'kwargs.no.where' is not in the job"),
    (("waiting", "--set", "args[3]=1"), 1, "'args[3]' is not in the job"),
    (("waiting", "--unset", "kwargs.nope"), 1, "'kwargs.nope' is not in the job"),
    (("waiting", "--set", "status=completed"), 2, "status says where a job is"),
    (("waiting", "--set", "kwargs.to"), 2, "--set must be PATH=VALUE"),
    (("waiting", "--set", "=1"), 2, "does not begin with a field"),
    (("waiting", "--unset", "args[0]=1"), 2, "--unset must be a path"),
    (("waiting",), 2, "no terminal for an editor"),
    (("ghost", "--set", "args[0]=1"), 4, "ghost"),
    (("large-delayed", "--set", "kwargs.to=1"), 1, "more than an edit's audit event stores"),
]


def test_an_edit_that_does_not_fit_is_refused(mail: str, client: redis.Redis, cli: Run) -> None:
    before = library.dump(client)
    for words, code, says in UNFIT:
        refused = cli("jobs", "edit", mail, *words)
        assert refused.code == code and says in refused.stderr, refused
    assert "--backup FILE stores it" in refused.stderr
    assert library.dump(client) == before


@pytest.mark.parametrize("job_id", STATES)
def test_an_edit_is_taken_back_by_its_audit_event(
    job_id: str, mail: str, client: redis.Redis, cli: Run
) -> None:
    before = library.dump(client)
    line = ("--set", "kwargs.to=a@b.c", "--unset", "kwargs.cc")
    assert cli("jobs", "edit", mail, job_id, *line).code == 0
    event = cli("audit", "--json").json["events"][0]
    assert event["details"]["was_bytes"] > 100 and "was" not in event["details"]
    taken_back = ("jobs", "restore", "--from-audit", event["id"])
    edited = library.dump(client)
    assert cli(*taken_back, "--dry-run").code == 0 and library.dump(client) == edited
    done = cli(*taken_back, "--json", "--reason", "wrong job")
    assert (done.code, done.json["action"], done.json["succeeded"]) == (0, "job.restore", 1), done
    assert library.dump(client) == before
    details = library.events(client)[-1]["details"]
    assert details == {"event": event["id"], "edit": True, "reason": "wrong job"}
    again = cli(*taken_back)
    assert again.code == 1 and "has changed since its edit" in again.stderr
    assert library.dump(client) == before


def test_a_job_that_waits_as_a_whole_is_edited_and_taken_back(client: redis.Redis, cli: Run) -> None:
    """Older releases of AsyncMQ stored waiting jobs like this."""
    text = json.dumps(library.job("old"))
    client.set("jobs:mail:old", text)
    client.zadd("queue:mail:waiting", {text: 5e12})
    before = library.dump(client)
    assert cli("jobs", "edit", "mail", "old", "--set", "args[0]=7").code == 0
    (member,) = client.zrange("queue:mail:waiting", 0, -1)
    assert json.loads(member)["args"] == json.loads(client.get("jobs:mail:old") or "")["args"] == [7]
    event = cli("audit", "--json").json["events"][0]["id"]
    assert cli("jobs", "restore", "--from-audit", event).code == 0
    assert library.dump(client) == before


def test_several_edits_of_a_job_are_taken_back_in_one_line(mail: str, client: redis.Redis, cli: Run) -> None:
    before = library.dump(client)
    for number in range(3):
        assert cli("jobs", "edit", mail, "waiting", "delayed", "--set", f"args[0]={number + 5}").code == 0
    events = [event["id"] for event in cli("audit", "--json").json["events"]]
    words = [word for event in sorted(events) for word in ("--from-audit", event)]
    assert cli("jobs", "restore", *words, "--json").json["succeeded"] == 6
    assert library.dump(client) == before


@pytest.mark.parametrize("way", ["backup", "audit"])
@pytest.mark.parametrize("has_run_before", [False, True])
def test_a_retry_that_edits_is_one_change_and_taken_back_byte_for_byte(
    way: str,
    has_run_before: bool,
    mail: str,
    server: PrivateRedis,
    client: redis.Redis,
    cli: Run,
    tmp_path: Path,
) -> None:
    if not has_run_before:
        # As if nothing had ever waited.
        client.delete("queue:mail:waiting:seq")
    client.hset("jobs:mail:results", "failed", '"left"')
    before = library.dump(client)
    backup = str(tmp_path / "edit.ndjson")
    more = ("--backup", backup) if way == "backup" else ()
    words = ("--set", "kwargs.to=a@b.c", "--unset", "kwargs.cc", *more)
    assert cli("jobs", "retry", mail, "failed", *words, "--dry-run").code == 0
    assert library.dump(client) == before
    done = cli("jobs", "retry", mail, "failed", *words, "--json")
    assert (done.code, done.json["action"], done.json["succeeded"]) == (0, "job.retry", 1), done
    now = stored(server, "failed")
    assert (now["status"], now["kwargs"]["to"], "cc" in now["kwargs"]) == ("waiting", "a@b.c", False)
    (event,) = library.events(client)
    assert (event["action"], event["details"]["set"]) == ("job.retry", {"kwargs.to": "a@b.c"})
    event_id = cli("audit", "--json").json["events"][0]["id"]
    source = [backup, "--yes"] if way == "backup" else ["--from-audit", event_id]
    assert cli("jobs", "restore", *source, "--json").json["succeeded"] == 1
    assert library.dump(client) == before


def test_a_retry_that_edits_leaves_what_an_edit_and_a_retry_leave(
    mail: str, client: redis.Redis, cli: Run
) -> None:
    words, before = ("--set", "kwargs.to=a@b.c", "--set", "max_retries=7"), client
    copies = {name: before.dump(name) for name in client.scan_iter()}
    assert cli("jobs", "edit", mail, "failed", *words).code == 0
    assert cli("jobs", "retry", mail, "failed").code == 0
    by_two = library.dump(client)
    client.flushall()
    for name, value in copies.items():
        client.restore(name, 0, value)
    assert cli("jobs", "retry", mail, "failed", *words).code == 0
    assert library.dump(client) == by_two


def test_what_a_worker_has_touched_is_not_taken_back(
    mail: str, server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    client.zremrangebyrank("queue:mail:waiting", 0, -1)
    assert cli("jobs", "retry", mail, "failed", "--set", "kwargs.to=a@b.c").code == 0
    event = cli("audit", "--json").json["events"][0]["id"]
    claimed = library.with_backend(server.url, lambda opened: opened.dequeue("mail"))
    assert claimed is not None and claimed["kwargs"]["to"] == "a@b.c"
    running = library.dump(client)
    refused = cli("jobs", "restore", "--from-audit", event)
    assert refused.code == 1 and "a worker has claimed it" in refused.stderr
    library.with_backend(server.url, lambda opened: opened.complete_active_job("mail", claimed, None))
    assert library.dump(client) != running
    refused = cli("jobs", "restore", "--from-audit", event)
    assert refused.code == 1 and "it is completed" in refused.stderr


def test_a_retry_whose_edit_does_not_fit_changes_nothing(mail: str, client: redis.Redis, cli: Run) -> None:
    before = library.dump(client)
    for words, code in [
        (("failed", "--set", "args[9]=1"), 1),
        (("waiting", "--set", "args[0]=1"), 1),
        (("large-failed", "--set", "args[0]=1"), 1),
        (("--all", "--set", "args[0]=1", "--yes"), 2),
        (("failed", "--backup", "file"), 2),
    ]:
        assert cli("jobs", "retry", mail, *words).code == code
    assert cli("jobs", "retry", "--all", "--set", "args[0]=1", "--yes").code == 2
    assert library.dump(client) == before
    assert not any("was" in event["details"] for event in library.events(client))


UNKNOWN: list[tuple[tuple[str, ...], int, str]] = [
    ((), 2, "name the backup to restore"),
    (("file", "--from-audit", "1-0"), 2, "--from-audit and a backup exclude each other"),
    (("--from-audit", "1-0", "--force"), 2, "--from-audit and --force exclude each other"),
    (("--from-audit", "yesterday"), 2, "--from-audit is not the id of an event"),
    (("--from-audit", "1-0"), 4, "no event '1-0' in the audit trail"),
]


def test_an_event_that_cannot_be_meant(cli: Run) -> None:
    for words, code, says in UNKNOWN:
        refused = cli("jobs", "restore", *words)
        assert refused.code == code and says in refused.stderr, refused


def test_an_event_that_keeps_nothing_leads_to_its_backup(mail: str, cli: Run, tmp_path: Path) -> None:
    backup = str(tmp_path / "b.ndjson")
    assert cli("jobs", "edit", mail, "waiting", "--set", "args[0]=9", "--backup", backup).code == 0
    event = cli("audit", "--json").json["events"][0]["id"]
    refused = cli("jobs", "restore", "--from-audit", event)
    assert refused.code == 1 and f"asyncmq jobs restore {backup} waiting" in refused.stderr
    assert cli("jobs", "edit", mail, "active", "--set", "args[0]=9").code == 1
    event = cli("audit", "--json").json["events"][0]["id"]
    assert "holds no job that could be restored" in cli("jobs", "restore", "--from-audit", event).stderr


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**40), 10**40)
    | st.floats()
    | st.text(st.characters(codec="utf-16", categories=None), max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(there=VALUES, put=VALUES)
@example(there=float("nan"), put=[float("inf"), 2**70, 0.1, -0.0, 1e22, "\ud800", {}, []])
def test_values_keep_their_exactness(there: Any, put: Any, client: redis.Redis, cli: Run) -> None:
    """Both the values that are set and the others stay byte for byte as Python writes them."""
    client.flushall()
    record = {**library.job("any"), "kwargs": {"there": there, "put": 0}}
    waiting, late, dead = (json.dumps({**record, "id": name}) for name in STATES)
    client.mset({"jobs:mail:waiting": waiting, "jobs:mail:delayed": late})
    client.hset("jobs:mail:states", mapping={"waiting": "waiting", "delayed": "delayed"})
    client.zadd("queue:mail:waiting", {"waiting": 5e12})
    client.zadd("queue:mail:delayed", {late: 5e9})
    library.bury(client, "mail", [{**json.loads(dead), "status": "failed"}], 1.6e9)
    before = library.dump(client)
    records = {name: record_of(client, name) for name in STATES}
    value = f"kwargs.put={json.dumps(put)}"
    done = cli("jobs", "edit", "mail", *STATES, "--set", value)
    assert done.code == 0, done
    for name in STATES:
        expected = {**records[name], "kwargs": {"there": there, "put": put}}
        assert client.get(f"jobs:mail:{name}") == json.dumps(expected).encode()
    events = [event["id"] for event in cli("audit", "--json").json["events"]]
    assert cli("jobs", "restore", *(word for one in events for word in ("--from-audit", one))).code == 0
    assert library.dump(client) == before
    assert cli("jobs", "retry", "failed", "--set", value).code == 0
    assert json.dumps(record_of(client, "failed")["kwargs"]) == json.dumps({"there": there, "put": put})


def test_an_edit_in_an_editor_shows_the_difference_and_asks(
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
