"""The rights of the Redis user."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

DISPENSABLE = frozenset({"pttl", "unlink"})
"""Rights without which every command does its work."""
OF_MAINTAINERS = frozenset({"srem"})
"""What takes a job out of its queue needs this right, and what puts one back to work does not."""


@dataclass(frozen=True, slots=True)
class Rights:
    """Whether each command, in lower case, is allowed. `user` and `server` are None if the server does not
    report them. `refused` is the server's error for the first command that it refused, or None."""

    user: str | None
    server: str | None
    reading: dict[str, bool]
    changing: dict[str, bool]
    refused: str | None
    lacks: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """For each command of ours that changes something, the missing rights."""

    @property
    def role(self) -> str | None:
        """The highest role of docs/connecting.md whose rights the user has; None for less than a viewer's."""
        missing = {name for taken in (self.reading, self.changing) for name, has in taken.items() if not has}
        missing -= DISPENSABLE
        if not missing:
            return "maintainer"
        if missing <= OF_MAINTAINERS:
            return "operator"
        return None if missing & self.reading.keys() else "viewer"
