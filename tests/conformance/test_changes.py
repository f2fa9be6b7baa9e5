"""The data after a change is, byte for byte, the same as after the library's own call on a copy."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
import redis
from asyncmq.backends.redis import RedisBackend
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asyncmq_cli.demo.server import PrivateRedis
from tests.conformance.test_reading import json_values
from tests.conftest import Run
from tests.support import library

QUEUE = "mail:out"
Call = Callable[[RedisBackend], Awaitable[Any]]

WHOLE_QUEUE = [
    (state, library.job(f"{state}-{size}", args=["z" * size], priority=3, depends_on=parents))
    for size in (10, 70_000)
    for state, parents in [
        *((state, []) for state in library.STATES if state not in ("waiting", "waiting-children")),
        ("waiting-children", ["active-10", "gone"]),
        ("waiting", []),
    ]
]


@pytest.fixture
def copy(server: PrivateRedis) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(server.url.replace("db=0", "db=1")) as connection:
        yield connection


@pytest.fixture
def same_on_a_copy(
    server: PrivateRedis, client: redis.Redis, copy: redis.Redis, cli: Run
) -> Callable[..., None]:
    """Run our change on one database and the library's on a copy, and compare all keys."""

    def compare(args: tuple[str, ...], theirs: Call, *, code: int = 0) -> None:
        library.copy_database(client, copy)
        result = cli(*args)
        assert result.code == code, result
        library.with_backend(server.url.replace("db=0", "db=1"), theirs)
        assert library.dump(client) == library.dump(copy)

    return compare


@pytest.fixture
def whole_queue(server: PrivateRedis, client: redis.Redis) -> None:
    ordered = sorted(WHOLE_QUEUE, key=lambda item: item[0] in ("waiting", "waiting-children"))
    library.with_backend(server.url, lambda opened: library.fill(opened, QUEUE, ordered))


@pytest.mark.usefixtures("whole_queue")
@pytest.mark.parametrize("size", [10, 70_000])
@pytest.mark.parametrize("state", ["failed", "expired", "dead-directly"])
def test_retry_leaves_what_the_library_leaves(
    state: str, size: int, same_on_a_copy: Callable[..., None]
) -> None:
    job_id = f"{state}-{size}"
    same_on_a_copy(("jobs", "retry", QUEUE, job_id), lambda theirs: theirs.retry_job(QUEUE, job_id))


@pytest.mark.usefixtures("whole_queue")
@pytest.mark.parametrize("size", [10, 70_000])
@pytest.mark.parametrize("state", library.STATES)
def test_remove_leaves_what_the_library_leaves(
    state: str, size: int, same_on_a_copy: Callable[..., None]
) -> None:
    job_id = f"{state}-{size}"
    same_on_a_copy(
        ("jobs", "remove", QUEUE, job_id, "--yes", "--force"), lambda theirs: theirs.remove_job(QUEUE, job_id)
    )


@pytest.mark.usefixtures("whole_queue")
@pytest.mark.parametrize("size", [10, 70_000])
@pytest.mark.parametrize(
    "state", ["waiting", "waiting-children", "delayed", "delayed-overdue", "retried", "active"]
)
def test_cancel_leaves_what_the_library_leaves(
    state: str, size: int, same_on_a_copy: Callable[..., None]
) -> None:
    job_id = f"{state}-{size}"
    same_on_a_copy(
        ("jobs", "cancel", QUEUE, job_id, "--yes"), lambda theirs: theirs.cancel_job(QUEUE, job_id)
    )


@pytest.mark.usefixtures("whole_queue")
def test_pause_and_resume_leave_what_the_library_leaves(same_on_a_copy: Callable[..., None]) -> None:
    same_on_a_copy(("queues", "pause", QUEUE), lambda theirs: theirs.pause_queue(QUEUE))
    same_on_a_copy(("queues", "resume", QUEUE), lambda theirs: theirs.resume_queue(QUEUE))


@pytest.mark.usefixtures("whole_queue")
@pytest.mark.parametrize(
    ("verb", "states"),
    [
        ("retry", [state for state in library.STATES if state not in ("failed", "expired", "dead-directly")]),
        ("cancel", ["completed", "failed", "expired", "dead-directly", "cancelled"]),
        ("remove", ["active"]),
    ],
)
def test_a_refused_change_touches_nothing(
    verb: str, states: list[str], client: redis.Redis, cli: Run
) -> None:
    before = library.dump(client)
    yes = [] if verb == "retry" else ["--yes"]
    for state in states:
        result = cli("jobs", verb, QUEUE, f"{state}-10", "--json", *yes)
        assert result.code == 1
        assert result.json["results"][0]["status"] == "failed"
    assert library.dump(client) == before
    assert [(event["action"], event["status"]) for event in library.events(client)] == [
        (f"job.{verb}", "failed")
    ] * len(states)


@pytest.mark.usefixtures("whole_queue")
def test_a_dry_run_touches_nothing_and_records_nothing(client: redis.Redis, cli: Run) -> None:
    before = library.dump(client)
    everything = [record["id"] for _, record in WHOLE_QUEUE]
    for verb in ("retry", "remove", "cancel"):
        cli("jobs", verb, QUEUE, *everything, "--dry-run")
    cli("queues", "pause", QUEUE, "--dry-run")
    cli("queues", "resume", QUEUE, "--dry-run")
    assert library.dump(client) == before
    assert library.events(client) == []


@pytest.mark.usefixtures("whole_queue")
def test_after_all_are_removed_nothing_of_them_is_left(client: redis.Redis, cli: Run) -> None:
    everything = [record["id"] for _, record in WHOLE_QUEUE]
    result = cli("jobs", "remove", QUEUE, *everything, "--yes", "--force", "--json")
    assert result.json["succeeded"] == len(everything)
    # The counter stays: the next job's place in the queue goes on from it.
    assert set(library.dump(client)) == {f"queue:{QUEUE}:waiting:seq".encode()}


def test_a_legacy_waiting_member_is_removed_and_cancelled(
    client: redis.Redis, same_on_a_copy: Callable[..., None], cli: Run
) -> None:
    for name in ("old-1", "old-2"):
        client.zadd(f"queue:{QUEUE}:waiting", {json.dumps(library.job(name)): 0})
    same_on_a_copy(
        ("jobs", "remove", QUEUE, "old-1", "--yes"), lambda theirs: theirs.remove_job(QUEUE, "old-1")
    )
    assert cli("jobs", "cancel", QUEUE, "old-2", "--yes").code == 0
    # The library would forget the job here; it stays to be seen as cancelled.
    assert cli("jobs", "show", QUEUE, "old-2", "--json").json["status"] == "cancelled"
    assert client.zcard(f"queue:{QUEUE}:waiting") == 0
    assert client.smembers(f"queue:{QUEUE}:cancelled") == {b"old-2"}


exotic = st.one_of(
    st.sampled_from(
        [
            float("nan"),
            float("inf"),
            2**70,
            -(2**65),
            1e-9,
            0.1 + 0.2,
            "\ud800",
            "\udfff",
            [],
            {},
            "",
            "é😀\x00",
        ]
    ),
    json_values,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(args=st.lists(exotic, max_size=4), kwargs=st.dictionaries(st.text(max_size=4), exotic, max_size=3))
def test_any_stored_arguments_are_equal_after_a_retry(
    args: list[Any], kwargs: dict[str, Any], server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    client.flushall()
    record = library.job("one", args=args, kwargs=kwargs, extra={"mine": args})

    def move(opened: RedisBackend) -> Awaitable[Any]:
        return opened.move_to_dlq(QUEUE, {**record, "status": "failed"})

    library.with_backend(server.url, move)
    assert cli("jobs", "retry", QUEUE, "one").code == 0
    stored = library.with_backend(server.url, lambda opened: opened.get_job(QUEUE, "one"))
    for name in ("args", "kwargs", "extra"):
        # As JSON text, because NaN does not equal itself.
        assert json.dumps(stored[name]) == json.dumps(json.loads(json.dumps(record[name])))


def test_a_five_megabyte_payload_survives_a_retry(
    server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    record = library.job("huge", args=["ß" * 5_000_000, [], {"a": []}])
    library.with_backend(server.url, lambda opened: opened.move_to_dlq(QUEUE, {**record, "status": "failed"}))
    assert cli("jobs", "retry", QUEUE, "huge").code == 0
    stored = library.with_backend(server.url, lambda opened: opened.get_job(QUEUE, "huge"))
    assert stored["args"] == record["args"]


def test_a_reset_makes_an_expired_job_start_fresh(
    server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    old = library.job("old", ttl=10, created_at=1e9, retries=2)
    for state in ("kept", "reset"):
        library.with_backend(
            server.url,
            lambda opened, name=state: library.put(opened, QUEUE, "expired", {**old, "id": name}),
        )
    kept = cli("jobs", "retry", QUEUE, "kept", "--json").json["results"][0]
    assert "will expire again" in kept["note"]
    assert cli("jobs", "retry", QUEUE, "reset", "--reset", "--json").json["results"][0]["note"] is None

    async def claim_both(opened: RedisBackend) -> dict[str, bool]:
        from asyncmq.jobs import Job

        claimed = [await opened.dequeue(QUEUE) for _ in range(2)]
        return {job["id"]: Job.from_dict(job).is_expired() for job in claimed}

    assert library.with_backend(server.url, claim_both) == {"kept": True, "reset": False}
    stored = cli("jobs", "show", QUEUE, "reset", "--json").json["payload"]
    assert stored["retries"] == 0
