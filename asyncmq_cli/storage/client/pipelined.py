"""Commands sent ahead of the replies that are waited for, on a connection of one's own.

While one piece of a collection is looked at, Redis works on the next. What is under way at a time
is a handful of bounded commands: other clients are served between them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

import redis
from redis.exceptions import NoPermissionError, ResponseError

from asyncmq_cli.storage.client.replies import asked, check_raw
from asyncmq_cli.storage.read.scan import WrongType

if TYPE_CHECKING:
    from typing_extensions import Self


class PipelinedConnection:
    """A context manager, for a client that speaks RESP2. Replies come in the order of the commands.
    One that is left with replies outstanding is cut, so that nobody else reads them."""

    def __init__(self, client: redis.Redis) -> None:
        self._pool = client.connection_pool
        self._connection: Any = None
        self._asked: deque[tuple[bytes, bytes, int]] = deque()

    def __enter__(self) -> Self:
        self._connection = self._pool.get_connection()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        connection, self._connection = self._connection, None
        if self._asked:
            connection.disconnect()
        self._pool.release(connection)

    def send(self, *commands: tuple[bytes, bytes]) -> None:
        """Each the key that it is about, b"" where that is not one, and the command as `packed` or
        `packed_for` made it."""
        self._asked.extend((key, *_opening(command)) for key, command in commands)
        self._connection.send_packed_command([b"".join([command for _, command in commands])])

    def receive(self) -> Any:
        """The next reply as it came. Raises WrongType, or what else Redis said; and InvalidResponse
        for one that is none to its command."""
        self._connection.expect(self._asked[0][1])
        try:
            reply = self._connection.read_response(disable_decoding=True)
        except ResponseError as exc:
            key, command, _ = self._asked.popleft()
            if isinstance(exc, NoPermissionError):
                raise asked(exc, command, key) from None
            if key and "WRONGTYPE" in str(exc):
                raise WrongType(key) from None
            raise
        _, command, words = self._asked[0]
        # One that is out of step leaves its command outstanding: the line will be cut.
        check_raw(command, words, reply)
        self._asked.popleft()
        return reply


def _opening(command: bytes) -> tuple[bytes, int]:
    """The first word of a command, and how many it has."""
    words, _, name, _ = command.split(b"\r\n", 3)
    return name, int(words[1:])


def packed(*parts: bytes) -> bytes:
    """A command in Redis's protocol."""
    return b"*%d\r\n" % len(parts) + b"".join([b"$%d\r\n%b\r\n" % (len(part), part) for part in parts])


def packed_for(
    head: Sequence[bytes], names: Sequence[bytes], prefix: bytes = b"", suffix: bytes = b""
) -> bytes:
    """A command with an argument for each name: the name between `prefix` and `suffix`."""
    opening = b"*%d\r\n" % (len(head) + len(names))
    opening += b"".join([b"$%d\r\n%b\r\n" % (len(part), part) for part in head])
    sizes = set(map(len, names))
    around = len(prefix) + len(suffix)
    if len(sizes) == 1:
        # Ids are mostly of one length, and then they are joined at the speed of C.
        before = b"$%d\r\n%b" % (sizes.pop() + around, prefix)
        after = suffix + b"\r\n"
        return opening + before + (after + before).join(names) + after
    return opening + b"".join(
        [b"$%d\r\n%b%b%b\r\n" % (len(name) + around, prefix, name, suffix) for name in names]
    )


def scan_command(command: bytes, key: bytes, cursor: bytes, count: int) -> tuple[bytes, bytes]:
    return key, packed(command, key, cursor, b"COUNT", b"%d" % count)
