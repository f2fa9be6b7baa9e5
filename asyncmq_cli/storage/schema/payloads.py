"""The arguments of split jobs, which have their own key: read on first use, and not kept. Most commands do
not need them, and those of a whole page may exceed the limit for one job.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import redis

from asyncmq_cli.errors import WrongType
from asyncmq_cli.models.jobs import NOT_SHOWN
from asyncmq_cli.storage.client.pipeline import run_pipeline
from asyncmq_cli.storage.client.scan import PIECE_BYTES, typed
from asyncmq_cli.storage.schema.bounds import LIMITS
from asyncmq_cli.storage.schema.codec import PAYLOAD_FIELDS, CorruptData, TooLarge, payload_fields

Arguments = tuple[Mapping[str, Any], str | None, int]
"""The fields, the problem with them or None, and their approximate size in memory in bytes."""


class HeldPart:
    """A payload part that was read already, and is decoded on use."""

    def __init__(self, payload: bytes) -> None:
        self._payload = payload

    def read(self, most: int | None = None) -> Arguments:
        return _decoded(self._payload, most)


class Payloads:
    """The payload parts of several jobs. Reading one reads the next ones ahead, up to a size. Only the
    instance that was used last keeps what it read."""

    _last: ClassVar[Payloads | None] = None

    def __init__(self, client: redis.Redis, keys: Sequence[bytes]) -> None:
        self._redis = client
        self._keys = keys
        self._sizes: list[int] = []
        self._held: dict[int, bytes | None] = {}

    def part(self, position: int) -> Part:
        return Part(self, position)

    def get(self, position: int) -> bytes | None:
        """The part; None if it does not exist or is not a string. Raises TooLarge, by its length alone."""
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
    """One of the parts of a `Payloads`."""

    def __init__(self, payloads: Payloads, position: int) -> None:
        self._payloads = payloads
        self._position = position

    def read(self, most: int | None = None) -> Arguments:
        """The decoded arguments; NOT_SHOWN in their place if they take more than `most` bytes."""
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
        why = "the job's arguments are not shown: with those before them, they are too large for one page"
        return dict.fromkeys(PAYLOAD_FIELDS, NOT_SHOWN), why, 0
    fields, size = found
    return fields, None, size


def _beyond(problem: TooLarge) -> Arguments:
    return dict.fromkeys(PAYLOAD_FIELDS, NOT_SHOWN), f"the job's arguments are {problem}", 0
