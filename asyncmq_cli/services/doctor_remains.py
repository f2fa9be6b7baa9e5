"""What a repair takes away for good, kept in its audit event where it is small."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from asyncmq_cli.services.backup_lines import as_text
from asyncmq_cli.storage.codec import dumps
from asyncmq_cli.storage.keys import to_bytes
from asyncmq_cli.storage.scan import chunked

if TYPE_CHECKING:
    from asyncmq_cli.storage.evidence import Evidence
    from asyncmq_cli.storage.store import Store

MOST_KEPT = 4096
"""Bytes of JSON in one event: the trail holds a hundred thousand of them, in Redis's memory."""
_AT_A_TIME = 50
_CLAIMS = ("claim_stale", "heartbeat_stale")
_REST = (
    *("id_without_record", "state_without_job", "member_without_job"),
    *("cancel_mark_stale", "result_without_job", "payload_without_record"),
)


def with_remains(
    store: Store, queue: str, jobs: Sequence[tuple[str, Evidence]]
) -> Iterator[tuple[str, Evidence, dict[str, Any]]]:
    """The same, each with what its event's details are to hold of what the repair takes away:
    `removed`, or `removed_bytes` where that is too large. Raises WrongType."""
    for piece in chunked(jobs, _AT_A_TIME):
        kept = [found.location.id for _, found in piece if found.has_result and not found.has_record]
        results = dict(zip(kept, store.results(queue, kept), strict=True)) if kept else {}
        for code, found in piece:
            yield code, found, _details(_taken(code, found, results.get(found.location.id)))


def _taken(code: str, found: Evidence, result: bytes | None) -> dict[str, Any]:
    location = found.location
    if code == "dead_letter_stale":
        return {"dlq": [as_text(member) for member in location.members["dlq"]]}
    if code not in (*_CLAIMS, *_REST):
        return {}
    claim = {"claim": location.claim, "heartbeat": found.heartbeat}
    if found.has_record:
        return _texts(claim)
    state = None if location.state is None else to_bytes(location.state)
    return _texts({"state": state, "payload": location.payload, "result": result, **claim})


def _texts(values: dict[str, bytes | None]) -> dict[str, Any]:
    return {name: as_text(value) for name, value in values.items() if value is not None}


def _details(taken: dict[str, Any]) -> dict[str, Any]:
    if not taken:
        return {}
    size = len(dumps(taken))
    return {"removed": taken} if size <= MOST_KEPT else {"removed_bytes": size}
