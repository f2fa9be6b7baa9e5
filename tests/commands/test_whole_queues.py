"""Draining, cleaning and obliterating a queue."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import redis

from asyncmq_cli.demo.server import PrivateRedis
from tests.conftest import Run
from tests.support import library
from tests.support.terminal import on_terminal

OLD = 86_400.0


@pytest.fixture
def mail(server: PrivateRedis, client: redis.Redis) -> str:
    """A queue with jobs of every state, half of them a day old, and a definition."""
    now = time.time()

    async def fill(opened: library.RedisBackend) -> None:
        for age, name in ((0.0, "new"), (OLD, "old")):
            made = [
                (state, library.job(f"{name}-{state}", created_at=now - age))
                for state in ("waiting", "delayed", "active", "completed", "failed", "cancelled")
            ]
            await library.fill(opened, "mail", made)
        await opened.upsert_repeatable("mail", {"task_id": "app.tick", "every": 3600})

    library.with_backend(server.url, fill)
    return "mail"


def left(cli: Run) -> set[str]:
    return set(cli("jobs", "list", "mail", "--state", "all", "-o", "name").stdout.split())


def test_a_drain_removes_delayed_jobs_only_with_the_option(mail: str, client: redis.Redis, cli: Run) -> None:
    before = library.dump(client)
    everything = left(cli)
    asked = cli("queues", "drain", mail)
    assert (asked.code, asked.stdout) == (5, "")
    assert "drain 2 waiting jobs in 'mail'" in asked.stderr
    assert cli("queues", "drain", mail, "--dry-run").code == 0
    assert library.dump(client) == before
    done = cli("queues", "drain", mail, "--reason", "bad deploy", "--yes", "--json")
    assert (done.json["action"], done.json["succeeded"]) == ("queue.drain", 2)
    assert everything - left(cli) == {"new-waiting", "old-waiting"}
    event = library.events(client)[-1]
    assert (event["action"], event["source"], event["details"]["reason"]) == (
        "queue.drain",
        "queues.detail",
        "bad deploy",
    )
    assert cli("queues", "drain", mail, "--include-delayed", "--yes").code == 0
    assert everything - left(cli) == {
        f"{age}-{state}" for age in ("new", "old") for state in ("waiting", "delayed")
    }
    again = cli("queues", "drain", mail, "--yes", "--json")
    assert (again.code, again.json["matched"]) == (0, 0)


def test_a_drain_is_taken_back_byte_for_byte(
    mail: str, client: redis.Redis, cli: Run, tmp_path: Path
) -> None:
    before = library.dump(client)
    backup = tmp_path / "mail.ndjson"
    done = cli("queues", "drain", mail, "--include-delayed", "--yes", "--backup", str(backup), "--json")
    assert done.json["succeeded"] == 4
    assert library.dump(client) != before
    assert cli("jobs", "restore", str(backup), "--yes").code == 0
    assert library.dump(client) == before


@pytest.mark.parametrize("state", ["completed", "cancelled", "waiting"])
def test_a_clean_takes_the_old_ones_of_one_state(
    state: str, mail: str, client: redis.Redis, cli: Run
) -> None:
    everything = left(cli)
    asked = cli("queues", "clean", mail, "--state", state, "--older-than", "12h")
    assert asked.code == 5 and f"clean 1 {state} job in 'mail'" in asked.stderr
    done = cli("queues", "clean", mail, "--state", state, "--older-than", "12h", "--yes", "--json")
    assert (done.json["action"], done.json["succeeded"]) == ("queue.clean", 1)
    assert everything - left(cli) == {f"old-{state}"}


def test_a_clean_needs_a_state_and_an_age_and_leaves_what_runs(
    mail: str, client: redis.Redis, cli: Run
) -> None:
    before = library.dump(client)
    for words in (
        (),
        ("--state", "completed"),
        ("--older-than", "1d"),
        ("--state", "all", "--older-than", "1d"),
    ):
        assert cli("queues", "clean", mail, *words, "--yes").code == 2
    refused = cli("queues", "clean", mail, "--state", "active", "--older-than", "12h", "--yes")
    assert refused.code == 1 and "jobs remove mail old-active --force" in refused.stderr
    assert library.dump(client) == before
    limited = cli(
        "queues", "clean", mail, "--state", "completed", "--older-than", "0", "--limit", "1", "--yes"
    )
    assert limited.code == 0 and "new-completed" in left(cli)


@pytest.fixture
def whole(mail: str, server: PrivateRedis, client: redis.Redis) -> str:
    """A queue with jobs and other data: two definitions, a cancel mark without a job, a result without a job,
    a pause, and another queue whose name begins with the same letters."""

    async def fill(opened: library.RedisBackend) -> None:
        await opened.upsert_repeatable(
            mail, {"task_id": "app.tock", "cron": "0 7 * * *", "args": [float("inf")]}
        )
        await library.fill(opened, f"{mail}:eu", [("waiting", library.job("theirs"))])
        await library.fill(
            opened,
            mail,
            [
                ("waiting", library.job("parent")),
                ("waiting-children", library.job("child", depends_on=["parent"])),
                ("failed", library.job("large", args=["z" * 70_000])),
            ],
        )
        await opened.pause_queue(mail)

    library.with_backend(server.url, fill)
    client.sadd(f"queue:{mail}:cancelled", b"gone\xff")
    client.hset(f"jobs:{mail}:results", "nobody", b"\xff\x00")
    client.zadd(f"queue:{mail}:dlq", {'{"no": "id"}': 5.5})
    return mail


def of_queue(client: redis.Redis, queue: str) -> set[bytes]:
    keys = set(client.keys(f"*:{queue}:*"))
    return {key for key in keys if f":{queue}:eu:".encode() not in key}


def test_an_obliterate_is_refused_while_jobs_are_active_and_asks_for_the_name(
    whole: str, client: redis.Redis, cli: Run
) -> None:
    before = library.dump(client)
    refused = cli("queues", "obliterate", whole, "--yes", "--json")
    assert refused.code == 1
    assert json.loads(refused.stderr)["error"]["code"] == "queue_active"
    assert library.events(client)[-1]["action"] == "queue.obliterate"
    asked = cli("queues", "obliterate", whole, "--force")
    assert asked.code == 5 and "obliterate queue 'mail'" in asked.stderr and "2 definitions" in asked.stderr
    assert cli("queues", "obliterate", whole, "--force", "--dry-run").code == 0
    assert library.dump(client) == before
    assert cli("queues", "obliterate", "nowhere", "--yes").code == 4


def test_an_obliterate_removes_the_queue_and_its_restore_is_byte_for_byte(
    whole: str, client: redis.Redis, cli: Run, tmp_path: Path
) -> None:
    for job_id in client.hkeys(f"queue:{whole}:active"):
        assert cli("jobs", "remove", whole, job_id.decode(), "--force", "--yes").code == 0
    before, neighbour = library.dump(client), client.keys(f"*:{whole}:eu:*")
    backup = str(tmp_path / "mail.ndjson")
    done = cli("queues", "obliterate", whole, "--yes", "--backup", backup, "--reason", "moved", "--json")
    assert done.code == 0, done
    assert (done.json["action"], done.json["failed"]) == ("queue.obliterate", 0)
    assert of_queue(client, whole) == set() and sorted(client.keys(f"*:{whole}:eu:*")) == sorted(neighbour)
    last = library.events(client)[-1]
    assert (last["action"], last["job_id"], last["details"]["part"]) == ("queue.obliterate", None, "sequence")
    assert last["details"]["reason"] == "moved"
    back = cli("jobs", "restore", backup, "--yes", "--json")
    assert (back.code, back.json["failed"]) == (0, 0), back
    assert library.dump(client) == before
    again = cli("jobs", "restore", backup, "--yes", "--json")
    assert again.code == 1 and library.dump(client) == before


def test_an_obliterate_with_force_takes_active_jobs_and_says_what_went(
    whole: str, client: redis.Redis, cli: Run, server: PrivateRedis
) -> None:
    terminal = on_terminal(
        "queues", "obliterate", whole, "--force", url=server.url, answer="mail\n", prompt="to go on: "
    )
    assert "Type mail to go on: " in terminal.text
    assert "Obliterated queue mail: 15 jobs, 2 definitions, 1 cancel mark" in " ".join(terminal.text.split())
    assert of_queue(client, whole) == set()


def test_a_pause_that_ends_by_itself_is_restored_with_its_end(
    client: redis.Redis, cli: Run, tmp_path: Path
) -> None:
    backup, late = tmp_path / "backup", tmp_path / "late"
    assert cli("jobs", "add", "mail", "--task", "a", "--yes").code == 0
    assert cli("queues", "pause", "mail", "--for", "1h").code == 0
    assert cli("queues", "obliterate", "mail", "--yes", "--backup", str(backup)).code == 0
    (line,) = [line for line in backup.read_text().splitlines() if '"paused"' in line]
    ((end, _),) = json.loads(line)["elements"]
    late.write_text(line.replace(end, "1700000000000") + "\n")
    reported = cli("jobs", "restore", str(late), "--yes")
    assert reported.code == 0 and "would have ended by now" in reported.stdout
    assert not client.exists("queue:mail:paused")
    assert cli("jobs", "restore", str(backup), "--yes").code == 0
    assert 3_000_000 < client.pttl("queue:mail:paused") <= 3_600_000


def test_a_queue_of_definitions_alone_is_obliterated_and_restored(
    server: PrivateRedis, client: redis.Redis, cli: Run, tmp_path: Path
) -> None:
    library.with_backend(
        server.url, lambda opened: opened.upsert_repeatable("mail", {"task_id": "app.tick", "every": 3600})
    )
    before = library.dump(client)
    backup = str(tmp_path / "mail.ndjson")
    assert cli("queues", "obliterate", "mail", "--yes", "--backup", backup).code == 0
    assert of_queue(client, "mail") == set()
    assert cli("jobs", "restore", backup, "--yes").code == 0
    assert library.dump(client) == before
