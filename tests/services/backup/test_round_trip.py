"""A job removed with a backup and restored is where it was, byte for byte."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asyncmq_cli.demo.server import PrivateRedis
from tests.conftest import Run
from tests.support import library

QUEUE = "mail:out"


def as_waiting(before: dict[bytes, Any], client: redis.Redis) -> dict[bytes, Any]:
    """The expected keys: active jobs come back as waiting, last in their priority, without claim and
    heartbeat."""
    active = dict(before[f"queue:{QUEUE}:active".encode()][1])
    score = {
        name: json.loads(client.get(f"jobs:{QUEUE}:{name.decode()}"))["priority"] * 10**12
        + int(client.get(f"queue:{QUEUE}:waiting:seq"))
        for name in active
    }
    expected = {
        key: value
        for key, value in before.items()
        if key not in (f"queue:{QUEUE}:active".encode(), f"queue:{QUEUE}:heartbeats".encode())
    }
    waiting, states = f"queue:{QUEUE}:waiting".encode(), f"jobs:{QUEUE}:states".encode()
    members = [*before[waiting][1], *score.items()]
    expected[waiting] = ("zset", sorted(members, key=lambda one: (one[1], one[0])))
    expected[states] = ("hash", {**before[states][1], **dict.fromkeys(active, b"waiting")})
    return expected


@pytest.mark.parametrize("size", [10, 70_000])
def test_a_queue_with_jobs_in_every_state(
    size: int, server: PrivateRedis, client: redis.Redis, cli: Run, tmp_path: Path
) -> None:
    jobs = [
        (state, library.job(f"{state}-{n}", args=["z" * size], priority=n))
        for n in (3, 7)
        for state in library.STATES
        if not state.startswith("waiting")
    ]
    for n in (3, 7):
        jobs.append(("waiting-children", library.job(f"child-{n}", depends_on=["active-3", "gone"])))
        jobs.append(("waiting", library.job(f"waiting-{n}", args=["z" * size])))

    async def fill(opened: Any) -> None:
        await library.fill(opened, QUEUE, jobs)
        for n in (3, 7):
            await opened.add_dependencies(QUEUE, library.job(f"child-{n}", depends_on=["active-3", "gone"]))
        await opened.save_heartbeat(QUEUE, "active-3", 1.5)

    library.with_backend(server.url, fill)
    before = library.dump(client)
    file = str(tmp_path / "all.ndjson")
    names = [record["id"] for _, record in jobs]
    removed = cli("jobs", "remove", QUEUE, *names, "--force", "--yes", "--backup", file, "--json")
    assert (removed.code, removed.json["succeeded"]) == (0, len(names)), removed
    assert set(library.dump(client)) == {f"queue:{QUEUE}:waiting:seq".encode()}
    restored = cli("jobs", "restore", file, "--yes", "--json")
    assert (restored.code, restored.stderr) == (0, "")
    assert [row["job_id"] for row in restored.json["results"]] == names
    assert library.dump(client) == as_waiting(before, client)


NAMES = st.sampled_from(
    [b"one", b"a:b*[1]", b"\xff\x00\xfe", "\u202eünï\n".encode(), b"x" * 500, b"p", b'"', b" "]
)
VALUES = st.sampled_from(
    [b"", b"text", b"\xff\x00\xfe", "{\u2028}".encode(), b"\\u0000", b'{"a":NaN}', b"0" * 9000]
)
SCORES = st.floats(allow_nan=False) | st.sampled_from([5e12 + 7, -0.0, 1.7e9 + 1e-6, 2.0**53 + 2])
STATES = st.sampled_from(
    [
        b"waiting",
        b"delayed",
        b"failed",
        b"expired",
        b"completed",
        b"active",
        b"cancelled",
        b"",
        b"\xff",
        b"odd",
    ]
)


@st.composite
def records(draw: st.DrawFn, name: bytes) -> bytes:
    """Records and members that an application or a crash may have left; most are JSON."""
    job: dict[str, Any] = {"id": name.decode("utf-8", "surrogateescape")}
    job["status"] = draw(st.sampled_from(["waiting", "failed", "odd", None]))
    job["args"] = draw(st.sampled_from([[], [float("nan")], [2**70, "\ud800"], ["z" * 300]]))
    if draw(st.booleans()):
        job["depends_on"] = draw(st.lists(st.sampled_from(["p", "one", "\ud800", 7]), max_size=3))
    return json.dumps(job, ensure_ascii=True).encode()


@st.composite
def layouts(draw: st.DrawFn) -> tuple[bytes, bytes, list[tuple[Any, ...]]]:
    """A queue, a job, and commands that store the job in any combination of places."""
    queue, name = draw(NAMES), draw(NAMES)
    q, j, d = b"queue:" + queue + b":", b"jobs:" + queue + b":", b"deps:" + queue + b":"
    record = draw(records(name))
    found: list[tuple[Any, ...]] = []

    def maybe(*command: Any) -> None:
        if draw(st.booleans()):
            found.append(command)

    # Without any of these it would be no job, and a record alone makes no queue.
    alone = [("SET", j + name, record), ("SET", q + b"waiting:seq", 1)]
    found += draw(st.sampled_from([[("SADD", j + b"ids", name)], alone]))
    maybe("SADD", j + b"ids", name)
    maybe("SET", j + name, draw(st.just(record) | VALUES))
    maybe("SET", j + name + b":payload", draw(VALUES))
    maybe("HSET", j + b"states", name, draw(STATES))
    maybe("HSET", j + b"results", name, draw(VALUES))
    maybe("HSET", q + b"active", name, draw(VALUES))
    maybe("HSET", q + b"heartbeats", name, draw(VALUES))
    maybe("SADD", q + b"cancelled", name)
    maybe("SADD", d + name + b":pending", *draw(st.lists(NAMES, min_size=1)))
    maybe("SADD", d + b"parent:" + name, *draw(st.lists(NAMES, min_size=1)))
    maybe("SADD", d + b"parent:p", name, b"sibling")
    maybe("ZADD", q + b"waiting", repr(draw(SCORES)), name)
    for place in (b"waiting", b"delayed", b"dlq"):
        maybe("ZADD", q + place, repr(draw(SCORES)), draw(st.just(record) | records(name)))
        maybe("ZADD", q + place, repr(draw(SCORES)), b"another")
    return queue, name, found


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(layout=layouts())
def test_any_job_that_leaves_wholly_comes_back_wholly(
    layout: tuple[bytes, bytes, list[tuple[Any, ...]]],
    server: PrivateRedis,
    client: redis.Redis,
    cli: Run,
    tmp_path: Path,
) -> None:
    queue, name, commands = layout
    client.flushall()
    for command in commands:
        client.execute_command(*command)
    before = library.dump(client)
    file = str(tmp_path / uuid.uuid4().hex)
    target = (queue.decode("utf-8", "surrogateescape"), name.decode("utf-8", "surrogateescape"))
    assert cli("jobs", "remove", *target, "--force", "--yes", "--backup", file).code == 0
    left = library.dump(client)
    assert left != before
    restored = cli("jobs", "restore", file, "--yes")
    if "waiting now" in restored.stdout:
        assert client.hget(b"jobs:%b:states" % queue, name) == b"waiting"
        assert client.zscore(b"queue:%b:waiting" % queue, name) is not None
    elif restored.code == 0:
        assert library.dump(client) == before
    else:
        # A member in a place that does not fit the state is not searched for.
        assert "exists, so it is not restored" in restored.stderr, restored
        assert library.dump(client) == left
        assert any(key.startswith(b"queue:" + queue + b":") for key in left)
    assert library.events(client)[0]["status"] == "success"
