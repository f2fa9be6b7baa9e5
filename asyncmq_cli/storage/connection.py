"""The connection to Redis, and the one place where its errors become ours."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import redis
from redis.backoff import NoBackoff
from redis.connection import parse_url
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ClusterDownError,
    ExecAbortError,
    InvalidResponse,
    MasterDownError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from asyncmq_cli.errors import RedisProblem, UsageProblem
from asyncmq_cli.storage import tls
from asyncmq_cli.storage.replies import CheckedRedis

if TYPE_CHECKING:
    from asyncmq_cli.config import Config

SCHEMES = ("redis", "rediss", "unix")
_RUNNING = "is it running there? --redis-url or ASYNCMQ_REDIS_URL says where it is"
_FORMS = "redis://USER:PASSWORD@HOST:PORT/DB, rediss://… for TLS, unix:///PATH?db=0"

# What the client library logs, with its tracebacks, would end on the operator's screen.
logging.getLogger("redis").addHandler(logging.NullHandler())
logging.getLogger("redis").propagate = False

# By the word that a server's refusal starts with.
_REFUSALS: tuple[tuple[str, str, str, str | None], ...] = (
    ("WRONGPASS", "redis_auth", "Redis refused the user name or password", "check --redis-url"),
    ("NOAUTH", "redis_auth", "Redis asks for a password", "give one: redis://USER:PASSWORD@HOST"),
    ("NOPERM", "redis_permission", "the Redis user may not do this", None),
    ("READONLY", "redis_readonly", "Redis is a read-only replica", "point --redis-url at the primary"),
    ("OOM", "redis_out_of_memory", "Redis is out of memory", "free memory or raise maxmemory"),
    ("LOADING", "redis_loading", "Redis is still loading its data", "try again in a moment"),
    ("BUSY", "redis_busy", "Redis is busy running a script", "try again in a moment"),
    ("MISCONF", "redis_misconf", "Redis takes no writes: it cannot save to disk", "look at the server's log"),
    ("CLUSTERDOWN", "redis_cluster_down", "the Redis cluster is down", None),
    ("MASTERDOWN", "redis_master_down", "the Redis replica has lost its primary", None),
    ("NOREPLICAS", "redis_no_replicas", "Redis has too few replicas to take writes", None),
    ("EXECABORT", "redis_aborted", "Redis gave up the transaction", None),
    ("max number of clients", "redis_max_clients", "Redis has no connection left", None),
)  # fmt: skip


def connect(config: Config, *, protocol: int = 2, subscribes: bool = False) -> redis.Redis:
    """A client that has not connected yet. Raises UsageProblem for a URL that cannot be one.

    Only in protocol 3 does Redis tell of what changes. A client that `subscribes` expects to be
    spoken to, and does so by itself.

    No command is ever sent twice: a reply that is lost leaves open whether a change was made,
    and sending it again would answer for the second attempt instead of the first.
    """
    _check_url(config)
    try:
        asked: dict[str, Any] = parse_url(config.redis_url)  # type: ignore[no-untyped-call]
        kind = asked.get("connection_class", redis.Connection)
        # What the URL asks for as well is set aside: the timeout is --timeout's, and replies are bytes.
        pool = redis.ConnectionPool(
            **{
                **asked,
                "socket_timeout": config.timeout,
                "socket_connect_timeout": config.timeout,
                "retry": Retry(NoBackoff(), 0),
                "retry_on_timeout": False,
                "retry_on_error": [],
                "protocol": protocol,
                "decode_responses": False,
                # The handshake stays two commands shorter, and within the rights of a narrow ACL user.
                "driver_info": None,
                "connection_class": type("Own", (_Patient if subscribes else _Listening, kind), {}),
            }
        )
        # An option that there is not would otherwise be found only on connecting.
        pool.connection_class(**pool.connection_kwargs)
    except (ValueError, TypeError, RedisError) as exc:
        raise UsageProblem(f"the Redis URL {config.shown_url!r} cannot be used: {exc}", hint=_FORMS) from exc
    return CheckedRedis.from_pool(pool)


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


def answer_within(client: redis.Redis, seconds: float) -> None:
    """Give Redis so long to answer from here on; connections that are open are opened anew."""
    pool = client.connection_pool
    pool.connection_kwargs.update(socket_timeout=seconds, socket_connect_timeout=seconds)
    pool.disconnect()
    pool.reset()


class _Listening(_Patient):
    """A connection that listens to a server which speaks unasked: one that has no connection left,
    or is no Redis. The client library only sees that there is something to read, and not what."""

    def can_read(self, timeout: float = 0) -> bool:
        connection: Any = super()
        waiting: bool = connection.can_read(timeout)
        if waiting:
            connection.read_response()
        return waiting


def _check_url(config: Config) -> None:
    try:
        parts = urlsplit(config.redis_url)
        _ = parts.port
    except ValueError as exc:
        # The text of the error may hold a part of a password in which `/`, `?` or `#` was not encoded.
        raise UsageProblem(
            f"the Redis URL {config.shown_url!r} cannot be used: its host or port is not one",
            hint=f"{_FORMS}; in a password, write / as %2F, ? as %3F, # as %23",
        ) from exc
    if parts.scheme not in SCHEMES or "://" not in config.redis_url:
        raise UsageProblem(
            f"the Redis URL {config.shown_url!r} is of an unknown kind",
            hint="it starts with redis://, rediss:// or unix://",
        )
    if parts.scheme != "unix" and not re.fullmatch(r"(/[0-9]*)?/?", parts.path):
        # The client library would take database 0 for it.
        raise UsageProblem(
            f"the Redis URL {config.shown_url!r} cannot be used: its database is not a number", hint=_FORMS
        )


@contextmanager
def redis_errors(config: Config) -> Iterator[None]:
    """Turn what the client library raises into RedisProblem."""
    try:
        yield
    except RedisError as exc:
        raise as_problem(exc, config) from exc


def as_problem(exc: RedisError, config: Config) -> RedisProblem:
    if isinstance(exc, RedisTimeoutError):
        return RedisProblem(
            "redis_timeout",
            f"Redis at {config.shown_url} did not answer within {config.timeout:g} s",
            hint="raise --timeout, or find out what holds the server up",
        )
    text = _server_text(exc)
    token = _token(exc, text)
    if token is not None:
        return _refusal(token, text)
    if isinstance(exc, RedisConnectionError | InvalidResponse):
        reason, hint = tls.trouble(exc, config.redis_url) or (_reason(exc), _RUNNING)
        return RedisProblem(
            "redis_unreachable", f"cannot reach Redis at {config.shown_url}: {reason}", hint=hint
        )
    status = getattr(exc, "status_code", None)
    # The client library takes the first word off some texts, and it may say more than the rest.
    if "DB index is out of range" in text:
        return RedisProblem(
            "redis_error",
            f"there is no such database at {config.shown_url}",
            hint="a Redis has the databases 0 to 15 unless it is told otherwise; the number ends the URL",
        )
    told = f"{status} {text}" if status and status != "ERR" else text
    return RedisProblem("redis_error", f"Redis refused: {told or type(exc).__name__}")


# The client library takes the first word off the texts of these. MasterDownError is a ClusterDownError.
_BY_CLASS: tuple[tuple[type[RedisError], str], ...] = (
    (AuthenticationError, "WRONGPASS"),
    (BusyLoadingError, "LOADING"),
    (NoPermissionError, "NOPERM"),
    (ReadOnlyError, "READONLY"),
    (OutOfMemoryError, "OOM"),
    (MasterDownError, "MASTERDOWN"),
    (ClusterDownError, "CLUSTERDOWN"),
)
_TOO_MANY_CLIENTS = "max number of clients"
# What it puts before the refusal of the command that ends a transaction.
_ABORTED = "Transaction discarded because of: "
# What it says to a command too long for a client that has not given its password.
_UNAUTHENTICATED = "Protocol error: unauthenticated "
# What Redis 6 says of a command that was refused within a script, and Redis up to 7.0 and newer
# servers where it was the user's rights that were missing.
_IN_SCRIPT = re.compile(r"Error running script .*: -(?P<token>[A-Z]+) ")
_NO_RIGHT_IN_SCRIPT = ("The user executing the script can't ", "ACL failure in script: ")


def _server_text(exc: RedisError) -> str:
    """What the server said: without the command that a pipeline puts before it, and without the
    arguments that a server quotes of a command it does not know. Those of AUTH are a password."""
    text = str(exc).rpartition(" of pipeline caused error: ")[2]
    return text.removeprefix(_ABORTED).partition(", with args beginning with")[0]


def _token(exc: RedisError, text: str) -> str | None:
    """The word for this refusal in _REFUSALS, None where it is of another kind.

    Only a server's own words are looked at: elsewhere a path, a host or a key may hold such a
    word.
    """
    if text.startswith(_TOO_MANY_CLIENTS):
        return _TOO_MANY_CLIENTS
    for kind, token in _BY_CLASS:
        if isinstance(exc, kind):
            asks = token == "WRONGPASS" and "Authentication required" in text  # noqa: S105
            return "NOAUTH" if asks else token
    if not isinstance(exc, ResponseError):
        return None
    if text.startswith(_UNAUTHENTICATED):
        return "NOAUTH"
    if any(words in text for words in _NO_RIGHT_IN_SCRIPT):
        return "NOPERM"
    in_script = _IN_SCRIPT.match(text)
    word = in_script["token"] if in_script else text.partition(" ")[0]
    if any(word == token for token, *_ in _REFUSALS):
        return word
    return "EXECABORT" if isinstance(exc, ExecAbortError) else None


def _refusal(token: str, text: str) -> RedisProblem:
    _, code, message, hint = next(row for row in _REFUSALS if row[0] == token)
    if token == "NOPERM" and text:  # noqa: S105
        # Which command, key or channel it was is the whole point.
        message = f"{message}: {text.removeprefix('NOPERM ')}"
    return RedisProblem(code, message, hint=hint)


def _reason(exc: BaseException) -> str:
    """The innermost cause in words: `Connection refused` rather than the whole chain."""
    if isinstance(exc, InvalidResponse):
        return "what answers there does not speak its protocol"
    cause: BaseException | None = exc
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__cause__ or cause.__context__
    return str(exc) or type(exc).__name__
