"""Learning from Redis which keys have changed, instead of reading them again.

This is Redis's own help for caches (CLIENT TRACKING): it remembers the keys that a connection asks
about, and tells that connection once when one of them is written, has expired or is deleted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from asyncmq_cli.storage.scan import chunked

_PUSHED = object()


class ChangeTracker:
    """`connect` gives a client that speaks RESP3, in which Redis may speak unasked."""

    def __init__(self, connect: Callable[[], redis.Redis]) -> None:
        self._connect = connect
        self._client: redis.Redis | None = None
        self._connection: Any = None
        self._told: set[bytes] = set()
        self._everything = False

    def start(self) -> bool:
        """Whether this server, and the rights of this user, allow it."""
        self._client = self._connect()
        try:
            self._connection = self._client.connection_pool.get_connection()
            self._connection._parser.set_invalidation_push_handler(self._note)
            # And all else that goes with it: it is of use as a whole or not at all.
            self._ask(
                ("CLIENT", "TRACKING", "ON", "OPTIN"), ("CLIENT", "CACHING", "YES"), ("PING",), ("DBSIZE",)
            )
        except ResponseError:
            self.stop()
            return False
        return True

    def stop(self) -> None:
        """Leave Redis; `start` begins anew."""
        if self._connection is not None:
            self._connection.disconnect()
        if self._client is not None:
            self._client.close()
        self._connection = self._client = None
        self._told, self._everything = set(), False

    def follow(self, keys: Iterable[bytes]) -> None:
        """From now on, tell of the next change of each of these; once, then they must be followed anew."""
        for piece in chunked(keys):
            # A key that is not there yet is followed as well.
            self._ask(("CLIENT", "CACHING", "YES"), ("EXISTS", *piece))

    def changed(self) -> set[bytes] | None:
        """The keys followed that have changed since the last call; None for all of them."""
        try:
            # What Redis has told by now lies before its answer to this.
            self._ask(("PING",))
        except RedisConnectionError:
            # It was closed at the other end, which may do that to any that is quiet for long.
            self.stop()
            if not self.start():
                raise
            return None
        told, everything = self._told, self._everything
        self._told, self._everything = set(), False
        return None if everything else told

    def _ask(self, *commands: tuple[Any, ...]) -> None:
        connection = self._connection
        connection.send_packed_command(connection.pack_commands(commands))
        refusal: ResponseError | None = None
        for _ in commands:
            try:
                while connection.read_response(push_request=True) is _PUSHED:
                    pass
            except ResponseError as exc:
                refusal = refusal or exc
        if refusal is not None:
            raise refusal

    def _note(self, message: list[Any]) -> object:
        if message[1] is None:
            # The whole database was flushed.
            self._everything = True
        else:
            self._told.update(message[1])
        return _PUSHED
