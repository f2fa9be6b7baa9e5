"""Which kind of server answers: HELLO says it for nothing, whatever the user's rights are.

A node of a Cluster holds a part of the queues, and a Sentinel none: both are refused, because a part
must not be taken for the whole. A replica may be read, but says if it does not keep up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from redis.exceptions import NoPermissionError, RedisError, ResponseError

_QUIET_SECONDS = 20
"""A primary writes to its replicas every ten seconds, unless its `repl-ping-replica-period` says more."""
CLUSTER = ("redis_cluster", "this is a node of a Redis Cluster, which holds a part of the queues")
_SENTINEL = ("redis_sentinel", "this is a Redis Sentinel, which holds no queues")


class WrongServer(RedisError):
    """A server that cannot hold all queues. `code` and `message` are the RedisProblem's."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


class ServerKind:
    """Asks the first connection of a client, and no other. `warn` is told of what to doubt."""

    def __init__(self, warn: Callable[[str], None]) -> None:
        self._warn = warn
        self._is_known = False

    def check(self, connection: Any) -> None:
        """Raises WrongServer."""
        if self._is_known:
            return
        said = _hello(connection)
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
            doubt = "whether it keeps up with its primary cannot be told: the user lacks +info"
        if doubt is not None:
            self._warn(f"this Redis is a replica, and {doubt}")


def replica_doubt(info: Mapping[str, str]) -> str | None:
    """Why what a replica holds may be old, if so, by its INFO."""
    if info.get("master_sync_in_progress") == "1":
        return "it is still being filled by its primary: what is shown may be a part"
    if info.get("master_link_status") == "down":
        since = info.get("master_link_down_since_seconds", "-1")
        ago = "" if since.startswith("-") else f" for {since} s"
        return f"it has lost its primary{ago}: what is shown may be old"
    quiet = info.get("master_last_io_seconds_ago", "0")
    if quiet.isdigit() and int(quiet) > _QUIET_SECONDS:
        return f"it has heard nothing of its primary for {quiet} s: what is shown may be old"
    return None


def _hello(connection: Any) -> dict[Any, Any]:
    """What the server says of itself; nothing where it does not know the question, or does not answer it."""
    connection.send_command("HELLO", 2, check_health=False)
    try:
        said = connection.read_response()
    except ResponseError as exc:
        if not isinstance(exc, NoPermissionError) and "unknown command" not in str(exc).lower():
            # A server that refuses this would refuse the next command, too, or speaks unasked.
            raise
        return {}
    return dict(zip(said[::2], said[1::2], strict=False)) if _is_flat(said) else {}


def _is_flat(said: Any) -> bool:
    return isinstance(said, list) and all(isinstance(name, bytes) for name in said[::2])


def _fields(text: Any) -> dict[str, str]:
    lines = text.decode("utf-8", "replace").splitlines() if isinstance(text, bytes) else ()
    return dict(line.split(":", 1) for line in lines if ":" in line)


class Introduced:
    """A connection that asks what kind of server there is before anything else is asked."""

    kind: ServerKind | None = None

    def on_connect_check_health(self, *args: Any, **kwargs: Any) -> None:
        client_library: Any = super()
        client_library.on_connect_check_health(*args, **kwargs)
        if self.kind is not None:
            self.kind.check(self)
