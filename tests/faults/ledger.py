"""Check a queue after many of its jobs were being changed: each job is in exactly one place, and each change
has exactly one success event."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import cycle, repeat

import redis

from tests.support import library

Keys = dict[str, set[str]]
DUE = 5e9


def fill(client: redis.Redis, queue: str, names: list[str], state: str) -> None:
    """Create jobs in a state, as the library would. A separate test compares the two."""
    client.flushall()
    client.set(f"queue:{queue}:waiting:seq", len(names))
    records = [library.job(name, status=state) for name in names]
    if state == "failed":
        library.bury(client, queue, records, 1.6e9)
        return
    pipe = client.pipeline(transaction=False)
    for number, record in enumerate(records, 1):
        pipe.set(f"jobs:{queue}:{record['id']}", json.dumps(record))
        pipe.sadd(f"jobs:{queue}:ids", record["id"])
        pipe.hset(f"jobs:{queue}:states", record["id"], state)
        if state == "active":
            pipe.hset(f"queue:{queue}:active", record["id"], str(1.6e9 + number))
        elif state == "delayed":
            pipe.zadd(f"queue:{queue}:delayed", {json.dumps(record): DUE + number})
        else:
            pipe.zadd(f"queue:{queue}:waiting", {record["id"]: 5e12 + number})
    pipe.execute()


def places(client: redis.Redis, queue: str) -> Keys:
    """The ids of the jobs in each key."""
    prefix = f"jobs:{queue}:"
    fixed = {f"{prefix}{name}" for name in ("ids", "states", "results")}
    found: Keys = {
        "record": {
            key.decode().removeprefix(prefix)
            for key in client.scan_iter("jobs:*", count=1000)
            if key.decode().startswith(prefix) and key.decode() not in fixed
        },
        "ids": texts(client.smembers(f"{prefix}ids")),
        "cancelled": texts(client.smembers(f"queue:{queue}:cancelled")),
        "waiting": texts(client.zrange(f"queue:{queue}:waiting", 0, -1)),
        "dlq": {json.loads(member)["id"] for member in client.zrange(f"queue:{queue}:dlq", 0, -1)},
        "delayed": {json.loads(m)["id"] for m in client.zrange(f"queue:{queue}:delayed", 0, -1)},
        "active": texts(client.hkeys(f"queue:{queue}:active")),
    }
    for name, state in client.hgetall(f"{prefix}states").items():
        found.setdefault(f"state {state.decode()}", set()).add(name.decode())
    return found


def texts(names: Iterable[bytes]) -> set[str]:
    return {name.decode() for name in names}


def in_(keys: Keys, name: str) -> set[str]:
    return {key for key, names in keys.items() if name in names}


WAITING = frozenset({"record", "ids", "waiting", "state waiting"})
DEAD = frozenset({"record", "ids", "dlq", "state failed"})
DELAYED = frozenset({"record", "ids", "delayed", "state delayed"})
ACTIVE = frozenset({"record", "ids", "active", "state active"})
NOWHERE = frozenset[str]()

# The keys that contain a job before the change, and after it.
CHANGES = {
    "retry": (DEAD, WAITING),
    "remove": (DEAD, NOWHERE),
    "cancel": (WAITING, frozenset({"record", "ids", "cancelled", "state cancelled"})),
    "requeue": (ACTIVE, WAITING),
    "restore": (NOWHERE, DEAD),
    "run-now": (DELAYED, WAITING),
    "add": (NOWHERE, WAITING),
}
# The same for a repair, one row per job.
REPAIRS = (
    (WAITING - {"waiting"}, WAITING),
    (DEAD - {"dlq"}, DEAD),
    (WAITING - {"ids"}, WAITING),
    (frozenset({"ids"}), NOWHERE),
)
STATE = {
    "retry": "failed",
    "remove": "failed",
    "cancel": "waiting",
    "requeue": "active",
    "run-now": "delayed",
}


def damage(client: redis.Redis, queue: str, names: list[str]) -> None:
    """Damage these jobs in ways that the doctor can repair."""
    of_repair = [names[number :: len(REPAIRS)] for number in range(len(REPAIRS))]
    fill(client, queue, names, "waiting")
    pipe = client.pipeline(transaction=False)
    pipe.zrem(f"queue:{queue}:waiting", *of_repair[0], *of_repair[1], *of_repair[3])
    for name in of_repair[1]:
        pipe.set(f"jobs:{queue}:{name}", json.dumps(library.job(name, status="failed")))
        pipe.hset(f"jobs:{queue}:states", name, "failed")
    pipe.srem(f"jobs:{queue}:ids", *of_repair[2])
    pipe.hdel(f"jobs:{queue}:states", *of_repair[3])
    pipe.delete(*(f"jobs:{queue}:{name}" for name in of_repair[3]))
    pipe.execute()


def changed(client: redis.Redis, queue: str, verb: str, names: list[str]) -> set[str]:
    """The jobs that were changed. Fails unless each job is in exactly one place and has its event."""
    keys = places(client, queue)
    strangers = set().union(*keys.values()) - set(names)
    assert not strangers
    meant = cycle(REPAIRS) if verb == "repair" else repeat(CHANGES[verb])
    done = set()
    for name, (before, after) in zip(names, meant):  # noqa: B905 - the one is endless
        where = in_(keys, name)
        assert where in (before, after), f"{name} is half changed: in {where}"
        if where == after:
            done.add(name)
    assert successes(client, lambda action: action.endswith(f".{verb}")) == dict.fromkeys(done, 1)
    return done


def successes(client: redis.Redis, wanted: Callable[[str], bool]) -> Counter[str]:
    trail = library.events(client)
    return Counter(e["job_id"] for e in trail if e["status"] == "success" and wanted(e["action"]))
