"""Stuck jobs are requeued once, and a real worker runs them."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
import redis
from asyncmq.backends.redis import RedisBackend

from asyncmq_cli.demo.server import PrivateRedis
from tests.conftest import Run
from tests.demo.processes import eventually
from tests.support import library
from tests.support.workers import QUEUE, holding, napping, working

ACTIVE, WAITING, DELAYED = (f"queue:{QUEUE}:{name}" for name in ("active", "waiting", "delayed"))
STATES = f"jobs:{QUEUE}:states"


def put(server: PrivateRedis, *jobs: tuple[str, dict[str, Any]]) -> None:
    library.with_backend(server.url, lambda opened: library.fill(opened, QUEUE, list(jobs)))


def state_of(cli: Run, job_id: str) -> str:
    return str(cli("jobs", "show", QUEUE, job_id, "--json").json["status"])


def test_the_job_of_a_killed_worker_is_run_by_the_next_one(
    server: PrivateRedis, client: redis.Redis, tmp_path: Path, cli: Run
) -> None:
    go_on = tmp_path / "go on"
    put(server, ("waiting", holding("held", go_on)))
    with working(server.url) as worker:
        assert eventually(lambda: client.hexists(ACTIVE, "held"))
        refused = cli("jobs", "requeue", QUEUE, "held", "--yes")
        assert refused.code == 1 and "its worker is not known to be gone" in refused.stderr
        assert client.hexists(ACTIVE, "held")
        worker.kill()
        worker.wait()
    assert cli("jobs", "requeue", QUEUE, "held", "--force", "--yes").code == 0
    assert (client.hlen(ACTIVE), client.hget(STATES, "held")) == (0, b"waiting")
    go_on.touch()
    with working(server.url):
        assert eventually(lambda: client.hget(STATES, "held") == b"completed")
    success, failed = [event for event in library.events(client) if event["action"] == "job.requeue"][::-1]
    assert (failed["status"], success["status"]) == ("failed", "success")
    assert (success["source"], success["details"]) == ("jobs.single", {"force": True, "was": "active"})


def test_a_lost_job_needs_no_force_and_a_filter_searches_active_jobs(
    server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    put(server, ("active", napping("a")), ("active", napping("b")), ("waiting", napping("c")))
    for name in ("a", "b"):
        client.hset(ACTIVE, name, repr(time.time() - 600))
    before = library.dump(client)
    dry = cli("jobs", "requeue", QUEUE, "--all", "--dry-run", "--json").json
    assert ([one["job_id"] for one in dry["results"]], dry["succeeded"]) == (["a", "b"], 2)
    assert library.dump(client) == before
    done = cli("jobs", "requeue", QUEUE, "--all", "--yes", "--json").json
    assert (done["action"], done["succeeded"], done["failed"]) == ("job.requeue", 2, 0)
    assert client.zrange(WAITING, 0, -1) == [b"a", b"b", b"c"], "by their priority"
    with working(server.url):
        assert eventually(lambda: client.hvals(STATES) == [b"completed"] * 3)


def test_jobs_in_no_place_are_put_where_a_worker_finds_them(
    server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    put(server, ("waiting", napping("unlisted")), ("waiting", napping("timeless")))
    client.delete(WAITING)
    client.hset(STATES, "timeless", "delayed")
    done = cli("jobs", "requeue", QUEUE, "unlisted", "timeless", "--yes", "--json").json
    assert [one["status"] for one in done["results"]] == ["success"] * 2
    assert "delayed without a due time" in done["results"][1]["note"]
    with working(server.url):
        assert eventually(lambda: client.hvals(STATES) == [b"completed"] * 2)


@pytest.mark.parametrize(
    ("state", "says"),
    [
        ("waiting", "is waiting and where it should be"),
        ("delayed", "is delayed and where it should be"),
        ("failed", "is failed and where it should be"),
        ("completed", "is completed and where it should be"),
    ],
)
def test_jobs_that_are_not_stuck_are_refused(
    state: str, says: str, server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    put(server, (state, napping("j")))
    before = library.dump(client)
    refused = cli("jobs", "requeue", QUEUE, "j", "--force", "--yes")
    assert refused.code == 1 and says in refused.stderr
    kept = library.dump(client)
    assert {key: value for key, value in kept.items() if b"audit" not in key} == before
    assert cli("jobs", "requeue", QUEUE, "nobody", "--yes").code == 4
    assert cli("jobs", "requeue", "nowhere", "j", "--yes").code == 4


def test_a_job_that_ends_before_the_script_is_left_alone(
    server: PrivateRedis, client: redis.Redis, cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from asyncmq_cli.storage.write.job_changes import Changes

    put(server, ("active", napping("j")))
    send = Changes.send

    async def complete(opened: RedisBackend) -> None:
        record = json.loads(client.get(f"jobs:{QUEUE}:j"))
        await opened.complete_active_job(QUEUE, record, 1)

    def after_its_end(self: Changes, changes: Any) -> Any:
        library.with_backend(server.url, complete)
        return send(self, changes)

    monkeypatch.setattr(Changes, "send", after_its_end)
    refused = cli("jobs", "requeue", QUEUE, "j", "--force", "--yes")
    assert refused.code == 1 and "moved meanwhile" in refused.stderr
    assert (client.zcard(WAITING), client.hget(STATES, "j")) == (0, b"completed")


def test_an_active_job_that_was_removed_comes_back_waiting(
    server: PrivateRedis, client: redis.Redis, tmp_path: Path, cli: Run
) -> None:
    put(server, ("active", napping("j")), ("waiting", napping("first")))
    backup = str(tmp_path / "backup.ndjson")
    assert cli("jobs", "remove", QUEUE, "j", "--force", "--yes", "--backup", backup).code == 0
    restored = cli("jobs", "restore", backup, "--yes")
    assert restored.code == 0
    assert "it was active when it was removed; it is waiting now" in restored.stdout
    assert (client.hlen(ACTIVE), client.zrange(WAITING, 0, -1)) == (0, [b"j", b"first"])
    with working(server.url):
        assert eventually(lambda: client.hvals(STATES) == [b"completed"] * 2)
