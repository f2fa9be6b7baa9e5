"""Find the kind of server by HELLO, which needs no rights.

A node of a Cluster has only some of the queues and a Sentinel has none, so both are refused: a part of the
data must not be mistaken for the whole. A replica can be read, with a warning if it lags.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from redis.exceptions import NoPermissionError, RedisError, ResponseError

_QUIET_SECONDS = 20
"""A primary pings its replicas every 10 s, unless `repl-ping-replica-period` is set to more."""
CLUSTER = ("redis_cluster", "this is a node of a Redis Cluster, which holds only some of the queues")
_SENTINEL = ("redis_sentinel", "this is a Redis Sentinel, which holds no queues")


class WrongServer(RedisError):
    """The server cannot have all queues. `code` and `message` are those of the RedisProblem."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


class ServerKind:
    """Checks the server on the first connection of a client, and names every connection. `warn` is called for
    a replica that lags."""

    def __init__(self, warn: Callable[[str], None]) -> None:
        self._warn = warn
        self._is_known = False

    def check(self, connection: Any) -> None:
        """Check the server. Raises WrongServer for a Cluster node or a Sentinel."""
        said = _hello(connection)
        if self._is_known:
            return
        mode, role = said.get(b"mode"), said.get(b"role")
        if mode == b"cluster":
            raise WrongServer(*CLUSTER)
        if mode == b"sentinel":
            raise WrongServer(*_SENTINEL)
        if role in (b"replica", b"slave"):
            self._judge_replica(connection)
        self._is_known = True

    def _judge_replica(self, connection: Any) -> None:
        try:
            connection.send_command("INFO", "replication", check_health=False)
            doubt = replica_doubt(_fields(connection.read_response()))
        except ResponseError:
            doubt = "it cannot be checked whether it is up to date: the user lacks +info"
        if doubt is not None:
            self._warn(f"this Redis is a replica, and {doubt}")


def replica_doubt(info: Mapping[str, str]) -> str | None:
    """The reason, from its INFO, why the replica's data may be outdated; None if it is up to date."""
    if info.get("master_sync_in_progress") == "1":
        return "it is still being filled by its primary: data may be missing"
    if info.get("master_link_status") == "down":
        since = info.get("master_link_down_since_seconds", "-1")
        ago = "" if since.startswith("-") else f" for {since} s"
        return f"it has lost its primary{ago}: data may be outdated"
    quiet = info.get("master_last_io_seconds_ago", "0")
    if quiet.isdigit() and int(quiet) > _QUIET_SECONDS:
        return f"it has heard nothing from its primary for {quiet} s: data may be outdated"
    return None


def _hello(connection: Any) -> dict[Any, Any]:
    """The fields of HELLO's reply; empty if the server does not know HELLO or forbids it. HELLO also sets the
    name of the connection, for CLIENT LIST."""
    name = ("SETNAME", connection.own_name) if connection.own_name else ()
    connection.send_command("HELLO", 2, *name, check_health=False)
    try:
        said = connection.read_response()
    except ResponseError as exc:
        if not isinstance(exc, NoPermissionError) and "unknown command" not in str(exc).lower():
            # Any other command would get this error too, or it was sent without a request.
            raise
        return {}
    return dict(zip(said[::2], said[1::2], strict=False)) if _is_flat(said) else {}


def _is_flat(said: Any) -> bool:
    return isinstance(said, list) and all(isinstance(name, bytes) for name in said[::2])


def _fields(text: Any) -> dict[str, str]:
    lines = text.decode("utf-8", "replace").splitlines() if isinstance(text, bytes) else ()
    return dict(line.split(":", 1) for line in lines if ":" in line)


class Introduced:
    """A connection that checks the kind of server before its first command."""

    kind: ServerKind | None = None
    own_name: bytes = b""

    def on_connect_check_health(self, *args: Any, **kwargs: Any) -> None:
        client_library: Any = super()
        client_library.on_connect_check_health(*args, **kwargs)
        if self.kind is not None:
            self.kind.check(self)
        elif self.own_name:
            _hello(self)
