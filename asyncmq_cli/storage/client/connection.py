"""Connect to Redis, and send many commands in one round trip.

The first connection of a client finds the kind of server by HELLO, which needs no rights. A node of a Cluster
has only some of the queues and a Sentinel has none, so both are refused: a part of the data must not be
mistaken for the whole. A replica can be read, with a warning if it lags.

Commands are pipelined: while the caller processes one chunk of a collection, Redis works on the next. Only a
few bounded commands are outstanding at a time, and Redis serves other clients between them.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, cast

import redis
from hiredis import pack_command
from msgspec.structs import replace
from redis.backoff import NoBackoff
from redis.exceptions import InvalidResponse, NoPermissionError, RedisError, ResponseError
from redis.retry import Retry

from asyncmq_cli.errors import UsageProblem, WrongType
from asyncmq_cli.models.address import DEFAULT_PORT, FORMS
from asyncmq_cli.storage.client.replies import (
    CLUSTER,
    LARGE,
    SMALL,
    Bounded,
    CheckedRedis,
    Parser,
    WrongServer,
    with_command,
)

if TYPE_CHECKING:
    from typing_extensions import Self

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
