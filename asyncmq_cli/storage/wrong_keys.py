"""Keys that hold something else than AsyncMQ, or the tool itself, keeps there."""

from __future__ import annotations

import re

import redis

from asyncmq_cli.storage import scan
from asyncmq_cli.storage.keys import AUDIT_STREAM, METRICS_STREAM, QueueKeys, to_text
from asyncmq_cli.storage.questions import ask

_COUNTABLE = re.compile(rb"0|[1-9][0-9]{0,14}")
"""As the scripts that count on look at it; INCR refuses a number that is written otherwise."""


def wrong_streams(client: redis.Redis) -> list[str]:
    """Those of the tool's own streams that are none."""
    return [
        to_text(key) for key in (AUDIT_STREAM, METRICS_STREAM) if client.type(key) not in (b"none", b"stream")
    ]


def wrong_keys(client: redis.Redis, queue: str) -> list[str]:
    """The keys of the queue that do not hold what AsyncMQ keeps there."""
    keys = QueueKeys(queue)
    wrong = _of_wrong_type(client, keys)
    if not _is_countable(client, keys.waiting_seq):
        wrong.append(keys.waiting_seq)
    return [to_text(key) for key in dict.fromkeys(wrong)]


def _of_wrong_type(client: redis.Redis, keys: QueueKeys) -> list[bytes]:
    expected = keys.evidence()
    types = ask(client, [("TYPE", key) for key in expected])
    # Whatever type the pause mark is of, the queue is paused: workers look whether it exists.
    return [
        key
        for (key, kind), found in zip(expected.items(), types, strict=True)
        if found not in (b"none", kind) and not key.endswith(b":paused")
    ]


def _is_countable(client: redis.Redis, sequence: bytes) -> bool:
    """Whether the counter behind the waiting set's order can be counted on; absent, it can."""
    value = scan.get_many(client, [sequence], scan.Pace())[0]
    return value is None or _COUNTABLE.fullmatch(value) is not None
