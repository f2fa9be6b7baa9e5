"""The arguments of a split job, which lie beside its record: read when they are looked at, and not kept.

Most looks at jobs need none of them, and those of a page together may be larger than any of them may be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import redis

from asyncmq_cli.errors import WrongType
from asyncmq_cli.storage.client.pipeline import run_pipeline
from asyncmq_cli.storage.client.scan import PIECE_BYTES, typed
from asyncmq_cli.storage.schema.bounds import LIMITS
from asyncmq_cli.storage.schema.codec import PAYLOAD_FIELDS, CorruptData, TooLarge, payload_fields

NOT_SHOWN = "[not shown: too large]"

Arguments = tuple[Mapping[str, Any], str | None, int]
"""The fields, what is wrong with them, and about how many bytes of memory they take."""


class HeldPart:
    """One that was read already, and is decoded when it is looked at."""

    def __init__(self, payload: bytes) -> None:
        self._payload = payload

    def read(self, most: int | None = None) -> Arguments:
        return _decoded(self._payload, most)


class Payloads:
    """The parts of some jobs. Where one is looked at, those behind it are read ahead, up to a size. Of all
    that there are in a process only the last one used holds anything."""

    _last: ClassVar[Payloads | None] = None

    def __init__(self, client: redis.Redis, keys: Sequence[bytes]) -> None:
        self._redis = client
        self._keys = keys
        self._sizes: list[int] = []
        self._held: dict[int, bytes | None] = {}

    def part(self, position: int) -> Part:
        return Part(self, position)

    def get(self, position: int) -> bytes | None:
        """None where there is none, or it is no string. Raises TooLarge for what need not be read to know."""
        if position not in self._held:
            self._read_from(position)
        return self._held[position]

    def _read_from(self, start: int) -> None:
        if not self._sizes:
            replies = run_pipeline(self._redis, [("STRLEN", key) for key in self._keys], keep=WrongType)
            self._sizes = [reply if isinstance(reply, int) else 0 for reply in replies]
        total = self._sizes[start]
        if total > LIMITS.text:
            raise TooLarge(total)
        end = start + 1
        while end < len(self._keys) and total + self._sizes[end] <= PIECE_BYTES:
            total += self._sizes[end]
            end += 1
        if Payloads._last is not None:
            Payloads._last._held = {}
        Payloads._last = self
        found: list[bytes | None] = typed(self._keys[start], self._redis.mget, self._keys[start:end])
        self._held = dict(zip(range(start, end), found, strict=True))


class Part:
    """One of them."""

    def __init__(self, payloads: Payloads, position: int) -> None:
        self._payloads = payloads
        self._position = position

    def read(self, most: int | None = None) -> Arguments:
        """At most so many bytes in memory, decoded; what is beyond is replaced by a word that says so."""
        try:
            payload = self._payloads.get(self._position)
        except TooLarge as exc:
            return _beyond(exc)
        return ({}, None, 0) if payload is None else _decoded(payload, most)


def _decoded(payload: bytes, most: int | None) -> Arguments:
    try:
        found = payload_fields(payload, most)
    except TooLarge as exc:
        return _beyond(exc)
    except CorruptData as exc:
        return {}, f"the job is damaged: {exc}", 0
    if found is None:
        why = "the job's arguments are not shown: with those before them they are too large for one page"
        return dict.fromkeys(PAYLOAD_FIELDS, NOT_SHOWN), why, 0
    fields, size = found
    return fields, None, size


def _beyond(problem: TooLarge) -> Arguments:
    return dict.fromkeys(PAYLOAD_FIELDS, NOT_SHOWN), f"the job's arguments are {problem}", 0
