"""The latest jobs are found without reading most of the others."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asyncmq_cli import config
from asyncmq_cli.demo.server import PrivateRedis
from asyncmq_cli.models.values import as_number
from asyncmq_cli.services.monitoring.poller import LATEST_JOBS, newest_of
from asyncmq_cli.storage.store import Store

QUEUE = "mail"

TIMES: st.SearchStrategy[Any] = st.one_of(
    st.integers(0, 40),
    st.floats(0, 40),
    st.none(),
    st.booleans(),
    st.sampled_from(
        ["12", " 31.5 ", "soon", float("nan"), float("inf"), -5, 10**30, [30], {"created_at": 39}]
    ),
)
KEYS = st.sampled_from(["created_at", "timestamp", "created\\u005fat", "args", "note"])


def _stored(pairs: list[tuple[str, Any]], spaced: bool) -> str:
    """A record as an application might have written it: repeated names, escapes, and unusual spaces."""
    colon = " :\n " if spaced else ":"
    return "{" + ",".join(f'"{name}"{colon}{json.dumps(value)}' for name, value in pairs) + "}"


@pytest.fixture
def store(server: PrivateRedis, client: redis.Redis) -> Iterator[Store]:
    opened = Store(config.resolve({"redis_url": server.url}, {}), warn=lambda message: None)
    yield opened
    opened.close()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    records=st.lists(
        st.tuples(
            st.lists(st.tuples(KEYS, TIMES), max_size=4),
            st.booleans(),
            st.sampled_from(["completed", "failed", "waiting", None]),
        ),
        max_size=40,
    )
)
def test_the_latest_jobs_equal_those_found_by_reading_every_job(
    records: list[tuple[list[tuple[str, Any]], bool, str | None]], client: redis.Redis, store: Store
) -> None:
    client.flushall()
    for number, (pairs, spaced, state) in enumerate(records):
        client.sadd(f"jobs:{QUEUE}:ids", f"job-{number:02d}")
        client.set(f"jobs:{QUEUE}:job-{number:02d}", _stored(pairs, spaced))
        if state is not None:
            client.hset(f"jobs:{QUEUE}:states", f"job-{number:02d}", state)

    def created(job: Any) -> float:
        return as_number(job.get("timestamp")) or job.created_at or 0.0

    jobs = sorted(store.jobs.in_state(QUEUE, "all"), key=lambda job: (-created(job), job.id))
    expected = [(created(job), job.id, job.status) for job in jobs[:LATEST_JOBS]]
    assert [(job.created, job.id, job.state) for job in newest_of(store, QUEUE)] == expected


def test_most_jobs_are_not_looked_into(
    client: redis.Redis, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    from asyncmq_cli.storage.schema import job

    for number in range(3000):
        client.sadd(f"jobs:{QUEUE}:ids", f"{number}")
        client.set(f"jobs:{QUEUE}:{number}", json.dumps({"id": f"{number}", "created_at": 5.0 + number}))
    decoded = []
    whole = job.decode_strict_record
    monkeypatch.setattr(job, "decode_strict_record", lambda record: decoded.append(1) or whole(record))
    assert [job.id for job in newest_of(store, QUEUE)] == [str(number) for number in range(2999, 2989, -1)]
    assert len(decoded) < 2000
