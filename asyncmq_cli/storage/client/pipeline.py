"""Pipelining: many commands in one round trip, and commands sent ahead of the replies being read.

While the caller works on one piece of a collection, Redis works on the next. Only a handful of
bounded commands are under way at a time, and Redis serves other clients between them.
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
from asyncmq_cli.storage.client.replies import at_most, with_command

if TYPE_CHECKING:
    from typing_extensions import Self

Command = tuple[Any, ...]
"""A command as its words: its name, the key that it reads, and its other arguments."""
_BATCH_BYTES = 64 * 1024
ErrorTypes = type[Exception] | tuple[type[Exception], ...]


def run_pipeline(client: redis.Redis, commands: Sequence[Command], *, keep: ErrorTypes = ()) -> list[Any]:
    """The replies to these commands, in one round trip, as redis-py's own methods return them.

    An error of a type in `keep` (WrongType, or a ResponseError) takes the place of its reply. Raises the
    first other one, once all replies are read.
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
    """The commands packed, in batches of bounded size: their arguments may be large members."""
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
    """A connection of its own, as a context manager, for a client that speaks RESP2.

    Replies come in the order of the commands. If replies are outstanding at the end, the connection is
    closed, so that no other user reads them.
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
        """Each command is its key (b"" for none) and its bytes, as `pack` or `pack_for_names` made them."""
        self._expected.extend((key, *_name_and_length(command)) for key, command in commands)
        packed = [command for _, command in commands]
        self._connection.send_packed_command(packed if len(packed) == 1 else [b"".join(packed)])

    def abandon(self) -> None:
        """Give up the replies that are outstanding. What is sent next goes over a new connection."""
        self._connection.disconnect()
        self._expected.clear()

    def receive(self, *, keep: ErrorTypes = (), most: int | None = None) -> Any:
        """The next reply, unparsed; an error of a type in `keep` is returned as the reply. Raises WrongType,
        any other ResponseError, and InvalidResponse if the reply does not fit its command, or has more than
        `most` bytes of data."""
        key, command, words = self._expected[0]
        self._connection.expect(command, words)
        try:
            with at_most(most):
                reply = self._connection.read_response(disable_decoding=True)
        except InvalidResponse as exc:
            # The command stays outstanding, so the connection will be closed.
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
    """A command in Redis's protocol."""
    return cast("bytes", pack_command(words))  # type: ignore[arg-type]


def pack_for_names(head: Sequence[bytes], names: Sequence[bytes], prefix: bytes = b"") -> bytes:
    """A command with one argument for each name, behind `prefix`."""
    start = b"*%d\r\n" % (len(head) + len(names))
    start += b"".join([b"$%d\r\n%b\r\n" % (len(word), word) for word in head])
    sizes = set(map(len, names))
    if len(sizes) == 1:
        # Ids mostly have one length. Joining them is four times as fast as hiredis' packing.
        before = b"$%d\r\n%b" % (sizes.pop() + len(prefix), prefix)
        return start + before + (b"\r\n" + before).join(names) + b"\r\n"
    return start + b"".join([b"$%d\r\n%b%b\r\n" % (len(prefix) + len(name), prefix, name) for name in names])


def pack_scan(command: bytes, key: bytes, cursor: bytes, count: int) -> tuple[bytes, bytes]:
    """The key, and an SSCAN, HSCAN or ZSCAN of it, as `PipelinedConnection.send` takes them."""
    return key, pack(command, key, cursor, "COUNT", count)
