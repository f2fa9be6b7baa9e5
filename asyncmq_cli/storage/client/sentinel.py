"""Connect to the primary that Sentinels name, by redis-py's Sentinel class."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from redis.sentinel import (
    MasterNotFoundError,
    Sentinel,
    SentinelConnectionPool,
    SentinelManagedConnection,
    SentinelManagedSSLConnection,
)

if TYPE_CHECKING:
    from asyncmq_cli.models.address import Address

Place = tuple[str, int]
"""Host and port."""
KINDS = {"redis-sentinel": SentinelManagedConnection, "rediss-sentinel": SentinelManagedSSLConnection}


class Primary:
    """The primary that was connected to last. `warn` is called when it changes."""

    def __init__(self, name: str, warn: Callable[[str], None] | None) -> None:
        self._name, self._warn = name, warn
        self._place: Place | None = None

    def connected(self, place: Place) -> None:
        """Note that a connection to this server was made."""
        before, self._place = self._place, place
        if before not in (None, place) and self._warn is not None:
            assert before is not None  # noqa: S101
            now, then = (f"{host}:{port}" for host, port in (place, before))
            self._warn(f"the primary of {self._name!r} is now {now}; it was {then}")


class Followed:
    """A connection to whichever server is the primary when it is opened."""

    primary: Primary

    def connect_to(self, address: Place) -> None:
        client_library: Any = super()
        client_library.connect_to(address)
        self.primary.connected(address)


_REFUSED = "a Sentinel refuses the user or password; sentinel_password in the URL is for the Sentinels"


class _Sentinels(Sentinel):
    def discover_master(self, service_name: str) -> Place:
        try:
            host, port = super().discover_master(service_name)  # type: ignore[no-untyped-call]
        except MasterNotFoundError as exc:
            # redis-py's text lists clients as Python objects, so replace it.
            silent = str(exc).count("Redis(")
            if silent and "AuthenticationError" in str(exc):
                raise MasterNotFoundError(_REFUSED) from exc
            raise MasterNotFoundError(_why(service_name, silent, len(self.sentinels))) from exc
        return str(host), int(port)


def _why(name: str, silent: int, count: int) -> str:
    if silent == count:
        return "the Sentinel does not answer" if count == 1 else f"none of the {count} Sentinels answers"
    if silent:
        return (
            f"{silent} of {count} Sentinels do not answer, and the others name no primary {name!r} that is up"
        )
    return f"the Sentinels name no primary {name!r} that is up"


def pool(address: Address, options: dict[str, Any]) -> SentinelConnectionPool:
    """The pool of connections to the primary. `options` are redis-py's arguments for each connection. Raises
    redis-py's errors for arguments that it refuses."""
    own = ("ssl_", "socket_", "retry", "driver_info", "protocol")
    asked = {name: value for name, value in options.items() if name.startswith(own)}
    login = address.sentinel_login
    sentinels = _Sentinels(  # type: ignore[no-untyped-call]
        address.sentinels,
        sentinel_kwargs={**asked, "ssl": address.uses_tls, **login},
    )
    return SentinelConnectionPool(address.master, sentinels, **options)  # type: ignore[no-untyped-call]
