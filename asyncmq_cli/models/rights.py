"""The rights of the Redis user."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rights:
    """Whether each command, in lower case, is allowed. `user` and `server` are None if the server does not
    report them. `refused` is the server's error for the first command that it refused, or None."""

    user: str | None
    server: str | None
    reading: dict[str, bool]
    changing: dict[str, bool]
    refused: str | None
