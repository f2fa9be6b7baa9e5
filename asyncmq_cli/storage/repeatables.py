"""Repeatable definitions. Source: asyncmq.core.repeatables."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

# What a definition carries on its way and what does not make it another one.
_EPHEMERAL = frozenset(
    {"id", "next_run", "paused", "queue", "queue_name", "repeat_id", "status", "_last_run"}
)


def normalized(definition: Mapping[str, Any]) -> dict[str, Any]:
    """The definition without what changes from run to run and without nulls."""
    clean = {key: value for key, value in definition.items() if key not in _EPHEMERAL and value is not None}
    if "task" in clean and "task_id" not in clean:
        clean["task_id"] = clean.pop("task")
    return clean


def identity(definition: Mapping[str, Any]) -> str:
    """`repeatable:` and the SHA-1 of the definition's canonical JSON."""
    canonical = json.dumps(normalized(definition), sort_keys=True, separators=(",", ":"))
    return "repeatable:" + hashlib.sha1(canonical.encode(), usedforsecurity=False).hexdigest()
