"""The connection to Redis."""

from __future__ import annotations

import functools
import logging
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from asyncmq_cli.config import drain, read_bounded
from asyncmq_cli.errors import UsageProblem
from asyncmq_cli.models.address import DEFAULT_PORT, FORMS
from asyncmq_cli.storage.client.bounded_replies import LARGE, SMALL, Bounded, Parser
from asyncmq_cli.storage.client.replies import CheckedRedis
from asyncmq_cli.storage.client.server_kind import Introduced, ServerKind

if TYPE_CHECKING:
    from asyncmq_cli.config import Config
    from asyncmq_cli.models.address import Address


_KINDS = {"redis": redis.Connection, "rediss": redis.SSLConnection, "unix": redis.UnixDomainSocketConnection}

# What the client library logs, with its tracebacks, would end on the operator's screen.
logging.getLogger("redis").addHandler(logging.NullHandler())
logging.getLogger("redis").propagate = False


def connect(
    config: Config, *, protocol: int = 2, subscribes: bool = False, warn: Callable[[str], None] | None = None
) -> redis.Redis:
    """A client that has not connected yet. Raises UsageProblem for a URL that cannot be one.

    With `warn` it asks at first what kind of server there is, raises WrongServer, and warns of a replica
    that does not keep up.

    Only in protocol 3 does Redis tell of what changes. A client that `subscribes` expects to be
    spoken to, and does so by itself.

    No command is ever sent twice: a reply that is lost leaves open whether a change was made,
    and sending it again would answer for the second attempt instead of the first.
    """
    address = config.address
    if config.password_file is not None or config.password_command is not None:
        # import-gone

        address = replace(address, password=password(config))
    kind = _KINDS[address.scheme]
    if address.uses_tls:
        from asyncmq_cli.storage.client import tls

        tls.require_files(address)
    try:
        pool = redis.ConnectionPool(
            **{
                **connection_options(address),
                "socket_timeout": config.timeout,
                "socket_connect_timeout": config.timeout,
                "retry": Retry(NoBackoff(), 0),
                "retry_on_timeout": False,
                "retry_on_error": [],
                "protocol": protocol,
                "decode_responses": False,
                # The handshake stays two commands shorter, and within the rights of a narrow ACL user.
                "driver_info": None,
                "parser_class": Parser,
                # A socket on the same machine holds some 200 KB: what is there is taken at once.
                "socket_read_size": 256 * 1024,
                "connection_class": type(
                    "Own",
                    (_Patient if subscribes else _Listening, Introduced, Bounded, kind),
                    {
                        "unasked": LARGE if subscribes else SMALL,
                        "kind": None if warn is None else ServerKind(warn),
                    },
                ),
            }
        )
        # An option that there is not would otherwise be found only on connecting.
        pool.connection_class(**pool.connection_kwargs)
    except (ValueError, TypeError, RedisError) as exc:
        raise UsageProblem(f"the Redis URL {config.shown_url!r} cannot be used: {exc}", hint=FORMS) from exc
    return CheckedRedis.from_pool(pool)


def answer_within(client: redis.Redis, seconds: float) -> None:
    """Give Redis so long to answer from here on; connections that are open are opened anew."""
    pool = client.connection_pool
    pool.connection_kwargs.update(socket_timeout=seconds, socket_connect_timeout=seconds)
    pool.disconnect()
    pool.reset()


class _Patient:
    """A connection that does not take for a reply what TLS has to say to itself: a server's session
    tickets come when they like, and after them there may be nothing to read."""

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
    """A connection that listens to a server which speaks unasked: one that has no connection left,
    or is no Redis. The client library only sees that there is something to read, and not what."""

    def can_read(self, timeout: float = 0) -> bool:
        connection: Any = super()
        waiting: bool = connection.can_read(timeout)
        if waiting:
            connection.read_response()
        return waiting


def connection_options(address: Address) -> dict[str, Any]:
    """What the client library is told of where to connect, and as whom."""
    place = (
        {"path": address.path}
        if address.path
        else {"host": address.host, "port": address.port or DEFAULT_PORT}
    )
    login = {"db": address.db or 0, "username": address.username, "password": address.password}
    return {**address.options, **place, **login}


MAX_PASSWORD = 64 * 1024
COMMAND_WITHIN = 30.0
"""Seconds: a password manager may ask somebody to unlock it."""


def password(config: Config) -> str | None:
    """The address's own, else what `password_file` or `password_command` gives. Raises UsageProblem."""
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
    """What a program prints. It is run once, without a shell and with nothing on its standard input; what it
    says on stderr is not shown, because that may be the password."""
    # Its arguments may hold a secret.
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
        why = getattr(exc, "strerror", None) or f"it does not end within {COMMAND_WITHIN:g} s"
        raise UsageProblem(f"{name} was given up: {why}") from exc
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        process.wait()
    if status != 0:
        raise UsageProblem(f"{name} failed with status {status}", hint="run it by hand to see why")
    return _whole(printed, f"what {name} prints")


def _whole(data: bytes, what: str) -> str:
    line = data.removesuffix(b"\n").removesuffix(b"\r")
    if not line:
        raise UsageProblem(f"{what} is empty")
    if b"\n" in line:
        raise UsageProblem(f"{what} has more than one line", hint="it must be the password alone")
    try:
        return line.decode()
    except UnicodeDecodeError:
        raise UsageProblem(f"{what} is not UTF-8") from None
