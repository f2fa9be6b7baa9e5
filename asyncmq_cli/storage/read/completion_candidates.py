"""What is in Redis under a beginning of its name, read piece by piece for somebody who is typing.

The reader stops when it has enough or the time is up, so that each piece is worth having by itself.
"""

from __future__ import annotations

from collections.abc import Iterator

import redis

from asyncmq_cli.storage.client import scan
from asyncmq_cli.storage.read import queue_names
from asyncmq_cli.storage.schema.keys import (
    QueueKeys,
    beginning_with,
    discovery_pattern,
    possible_queues,
    to_bytes,
    to_text,
)

_GUESSES = 200
"""Each costs a round trip, and ids with colons in them make one that leads nowhere each."""


class CandidateReader:
    """Names and ids under the beginning that was typed."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client

    def queues(self, prefix: str) -> Iterator[set[str]]:
        """The queues whose name begins with `prefix`, as they are found.

        A job's record proves nothing by its name, but nearly every key is one: a queue that it may
        belong to is asked for, so that large queues are found long before the last key is seen.
        """
        start = to_bytes(prefix)
        found: set[bytes] = set()
        guessed: set[bytes] = set()
        for keys in queue_names.key_names(self._redis, discovery_pattern(start)):
            new = {name for name in queue_names.proven_by(self._redis, keys, found) if name.startswith(start)}
            records = (key for key in keys if key.startswith(b"jobs:"))
            guesses = {name for key in records for name in possible_queues(key) if name.startswith(start)}
            for name in sorted(guesses - guessed - found - new)[: _GUESSES - len(guessed)]:
                guessed.add(name)
                if queue_names.exists(self._redis, to_text(name)):
                    new.add(name)
            found |= new
            yield {to_text(name) for name in new}

    def job_ids(self, queue: str, prefix: str) -> Iterator[dict[str, str | None]]:
        """The ids that begin with `prefix`, each with what the states hash says of it."""
        keys = QueueKeys(queue)
        match = beginning_with(to_bytes(prefix))
        for members in scan.set_members(self._redis, keys.ids, match):
            states = scan.hash_get(self._redis, keys.states, members)
            yield {
                to_text(member): None if state is None else to_text(state)
                for member, state in zip(members, states, strict=True)
            }
