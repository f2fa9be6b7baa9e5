"""Find queues by the names of their keys, because AsyncMQ has no registry of queues."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

import redis
from redis.exceptions import NoPermissionError

from asyncmq_cli.models.values import chunked
from asyncmq_cli.storage.client.connection import PipelinedConnection, pack, run_pipeline
from asyncmq_cli.storage.client.scan import CHUNK
from asyncmq_cli.storage.schema.keys import QueueKeys, queue_of, to_bytes, to_text


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
        if isinstance(found, Exception) and not is_hidden(found):
            raise found
        # `hidden` handles keys that the user may not read.
        if found == kind or isinstance(found, Exception):
            proven.append(name)
    return proven


def hidden(client: redis.Redis, names: Collection[bytes]) -> set[bytes]:
    """The queues among these whose keys the user may not read."""
    found: set[bytes] = set()
    for some in chunked(sorted(names), CHUNK):
        try:
            client.exists(*(key for name in some for key in _family(name)))
        except NoPermissionError as exc:
            if not is_hidden(exc):
                raise
            replies = run_pipeline(
                client, [("EXISTS", *_family(name)) for name in some], keep=NoPermissionError
            )
            found.update(
                name for name, reply in zip(some, replies, strict=True) if isinstance(reply, Exception)
            )
    return found


def touch(client: redis.Redis, name: bytes) -> None:
    """Raise Redis's own error if the user may not read this queue."""
    client.exists(*_family(name))


def _family(name: bytes) -> tuple[bytes, bytes]:
    """Two keys of the queue: one that begins with `queue:`, and one that begins with `jobs:`."""
    keys = QueueKeys(to_text(name))
    return keys.paused, keys.ids


def is_hidden(error: Exception) -> bool:
    """Whether the user lacks the right to a key, not to a command."""
    if not isinstance(error, NoPermissionError):
        return False
    text = str(error).rpartition(" caused error: ")[2]
    # The texts of Redis up to 7.0, and of newer servers.
    return "one of the keys" in text or "access a key" in text
