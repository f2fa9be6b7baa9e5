"""Our lists equal the library's own inspection, for jobs made by the library."""

from __future__ import annotations

from typing import Any

import pytest
import redis
from asyncmq.backends.redis import RedisBackend
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asyncmq_cli.demo.server import PrivateRedis
from tests.conftest import Run
from tests.faults.scale import scaled
from tests.support import library

# More examples in `make faults`.
pytestmark = pytest.mark.faults

QUEUE = "tenant:a*[1]"
LISTED = ("waiting", "active", "completed", "failed", "delayed", "expired", "cancelled", "waiting-children")

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**53), 2**53),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=12),
)
json_values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)
fields = st.fixed_dictionaries(
    {
        "created_at": st.sampled_from([1e9, 1.5e9, 1.7e9, 1.7e9 + 0.25]),
        "priority": st.integers(0, 9),
        "args": st.lists(json_values, max_size=3),
        "kwargs": st.dictionaries(st.text(max_size=6), json_values, max_size=3),
        "task": st.sampled_from(["app.send", "app.Report", "reports.nightly"]),
    },
    optional={"run_at": st.sampled_from([1.6e9, "1650000000", "soon", 0]), "progress": st.floats(0, 1)},
)


@st.composite
def queues(draw: st.DrawFn) -> list[tuple[str, dict[str, Any]]]:
    """Queues with jobs in every state. Jobs that wait for parents come last, because claims would skip
    them."""
    states = draw(st.lists(st.sampled_from(library.STATES), max_size=9))
    jobs = []
    for number, state in enumerate(states):
        extra = {"depends_on": ["gone"]} if state == "waiting-children" else {}
        jobs.append((state, library.job(f"job-{number}", **draw(fields), **extra)))
    # A claim takes the first of the waiting set, which must be the job it is meant for.
    return sorted(jobs, key=lambda item: item[0] in ("waiting", "delayed-overdue"))


def inspected(url: str, **query: Any) -> dict[str, Any]:
    async def ask(opened: RedisBackend) -> dict[str, Any]:
        return {
            state: await opened.inspect_jobs(QUEUE, state, page=1, size=1000, **query) for state in LISTED
        }

    return library.with_backend(url, ask)


def without_ended(jobs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The jobs without those that have ended: the library still lists them as waiting for parents."""
    return [job for job in jobs if job.get("status") not in ("completed", "failed", "expired", "cancelled")]


def by_id(jobs: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {job["id"]: job for job in jobs}


@settings(
    max_examples=scaled(8, 20), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(jobs=queues())
def test_every_state_lists_the_jobs_that_the_library_inspects(
    jobs: list[tuple[str, dict[str, Any]]], server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    client.flushall()
    library.with_backend(server.url, lambda opened: library.fill(opened, QUEUE, [*jobs, *anchor()]))
    theirs = inspected(server.url)
    counts = cli("queues", "show", QUEUE, "--json").json

    for state in LISTED:
        expected = theirs[state].jobs
        if state == "waiting-children":
            expected = without_ended(expected)
        page = cli("jobs", "list", QUEUE, "--state", state, "--size", "1000", "--show-secrets", "--json").json
        assert {job["id"]: job["payload"] for job in page["jobs"]} == by_id(expected), state
        assert page["total"] == len(expected)
        assert counts[state.replace("-", "_")] == len(expected)


def anchor() -> list[tuple[str, dict[str, Any]]]:
    """A job that is always present, so that the queue exists."""
    return [("waiting", library.job("anchor", created_at=1.2e9))]


@settings(
    max_examples=scaled(8, 25), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    jobs=queues(),
    q=st.sampled_from(["", "SEND", "nightly", '"priority": 3', "  send ", "zzz"]),
    task=st.sampled_from(["", "report", "APP."]),
    job_id=st.sampled_from(["", "job-1", "-"]),
    sort=st.sampled_from(["newest", "oldest"]),
    page=st.integers(1, 3),
    size=st.integers(1, 4),
)
def test_filters_sorting_and_pages_are_the_librarys(
    jobs: list[tuple[str, dict[str, Any]]],
    q: str,
    task: str,
    job_id: str,
    sort: str,
    page: int,
    size: int,
    server: PrivateRedis,
    client: redis.Redis,
    cli: Run,
) -> None:
    client.flushall()
    library.with_backend(server.url, lambda opened: library.fill(opened, QUEUE, [*jobs, *anchor()]))
    filters = {"q": q, "task": task, "job_id": job_id}
    theirs = inspected(server.url, **filters, sort=sort)
    given_filters = [arg for name, text in filters.items() for arg in (f"--{name.replace('_', '-')}", text)]

    for state in ("failed", "completed", "waiting"):
        ours = cli(
            *("jobs", "list", QUEUE, "--state", state, "--json", "--sort", sort),
            *("--page", str(page), "--size", str(size), *given_filters),
        ).json
        # Equal times go by id; the library leaves those in the order in which it met them.
        ordered = sorted(
            theirs[state].jobs,
            key=lambda job: (library_time(job), job["id"]),
            reverse=sort == "newest",
        )
        assert ours["total"] == theirs[state].total
        assert ours["total_pages"] == max(1, -(-ours["total"] // size))
        assert [job["id"] for job in ours["jobs"]] == [
            job["id"] for job in ordered[(page - 1) * size : page * size]
        ]


def library_time(job: dict[str, Any]) -> float:
    from asyncmq.core.inspection import extract_job_timestamp

    return extract_job_timestamp(job)


@pytest.mark.parametrize("state", [state for state in library.STATES if state != "waiting-children"])
def test_a_shown_job_is_the_one_that_the_library_gets(
    state: str, server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    async def make(opened: RedisBackend) -> Any:
        await library.put(opened, QUEUE, state, library.job("one", args=["x" * 100_000], ttl=9))
        return await opened.get_job(QUEUE, "one")

    stored = library.with_backend(server.url, make)
    shown = cli("jobs", "show", QUEUE, "one", "--json").json

    assert shown["payload"] == stored
    assert shown["queue"] == QUEUE
    assert shown["result"] == stored.get("result")
    assert (shown["error"] is not None) is (state == "failed")


def test_the_librarys_counts_are_ours(server: PrivateRedis, client: redis.Redis, cli: Run) -> None:
    jobs = [(state, library.job(f"{state}-{n}")) for state in library.STATES for n in range(2)]
    jobs = [
        (state, {**record, "depends_on": ["gone"]} if state == "waiting-children" else record)
        for state, record in jobs
    ]

    async def make(opened: RedisBackend) -> Any:
        await library.fill(opened, QUEUE, sorted(jobs, key=lambda item: item[0] == "waiting"))
        return await opened.queue_stats(QUEUE)

    stats = library.with_backend(server.url, make)
    row = cli("queues", "list", "--json").json["queues"][0]

    assert row["name"] == QUEUE
    assert row["waiting"] == stats["waiting"] == 2
    # The library leaves overdue jobs out of the delayed ones, and counts expired ones as failed.
    assert row["delayed"] == stats["delayed"] + 2 == 6
    assert row["failed"] + row["expired"] == row["dlq"] == stats["failed"] == 6
    assert (row["active"], row["completed"], row["cancelled"], row["waiting_children"]) == (2, 2, 2, 2)


def test_split_and_compressed_payloads_read_whole(
    server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    record = library.job("big", args=["y" * 70_000], kwargs={"n": list(range(20_000))})
    library.with_backend(server.url, lambda opened: library.put(opened, QUEUE, "waiting", record))
    key = f"jobs:{QUEUE}:big:payload".encode()
    assert client.get(key).startswith(b"asyncmq:zlib-json:v1:")

    listed = cli("jobs", "list", QUEUE, "--json").json["jobs"][0]
    assert listed["payload"]["args"] == record["args"]
    assert listed["payload"]["kwargs"] == record["kwargs"]


def test_ndjson_gives_every_match_and_not_a_page(server: PrivateRedis, client: redis.Redis, cli: Run) -> None:
    jobs = [("failed", library.job(f"f{n:03}", created_at=1e9 + n)) for n in range(60)]
    library.with_backend(server.url, lambda opened: library.fill(opened, QUEUE, jobs))
    import json

    found = [
        json.loads(line)["id"] for line in cli("jobs", "list", QUEUE, "--state", "failed", "--ndjson").lines
    ]
    assert sorted(found) == [f"f{n:03}" for n in range(60)]
    ordered = cli("jobs", "list", QUEUE, "--state", "failed", "--ndjson", "--sort", "newest").lines
    assert [json.loads(line)["id"] for line in ordered] == [f"f{n:03}" for n in reversed(range(60))]
    deep = cli("jobs", "list", QUEUE, "--state", "failed", "--json", "--page", "1001", "--size", "1").json
    assert (deep["jobs"], deep["total"], deep["total_pages"]) == ([], 60, 60)
