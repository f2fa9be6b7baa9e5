"""The least that a task can cost: `python -m tests.benchmarks.floors NAME ARGUMENT…`.

Each fetches, with redis-py and hiredis, what the tool must fetch for the same task, in pieces of
the same size, and decodes nothing. Where the name of the next key lies within what was fetched
(the id in a member), it is cut out at the place where the generator put it.
"""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import redis

from tests.benchmarks.keyspace import BIG, small_queues

PIECE = 1000
BODIES = 600
"""About as many records or members as make half a megabyte, which is a piece of the tool's."""
WRITES = 1000
_ID = slice(len('{"id": "'), len('{"id": "') + 36)


def _client() -> Any:
    return redis.Redis.from_url(os.environ["ASYNCMQ_REDIS_URL"], protocol=2)


def _pieces(scan: Callable[..., Any], *args: Any, count: int = PIECE) -> Iterator[Any]:
    cursor: int | None = None
    while cursor != 0:
        cursor, found = scan(*args, cursor=cursor or 0, count=count)
        if found:
            yield found


def _records(client: Any, ids: list[bytes]) -> None:
    for start in range(0, len(ids), BODIES):
        client.mget([b"jobs:mail:" + job_id for job_id in ids[start : start + BODIES]])


def _members(client: Any, name: str) -> Iterator[list[bytes]]:
    """The ids of the jobs in a sorted set, of which the states are read too."""
    bodies = name != "waiting"
    for found in _pieces(client.zscan, f"queue:{BIG}:{name}", count=BODIES if bodies else PIECE):
        ids = [member[_ID] if bodies else member for member, _ in found]
        client.hmget(f"jobs:{BIG}:states", ids)
        yield ids


def place(name: str) -> None:
    """A sorted set with the states and records of its jobs. A dead letter is the job as it died, so that its
    record is not needed."""
    client = _client()
    for ids in _members(client, name):
        if name != "dlq":
            _records(client, ids)


def anywhere(state: str) -> None:
    """The jobs in a state without a sorted set: the ids, the states, and the records."""
    client = _client()
    beside = {b"completed": "jobs:mail:results", b"active": "queue:mail:active"}
    wanted = state.encode()
    for ids in _pieces(client.sscan, f"jobs:{BIG}:ids"):
        states = client.hmget(f"jobs:{BIG}:states", list(ids))
        stateless = [job_id for job_id, held in zip(ids, states, strict=True) if held is None]
        chosen = stateless + [job_id for job_id, held in zip(ids, states, strict=True) if held == wanted]
        if wanted == b"all":
            chosen = list(ids)
        if chosen:
            _records(client, chosen)
        for held_as, key in beside.items():
            if wanted in (held_as, b"all"):
                held = [i for i, state in zip(ids, states, strict=True) if state == held_as]
                if held:
                    client.hmget(key, held)


def everything() -> None:
    """All jobs, and the sorted sets with the states of their members, because some jobs may be only there."""
    anywhere("all")
    client = _client()
    for name in ("waiting", "delayed", "dlq"):
        for _ in _members(client, name):
            pass


def whole() -> None:
    """Each key of the queue once: the collections, the records, and the parts that were split off."""
    client = _client()
    for ids in _pieces(client.sscan, f"jobs:{BIG}:ids"):
        _records(client, list(ids))
    for name in (f"jobs:{BIG}:states", f"jobs:{BIG}:results", f"queue:{BIG}:active"):
        for _ in _pieces(client.hscan, name):
            pass
    for name in ("waiting", "delayed", "dlq"):
        for _ in _pieces(client.zscan, f"queue:{BIG}:{name}", count=PIECE if name == "waiting" else BODIES):
            pass
    for _ in _pieces(client.sscan, f"queue:{BIG}:cancelled"):
        pass
    for names in _pieces(client.scan):
        parts = [name for name in names if name.startswith(b"jobs:mail:") and name.endswith(b":payload")]
        if parts:
            client.mget(parts)
        for name in names:
            if name.startswith(b"deps:mail:"):
                client.smembers(name)


def scan() -> None:
    """One SCAN of the keyspace."""
    for _ in _pieces(_client().scan):
        pass


def discovery() -> None:
    """One SCAN of the keyspace, and each queue's states once."""
    scan()
    for queue in (BIG, *small_queues()):
        states(queue)


def states(queue: str = BIG) -> None:
    client = _client()
    for _ in _pieces(client.hscan, f"jobs:{queue}:states"):
        pass


def one() -> None:
    """One job: its record, state and result."""
    client = _client()
    job_id = client.srandmember(f"jobs:{BIG}:ids")
    client.mget([b"jobs:mail:" + job_id])
    client.hmget(f"jobs:{BIG}:states", [job_id])
    client.hmget(f"jobs:{BIG}:results", [job_id])


def retry(prepared: str) -> None:
    """The end state of a retry of the jobs in a file: member, priority, id, new record and event of each."""
    client = _client()
    keys = {name: f"queue:{BIG}:{name}" for name in ("dlq", "waiting", "waiting:seq")}
    jobs: list[tuple[bytes, int, bytes, bytes, bytes]] = pickle.loads(Path(prepared).read_bytes())  # noqa: S301
    sequence = client.incrby(keys["waiting:seq"], len(jobs)) - len(jobs)
    for start in range(0, len(jobs), WRITES):
        pipe = client.pipeline(transaction=False)
        for member, priority, job_id, record, event in jobs[start : start + WRITES]:
            sequence += 1
            pipe.zrem(keys["dlq"], member)
            pipe.zadd(keys["waiting"], {job_id: priority * 10**12 + sequence})
            pipe.set(b"jobs:mail:" + job_id, record)
            pipe.delete(b"jobs:mail:" + job_id + b":payload")
            pipe.sadd(f"jobs:{BIG}:ids", job_id)
            pipe.hset(f"jobs:{BIG}:states", job_id, "waiting")
            pipe.hdel(f"jobs:{BIG}:results", job_id)
            pipe.xadd("asyncmq-cli:audit", {"timestamp": "1700000000.000000", "event": event})
        pipe.execute()


FLOORS: dict[str, Callable[..., None]] = {
    "place": place,
    "anywhere": anywhere,
    "everything": everything,
    "whole": whole,
    "scan": scan,
    "discovery": discovery,
    "states": states,
    "one": one,
    "retry": retry,
}

if __name__ == "__main__":
    FLOORS[sys.argv[1]](*sys.argv[2:])
