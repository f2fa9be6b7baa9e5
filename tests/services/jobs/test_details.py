"""The parents that a job waits for, and the children that wait for it."""

from __future__ import annotations

import re

import pytest
import redis
from asyncmq.backends.redis import RedisBackend

from asyncmq_cli.demo.server import PrivateRedis
from tests.conftest import Run
from tests.support import library
from tests.support.terminal import on_terminal

QUEUE = "mail"


def family(server: PrivateRedis, parents: dict[str, list[str]]) -> None:
    """Jobs that wait for their parents, as the library stores them."""

    async def fill(opened: RedisBackend) -> None:
        for job_id, waits_for in parents.items():
            record = library.job(job_id, depends_on=waits_for)
            await opened.enqueue(QUEUE, record)
            if waits_for:
                await opened.add_dependencies(QUEUE, record)

    library.with_backend(server.url, fill)


@pytest.fixture
def weekly(server: PrivateRedis, client: redis.Redis) -> None:
    family(
        server,
        {"load": [], "clean": ["load"], "sum": ["load"], "report": ["clean", "sum"], "mail": ["report"]},
    )


def test_a_job_shows_its_parents_and_children(weekly: None, cli: Run) -> None:
    found = cli("jobs", "show", QUEUE, "report", "--json").json
    assert found["waits_for"] == [
        {"id": "clean", "status": "waiting-children", "pending": True},
        {"id": "sum", "status": "waiting-children", "pending": True},
    ]
    assert found["awaited_by"] == [{"id": "mail", "status": "waiting-children", "pending": True}]
    assert (found["waits_for_total"], found["awaited_by_total"]) == (2, 1)
    lines = cli("jobs", "show", QUEUE, "load").lines
    assert "awaited_by_total\t2" in lines


def test_people_read_the_states(weekly: None, server: PrivateRedis) -> None:
    text = on_terminal("jobs", "show", "report", url=server.url, columns=100).text
    assert "Waits for:    clean (waiting-children), sum (waiting-children)" in text
    assert "Awaited by:   mail (waiting-children)" in text


def test_a_tree_has_each_job_below_what_it_waits_for(weekly: None, server: PrivateRedis, cli: Run) -> None:
    assert on_terminal("jobs", "tree", "report", url=server.url, columns=100).text.split("\n")[:6] == [
        "load  waiting  app.send",
        "├── clean  waiting-children  app.send",
        "│   └── report  waiting-children  app.send  (this job)",
        "│       └── mail  waiting-children  app.send",
        "└── sum  waiting-children  app.send",
        "    └── report  waiting-children  app.send  (this job, as above)",
    ]
    assert cli("jobs", "tree", "sum").lines[:2] == [
        "0\tload\twaiting\tapp.send\t\t\t\t",
        "1\tsum\twaiting-children\tapp.send\t\t\t\t",
    ]
    document = cli("jobs", "tree", "mail", "--json").json
    assert {job["id"] for job in document["jobs"]} == {"load", "clean", "sum", "report", "mail"}
    assert (document["cycles"], document["is_whole"]) == ([], True)


def test_a_completed_parent_is_waited_for_no_longer(
    server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    family(server, {"a": [], "b": [], "child": ["a", "b"]})

    async def complete(opened: RedisBackend) -> None:
        await opened.resolve_dependency(QUEUE, "a")

    library.with_backend(server.url, complete)
    found = cli("jobs", "show", QUEUE, "child", "--json").json
    assert {each["id"]: each["pending"] for each in found["waits_for"]}["b"] is True
    assert not {each["id"]: each["pending"] for each in found["waits_for"]}.get("a")


def test_a_parent_that_is_gone_is_named(server: PrivateRedis, client: redis.Redis, cli: Run) -> None:
    family(server, {"child": ["gone"]})
    assert cli("jobs", "show", QUEUE, "child", "--json").json["waits_for"][0]["status"] is None
    assert "no such job" in on_terminal("jobs", "tree", "child", url=server.url).text


def test_a_ring_is_named_and_drawn_once(server: PrivateRedis, client: redis.Redis, cli: Run) -> None:
    family(server, {"a": ["c"], "b": ["a"], "c": ["b"]})
    document = cli("jobs", "tree", "a", "--json").json
    assert [sorted(ring) for ring in document["cycles"]] == [["a", "b", "c"]]
    text = on_terminal("jobs", "tree", "a", url=server.url, columns=100).text
    assert "a cycle" in text
    assert "A cycle, so none of these can run:" in text


def test_a_tree_shortens_the_module_of_a_task(server: PrivateRedis, client: redis.Redis) -> None:
    family(server, {"child": ["gone"]})
    line = '{"id": "child", "task": "shop.reports.weekly.tasks.publish", "status": "waiting"}'
    client.set(f"jobs:{QUEUE}:child", line)
    shown = on_terminal("jobs", "tree", "child", url=server.url, columns=60).text.split("\n")[1]
    assert re.fullmatch(r"└── child  \S+  shop\S*…\S*\.publish  \(this job\)", shown), shown
    assert len(shown) <= 60


def test_a_large_family_is_bounded(server: PrivateRedis, client: redis.Redis, cli: Run) -> None:
    client.sadd(f"deps:{QUEUE}:parent:top", *(f"c{n}" for n in range(5000)))
    client.set(f"jobs:{QUEUE}:top", '{"id": "top", "task": "t"}')
    client.sadd(f"jobs:{QUEUE}:ids", "top")
    found = cli("jobs", "show", QUEUE, "top", "--json").json
    assert (len(found["awaited_by"]), found["awaited_by_total"]) == (100, 5000)
    document = cli("jobs", "tree", QUEUE, "top", "--json").json
    assert len(document["jobs"]) <= 200
    assert document["is_whole"] is False


def test_a_damaged_set_is_named(weekly: None, client: redis.Redis, cli: Run) -> None:
    client.set(f"deps:{QUEUE}:parent:mail", "no set")
    result = cli("jobs", "show", QUEUE, "mail", "--json")
    assert (result.code, result.json["awaited_by"]) == (0, [])
    assert f"the key 'deps:{QUEUE}:parent:mail' is not of the type" in result.stderr


def test_a_tree_joins_the_audit_trail(weekly: None, server: PrivateRedis, cli: Run) -> None:
    assert cli("jobs", "remove", QUEUE, "load", "--yes", "--force", "--actor", "ada").code == 0
    assert cli("jobs", "cancel", QUEUE, "mail", "--yes", "--actor", "bob").code == 0
    text = on_terminal("jobs", "tree", "report", url=server.url, columns=100).text
    assert re.search(r"load  no such job  \(removed by ada [^)]+\)", text), text
    assert re.search(r"mail  \S+  app.send  \(cancelled by bob [^)]+\)", text), text
    jobs = cli("jobs", "tree", "report", "--json").json["jobs"]
    changes = {one["id"]: one["last_change"] and one["last_change"]["action"] for one in jobs}
    assert changes == {"report": None, "clean": None, "sum": None, "load": "job.remove", "mail": "job.cancel"}
    (row,) = [line for line in cli("jobs", "tree", "report").lines if "\tmail\t" in line]
    assert row.split("\t")[5:7] == ["job.cancel", "bob"]
    shown = cli("jobs", "show", QUEUE, "mail", "--json").json
    assert [event["actor"] for event in shown["changes"]] == ["bob"]
