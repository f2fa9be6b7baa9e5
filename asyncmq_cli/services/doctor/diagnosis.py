"""Diagnose one job: find the code of its worst damage from its evidence.

Sources: the claim and lifecycle scripts of asyncmq.backends.redis, which take a job by the waiting
set and its record, and end it by its claim; `remove_job`, `cancel_job`, `retry_job`, `move_to_dlq`
and `enqueue_delayed` there, which are several commands each and can be interrupted between any two.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncmq_cli.models.values import DEAD_STATES, ENDED_STATES, OPEN_STATES, WAITING_CHILDREN, as_number

if TYPE_CHECKING:
    from asyncmq_cli.storage.integrity.evidence import Evidence

_UNLISTED = {"waiting": "waiting_unlisted", "failed": "failed_unlisted", "expired": "failed_unlisted"}
# Codes of leftovers of a job without a record, the most serious first.
_LEFTOVERS = (
    ("ids", "id_without_record"),
    ("states", "state_without_job"),
    ("waiting", "member_without_job"),
    ("active", "claim_stale"),
    ("cancelled", "cancel_mark_stale"),
    ("results", "result_without_job"),
    ("payloads", "payload_without_record"),
    ("heartbeats", "heartbeat_stale"),
    ("dependencies", "dependencies_left"),
)


def diagnose(found: Evidence) -> str | None:
    """The code of the damage, or None. A key of the wrong type is a separate finding, not damage of a job."""
    if found.unreadable_key:
        return None
    places = _places(found)
    return _with_record(found, places) if found.has_record else _without_record(found, places)


def _places(found: Evidence) -> list[str]:
    """The places and hashes that contain the job."""
    location = found.location
    known = {
        "ids": location.in_ids,
        "states": location.state is not None,
        "waiting": bool(found.times_in("waiting")),
        "delayed": bool(found.times_in("delayed")),
        "dlq": bool(found.times_in("dlq")),
        "active": location.active,
        "cancelled": location.cancelled,
        "results": found.has_result,
        "payloads": location.payload is not None,
        "heartbeats": found.heartbeat is not None,
        "dependencies": found.pending > 0 or (found.children > 0 and not found.has_living_child),
    }
    return [place for place, knows in known.items() if knows]


def _without_record(found: Evidence, places: list[str]) -> str | None:
    location = found.location
    waiting, delayed, dead = (found.times_in(place) for place in ("waiting", "delayed", "dlq"))
    whole = len(found.members_in("waiting")) + delayed
    # A worker drops a member that is only an id without a record, but runs a member with the whole job,
    # whatever the job's state is.
    code = _runs_again(found) if whole else None
    if code is not None:
        return code
    if whole and location.active:
        return "active_listed"
    if dead:
        # The repair makes the dead letter the record, so nothing else may contradict it.
        alone = dead == 1 and not (waiting or delayed or location.active)
        return "record_missing" if alone and location.state in (None, *DEAD_STATES) else "dead_letter_unclear"
    if delayed:
        return "record_missing"
    if whole:
        # A whole job in the waiting set, as old versions of AsyncMQ wrote it, needs no record.
        return None
    return next((code for place, code in _LEFTOVERS if place in places), None)


def _with_record(found: Evidence, places: list[str]) -> str | None:
    location, status = found.location, found.status
    waiting, delayed, dead = (place in places for place in ("waiting", "delayed", "dlq"))
    pending = status in OPEN_STATES
    lies_somewhere = waiting or delayed or dead or location.active
    if location.cancelled and pending and not lies_somewhere:
        return "cancel_unfinished" if found.readable else "record_unreadable"
    if waiting and not found.readable:
        return "record_unreadable"
    if waiting or delayed:
        code = _runs_again(found)
        if code is not None:
            return code
    if dead and status not in DEAD_STATES:
        return _of_dead_letter(found, waiting or delayed)
    if found.argumentless and pending and not (delayed or dead or location.active):
        return "arguments_damaged"
    if status == WAITING_CHILDREN and found.parents:
        return _of_child(found, lies_somewhere)
    if not lies_somewhere:
        code = _unlisted(found)
        if code is not None:
            return code
    if not location.in_ids:
        return "record_unindexed"
    if location.active and status in ENDED_STATES:
        return "claim_stale"
    if found.heartbeat is not None and not location.active and as_number(found.heartbeat) is not None:
        return "heartbeat_stale"
    return None


def _runs_again(found: Evidence) -> str | None:
    """The damage code of a job that a worker will run again although it should not, or None."""
    # A worker drops a job that is marked as cancelled.
    dropped = found.status == "cancelled" and found.location.cancelled
    if found.status in ENDED_STATES and not dropped:
        return "ended_listed"
    if found.status == "active":
        return "active_listed"
    return "in_two_places" if found.times_in("waiting") + found.times_in("delayed") > 1 else None


def _of_dead_letter(found: Evidence, listed: bool) -> str:
    """The damage code of a job that has a dead letter but not the state of a dead job."""
    status = found.status
    if listed or (found.location.active and status == "active"):
        return "dead_letter_stale"
    if status in ("completed", "cancelled"):
        # The job has ended: either the state was written after an older record, or the record says so too.
        return "dead_letter_unclear" if found.recorded in DEAD_STATES else "dead_letter_stale"
    if status not in OPEN_STATES:
        return "state_unknown"
    letters = found.members_in("dlq")
    same = len(letters) == 1 and letters[0].life is not None and letters[0].life == found.life
    return "dead_state_wrong" if same else "dead_letter_unclear"


def _unlisted(found: Evidence) -> str | None:
    """The damage code of a job that is in no place; None if it has ended, so that it should be in
    none."""
    if found.status == "active":
        return "active_unclaimed" if found.readable else "record_unreadable"
    if found.status not in (*OPEN_STATES, *ENDED_STATES):
        return "state_unknown" if found.readable else "record_unreadable"
    code = _UNLISTED.get(found.status)
    if found.status == "delayed":
        until = as_number(found.location.job.get("delay_until"))
        code = "delayed_timeless" if until is None else "delayed_unlisted"
    if found.status == WAITING_CHILDREN:
        # Its state says that it waits for parents, but it has none.
        code = "state_unknown"
    return code if code is None or found.readable else "record_unreadable"


def _of_child(found: Evidence, lies_somewhere: bool) -> str | None:
    states = found.parents
    if not states.isdisjoint({None, "cancelled"}):
        return "parent_gone"
    if not states.isdisjoint(DEAD_STATES):
        return "parent_failed"
    if states == {"completed"} and not lies_somewhere:
        return "parents_done"
    return None if found.location.in_ids else "record_unindexed"
