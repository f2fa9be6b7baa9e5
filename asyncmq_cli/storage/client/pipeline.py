"""Pipelining: many commands in one round trip, and commands that are sent before earlier replies are read.

While the caller processes one chunk of a collection, Redis works on the next. Only a few bounded commands are
outstanding at a time, and Redis serves other clients between them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, cast

import redis
from hiredis import pack_command
from redis.exceptions import InvalidResponse, NoPermissionError, ResponseError

from asyncmq_cli.errors import WrongType
from asyncmq_cli.storage.client.replies import with_command

if TYPE_CHECKING:
    from typing_extensions import Self

Command = tuple[Any, ...]
"""The words of a command: its name, the key that it reads, and its other arguments."""
_BATCH_BYTES = 64 * 1024
ErrorTypes = type[Exception] | tuple[type[Exception], ...]


def run_pipeline(client: redis.Redis, commands: Sequence[Command], *, keep: ErrorTypes = ()) -> list[Any]:
    """The replies to these commands, in one round trip, as redis-py's own methods return them.

    An error of a type in `keep` (WrongType, or a ResponseError) is returned as the reply. The first other
    error is raised, after all replies have been read.
    """
    if not commands:
        return []
    with PipelinedConnection(client) as connection:
        for batch in _packed_batches(commands):
            connection.send(*batch)
        replies = [connection.receive(keep=(WrongType, ResponseError)) for _ in commands]
    for reply in replies:
        if isinstance(reply, Exception) and not isinstance(reply, keep):
            raise reply
    return [_parsed(client, command[0], reply) for command, reply in zip(commands, replies, strict=True)]


def _packed_batches(commands: Sequence[Command]) -> Iterator[list[tuple[bytes, bytes]]]:
    """The packed commands, in batches of bounded size, because their arguments may be large members."""
    batch: list[tuple[bytes, bytes]] = []
    size = 0
    for command in commands:
        packed = pack_command(command)
        if batch and size + len(packed) > _BATCH_BYTES:
            yield batch
            batch, size = [], 0
        batch.append((_key_of(command), packed))
        size += len(packed)
    yield batch


def _key_of(command: Command) -> bytes:
    return command[1] if len(command) > 1 else b""


def _parsed(client: redis.Redis, name: str, reply: Any) -> Any:
    callbacks: Mapping[str, Any] = client.response_callbacks
    parse = callbacks.get(name)
    return reply if parse is None or isinstance(reply, Exception) else parse(reply)


class PipelinedConnection:
    """A dedicated connection, as a context manager, for a client that uses RESP2.

    Replies come in the order of the commands. If replies are outstanding at the end, the connection is
    closed, so that no other user of the pool reads them.
    """

    def __init__(self, client: redis.Redis) -> None:
        self._pool = client.connection_pool
        self._connection: Any = None
        self._expected: deque[tuple[bytes, bytes, int]] = deque()

    def __enter__(self) -> Self:
        self._connection = self._pool.get_connection()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        connection, self._connection = self._connection, None
        if self._expected:
            connection.disconnect()
        self._pool.release(connection)

    def send(self, *commands: tuple[bytes, bytes]) -> None:
        """Send commands. Each is a pair of its key (b"" for none) and its bytes from `pack` or
        `pack_for_names`."""
        self._expected.extend((key, *_name_and_length(command)) for key, command in commands)
        packed = [command for _, command in commands]
        self._connection.send_packed_command(packed if len(packed) == 1 else [b"".join(packed)])

    def abandon(self) -> None:
        """Drop the outstanding replies. The next command is sent over a new connection."""
        self._connection.disconnect()
        self._expected.clear()

    def receive(self, *, keep: ErrorTypes = (), most: int | None = None) -> Any:
        """The next reply, unparsed. An error of a type in `keep` is returned as the reply. Raises WrongType,
        any other ResponseError, and InvalidResponse if the reply has the wrong shape for its command or more
        than `most` bytes of data."""
        key, command, words = self._expected[0]
        self._connection.expect(command, words, most)
        try:
            reply = self._connection.read_response(disable_decoding=True)
        except InvalidResponse as exc:
            # The command is still outstanding, so the connection will be closed.
            raise with_command(exc, command, key) from None
        except ResponseError as exc:
            self._expected.popleft()
            error: Exception = exc
            if isinstance(exc, NoPermissionError):
                error = with_command(exc, command, key)
            elif key and "WRONGTYPE" in str(exc):
                error = WrongType(key)
            if isinstance(error, keep):
                return error
            raise error from None
        self._expected.popleft()
        return reply


def _name_and_length(command: bytes) -> tuple[bytes, int]:
    """The name of a packed command, and its number of words."""
    words, _, name, _ = command[:64].split(b"\r\n", 3)
    return name, int(words[1:])


def pack(*words: str | bytes | float) -> bytes:
    """The bytes of a command in Redis's protocol."""
    return cast("bytes", pack_command(words))  # type: ignore[arg-type]


def pack_for_names(head: Sequence[bytes], names: Sequence[bytes], prefix: bytes = b"") -> bytes:
    """A packed command: the words of `head`, then for each name an argument of `prefix` and the name."""
    start = b"*%d\r\n" % (len(head) + len(names))
    start += b"".join([b"$%d\r\n%b\r\n" % (len(word), word) for word in head])
    sizes = set(map(len, names))
    if len(sizes) == 1:
        # Ids usually have the same length. Then joining them is four times as fast as hiredis' packing.
        before = b"$%d\r\n%b" % (sizes.pop() + len(prefix), prefix)
        return start + before + (b"\r\n" + before).join(names) + b"\r\n"
    return start + b"".join([b"$%d\r\n%b%b\r\n" % (len(prefix) + len(name), prefix, name) for name in names])


def pack_scan(command: bytes, key: bytes, cursor: bytes, count: int) -> tuple[bytes, bytes]:
    """The key, and a packed SSCAN, HSCAN or ZSCAN of it: the arguments of `PipelinedConnection.send`."""
    return key, pack(command, key, cursor, "COUNT", count)
