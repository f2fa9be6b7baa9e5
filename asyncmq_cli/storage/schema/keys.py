"""The names of all keys of AsyncMQ's layout, and of the tool's own streams.

Keys are bytes: the name of a queue or a job may contain any bytes, and must lead back to the same key even if
they are not UTF-8.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice

AUDIT_STREAM = b"asyncmq-cli:audit"
AUDIT_HEAD = AUDIT_STREAM + b":head"
METRICS_STREAM = b"asyncmq-cli:metrics"
RESTORED_HASH = b"asyncmq-cli:restored"
"""A hash: by the run id of a removal with a backup, when a job was first restored from that backup."""
EVENTS_CHANNEL = b"asyncmq:events"
"""The channel on which AsyncMQ publishes events. Source: `RedisBackend.emit_event` in
asyncmq.backends.redis."""

PLACES = ("waiting", "delayed", "dlq")
"""The sorted sets that contain jobs."""
PLACE_OF_STATE = {
    "waiting": "waiting",
    "delayed": "delayed",
    "active": "active",
    "failed": "dlq",
    "expired": "dlq",
}
"""By state, the place that its jobs are in: a sorted set or the active hash. Jobs in other states are in no
place."""

# The suffixes of keys that prove that their queue exists, with their Redis types.
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

_PAYLOAD_SUFFIX = b":payload"
PAYLOAD_PATTERN = b"jobs:*" + _PAYLOAD_SUFFIX
DEPENDENCIES_PATTERN = b"deps:*"
_PENDING_SUFFIX, _PARENT_PREFIX = b":pending", b"parent:"

# This pattern matches all keys above but few job records (`jobs:Q:<uuid>`): it has both first words, and the
# first letters of the suffixes. The colon after the star lets Redis reject most positions in a name at once,
# which halves the cost of the pattern.
_SUFFIX_OPENINGS = b"".join(
    b"[%b]" % bytes(sorted(set(letters)))
    for letters in islice(zip(*QUEUE_SUFFIXES, *JOBS_SUFFIXES, strict=False), 3)
)
_FIRST_WORDS = b"[qj][uo][eb]*:"
DISCOVERY_PATTERN = _FIRST_WORDS + _SUFFIX_OPENINGS + b"*"


_GLOB = re.compile(rb"([*?\[\]\\^-])")


def beginning_with(prefix: bytes) -> bytes:
    """The pattern for names that begin with `prefix`."""
    return _GLOB.sub(rb"\\\1", prefix) + b"*"


def discovery_pattern(prefix: bytes) -> bytes:
    """The same as DISCOVERY_PATTERN, for queues whose names begin with `prefix`."""
    return _FIRST_WORDS + beginning_with(prefix) + b":" + _SUFFIX_OPENINGS + b"*"


def to_bytes(text: str) -> bytes:
    """The stored form of a name: the inverse of `to_text` for any bytes."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        # A lone surrogate that comes from a JSON escape and not from `to_text`.
        return text.encode("utf-8", "surrogatepass")


def to_text(name: bytes) -> str:
    """A name as text; bytes that are not UTF-8 become lone surrogates."""
    return name.decode("utf-8", "surrogateescape")


class QueueKeys:
    """The keys of one queue."""

    def __init__(self, queue: str) -> None:
        self.queue = queue
        name = to_bytes(queue)
        of_queue = self._queue = b"queue:" + name + b":"
        of_jobs = self._jobs = b"jobs:" + name + b":"
        self._deps = b"deps:" + name + b":"
        self.waiting = of_queue + b"waiting"
        self.waiting_seq = of_queue + b"waiting:seq"
        self.delayed = of_queue + b"delayed"
        self.dlq = of_queue + b"dlq"
        self.active = of_queue + b"active"
        self.heartbeats = of_queue + b"heartbeats"
        self.cancelled = of_queue + b"cancelled"
        self.paused = of_queue + b"paused"
        self.repeatables = of_queue + b"repeatables"
        self.worker_heartbeats = of_queue + b"worker_heartbeats"
        self.ids = of_jobs + b"ids"
        self.states = of_jobs + b"states"
        self.results = of_jobs + b"results"

    @property
    def scheduler_lock(self) -> bytes:
        """The lock that a scheduler holds while it advances the queue's repeatables. Source:
        `_process_backend_repeatables_with_lock` in asyncmq.schedulers."""
        return b"asyncmq:" + to_bytes(self.queue) + b":repeatable-scheduler"

    def record(self, job_id: str) -> bytes:
        return self._jobs + to_bytes(job_id)

    def has_own_record(self, job_id: str) -> bool:
        """Whether the key of the job's record differs from the keys that all jobs share."""
        return self.record(job_id) not in (self.ids, self.states, self.results)

    def payload(self, job_id: str) -> bytes:
        return self.record(job_id) + _PAYLOAD_SUFFIX

    def of_job(self, job_id: str) -> tuple[bytes, ...]:
        """The keys of a job other than the sorted sets, in the order of the scripts' KEYS: its record, its
        payload part, and the set and hashes that all jobs share."""
        return (
            self.record(job_id),
            self.payload(job_id),
            self.ids,
            self.states,
            self.results,
            self.active,
        )

    def job_of_payload(self, key: bytes) -> str | None:
        """The id of the job whose payload part is stored at this key, or None if it is not a payload key of
        this queue."""
        if not (key.startswith(self._jobs) and key.endswith(_PAYLOAD_SUFFIX)):
            return None
        return to_text(key[len(self._jobs) : -len(_PAYLOAD_SUFFIX)])

    def pending_parents(self, job_id: str) -> bytes:
        return self._deps + to_bytes(job_id) + _PENDING_SUFFIX

    def children(self, job_id: str) -> bytes:
        return self._deps + _PARENT_PREFIX + to_bytes(job_id)

    def jobs_of_dependencies(self, key: bytes) -> list[str]:
        """The ids of the jobs whose set of parents or children may be stored at this key: none if it is not
        such a key of this queue, two if an id resembles part of a key name."""
        if not key.startswith(self._deps):
            return []
        rest = key[len(self._deps) :]
        found = [rest[: -len(_PENDING_SUFFIX)]] if rest.endswith(_PENDING_SUFFIX) else []
        found += [rest[len(_PARENT_PREFIX) :]] if rest.startswith(_PARENT_PREFIX) else []
        return [to_text(name) for name in found]

    def evidence(self) -> dict[bytes, bytes]:
        """The keys that prove that the queue exists, with their types."""
        found = {self._queue + suffix: kind for suffix, kind in QUEUE_SUFFIXES.items()}
        found.update({self._jobs + suffix: kind for suffix, kind in JOBS_SUFFIXES.items()})
        return found


def possible_queues(key: bytes) -> Iterator[bytes]:
    """The queues that a key may belong to, the longest name first. There may be several, because names and
    ids can contain colons."""
    _, _, rest = key.partition(b":")
    end = rest.rfind(b":")
    while end >= 0:
        yield rest[:end]
        end = rest.rfind(b":", 0, end)


@lru_cache(maxsize=64)
def keys_of(queue: str) -> QueueKeys:
    """The keys of a queue, cached for changes of many jobs."""
    return QueueKeys(queue)


def queue_of(key: bytes) -> tuple[bytes, bytes | None] | None:
    """The queue that a key belongs to, and the type that the key must have to prove that the queue exists;
    None if it belongs to no queue.

    The type is None if the name of the key is enough. It is not enough for keys that begin with `jobs:`: the
    record of a job with an id such as `x:ids` also ends in a suffix.
    """
    for prefix, suffixes, certain in (
        (b"queue:", QUEUE_SUFFIXES, True),
        (b"jobs:", JOBS_SUFFIXES, False),
    ):
        if not key.startswith(prefix):
            continue
        rest = key[len(prefix) :]
        # Try the longest suffix first: `waiting:seq` before any suffix that it might end in.
        for suffix in sorted(suffixes, key=len, reverse=True):
            if rest.endswith(b":" + suffix):
                return rest[: -len(suffix) - 1], None if certain else suffixes[suffix]
    return None
