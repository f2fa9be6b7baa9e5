"""What a queue holds beside its jobs, byte for byte: definitions, marks, its counter, what no job owns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

OWN = ("repeatables", "cancelled", "results", "heartbeats", "paused", "sequence")
"""The parts that a queue may have without a job, by their names in the scripts' table of types."""
PLURALS = {
    "repeatables": ("definition", "definitions"),
    "cancelled": ("cancel mark", "cancel marks"),
    "results": ("stray result", "stray results"),
    "heartbeats": ("stray heartbeat", "stray heartbeats"),
    "paused": ("pause mark", "pause marks"),
    "sequence": ("counter", "counters"),
    "delayed": ("delayed member without an id", "delayed members without an id"),
    "dlq": ("dead letter without an id", "dead letters without an id"),
}
"""What people call one and several elements of each part."""


@dataclass(frozen=True, slots=True)
class QueuePart:
    """Some elements of one of the queue's collections: each with its score in a sorted set, its value in a
    hash, and b"" in a set. A string is one element, b"", with its value."""

    queue: bytes
    name: str
    elements: tuple[tuple[bytes, bytes], ...]


def names_of(counts: Mapping[str, int]) -> str | None:
    """`2 definitions, 1 pause mark`; None where there is nothing."""
    found = [
        f"{counts[name]:,} {words[counts[name] > 1]}" for name, words in PLURALS.items() if counts.get(name)
    ]
    return ", ".join(found) or None
