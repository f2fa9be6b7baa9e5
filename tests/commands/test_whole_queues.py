"""Draining and cleaning a queue."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import redis

from asyncmq_cli.demo.server import PrivateRedis
from tests.conftest import Run
from tests.support import library

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


def test_a_drain_takes_what_waits_and_only_if_told_what_is_delayed(
    mail: str, client: redis.Redis, cli: Run
) -> None:
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
