"""Damaged and hostile data under every key that AsyncMQ uses."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import redis

SECRET = "hunter2-S3CR3T"
"""Stands only where a secret may be looked for, so it must never be shown."""

NAMES = [
    b"plain",
    b"two\nlines\r\n",
    b"glob*[a-z]?\\{x}",
    b"\x1b[31mred\x1b[0m\x1b]0;title\x07",
    "\u202egnp.exe\u202c\u2066\u200f".encode(),
    b"\xff\xfe\x00\x80",
    "\u009b31m\u0085\u2028".encode(),
    b"x" * 10_000,
    b"",
    b":",
    b"ids",
    b"x:payload",
    b"'; DROP",
    "e\u0301\U0001f600\u200d".encode(),
    b"[/red][bold]markup[/]",
    b"%s{}{0}$HOME`id`",
    b"-",
    b"--all",
]

TRACE = (
    'Traceback (most recent call last):\n  File "\x1b[2J/app/a.py", line 9, in \u202ef\n'
    f"    x(password='{SECRET}')\nValueError: token={SECRET} \x1b]8;;http://evil\x07"
)


def secret(rng: random.Random) -> Any:
    """The secret at a random depth, under a name that marks it as a secret."""
    name = rng.choice(["password", "api_key", "X-Auth-TOKEN", "clientSecret", "private-key", "Authorization"])
    value: Any = {name: rng.choice([SECRET, [SECRET], {"a": SECRET}])}
    for _ in range(rng.choice([0, 1, 3, 30, 190, 250])):
        value = rng.choice([lambda v: [v], lambda v: {"a": v}])(value)
    return value


def scalar(rng: random.Random) -> Any:
    return rng.choice(
        [
            None,
            True,
            -1,
            2**70,
            -0.0,
            float("nan"),
            float("inf"),
            1e308,
            "\ud800",
            "a\x00b",
            "1e999",
            "\x1b[31m",
            "\u202e",
            [],
            {},
            "z" * rng.choice([1, 100, 70_000]),
            f"postgres://user:{SECRET}@db/x",
            f"Authorization: Bearer {SECRET}",
            json.dumps({"api_token": SECRET}),
            TRACE,
        ]
    )


FIELDS = (
    *("id", "task", "task_id", "name", "args", "kwargs", "retries", "max_retries", "backoff", "ttl"),
    *("created_at", "last_attempt", "status", "result", "last_error", "error_traceback", "delay_until"),
    *("priority", "depends_on", "repeat_every", "run_at", "timestamp", "active_since", "progress"),
    *("every", "cron", "paused", "heartbeat", "concurrency"),
)


def document(rng: random.Random, name: bytes) -> bytes:
    """A record, member or definition that is damaged or unusual."""
    job: dict[str, Any] = {"id": name.decode("utf-8", "replace"), "status": "waiting", "args": [secret(rng)]}
    for field in rng.sample(FIELDS, rng.randrange(len(FIELDS))):
        job[field] = scalar(rng)
    if rng.random() < 0.3:
        job["depends_on"] = [job["id"], job["id"], "ghost"]
    text = json.dumps(job).encode()
    damage: list[Callable[[], bytes]] = [
        lambda: text,
        lambda: text,
        lambda: text,
        lambda: text[: rng.randrange(len(text))],
        lambda: text.replace(b'"status"', b'"id": [], "status"', 1),
        lambda: rng.randbytes(rng.choice([0, 1, 30, 5000])),
        lambda: (
            text[:-1]
            + b', "deep": '
            + b"[" * (depth := rng.choice([100, 400, 990, 50_000]))
            + b"]" * depth
            + b"}"
        ),
        lambda: b"\xff" + text,
        lambda: text + b" trailing",
        lambda: b"null",
        lambda: b'"text"',
        lambda: b"123",
        lambda: b"asyncmq:zlib-json:v1:" + text,
    ]
    return rng.choice(damage)()


def score(rng: random.Random) -> float:
    return rng.choice([0.0, -1.5, 1.7e9, 5e12 + 3, 1e300, float("inf"), float("-inf"), 253402300800.0])


def fill(client: redis.Redis, rng: random.Random) -> tuple[bytes, list[bytes]]:
    """Create a queue of damaged jobs. Returns its name and their ids."""
    client.flushall()
    queue = rng.choice([name for name in NAMES if name])
    q, j, d = b"queue:" + queue + b":", b"jobs:" + queue + b":", b"deps:" + queue + b":"
    jobs = rng.sample(NAMES, 6)
    states = [b"waiting", b"active", b"delayed", b"failed", b"expired", b"completed", b"cancelled", b"\xff"]
    put: list[tuple[Any, ...]] = []
    for name in jobs:
        put += [
            ("SADD", j + b"ids", name),
            ("HSET", j + b"states", name, rng.choice(states)),
            ("SET", j + name, document(rng, name)),
            ("ZADD", q + rng.choice([b"waiting", b"delayed", b"dlq"]), score(rng), document(rng, name)),
            ("ZADD", q + b"waiting", score(rng), name),
            ("ZADD", q + b"repeatables", score(rng), document(rng, name)),
            ("HSET", j + b"results", name, document(rng, name)),
            ("HSET", q + b"active", name, rng.choice([b"1.7e9", b"soon", b"", b"nan"])),
            ("HSET", q + b"heartbeats", name, b"x"),
            ("SADD", q + b"cancelled", name),
            ("SADD", d + b"parent:" + name, *jobs),
            ("SADD", d + name + b":pending", *jobs),
            ("HSET", q + b"worker_heartbeats", name, document(rng, name)),
            ("XADD", b"asyncmq-cli:audit", "*", *audit_entry(rng, name)),
        ]
        if rng.random() < 0.3:
            put.append(("SET", j + name + b":payload", document(rng, name)))
    put.append(("SET", q + b"paused", b"1"))
    rng.shuffle(put)
    # Leave out some commands, so that only parts of a job exist.
    for command in put[: int(len(put) * rng.uniform(0.5, 1))]:
        execute(client, command)
    for key in {command[1] for command in put if rng.random() < 0.03}:
        client.delete(key)
        execute(client, rng.choice([("RPUSH", key, "x"), ("SET", key, b"\x1b"), ("HSET", key, "a", "b")]))
    return queue, jobs


def execute(client: redis.Redis, command: tuple[Any, ...]) -> None:
    """Run a command. A type error is ignored: a hostile queue name may make two keys the same, and the first
    one stays."""
    try:
        client.execute_command(*command)
    except redis.ResponseError as exc:
        assert "WRONGTYPE" in str(exc), exc


def audit_entry(rng: random.Random, name: bytes) -> list[bytes]:
    event = {
        "action": scalar(rng),
        "source": "x",
        "status": "failed",
        "queue": scalar(rng),
        "job_id": name.decode("utf-8", "replace"),
        "actor": "\x1b[5m",
        "details": rng.choice([secret(rng), scalar(rng)]),
        "error": TRACE,
    }
    text = rng.choice([json.dumps(event).encode(), document(rng, name)])
    stamp = rng.choice([b"1.5", b"nan", b"inf", b"", b"1e300", b"\xff"])
    return [b"timestamp", stamp, b"event", text] if rng.random() < 0.9 else [b"event", text]
