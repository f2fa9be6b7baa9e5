"""A large keyspace in AsyncMQ's exact layout, written many jobs at a time.

`jobs` describes the content of a queue, the same for the same seed, and `write` writes it to Redis.
tests/support/test_keyspace.py writes the same jobs with the library and compares.
"""

from __future__ import annotations

import json
import random
import socket
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from asyncmq_cli.storage.schema.codec import encode_record
from asyncmq_cli.storage.schema.keys import QueueKeys

BIG = "mail"
SMALL_QUEUES = 1000
SMALL_JOBS = 10
PRIORITIES = (1, 3, 5, 7, 9)
EVERY_SPLIT = 2000
"""One job in so many is too large for one record."""

# How many of a million jobs are in each state. Expired ones lie in the dead-letter queue too.
SHARES = {
    "completed": 400_000,
    "failed": 300_000,
    "waiting": 200_000,
    "delayed": 80_000,
    "active": 5_000,
    "expired": 5_000,
    "cancelled": 5_000,
    "waiting-children": 5_000,
}
_START = 1_700_000_000.0
_DUE = 4_000_000_000.0
"""Far ahead: a delayed job of this keyspace never falls due."""

TASKS = ("app.mail.send", "app.reports.nightly", "app.invoices.render", "app.search.index")
_ERRORS = (
    ("smtp.py", "connect", "ConnectionRefusedError: [Errno 111] Connection refused"),
    ("pdf.py", "render", "ValueError: order {number} has no lines"),
    ("http.py", "fetch", "TimeoutError: https://example.org/{number} took 30 s"),
    ("tax.py", "rate", "KeyError: 'country-{number}'"),
)
_CHUNK = 1000


@dataclass(frozen=True, slots=True)
class Made:
    """One job: its parameters when it was enqueued, its outcome, and the times.

    `claimed_at` and `ended_at` are epoch seconds, `due_at` is the score of a delayed job, and `result` the
    value that a completed job returned.
    """

    state: str
    record: dict[str, Any]
    claimed_at: float
    ended_at: float
    due_at: float
    error: str
    result: Any

    @property
    def id(self) -> str:
        return str(self.record["id"])


def counts_of(total: int) -> dict[str, int]:
    """The number of jobs in each state, of `total`; the remainder of the division is completed."""
    counts = {state: share * total // 1_000_000 for state, share in SHARES.items()}
    counts["completed"] += total - sum(counts.values())
    return counts


def jobs(queue: str, counts: dict[str, int], seed: int, *, split_every: int = EVERY_SPLIT) -> Iterator[Made]:
    chosen = random.Random(f"{seed}:{queue}")
    number = 0
    for state, count in counts.items():
        for _ in range(count):
            number += 1
            yield _made(queue, state, number, chosen, split=number % split_every == 0)


def _made(queue: str, state: str, number: int, chosen: random.Random, *, split: bool) -> Made:
    # No finer than Lua's JSON, through which the library sends a claimed job, would leave it.
    created = _START + chosen.randrange(10_000_000) + chosen.randrange(1000) / 1e3
    file, function, message = chosen.choice(_ERRORS)
    kwargs: dict[str, Any] = {
        "to": f"customer-{number}@example.org",
        "subject": f"Your order {number}",
        "reference": f"{chosen.getrandbits(160):040x}",
        "lines": [{"sku": f"A-{number % 977}", "count": number % 7 + 1}],
    }
    if split:
        kwargs["attachment"] = f"{chosen.getrandbits(8 * 20_000):040000x}" * 2
    record = {
        "id": str(uuid.UUID(int=chosen.getrandbits(128), version=4)),
        "task": chosen.choice(TASKS),
        "args": [number],
        "kwargs": kwargs,
        "retries": 0,
        "max_retries": 0,
        "backoff": 1.5,
        "ttl": None,
        "created_at": created,
        "last_attempt": None,
        "status": "waiting",
        "result": None,
        "last_error": None,
        "error_traceback": None,
        "delay_until": None,
        "priority": PRIORITIES[number % len(PRIORITIES)],
        "depends_on": [f"parent-{queue}-{number % 100}"] if state == "waiting-children" else [],
        "repeat_every": None,
        "deduplication": None,
    }
    error = (
        f'Traceback (most recent call last):\n  File "{file}", line 9, in {function}\n'
        f"{message.format(number=number)}\n"
    )
    return Made(
        state=state,
        record=record,
        claimed_at=created + 60,
        ended_at=created + 61,
        due_at=_DUE + number,
        error=error,
        result={"sent": number},
    )


def stored(made: Made) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """The record of the job, and the job as the member of its sorted set; None if it is in none, or only with
    its id."""
    waiting = {**made.record, "status": "waiting", "has_dependents": False}
    claimed = {**made.record, "active_since": made.claimed_at}
    if made.state == "delayed":
        # `enqueue_delayed` writes the status that the producer gave the job into the member.
        return {**made.record, "status": "delayed"}, made.record
    if made.state == "failed":
        failure = {"retries": 1, "last_error": made.error, "error_traceback": made.error}
        record = {**claimed, **failure, "status": "failed"}
        return record, record
    if made.state == "expired":
        record = {**claimed, "status": "expired"}
        return record, record
    if made.state == "cancelled":
        record = {**waiting, "status": "cancelled"}
        record.pop("result")
        return record, None
    return waiting, None


class Writer:
    """Sends commands to Redis in large pieces, and reads the replies at the end of each."""

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(path)
        self._answers = self._socket.makefile("rb")
        self._sent: list[bytes] = []

    def add(self, *parts: bytes) -> None:
        head = b"*%d\r\n" % len(parts)
        self._sent.append(head + b"".join([b"$%d\r\n%b\r\n" % (len(part), part) for part in parts]))

    def flush(self) -> None:
        count = len(self._sent)
        self._socket.sendall(b"".join(self._sent))
        self._sent.clear()
        for _ in range(count):
            answer = self._answers.readline()
            if not answer.startswith((b"+", b":")):
                raise RuntimeError(f"Redis answered {answer!r}")

    def close(self) -> None:
        self._answers.close()
        self._socket.close()


def write(path: str, queue: str, made: Iterable[Made]) -> int:
    """Write the jobs through the UNIX socket `path`. Returns how many there were."""
    writer = Writer(path)
    sequence = total = 0
    rest = iter(made)
    while piece := list(islice(rest, _CHUNK)):
        total += len(piece)
        sequence = _write_piece(writer, QueueKeys(queue), piece, sequence)
        writer.flush()
    writer.close()
    return total


def _write_piece(writer: Writer, keys: QueueKeys, piece: list[Made], sequence: int) -> int:
    """Write some jobs. Every job except a delayed one is enqueued first, with the next number of the
    sequence."""
    states: list[bytes] = []
    results: list[bytes] = []
    claims: list[bytes] = []
    cancelled: list[bytes] = []
    waiting: list[bytes] = []
    delayed: list[bytes] = []
    dead: list[bytes] = []
    for made in piece:
        name, priority = made.id.encode(), made.record["priority"]
        record, member = stored(made)
        _write_record(writer, keys, made, record)
        if made.state not in ("delayed", "waiting-children"):
            sequence += 1
        if made.state == "waiting":
            waiting += [b"%d" % (priority * 10**12 + sequence), name]
        elif made.state == "delayed":
            delayed += [repr(made.due_at).encode(), json.dumps(member).encode()]
        elif made.state in ("failed", "expired"):
            dead += [repr(made.ended_at).encode(), json.dumps(member).encode()]
        elif made.state == "completed":
            results += [name, json.dumps(made.result).encode()]
        elif made.state == "active":
            claims += [name, repr(made.claimed_at).encode()]
        elif made.state == "cancelled":
            cancelled.append(name)
        else:
            _write_parents(writer, keys, made)
        if made.state != "waiting-children":
            states += [name, made.state.encode()]
    writer.add(b"SADD", keys.ids, *(made.id.encode() for made in piece))
    for command, key, parts in (
        (b"HSET", keys.states, states),
        (b"HSET", keys.results, results),
        (b"HSET", keys.active, claims),
        (b"SADD", keys.cancelled, cancelled),
        (b"ZADD", keys.waiting, waiting),
        (b"ZADD", keys.delayed, delayed),
        (b"ZADD", keys.dlq, dead),
    ):
        if parts:
            writer.add(command, key, *parts)
    if sequence:
        writer.add(b"SET", keys.waiting_seq, b"%d" % sequence)
    return sequence


def _write_record(writer: Writer, keys: QueueKeys, made: Made, record: dict[str, Any]) -> None:
    """Write the record. That of a split job has only metadata; the scripts of a worker replace it by the
    whole job, and its payload part remains."""
    text, payload = encode_record(record)
    whole = made.state in ("failed", "expired")
    writer.add(b"SET", keys.record(made.id), json.dumps(record).encode() if whole else text.encode())
    if whole:
        payload = encode_record({**made.record, "status": "waiting", "has_dependents": False})[1]
    if payload is not None:
        writer.add(b"SET", keys.payload(made.id), payload.encode())


def _write_parents(writer: Writer, keys: QueueKeys, made: Made) -> None:
    for parent in made.record["depends_on"]:
        writer.add(b"SADD", keys.pending_parents(made.id), parent.encode())
        writer.add(b"SADD", keys.children(parent), made.id.encode())


def small_counts() -> dict[str, int]:
    return {
        "completed": SMALL_JOBS - 6,
        "failed": 2,
        "waiting": 2,
        "delayed": 1,
        "active": 1,
    }


def small_queues() -> list[str]:
    return [f"tenant:{number:04}" for number in range(SMALL_QUEUES)]


def fill(path: str, total: int, seed: int = 1) -> None:
    """Write the whole keyspace: the big queue of `total` jobs and the small queues."""
    write(path, BIG, jobs(BIG, counts_of(total), seed))
    for queue in small_queues():
        write(path, queue, jobs(queue, small_counts(), seed))
