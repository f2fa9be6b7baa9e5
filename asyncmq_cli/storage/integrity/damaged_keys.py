"""Find damaged keys: keys of the wrong type, and keys whose job does not exist."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import redis
from msgspec import Struct
from redis.exceptions import NoPermissionError

from asyncmq_cli.errors import WrongType
from asyncmq_cli.models.values import chunked
from asyncmq_cli.storage.client import scan
from asyncmq_cli.storage.client.connection import run_pipeline
from asyncmq_cli.storage.read import queue_names
from asyncmq_cli.storage.schema.keys import (
    AUDIT_STREAM,
    DEPENDENCIES_PATTERN,
    METRICS_STREAM,
    PAYLOAD_PATTERN,
    QueueKeys,
    possible_queues,
    to_bytes,
    to_text,
)

_COUNTABLE = re.compile(rb"0|[1-9][0-9]{0,14}")
"""The same as `is_countable` in prelude.lua: INCR refuses a number in any other form."""


class OrphanedKey(Struct, frozen=True):
    """A key of a job that has no record. If the key has the wrong type, `wrong_key` is its name."""

    queue: str
    job_id: str
    wrong_key: bytes | None = None


class DamagedKeys:
    """Finds damaged keys. `names`, which finds all queues, is called only for an orphaned key. `warn` is
    called for a key that the user may not read."""

    def __init__(
        self, client: redis.Redis, names: Callable[[], Sequence[str]], warn: Callable[[str], None]
    ) -> None:
        self._redis = client
        self._names = names
        self._warn = warn

    def wrong_streams(self) -> list[str]:
        """The keys of the tool's own streams that are not streams. Warns of those that the user may not
        read."""
        found = []
        for key in (AUDIT_STREAM, METRICS_STREAM):
            try:
                if self._redis.type(key) not in (b"none", b"stream"):
                    found.append(to_text(key))
            except NoPermissionError:
                self._warn(f"{to_text(key)!r} is not examined: the Redis user may not read it")
        return found

    def wrong_types(self, queue: str) -> list[str]:
        """The keys of the queue that do not have the type that AsyncMQ gives them."""
        keys = QueueKeys(queue)
        wrong = _of_wrong_type(self._redis, keys)
        if not _is_countable(self._redis, keys.waiting_seq):
            wrong.append(keys.waiting_seq)
        return [to_text(key) for key in dict.fromkeys(wrong)]

    def orphaned_payloads(self, queues: Sequence[str]) -> Iterator[OrphanedKey]:
        """Payload keys that have no record, or the wrong type, and may belong to these queues. Names may
        contain colons, so a key belongs to the queue with the longest matching name."""
        chosen = set(map(to_bytes, queues))
        every: Mapping[bytes, QueueKeys] = {}
        for piece, kinds in _typed_keys(self._redis, PAYLOAD_PATTERN):
            of_records = run_pipeline(self._redis, [("TYPE", key.rpartition(b":")[0]) for key in piece])
            for key, kind, of_record in zip(piece, kinds, of_records, strict=True):
                if (of_record != b"none" and kind == b"string") or chosen.isdisjoint(possible_queues(key)):
                    continue
                every = every or _by_name(self._names())
                owners = ((keys, keys.job_of_payload(key)) for keys in _owners(every, key))
                keys, job_id = next(((keys, one) for keys, one in owners if one is not None), (None, ""))
                if keys is None or kind == b"none":
                    continue
                if kind != b"string":
                    yield OrphanedKey(keys.queue, job_id, key)
                elif not _may_be_record(self._redis, keys, job_id):
                    yield OrphanedKey(keys.queue, job_id)

    def orphaned_dependencies(self, queues: Sequence[str]) -> Iterator[OrphanedKey]:
        """The same as `orphaned_payloads`, for sets of parents and children. A key that may belong to an
        existing job is left out."""
        chosen = _by_name(queues)
        every: Mapping[bytes, QueueKeys] = {}
        for found in _typed_keys(self._redis, DEPENDENCIES_PATTERN):
            doubtful = [
                (key, kind) for key, kind, _ in _of_no_job(self._redis, chosen, zip(*found, strict=True))
            ]
            if doubtful:
                every = every or _by_name(self._names())
                yield from (orphan for *_, orphan in _of_no_job(self._redis, every, doubtful))


def _of_wrong_type(client: redis.Redis, keys: QueueKeys) -> list[bytes]:
    expected = keys.evidence()
    types = run_pipeline(client, [("TYPE", key) for key in expected])
    # The pause mark may have any type, because workers only check that it exists.
    return [
        key
        for (key, kind), found in zip(expected.items(), types, strict=True)
        if found not in (b"none", kind) and not key.endswith(b":paused")
    ]


def _is_countable(client: redis.Redis, sequence: bytes) -> bool:
    """Whether INCR accepts the sequence of the waiting set. It accepts a missing one."""
    value = scan.get_many(client, [sequence], scan.Pace())[0]
    return value is None or _COUNTABLE.fullmatch(value) is not None


def _of_no_job(
    client: redis.Redis, queues: Mapping[bytes, QueueKeys], keys_of_types: Iterable[tuple[bytes, bytes]]
) -> Iterator[tuple[bytes, bytes, OrphanedKey]]:
    """The orphaned keys among these sets of parents and children: the key, its type, and the OrphanedKey."""
    readings = [
        (key, kind, [(keys, one) for keys in _owners(queues, key) for one in keys.jobs_of_dependencies(key)])
        for key, kind in keys_of_types
    ]
    readings = [one for one in readings if one[2]]
    records = [[keys.record(job_id) for keys, job_id in of_key] for *_, of_key in readings]
    living = run_pipeline(client, [("EXISTS", *keys) for keys in records])
    for (key, kind, of_key), lives in zip(readings, living, strict=True):
        keys, job_id = of_key[0]
        if kind not in (b"none", b"set"):
            yield key, kind, OrphanedKey(keys.queue, job_id, key)
        elif not lives:
            yield key, kind, OrphanedKey(keys.queue, job_id)


def _by_name(names: Iterable[str]) -> dict[bytes, QueueKeys]:
    return {to_bytes(name): QueueKeys(name) for name in names}


def _typed_keys(client: redis.Redis, pattern: bytes) -> Iterator[tuple[list[bytes], list[bytes]]]:
    """The keys that match, with their types, in chunks."""
    for found in queue_names.key_names(client, pattern):
        for piece in chunked(found):
            yield piece, run_pipeline(client, [("TYPE", key) for key in piece])


def _owners(queues: Mapping[bytes, QueueKeys], key: bytes) -> Iterator[QueueKeys]:
    return (queues[name] for name in possible_queues(key) if name in queues)


def _may_be_record(client: redis.Redis, keys: QueueKeys, job_id: str) -> bool:
    """Whether this payload key may be the record of a job whose id ends in `:payload`."""
    name = to_bytes(job_id) + b":payload"
    commands = [("SMISMEMBER", keys.ids, name), ("HMGET", keys.states, name)]
    in_ids, states = run_pipeline(client, commands, keep=WrongType)
    # Only a readable key can disprove it.
    return not (in_ids == [0] and states == [None])
