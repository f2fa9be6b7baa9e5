"""Reading the claims of many queues at once gives the same as reading each queue separately."""

from __future__ import annotations

from typing import Any

import redis

from asyncmq_cli.cli.session import Session
from asyncmq_cli.demo.server import PrivateRedis
from tests.support.library import fill, job, with_backend


def test_claims_of_many_queues_are_those_of_each(server: PrivateRedis, client: redis.Redis) -> None:
    async def go(backend: Any) -> None:
        for queue in ("plain", "odd", "beating", "stateless", "wrong"):
            await fill(backend, queue, [("active", job(f"{queue}-{n}")) for n in range(3)])

    with_backend(server.url, go)
    many = {f"large-{n}": "7.5" for n in range(2000)}
    client.hset("queue:large:active", mapping=many)
    client.hset("jobs:large:states", mapping=dict.fromkeys(many, "active"))
    client.hset("queue:odd:active", "odd-0", "yesterday")
    client.hset("jobs:odd:states", "odd-1", "completed")
    client.hset("queue:beating:heartbeats", "beating-0", 7.5)
    client.hdel("jobs:stateless:states", "stateless-0")
    client.delete("queue:wrong:active")
    client.set("queue:wrong:active", "text")
    store = Session({"redis_url": server.url}).store
    found = store.claims.of_small(["plain", "odd", "beating", "stateless", "wrong", "large", "none"])
    # What needs more than two round trips, or is an error, is left to the reading of one queue.
    assert set(found) == {"plain", "odd"}
    for queue, claims in found.items():
        one_by_one = [claim for piece in store.claims.of(queue) for claim in piece]
        assert sorted(claims, key=str) == sorted(one_by_one, key=str)
    store.close()
    assert {(claim.job_id, claim.since, claim.state) for claim in found["odd"]} >= {("odd-0", None, "active")}
