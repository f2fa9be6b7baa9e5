"""What a user may do with a queue."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rights:
    """`user` and `server` are None where the server does not tell. Commands are in small letters; `refused`
    is what the server said to the first that it would not take."""

    user: str | None
    server: str | None
    reading: dict[str, bool]
    changing: dict[str, bool]
    refused: str | None
