"""From what Redis holds of a job to what is wrong with it: at most one damage, the worst.

Sources: the claim and lifecycle scripts of asyncmq.backends.redis, which find a job by the waiting
set and its record and end it by its claim; `remove_job`, `cancel_job`, `retry_job`, `move_to_dlq`
and `enqueue_delayed` there, which are several commands each and can be cut short between any two.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncmq_cli.models.values import WAITING_CHILDREN, as_number
from asyncmq_cli.storage.codec import decode_member
from asyncmq_cli.storage.suspects import DEAD, ENDED

if TYPE_CHECKING:
    from asyncmq_cli.storage.evidence import Evidence

_UNLISTED = {"waiting": "waiting_unlisted", "failed": "failed_unlisted", "expired": "failed_unlisted"}
# What is left of a job that is gone, in the order in which it is told of.
_LEFT = (
    ("ids", "id_without_record"),
    ("states", "state_without_job"),
    ("waiting", "member_without_job"),
    ("active", "claim_stale"),
    ("cancelled", "cancel_mark_stale"),
    ("results", "result_without_job"),
    ("payloads", "payload_without_record"),
    ("heartbeats", "heartbeat_stale"),
)
# The walk that tells of a damage, so that none is told of twice; the others are told of by the
# first collection that knows the job.
_TOLD_BY = {
    "dead_letter_stale": "dlq",
    "in_two_places": "delayed",
    "cancel_unfinished": "cancelled",
    "claim_stale": "active",
    "heartbeat_stale": "heartbeats",
    "active_lost": "lost",
}


def diagnose(found: Evidence) -> tuple[str, str] | None:
    """The damage's code and the walk that tells of it. What cannot be read is no damage of a job:
    its key is told of."""
    if found.unreadable_key:
        return None
    places = _places(found)
    code = _with_record(found, places) if found.has_record else _without_record(found, places)
    if code is None:
        return None
    # A result is not looked for beside a record: where nothing else knows the job, that is what told of it.
    return code, _TOLD_BY.get(code) or next(iter(places), "results")


def _places(found: Evidence) -> list[str]:
    """The collections that know the job; a walk through each of them comes upon it."""
    location, members = found.location, found.location.members
    known = {
        "ids": location.in_ids,
        "states": location.state is not None,
        "waiting": bool(members["waiting"]),
        "delayed": bool(members["delayed"]),
        "dlq": bool(members["dlq"]),
        "active": location.active,
        "cancelled": location.cancelled,
        "results": found.has_result,
        "payloads": location.payload is not None,
        "heartbeats": found.heartbeat is not None,
    }
    return [place for place, knows in known.items() if knows]


def _without_record(found: Evidence, places: list[str]) -> str | None:
    whole = found.whole_members
    if whole["delayed"] or whole["dlq"]:
        return "record_missing"
    if whole["waiting"]:
        # A whole job in the waiting set, as old versions of AsyncMQ wrote it, needs no record.
        return None
    return next((code for place, code in _LEFT if place in places), None)


def _with_record(found: Evidence, places: list[str]) -> str | None:
    location, status = found.location, found.status
    waiting, delayed, dead = (place in places for place in ("waiting", "delayed", "dlq"))
    pending = status in ("waiting", "delayed", "active", WAITING_CHILDREN)
    lies_somewhere = waiting or delayed or dead or location.active
    if location.cancelled and pending and not lies_somewhere:
        return "cancel_unfinished" if found.readable else "record_unreadable"
    if dead and status not in DEAD:
        if waiting or delayed or location.active or not pending:
            return "dead_letter_stale"
        return "dead_state_wrong"
    if waiting and delayed:
        return "in_two_places"
    if status == WAITING_CHILDREN:
        return _of_child(found, lies_somewhere)
    if not lies_somewhere:
        code = _unlisted(found)
        if code is not None:
            return code
    if not location.in_ids:
        return "record_unindexed"
    if location.active and status in ENDED:
        return "claim_stale"
    if found.heartbeat is not None and not location.active and as_number(found.heartbeat) is not None:
        return "heartbeat_stale"
    return None


def _unlisted(found: Evidence) -> str | None:
    """What a job that lies in no place is called; None for one that has ended and belongs nowhere."""
    if found.status == "active":
        return "active_unclaimed" if found.readable else "record_unreadable"
    code = _UNLISTED.get(found.status)
    if found.status == "delayed":
        until = as_number(found.location.job.get("delay_until"))
        code = "delayed_timeless" if until is None else "delayed_unlisted"
    return code if code is None or found.readable else "record_unreadable"


def _of_child(found: Evidence, lies_somewhere: bool) -> str | None:
    states = list(found.parents.values())
    if any(state is None or state == "cancelled" for state in states):
        return "parent_gone"
    if any(state in DEAD for state in states):
        return "parent_failed"
    if all(state == "completed" for state in states) and not lies_somewhere:
        return "parents_done"
    return None if found.location.in_ids else "record_unindexed"


def dead_letter_of(found: Evidence) -> dict[str, object]:
    """The job that its dead letter, or its delayed member, holds."""
    whole = found.whole_members
    return decode_member((whole["dlq"] or whole["delayed"])[-1]) or {}
