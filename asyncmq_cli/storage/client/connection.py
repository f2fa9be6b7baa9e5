"""Make the client that connects to Redis, and find its password."""

from __future__ import annotations

import codecs
import functools
import logging
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import redis
from msgspec.structs import replace
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from asyncmq_cli.errors import UsageProblem
from asyncmq_cli.models.address import DEFAULT_PORT, FORMS
from asyncmq_cli.storage.client.replies import LARGE, SMALL, Bounded, CheckedRedis, Parser
from asyncmq_cli.storage.client.server_kind import Introduced, ServerKind
from asyncmq_cli.system.files import drain, read_bounded

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
        "retry_on_timeout": False,
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


MAX_PASSWORD = 64 * 1024
COMMAND_WITHIN = 30.0
"""Seconds. This is long because a password manager may first ask the user to unlock it."""


def password(config: Config) -> str | None:
    """The password from `password_file` or `password_command`, else from the URL, or None. Raises
    UsageProblem."""
    if config.password_file is not None:
        return _of_file(config.password_file)
    if config.password_command is not None:
        return _of_command(config.password_command)
    return config.address.password


@functools.cache
def _of_file(path: str) -> str:
    try:
        return _whole(read_bounded(Path(path), MAX_PASSWORD), f"the password file {path!r}")
    except OSError as exc:
        raise UsageProblem(f"cannot read the password file: {exc}") from exc


@functools.cache
def _of_command(words: tuple[str, ...]) -> str:
    """The password that a program prints. It runs once per process, without a shell and without input. Its
    stderr is not shown, because it may contain the password."""
    # Name only the program, because its arguments may contain a secret.
    name = f"the password command {words[0]!r}"
    try:
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
    except (OSError, ValueError) as exc:
        raise UsageProblem(f"{name} cannot be started: {getattr(exc, 'strerror', None) or exc}") from exc
    try:
        assert process.stdout is not None  # noqa: S101
        with process.stdout:
            printed = drain(process.stdout.fileno(), MAX_PASSWORD, COMMAND_WITHIN)
        status = process.wait(COMMAND_WITHIN)
    except (OSError, subprocess.TimeoutExpired) as exc:
        why = getattr(exc, "strerror", None) or f"it did not end within {COMMAND_WITHIN:g} s"
        raise UsageProblem(f"gave up on {name}: {why}") from exc
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        process.wait()
    if status != 0:
        raise UsageProblem(f"{name} failed with status {status}", hint="run it by hand to see why")
    return _whole(printed, f"the output of {name}")


def _whole(data: bytes, what: str) -> str:
    line = data.removeprefix(codecs.BOM_UTF8).removesuffix(b"\n").removesuffix(b"\r")
    if not line:
        raise UsageProblem(f"{what} is empty")
    if b"\n" in line:
        raise UsageProblem(f"{what} has more than one line", hint="it must be the password alone")
    try:
        return line.decode()
    except UnicodeDecodeError:
        raise UsageProblem(f"{what} is not UTF-8") from None
