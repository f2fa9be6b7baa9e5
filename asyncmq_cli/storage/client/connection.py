"""Make the client that connects to Redis, and find the kind of server by HELLO, which needs no rights.

A node of a Cluster has only some of the queues and a Sentinel has none, so both are refused: a part of the
data must not be mistaken for the whole. A replica can be read, with a warning if it lags.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import redis
from msgspec.structs import replace
from redis.backoff import NoBackoff
from redis.exceptions import NoPermissionError, RedisError, ResponseError
from redis.retry import Retry

from asyncmq_cli.errors import UsageProblem
from asyncmq_cli.models.address import DEFAULT_PORT, FORMS
from asyncmq_cli.storage.client.replies import (
    CLUSTER,
    LARGE,
    SMALL,
    Bounded,
    CheckedRedis,
    Parser,
    WrongServer,
)

if TYPE_CHECKING:
    from asyncmq_cli.config import Config
    from asyncmq_cli.models.address import Address


_KINDS: dict[str, Any] = {
    "redis": redis.Connection,
    "rediss": redis.SSLConnection,
    "unix": redis.UnixDomainSocketConnection,
}

# redis-py logs tracebacks, which would be printed on the operator's screen.
logging.getLogger("redis").addHandler(logging.NullHandler())
logging.getLogger("redis").propagate = False


def connect(
    config: Config,
    *,
    subscribes: bool = False,
    warn: Callable[[str], None] | None = None,
    is_halted: Callable[[], bool] | None = None,
) -> redis.Redis:
    """A client, which connects when it is first used. Raises UsageProblem for options that redis-py refuses.

    With `warn`, its first connection checks the kind of server: it raises WrongServer for a Cluster or a
    Sentinel, and calls `warn` for a replica that lags. A client that `subscribes` accepts messages that it
    did not request. Once `is_halted` returns True, the next reply raises Halted.

    No command is ever sent twice: if a reply is lost, the change may have been made, and the reply to a
    second attempt would hide that.
    """
    address = config.address
    if config.password_file is not None or config.password_command is not None:
        from asyncmq_cli.storage.client.credentials import password

        address = replace(address, password=password(config))
    options = _options(config, address)
    if address.uses_tls:
        from asyncmq_cli.storage.client import tls

        tls.require_files(address)
    try:
        pool = _pool(
            address,
            warn,
            options,
            (_Patient if subscribes else _Listening, Introduced, Bounded),
            {
                "unasked": LARGE if subscribes else SMALL,
                "is_halted": is_halted,
                "kind": None if warn is None else ServerKind(warn),
                "own_name": b"" if "client_name" in options else config.client_name,
            },
        )
        # redis-py reports an unknown option only when it builds a connection.
        pool.connection_class(**pool.connection_kwargs)
    except (ValueError, TypeError, RedisError) as exc:
        raise UsageProblem(f"the Redis URL {config.shown_url!r} cannot be used: {exc}", hint=FORMS) from exc
    return CheckedRedis.from_pool(pool)


def _options(config: Config, address: Address) -> dict[str, Any]:
    options = connection_options(address)
    if config.credentials is not None:
        from asyncmq_cli.storage.client.credentials import provider

        # redis-py accepts either these or a provider.
        del options["username"], options["password"]
        options["credential_provider"] = provider(config.credentials, address.username)
    return {
        **options,
        "socket_timeout": config.timeout,
        "socket_connect_timeout": config.timeout,
        "retry": Retry(NoBackoff(), 0),
        "retry_on_error": [],
        "protocol": 2,
        "decode_responses": False,
        # Saves two commands of the handshake, and the rights that they need.
        "driver_info": None,
        "parser_class": Parser,
        # A local socket buffers about 200 KB, which this size reads at once.
        "socket_read_size": 256 * 1024,
    }


def _pool(
    address: Address,
    warn: Callable[[str], None] | None,
    options: dict[str, Any],
    bases: tuple[type, ...],
    members: dict[str, Any],
) -> Any:
    """A connection pool whose connection class has these bases and members."""
    if not address.sentinels:
        options["connection_class"] = type("Own", (*bases, _KINDS[address.scheme]), members)
        return redis.ConnectionPool(**options)
    from asyncmq_cli.storage.client import sentinel

    members["primary"] = sentinel.Primary(address.master, warn)
    kind = sentinel.KINDS[address.scheme]
    options["connection_class"] = type("Own", (*bases, sentinel.Followed, kind), members)
    return sentinel.pool(address, options)


def answer_within(client: redis.Redis, seconds: float) -> None:
    """Set the timeout for replies to `seconds`. Open connections are closed; new ones are opened when
    needed."""
    pool = client.connection_pool
    pool.connection_kwargs.update(socket_timeout=seconds, socket_connect_timeout=seconds)
    pool.disconnect()
    pool.reset()


class _Patient:
    """A connection that does not mistake TLS session tickets for a reply: they can arrive at any time,
    without any data after them."""

    def can_read(self, timeout: float = 0) -> bool:
        client_library: Any = super()
        connection: Any = self
        until = time.monotonic() + timeout
        while client_library.can_read(max(0, until - time.monotonic())):
            parser = connection._parser
            if parser.read_from_socket(timeout=0, raise_on_timeout=False) or parser.can_read(0):
                return True
        return False


class _Listening(_Patient):
    """A connection that reads an error which the server sent without a request, because it accepts no more
    connections or is not Redis. redis-py only notices that there is data to read."""

    def can_read(self, timeout: float = 0) -> bool:
        connection: Any = super()
        waiting: bool = connection.can_read(timeout)
        if waiting:
            connection.read_response()
        return waiting


def connection_options(address: Address) -> dict[str, Any]:
    """redis-py's arguments for the server, the database and the login."""
    place: dict[str, Any] = {}
    if address.path:
        place = {"path": address.path}
    elif not address.sentinels:
        place = {"host": address.host, "port": address.port or DEFAULT_PORT}
    login = {"db": address.db or 0, "username": address.username, "password": address.password}
    return {**address.options, **place, **login}


_QUIET_SECONDS = 20
"""A primary pings its replicas every 10 s, unless `repl-ping-replica-period` is set to more."""
_SENTINEL = ("redis_sentinel", "this is a Redis Sentinel, which holds no queues")


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
            doubt = replica_doubt(info_fields(connection.read_response()))
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


def info_fields(text: Any) -> dict[str, str]:
    """The fields of a reply to INFO; none of anything else."""
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
