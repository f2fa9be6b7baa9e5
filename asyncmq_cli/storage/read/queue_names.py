"""Find the queues that exist, by the names of their keys, because AsyncMQ has no registry of queues.

AsyncMQ's RabbitMQ backend stores metadata about jobs in Redis, at keys that the Redis backend also uses
(`jobs:Q:ids` and `jobs:Q:<id>`), but has no keys that begin with `queue:`. The waiting jobs are not in Redis,
so counts would be wrong, and changes would not reach the workers. These queues are recognised by their
records (`is_rabbitmq_note` in the codec), and refused.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import redis
from redis.exceptions import NoPermissionError, ResponseError

from asyncmq_cli.errors import CodedError, WrongType
from asyncmq_cli.models.values import chunked, few
from asyncmq_cli.storage.client.connection import PipelinedConnection, pack, run_pipeline
from asyncmq_cli.storage.client.scan import CHUNK
from asyncmq_cli.storage.schema.codec import CorruptData, is_rabbitmq_note, loads
from asyncmq_cli.storage.schema.keys import DISCOVERY_PATTERN, QueueKeys, queue_of, to_bytes, to_text

_INTERNAL = b"__asyncmq_"
_WORKERS = b"workers"
_AT_A_TIME = 500
_SAMPLE = 4


class ForeignQueue(CodedError):
    """The jobs of these queues are in RabbitMQ, so they cannot be read from Redis."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__("rabbitmq_queue", _described(names), details={"queues": list(names)})


class QueueNames:
    """Finds queues. `warn` is called with the names of queues that are left out."""

    def __init__(self, client: redis.Redis, warn: Callable[[str], None]) -> None:
        self._redis = client
        self._warn = warn

    def all(self) -> list[str]:
        """The names of all queues, sorted, by a scan of the names of keys. Queues of the RabbitMQ backend,
        and queues that the user may not read, are left out with a warning. Raises ForeignQueue if all queues
        belong to RabbitMQ."""
        found, certain = self._scanned()
        if secret := _hidden(self._redis, found):
            if secret == found:
                # If no queue can be read, raise Redis's own error.
                self._redis.exists(*_family(min(secret)))
            found -= secret
            unread = few([repr(to_text(name)) for name in sorted(secret)])
            self._warn(f"not listed, because the Redis user may not read them: {unread}")
        if doubtful := found - certain:
            found -= self._foreign(doubtful, alone=not certain & found)
        return sorted(to_text(name) for name in found)

    def exists(self, queue: str) -> bool:
        """Whether any key of the queue exists, as `all` would find it. Raises ForeignQueue."""
        try:
            if not exists(self._redis, queue):
                return False
        except NoPermissionError as exc:
            # If the queue does not exist, its name is a typo; the missing right is not the problem.
            if _is_hidden(exc) and to_bytes(queue) not in self._scanned()[0]:
                return False
            raise
        refuse_foreign(self._redis, to_bytes(queue))
        return True

    def left_beside_sequence(self, queue: str) -> bytes | None:
        """The first key, other than the sequence of the waiting set, that proves that the queue exists; or
        None."""
        keys = QueueKeys(queue)
        others = [key for key in keys.evidence() if key != keys.waiting_seq]
        return next((key for key in others if self._redis.exists(key)), None)

    def _scanned(self) -> tuple[set[bytes], set[bytes]]:
        """All queues, and the queues among them that have a key which only the Redis backend writes."""
        found: set[bytes] = set()
        certain: set[bytes] = set()
        for keys in key_names(self._redis, DISCOVERY_PATTERN):
            found |= proven_by(self._redis, keys, found, certain)
        return found, certain

    def _foreign(self, names: set[bytes], *, alone: bool) -> set[bytes]:
        """The queues among these that belong to the RabbitMQ backend; prints a warning that names them."""
        foreign = {name for name in names if name.startswith(_INTERNAL)}
        for some in chunked(sorted(names - foreign), _AT_A_TIME):
            foreign.update(_foreign(self._redis, some))
        # The backend's own metadata, such as workers and pauses, are no queues.
        shown = sorted(
            to_text(name) for name in foreign if not name.startswith(_INTERNAL) and name != _WORKERS
        )
        if foreign and alone and foreign == names:
            raise ForeignQueue(shown or sorted(map(to_text, foreign)))
        if shown:
            self._warn(f"left out: {_described(shown)}")
        return foreign


def _described(names: Sequence[str]) -> str:
    """The error message about queues of the RabbitMQ backend."""
    shown = few(list(map(repr, names)))
    which = f"queue {shown} is" if len(names) == 1 else f"queues {shown} are"
    return f"{which} of AsyncMQ's RabbitMQ backend: the jobs are in RabbitMQ, Redis has metadata only"


def key_names(client: redis.Redis, pattern: bytes) -> Iterator[list[bytes]]:
    """The names of all keys that match, in chunks. The next chunk is requested before the current one is
    processed."""
    with PipelinedConnection(client) as connection:
        cursor = b""
        connection.send(_keys_after(b"0", pattern))
        while cursor != b"0":
            cursor, found = connection.receive()
            if cursor != b"0":
                connection.send(_keys_after(cursor, pattern))
            if found:
                yield found


def _keys_after(cursor: bytes, pattern: bytes) -> tuple[bytes, bytes]:
    # Few keys match, so most of the cost of a chunk is its round trip.
    return pattern, pack(b"SCAN", cursor, b"MATCH", pattern, b"COUNT", b"%d" % (2 * CHUNK))


def proven_by(
    client: redis.Redis,
    keys: Iterable[bytes],
    known: Collection[bytes] = (),
    certain: set[bytes] | None = None,
) -> set[bytes]:
    """The queues whose existence these keys prove, except those in `known`. Queues with a key that only the
    Redis backend writes are added to `certain`."""
    found: set[bytes] = set()
    unproven: list[tuple[bytes, bytes, bytes]] = []
    for key in keys:
        parsed = queue_of(key)
        if parsed is None:
            continue
        name, kind = parsed
        if kind is None and certain is not None:
            certain.add(name)
        if name in found or name in known:
            continue
        if kind is None:
            found.add(name)
        else:
            unproven.append((key, name, kind))
    return found.union(_of_type(client, unproven))


def exists(client: redis.Redis, queue: str) -> bool:
    """Whether any key proves that the queue exists, as a scan would find it."""
    evidence = [(key, to_bytes(queue), queue_of(key)) for key in QueueKeys(queue).evidence()]
    certain = [key for key, name, parsed in evidence if parsed == (name, None)]
    if certain and client.exists(*certain):
        return True
    unproven = [(key, name, parsed[1]) for key, name, parsed in evidence if parsed and parsed[1]]
    return bool(_of_type(client, unproven))


def _of_type(client: redis.Redis, unproven: list[tuple[bytes, bytes, bytes]]) -> list[bytes]:
    """The queues whose key has the type that proves their existence."""
    if not unproven:
        return []
    types = run_pipeline(client, [("TYPE", key) for key, _, _ in unproven], keep=NoPermissionError)
    proven: list[bytes] = []
    for (_, name, kind), found in zip(unproven, types, strict=True):
        if isinstance(found, Exception) and not _is_hidden(found):
            raise found
        # `_hidden` handles keys that the user may not read.
        if found == kind or isinstance(found, Exception):
            proven.append(name)
    return proven


def _hidden(client: redis.Redis, names: Collection[bytes]) -> set[bytes]:
    """The queues among these whose keys the user may not read."""
    found: set[bytes] = set()
    for some in chunked(sorted(names), CHUNK):
        try:
            client.exists(*(key for name in some for key in _family(name)))
        except NoPermissionError as exc:
            if not _is_hidden(exc):
                raise
            replies = run_pipeline(
                client, [("EXISTS", *_family(name)) for name in some], keep=NoPermissionError
            )
            found.update(
                name for name, reply in zip(some, replies, strict=True) if isinstance(reply, Exception)
            )
    return found


def _family(name: bytes) -> tuple[bytes, bytes]:
    """Two keys of the queue: one that begins with `queue:`, and one that begins with `jobs:`."""
    keys = QueueKeys(to_text(name))
    return keys.paused, keys.ids


def _is_hidden(error: Exception) -> bool:
    """Whether the user lacks the right to a key, not to a command."""
    if not isinstance(error, NoPermissionError):
        return False
    text = str(error).rpartition(" caused error: ")[2]
    # The texts of Redis up to 7.0, and of newer servers.
    return "one of the keys" in text or "access a key" in text


def refuse_foreign(client: redis.Redis, name: bytes) -> None:
    """Raise ForeignQueue for a queue of the RabbitMQ backend. Each other queue is checked once per client."""
    known: set[bytes] = client.__dict__.setdefault("_own_queues", set())
    if name in known:
        return
    if name.startswith(_INTERNAL) or _foreign(client, [name], strict=True):
        raise ForeignQueue([to_text(name)])
    known.add(name)


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
    is_note = _is_worker if name == _WORKERS else is_rabbitmq_note
    return bool(records) and all(map(is_note, records))


def _record(text: bytes) -> Any:
    try:
        return loads(text)
    except CorruptData:
        return None


def _is_worker(record: Any) -> bool:
    return isinstance(record, Mapping) and {"queue", "concurrency", "heartbeat"} <= set(record)
