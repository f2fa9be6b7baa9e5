"""`workers list`, as a user meets it."""

from __future__ import annotations

import json
import time
import uuid

import pytest
import redis

from asyncmq_cli.demo.server import PrivateRedis
from tests.conftest import Run
from tests.support import library
from tests.support.terminal import on_terminal

ROW = [
    *("id", "queue", "concurrency", "heartbeat", "age_seconds", "health", "time"),
    *("ttl_seconds", "clock_offset_seconds"),
]
DOCUMENT = ["workers", "summary", "page", "size", "total_pages", "unattended"]
SUMMARY = ["total", "healthy", "attention", "capacity", "queues"]
HOUR = 3600
# Ages far from the bounds that an hour's TTL sets, however slow the machine.
FLEET = {
    ("mail", "a"): (2, 60.0),
    ("mail", "c"): (1, HOUR * 0.8),
    ("tenant:a", "b"): (8, HOUR * 2.0),
    ("idle", "d"): (4, 120.0),
}


def beat(client: redis.Redis, key: str, worker: str, concurrency: object, heartbeat: object) -> None:
    client.hset(key, worker, json.dumps({"heartbeat": heartbeat, "concurrency": concurrency}))


@pytest.fixture(autouse=True)
def fleet(client: redis.Redis) -> None:
    now = time.time()
    for (queue, worker), (concurrency, age) in FLEET.items():
        beat(client, f"queue:{queue}:worker_heartbeats", worker, concurrency, now - age)


def test_the_document(cli: Run) -> None:
    document = cli("workers", "list", "--ttl", "1h", "--json").json
    assert list(document) == DOCUMENT
    assert list(document["summary"]) == SUMMARY
    assert [list(row) for row in document["workers"]] == [ROW] * 4
    assert [(row["queue"], row["id"], row["health"]) for row in document["workers"]] == [
        ("idle", "d", "healthy"),
        ("mail", "a", "healthy"),
        ("mail", "c", "aging"),
        ("tenant:a", "b", "stale"),
    ]
    assert document["summary"] == {"total": 4, "healthy": 2, "attention": 2, "capacity": 7, "queues": 3}
    assert document["workers"][1]["age_seconds"] == pytest.approx(60, abs=30)


@pytest.mark.parametrize(
    ("sort", "expected"),
    [("queue", "dacb"), ("id", "abcd"), ("heartbeat", "bcda"), ("concurrency", "bdac")],
)
def test_orders_and_pages(sort: str, expected: str, cli: Run) -> None:
    order = ("--sort", sort)
    rows = cli("workers", "list", *order, "--json").json["workers"]
    assert "".join(row["id"] for row in rows) == expected
    lines = cli("workers", "list", *order, "--ndjson").lines
    assert "".join(json.loads(line)["id"] for line in lines) == expected
    second = cli("workers", "list", *order, "--page", "2", "--size", "3", "--json").json
    assert "".join(row["id"] for row in second["workers"]) == expected[3:]
    assert (second["summary"]["total"], second["total_pages"]) == (4, 2)
    past = cli("workers", "list", "--page", "9", "--json").json
    assert (past["workers"], past["summary"]["total"]) == ([], 4)


def test_the_ttl_is_the_option_s_else_the_environment_s_else_thirty_seconds(
    cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def healthy(*args: str) -> int:
        return int(cli("workers", "list", *args, "--json").json["summary"]["healthy"])

    assert healthy() == 0
    assert healthy("--ttl", "1d") == 4
    monkeypatch.setenv("ASYNCMQ_HEARTBEAT_TTL", "3600")
    assert healthy() == 2
    assert healthy("--ttl", "90") == 0


def test_one_queue_and_a_wrong_name(cli: Run) -> None:
    document = cli("workers", "list", "--queue", "mail", "--json").json
    assert [row["id"] for row in document["workers"]] == ["a", "c"]
    wrong = cli("workers", "list", "--queue", "mial")
    assert (wrong.code, wrong.stdout) == (4, "")
    assert wrong.stderr == "error: no queue named 'mial'\nhint: did you mean mail?\n"


def test_waiting_jobs_without_a_live_worker_are_pointed_out(
    server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    async def enqueue(opened: library.RedisBackend) -> None:
        for queue in ("mail", "tenant:a", "alone"):
            await opened.enqueue(queue, library.job("j"))

    library.with_backend(server.url, enqueue)
    assert cli("workers", "list", "--ttl", "1h", "--json").json["unattended"] == ["alone", "tenant:a"]
    warned = "".join(
        f"warning: jobs wait in queue {queue!r}, and it has no live worker\n"
        for queue in ("alone", "tenant:a")
    )
    result = cli("workers", "list", "--ttl", "1h")
    assert (result.code, result.stderr) == (0, warned)
    assert "alone" in cli("workers", "list", "--ttl", "1h", "--ndjson").stderr
    assert cli("workers", "list", "--ttl", "1h", "--queue", "mail").stderr == ""


def test_damaged_entries_are_warned_of_and_the_others_listed(client: redis.Redis, cli: Run) -> None:
    key = "queue:idle:worker_heartbeats"
    client.hset(key, mapping={"x": b"\xff{", "y": "[1]", "number": "12.5"})
    beat(client, key, "timeless", 1, "soon")
    beat(client, "queue:idle:heartbeats", "many", "lots", time.time())
    client.hset("queue:idle:heartbeats", "running-job", "1700000000.5")
    result = cli("workers", "list", "--queue", "idle", "--ttl", "1h", "--json")
    rows = {row["id"]: (row["concurrency"], row["health"]) for row in result.json["workers"]}
    assert rows == {"d": (4, "healthy"), "timeless": (1, "stale"), "many": (None, "healthy")}
    assert "and 4 more" in json.loads(result.stderr)["warning"]["message"]

    client.delete("queue:mail:worker_heartbeats")
    client.set("queue:mail:worker_heartbeats", "text")
    result = cli("workers", "list", "--json")
    assert (result.code, result.json["summary"]["total"]) == (0, 4)
    assert "not of the type" in result.stderr


def test_what_a_worker_said_last_counts_whichever_layout_it_is_in(client: redis.Redis, cli: Run) -> None:
    now = time.time()
    beat(client, "queue:mail:heartbeats", "a", 9, now)
    beat(client, "queue:mail:heartbeats", "c", 9, now - 10 * HOUR)
    rows = cli("workers", "list", "--queue", "mail", "--json").json["workers"]
    assert [(row["id"], row["concurrency"]) for row in rows] == [("a", 9), ("c", 1)]


def test_on_a_terminal_and_in_a_pipe(server: PrivateRedis, client: redis.Redis, run: Run) -> None:
    long = str(uuid.UUID(int=7))
    beat(client, "queue:a-queue-with-a-long-name:worker_heartbeats", long, 12, time.time())
    screen = on_terminal("workers", "list", "--ttl", "1h", url=server.url)
    assert max(len(line) for line in screen.lines) <= 80, screen.text
    assert screen.lines[0].split() == ["ID", "QUEUE", "CONCURRENCY", "AGE", "HEALTH"]
    assert screen.lines[-1] == "5 workers on 4 queues: 3 healthy, 2 aging or stale; room for 19 jobs at once"
    assert any(long in line for line in screen.lines)
    assert "\x1b[31mstale" in screen.raw
    cells = [line.split("\t") for line in run("workers", "list", "--ttl", "1h").lines]
    assert cells[0][:3] == [long, "a-queue-with-a-long-name", "12"]
    assert cells[0][3].endswith("+00:00")
    assert [row[5] for row in cells] == ["healthy", "healthy", "healthy", "aging", "stale"]


@pytest.mark.parametrize(
    "args", [["--ttl", "soon"], ["--ttl", "0"], ["--sort", "age"], ["--size", "0"], ["--json", "--ndjson"]]
)
def test_wrong_usage(args: list[str], cli: Run) -> None:
    assert cli("workers", "list", *args).code == 2


# --- ghosts


def ghosts(client: redis.Redis, count: int) -> None:
    """Silent workers beside a live one in the queue `deployed`."""
    key = "queue:deployed:worker_heartbeats"
    for number in range(count):
        beat(client, key, f"ghost-{number:02}", 4, time.time() - 2 * HOUR)
    beat(client, key, "living", 4, time.time())
    client.expire(key, 30)


def heartbeats(client: redis.Redis) -> set[bytes]:
    return set(client.hkeys("queue:deployed:worker_heartbeats"))


def test_the_living_come_first_and_a_terminal_folds_the_silent(
    server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    ghosts(client, 50)
    only = ("workers", "list", "--queue", "deployed")
    assert cli(*only, "--json").json["workers"][0]["id"] == "living"
    screen = on_terminal(*only, url=server.url)
    assert "ghost" not in screen.text and "50 stale workers not shown: --health stale" in screen.text
    assert "ghost-49" in on_terminal(*only, "--health", "stale", "--size", "100", url=server.url).text
    healthy = cli(*only, "--health", "healthy", "--json").json
    assert ([row["id"] for row in healthy["workers"]], healthy["total_pages"]) == (["living"], 1)
    assert len(cli(*only, "--health", "stale", "--ndjson").lines) == 50
    assert cli(*only, "--health", "well").code == 2


def test_stale_workers_are_forgotten_and_that_is_audited(client: redis.Redis, cli: Run) -> None:
    ghosts(client, 3)
    args = ("workers", "forget", "--stale", "--queue", "deployed")
    assert cli(*args).code == 5
    dry = cli(*args, "--dry-run", "--json").json
    assert (dry["action"], dry["succeeded"], len(heartbeats(client))) == ("worker.forget", 3, 4)
    (finding,) = cli("doctor", "deployed", "--code", "worker_gone", "--json").json["findings"]
    assert (finding["count"], finding["sample_ids"][0]) == (3, "ghost-00")
    done = cli(*args, "--yes", "--reason", "deployed", "--json").json
    assert (done["succeeded"], done["failed"], heartbeats(client)) == (3, 0, {b"living"})
    assert client.ttl("queue:deployed:worker_heartbeats") > 0
    events = library.events(client)
    assert [(one["action"], one["source"], one["status"]) for one in events] == [
        ("worker.forget", "workers", "success")
    ] * 3
    assert events[0]["details"]["reason"] == "deployed" and events[0]["details"]["concurrency"] == 4
    assert cli(*args, "--yes", "--json").json["matched"] == 0


def test_the_jobs_that_only_a_silent_worker_points_at_are_named(
    server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    library.with_backend(
        server.url, lambda opened: library.fill(opened, "deployed", [("active", library.job("left"))])
    )
    client.hset("queue:deployed:active", "left", time.time() - 3 * HOUR)
    ghosts(client, 2)
    note = "1 job was claimed before a worker of this queue went silent, which nothing else shows: left"
    for args in (["--stale", "--dry-run"], ["--stale", "--yes"]):
        results = cli("workers", "forget", "--queue", "deployed", *args, "--json").json["results"]
        assert [one["note"] for one in results] == [note, note]
    assert cli("check", "--queue", "deployed").code == 0


def test_a_living_worker_is_forgotten_by_force_alone(client: redis.Redis, cli: Run) -> None:
    ghosts(client, 1)
    refused = cli("workers", "forget", "living", "ghost-00", "--yes", "--json").json
    assert {row["job_id"]: row["status"] for row in refused["results"]} == {
        "ghost-00": "success",
        "living": "failed",
    }
    assert heartbeats(client) == {b"living"}
    # Pasted with a blank.
    assert cli("workers", "forget", " living", "--yes").code == 1
    assert cli("workers", "forget", "living", "--force", "--yes").code == 0
    assert heartbeats(client) == set()


def test_workers_must_be_named_and_an_unknown_one_is_missing(cli: Run) -> None:
    assert cli("workers", "forget").code == cli("workers", "forget", "x", "--stale").code == 2
    missing = cli("workers", "forget", "nobody", "--yes")
    assert (missing.code, "no worker 'nobody'" in missing.stderr) == (4, True)


def test_one_whose_clock_is_ahead_is_not_known_to_be_silent(client: redis.Redis, cli: Run) -> None:
    ghosts(client, 0)
    beat(client, "queue:deployed:worker_heartbeats", "ahead", 1, time.time() + 2 * HOUR)
    assert cli("workers", "forget", "--stale", "--queue", "deployed", "--yes", "--json").json["matched"] == 0
    assert "its clock is ahead" in cli("workers", "forget", "ahead", "--yes").stderr
    assert cli("workers", "forget", "ahead", "--force", "--yes").code == 0


def test_a_worker_that_writes_before_the_script_is_kept(
    client: redis.Redis, cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from asyncmq_cli.storage.write.queue_changes import QueueChanges

    ghosts(client, 1)
    forget = QueueChanges.forget_worker

    def late(self: QueueChanges, *args: object) -> bool:
        beat(client, "queue:deployed:worker_heartbeats", "ghost-00", 4, time.time())
        return forget(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(QueueChanges, "forget_worker", late)
    assert "sent a heartbeat meanwhile" in cli("workers", "forget", "ghost-00", "--yes").stderr
    assert b"ghost-00" in heartbeats(client)


def test_more_workers_than_come_at_once_are_all_counted(client: redis.Redis, cli: Run) -> None:
    entry = json.dumps({"heartbeat": time.time(), "concurrency": 1})
    client.hset("queue:many:worker_heartbeats", mapping={f"worker-{n}": entry for n in range(700)})
    assert cli("queues", "list", "many", "--fields", "workers").stdout == "700\n"
    assert cli("workers", "list", "--queue", "many", "--json").json["summary"]["total"] == 700
    everywhere = cli("workers", "list", "--json").json["summary"]["total"]
    client.delete("queue:many:worker_heartbeats")
    assert cli("workers", "list", "--json").json["summary"]["total"] == everywhere - 700
