"""Whether a target exists at all."""

from __future__ import annotations

from asyncmq_cli.errors import QueueNotFound
from asyncmq_cli.storage.store import Store


def require_queue(store: Store, queue: str) -> None:
    """Raise QueueNotFound, with the nearest names, for a queue of which Redis holds nothing."""
    if store.queues.exists(queue):
        return
    from difflib import get_close_matches

    names = store.queues.names()
    lowered = {name.lower(): name for name in names}
    nearest = get_close_matches(queue.lower(), list(lowered), n=3, cutoff=0.6)
    raise QueueNotFound(queue, [lowered[name] for name in nearest])
