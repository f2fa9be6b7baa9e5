"""Convert errors of Redis and of redis-py to RedisProblem. No other module does this."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from redis.exceptions import (
    AskError,
    AuthenticationError,
    BusyLoadingError,
    ClusterCrossSlotError,
    ClusterDownError,
    ExecAbortError,
    InvalidResponse,
    MasterDownError,
    MovedError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from asyncmq_cli.errors import RedisProblem
from asyncmq_cli.storage.client import tls
from asyncmq_cli.storage.client.replies import CLUSTER, ReplyTooLarge, WrongServer
from asyncmq_cli.system.shortage import shortage

if TYPE_CHECKING:
    from asyncmq_cli.config import Config

# By the first word of the server's error, our code and message.
_REFUSALS: dict[str, tuple[str, str]] = {
    "WRONGPASS": ("redis_auth", "Redis refused the user name or password"),
    "NOAUTH": ("redis_auth", "Redis asks for a password"),
    "NOPERM": ("redis_permission", "the Redis user may not do this"),
    "READONLY": ("redis_readonly", "Redis is a read-only replica"),
    "OOM": ("redis_out_of_memory", "Redis is out of memory"),
    "LOADING": ("redis_loading", "Redis is still loading its data"),
    "BUSY": ("redis_busy", "Redis is busy running a script"),
    "MISCONF": ("redis_misconf", "Redis takes no writes: it cannot save to disk"),
    "CLUSTERDOWN": ("redis_cluster_down", "the Redis cluster is down"),
    "MASTERDOWN": ("redis_master_down", "the Redis replica has lost its primary"),
    "NOREPLICAS": ("redis_no_replicas", "Redis has too few replicas to take writes"),
    "MOVED": CLUSTER,
    "EXECABORT": ("redis_aborted", "Redis gave up the transaction"),
    "max number of clients": ("redis_max_clients", "Redis has no connection left"),
}
_CAUSES = {"WRONGPASS": "refused", "NOAUTH": "missing"}
"""The `cause` of `redis_auth` errors; `hints.py` has a hint for each."""

# redis-py strips the first word from the texts of these classes. MasterDownError is a ClusterDownError.
_BY_CLASS: tuple[tuple[type[RedisError], str], ...] = (
    (AuthenticationError, "WRONGPASS"),
    (BusyLoadingError, "LOADING"),
    (NoPermissionError, "NOPERM"),
    (ReadOnlyError, "READONLY"),
    (OutOfMemoryError, "OOM"),
    (MasterDownError, "MASTERDOWN"),
    (ClusterDownError, "CLUSTERDOWN"),
    (MovedError, "MOVED"),
    (AskError, "MOVED"),
    (ClusterCrossSlotError, "MOVED"),
)
_TOO_MANY_CLIENTS = "max number of clients"
# redis-py's prefix for the error of the command that aborted a transaction.
_ABORTED = "Transaction discarded because of: "
# The server's reply to a long command before the password was sent.
_UNAUTHENTICATED = "Protocol error: unauthenticated "
# The server's replies to any command, and to HELLO, if a password is missing.
_ASKS = ("Authentication required", "HELLO must be called with the client already authenticated")
# How Redis 6 reports that a command in a script was refused; and how Redis up to 7.0, and newer servers,
# report that the user lacked a right in a script.
_IN_SCRIPT = re.compile(r"Error running script .*: -(?P<token>[A-Z]+) ")
_NO_RIGHT_IN_SCRIPT = ("The user executing the script can't ", "ACL failure in script: ")


def as_problem(exc: RedisError, config: Config) -> RedisProblem:
    """The RedisProblem for an error of redis-py. Its texts never contain the URL's password."""
    if isinstance(exc, WrongServer):
        return RedisProblem(exc.code, exc.message)
    if isinstance(exc, RedisTimeoutError):
        # A server without TLS reads the handshake as the start of a command, and waits for its end.
        no_tls = tls.trouble(exc, config.address, config.timeout) if config.address.uses_tls else None
        if no_tls is not None:
            return _unreachable(config, *no_tls)
        return RedisProblem(
            "redis_timeout",
            f"Redis at {config.shown_url} did not answer within {config.timeout:g} s",
        )
    if isinstance(exc, ReplyTooLarge) and exc.most:
        what = getattr(exc, "refused_command", "") or "a command"
        return RedisProblem(
            "reply_too_large",
            f"a value in Redis at {config.shown_url} is too large to be read: the reply to {what} is larger"
            f" than {exc.most // (1024 * 1024)} MB",
        )
    text = _server_text(exc)
    token = _token(exc, text)
    if token is not None:
        return _refusal(token, text, getattr(exc, "refused_command", ""))
    if isinstance(exc, RedisConnectionError | InvalidResponse):
        known = shortage(exc) or tls.trouble(exc, config.address, config.timeout)
        return _unreachable(config, *(known or (_reason(exc), None)))
    status = getattr(exc, "status_code", None)
    # redis-py strips the first word from some texts. Put it back, because it may say more than the rest.
    if "DB index is out of range" in text:
        return RedisProblem(
            "redis_error",
            f"there is no such database at {config.shown_url}",
            cause="database",
        )
    said = f"{status} {text}" if status and status != "ERR" else text
    cause = "no_command" if text.lower().removeprefix("err ").startswith("unknown command") else ""
    return RedisProblem("redis_error", f"Redis refused: {said or type(exc).__name__}", cause=cause)


def _unreachable(config: Config, reason: str, hint: str | None) -> RedisProblem:
    message = f"cannot reach Redis at {config.shown_url}: {reason}"
    return RedisProblem("redis_unreachable", message, hint=hint)


def _server_text(exc: RedisError) -> str:
    """The server's own text, without redis-py's prefix and without the arguments that a server quotes for an
    unknown command: the argument of AUTH is a password."""
    text = str(exc).rpartition(" of pipeline caused error: ")[2]
    return text.removeprefix(_ABORTED).partition(", with args beginning with")[0]


def _token(exc: RedisError, text: str) -> str | None:
    """The key for this error in _REFUSALS, or None.

    Only the server's own text is searched: in other texts, a path, a host or a key may contain the word.
    """
    if text.startswith(_TOO_MANY_CLIENTS):
        return _TOO_MANY_CLIENTS
    for kind, token in _BY_CLASS:
        if isinstance(exc, kind):
            asks = token == "WRONGPASS" and any(words in text for words in _ASKS)  # noqa: S105
            return "NOAUTH" if asks else token
    if not isinstance(exc, ResponseError):
        return None
    if text.startswith(_UNAUTHENTICATED):
        return "NOAUTH"
    if any(words in text for words in _NO_RIGHT_IN_SCRIPT):
        return "NOPERM"
    in_script = _IN_SCRIPT.match(text)
    word = in_script["token"] if in_script else text.partition(" ")[0]
    if word in _REFUSALS:
        return word
    return "EXECABORT" if isinstance(exc, ExecAbortError) else None


def _refusal(token: str, text: str, command: str) -> RedisProblem:
    code, message = _REFUSALS[token]
    if token == "NOPERM" and text:  # noqa: S105
        # The user needs to know which command, key or channel was refused.
        message = f"{message}: {text.removeprefix('NOPERM ')}" + (f" ({command})" if command else "")
    return RedisProblem(code, message, cause=_CAUSES.get(token, ""))


def _reason(exc: BaseException) -> str:
    """The message of the innermost cause, such as `Connection refused`, instead of the whole chain."""
    if isinstance(exc, ReplyTooLarge):
        return "its reply is larger than any valid reply"
    if isinstance(exc, InvalidResponse):
        return "the server there does not speak Redis's protocol"
    for cause in tls.causes_of(exc):
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
    return str(exc) or type(exc).__name__
