"""Recognise queues of AsyncMQ's RabbitMQ backend. It stores metadata about jobs in Redis, at keys that the
Redis backend also uses (`jobs:Q:ids` and `jobs:Q:<id>`), but has no keys that begin with `queue:`.

The waiting jobs are not in Redis, so counts would be wrong, and changes would not reach the workers. These
queues are recognised by their records: `{"id", "payload", "status"}` or `{"id", "job_def", "next_run", …}`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import redis
from redis.exceptions import ResponseError

from asyncmq_cli.errors import CodedError, WrongType
from asyncmq_cli.models.values import chunked
from asyncmq_cli.storage.client.connection import run_pipeline
from asyncmq_cli.storage.schema.codec import CorruptData, loads
from asyncmq_cli.storage.schema.keys import QueueKeys, to_text

_INTERNAL = b"__asyncmq_"
_WORKERS = b"workers"
_AT_A_TIME = 500
_SAMPLE = 4
_NAMED = 5


class ForeignQueue(CodedError):
    """The jobs of these queues are in RabbitMQ, so they cannot be read from Redis."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__("rabbitmq_queue", describe(names), details={"queues": list(names)})


def describe(names: Sequence[str]) -> str:
    """The error message about queues of the RabbitMQ backend."""
    shown = ", ".join(repr(name) for name in names[:_NAMED]) + (" …" if len(names) > _NAMED else "")
    which = f"queue {shown} is" if len(names) == 1 else f"queues {shown} are"
    return f"{which} of AsyncMQ's RabbitMQ backend: the jobs are in RabbitMQ, Redis has metadata only"


def is_internal(name: bytes) -> bool:
    """Whether the name is not a queue but the backend's own metadata, such as workers and pauses."""
    return name.startswith(_INTERNAL) or name == _WORKERS


def foreign(client: redis.Redis, names: Collection[bytes]) -> set[bytes]:
    """The names among these that are queues of the RabbitMQ backend, or its own metadata."""
    found = {name for name in names if name.startswith(_INTERNAL)}
    for some in chunked(sorted(set(names) - found), _AT_A_TIME):
        found.update(_foreign(client, some))
    return found


def refuse(client: redis.Redis, name: bytes) -> None:
    """Raise ForeignQueue for a queue of the RabbitMQ backend. Each other queue is checked once per client."""
    known: set[bytes] = client.__dict__.setdefault("_own_queues", set())
    if name in known:
        return
    if name.startswith(_INTERNAL) or _foreign(client, [name], strict=True):
        raise ForeignQueue([to_text(name)])
    known.add(name)


def merged(record: Any) -> Any:
    """The record as the Redis backend would have written it: the RabbitMQ backend stores the job under
    `payload`."""
    if isinstance(record, dict) and _is_note(record) and isinstance(record.get("payload"), dict):
        return {**record["payload"], **{name: value for name, value in record.items() if name != "payload"}}
    return record


def _foreign(client: redis.Redis, names: Sequence[bytes], *, strict: bool = False) -> list[bytes]:
    """The queues of the RabbitMQ backend among these. With `strict`, an error of Redis is raised; otherwise
    queues that the user may not read are left out."""
    refused = (WrongType, ResponseError)
    keys = {name: QueueKeys(to_text(name)) for name in names}
    own = run_pipeline(
        client,
        [("EXISTS", *(key for key in keys[name].evidence() if key != keys[name].ids)) for name in names],
        keep=() if strict else refused,
    )
    doubtful = [name for name, count in zip(names, own, strict=True) if count == 0]
    scans = [("SSCAN", keys[name].ids, 0, "COUNT", _SAMPLE) for name in doubtful]
    samples = {
        name: list(reply[1])[:_SAMPLE]
        for name, reply in zip(doubtful, run_pipeline(client, scans, keep=refused), strict=True)
        # The next read of such a key raises the error.
        if not isinstance(reply, Exception) and reply[1]
    }
    reads = [("MGET", *(keys[name].record("") + job_id for job_id in ids)) for name, ids in samples.items()]
    found = run_pipeline(client, reads, keep=refused)
    return [name for name, texts in zip(samples, found, strict=True) if _are_notes(name, texts)]


def _are_notes(name: bytes, texts: Any) -> bool:
    if isinstance(texts, Exception):
        return False
    records = [_record(text) for text in texts if text is not None]
    worker = name == _WORKERS
    return bool(records) and all(_is_worker(record) if worker else _is_note(record) for record in records)


def _record(text: bytes) -> Any:
    try:
        return loads(text)
    except CorruptData:
        return None


def _is_note(record: Any) -> bool:
    if not isinstance(record, Mapping) or "task" in record or "status" not in record:
        return False
    return isinstance(record.get("payload"), dict) or ("job_def" in record and "next_run" in record)


def _is_worker(record: Any) -> bool:
    return isinstance(record, Mapping) and {"queue", "concurrency", "heartbeat"} <= set(record)
