"""Every key name of AsyncMQ's layout, and of the tool's own streams.

Names are bytes: a queue's or job's name may hold anything, and what is not UTF-8
must find its way back to the same key.
"""

from __future__ import annotations

from functools import cached_property

AUDIT_STREAM = b"asyncmq-cli:audit"

# Each kind of key that proves that its queue exists, and its Redis type.
QUEUE_SUFFIXES: dict[bytes, bytes] = {
    b"waiting": b"zset",
    b"waiting:seq": b"string",
    b"delayed": b"zset",
    b"dlq": b"zset",
    b"active": b"hash",
    b"heartbeats": b"hash",
    b"cancelled": b"set",
    b"paused": b"string",
    b"repeatables": b"zset",
    b"worker_heartbeats": b"hash",
}
JOBS_SUFFIXES: dict[bytes, bytes] = {b"ids": b"set", b"states": b"hash", b"results": b"hash"}

# A superset of all keys above, narrow enough that most job records (`jobs:Q:<uuid>`) stay
# in Redis: both first words, and only the letters in which the suffixes end.
DISCOVERY_PATTERN = b"[qj][uo][eb]*:*[gqdes]"


def to_bytes(text: str) -> bytes:
    """The stored form of a name. Undoes `to_text`, whatever bytes it was given."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        # A lone surrogate that came from a JSON escape, not from a byte.
        return text.encode("utf-8", "surrogatepass")


def to_text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


class QueueKeys:
    """The keys of one queue."""

    def __init__(self, queue: str) -> None:
        self.queue = queue
        name = to_bytes(queue)
        self._queue = b"queue:" + name + b":"
        self._jobs = b"jobs:" + name + b":"
        self._deps = b"deps:" + name + b":"

    @cached_property
    def waiting(self) -> bytes:
        return self._queue + b"waiting"

    @cached_property
    def waiting_seq(self) -> bytes:
        return self._queue + b"waiting:seq"

    @cached_property
    def delayed(self) -> bytes:
        return self._queue + b"delayed"

    @cached_property
    def dlq(self) -> bytes:
        return self._queue + b"dlq"

    @cached_property
    def active(self) -> bytes:
        return self._queue + b"active"

    @cached_property
    def heartbeats(self) -> bytes:
        return self._queue + b"heartbeats"

    @cached_property
    def cancelled(self) -> bytes:
        return self._queue + b"cancelled"

    @cached_property
    def paused(self) -> bytes:
        return self._queue + b"paused"

    @cached_property
    def repeatables(self) -> bytes:
        return self._queue + b"repeatables"

    @cached_property
    def worker_heartbeats(self) -> bytes:
        return self._queue + b"worker_heartbeats"

    @cached_property
    def scheduler_lock(self) -> bytes:
        """Held by a scheduler while it advances the queue's repeatables. Source:
        `_process_backend_repeatables_with_lock` in asyncmq.schedulers."""
        return b"asyncmq:" + to_bytes(self.queue) + b":repeatable-scheduler"

    @cached_property
    def ids(self) -> bytes:
        return self._jobs + b"ids"

    @cached_property
    def states(self) -> bytes:
        return self._jobs + b"states"

    @cached_property
    def results(self) -> bytes:
        return self._jobs + b"results"

    def record(self, job_id: str) -> bytes:
        return self._jobs + to_bytes(job_id)

    def payload(self, job_id: str) -> bytes:
        return self.record(job_id) + b":payload"

    def pending_parents(self, job_id: str) -> bytes:
        return self._deps + to_bytes(job_id) + b":pending"

    def children(self, job_id: str) -> bytes:
        return self._deps + b"parent:" + to_bytes(job_id)

    def evidence(self) -> dict[bytes, bytes]:
        """Every key that proves that the queue exists, and its type."""
        found = {self._queue + suffix: kind for suffix, kind in QUEUE_SUFFIXES.items()}
        found.update({self._jobs + suffix: kind for suffix, kind in JOBS_SUFFIXES.items()})
        return found


def queue_of(key: bytes) -> tuple[bytes, bytes | None] | None:
    """The queue that a key belongs to, and the type that the key must have to prove it.

    The type is None where the name alone is proof. It is not for keys under `jobs:`: there a
    job's record may end in one of the suffixes too (`jobs:Q:<id>` with an id like `x:ids`).
    """
    for prefix, suffixes, certain in (
        (b"queue:", QUEUE_SUFFIXES, True),
        (b"jobs:", JOBS_SUFFIXES, False),
    ):
        if not key.startswith(prefix):
            continue
        rest = key[len(prefix) :]
        # The longest suffix first: `waiting:seq` before anything that it might end in.
        for suffix in sorted(suffixes, key=len, reverse=True):
            if rest.endswith(b":" + suffix):
                return rest[: -len(suffix) - 1], None if certain else suffixes[suffix]
    return None
