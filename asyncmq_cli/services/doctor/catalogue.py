"""What the doctor knows: each damage with its code, why it matters, and what a repair would do.

`sure` repairs follow from what is stored, and are made by `doctor --repair`. One that may run a
job twice is made only where its code is `named`. For the rest there is `advice`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Way = Literal["sure", "named", "advice"]


@dataclass(frozen=True, slots=True)
class Damage:
    """QUEUE in `repair` stands for the queue's name.

    `severity` is `error` where jobs are stuck or lost, `warning` where something is not as it
    seems, `info` for what only takes room."""

    code: str
    severity: Literal["error", "warning", "info"]
    message: str
    repair: str
    way: Way = "sure"


_FORGET = "takes out what is left of it: id, state, result, claim, marks and sets"
_TWICE = (
    "lets it wait again; made only where its code is named, because a worker that runs it after all "
    "would run it twice"
)

DAMAGES = (
    Damage(
        "waiting_unlisted",
        "error",
        "its state says that it waits, but it is not in the waiting set: no worker will find it",
        "puts it into the waiting set, behind what waits already",
    ),
    Damage(
        "delayed_unlisted",
        "error",
        "its state says that it is delayed, but it is not in the delayed set: it never becomes due",
        "puts it back into the delayed set, due when its record says",
    ),
    Damage(
        "delayed_timeless",
        "error",
        "it is delayed, but not in the delayed set, and its record does not say until when",
        "'asyncmq jobs requeue QUEUE ID' lets it wait for a worker, or 'jobs remove' it",
        "advice",
    ),
    Damage(
        "failed_unlisted",
        "error",
        "it failed or expired, but is not in the dead-letter queue: it is not listed and cannot be retried",
        "puts it back into the dead-letter queue",
    ),
    Damage(
        "dead_state_wrong",
        "error",
        "it is in the dead-letter queue and nowhere else, and its record is of the same life, but its state "
        "says otherwise: it cannot be retried",
        "sets its state and record to what its dead letter says",
    ),
    Damage(
        "dead_letter_unclear",
        "error",
        "it is in the dead-letter queue, but what else is stored of it is of another life or says otherwise: "
        "which is meant is not known",
        "'asyncmq jobs show' has what is stored; take the dead letter out with redis-cli ZREM, or set the "
        "job's state to failed with redis-cli HSET jobs:QUEUE:states and 'asyncmq jobs retry' it",
        "advice",
    ),
    Damage(
        "state_unknown",
        "error",
        "it is in no place where a worker looks, and its state is none that AsyncMQ gives a job that is to "
        "run or has ended: nothing will run it",
        "set its state to what it is meant to be with redis-cli HSET jobs:QUEUE:states and run the doctor "
        "again, or 'jobs requeue' or 'jobs remove' it",
        "advice",
    ),
    Damage(
        "ended_listed",
        "error",
        "it has ended, but is in the waiting or the delayed set too: a worker runs it again",
        "if it is not to run again, take its member out with redis-cli ZREM",
        "advice",
    ),
    Damage(
        "active_listed",
        "error",
        "it is active, but is in the waiting or the delayed set too: a worker runs it a second time",
        "if it is not to run again, take its member out with redis-cli ZREM",
        "advice",
    ),
    Damage(
        "active_lost",
        "error",
        "it is active, but its worker is gone: there is no heartbeat of it, or no live worker",
        _TWICE,
        "named",
    ),
    Damage(
        "active_unclaimed",
        "error",
        "it is called active, but no worker holds a claim on it: whatever runs it, its end will be ignored",
        _TWICE,
        "named",
    ),
    Damage(
        "active_surplus",
        "warning",
        "more jobs have been active for longer than the heartbeat TTL than the live workers run at once: "
        "so many are lost, and which is not known",
        "'asyncmq jobs list QUEUE --state active --sort oldest' shows the likeliest",
        "advice",
    ),
    Damage(
        "active_silent",
        "warning",
        "it was claimed before a worker of this queue went silent, beside others that live: if that one is "
        "dead and ran it, nobody does",
        "'asyncmq jobs list QUEUE --state active --sort oldest' shows them all; what runs no more, "
        "'jobs requeue' lets wait again",
        "advice",
    ),
    Damage(
        "parents_done",
        "error",
        "all jobs that it waits for have completed, but nobody told it, so it waits for ever",
        "lets it wait for a worker, as the completion of its last parent should have",
    ),
    Damage(
        "parent_failed",
        "warning",
        "a job that it waits for failed or expired, so it waits for ever",
        "retry the parent; AsyncMQ 0.10.1 does not tell the child of it, so then run the doctor again",
        "advice",
    ),
    Damage(
        "parent_gone",
        "error",
        "a job that it waits for is gone or cancelled, so it waits for ever",
        "'asyncmq jobs remove' it, and enqueue it anew if it must run",
        "advice",
    ),
    Damage(
        "cancel_unfinished",
        "warning",
        "it is marked as cancelled and lies nowhere, but its state says that it is still to run",
        "finishes the cancellation: record and state say cancelled",
    ),
    Damage(
        "in_two_places",
        "warning",
        "it is in the waiting and in the delayed set, or more than once in one of them: it runs more than "
        "once, or one of them is lost",
        "which of them is meant is not known: 'asyncmq jobs remove' takes out all",
        "advice",
    ),
    Damage(
        "dead_letter_stale",
        "warning",
        "its dead letter is of an earlier life: it has ended otherwise since, or lies elsewhere",
        "takes the dead letter out; the job stays as it is",
    ),
    Damage(
        "claim_stale",
        "warning",
        "a worker's claim on it is left, but it has ended or is gone: it cannot be retried",
        "takes the claim and the heartbeat away",
    ),
    Damage(
        "record_missing",
        "warning",
        "it is in the delayed set or the dead-letter queue, but has no record: it cannot be looked up",
        "writes the record from its member, which holds the whole job",
    ),
    Damage(
        "record_unindexed",
        "warning",
        "it has a record, but is not among the queue's ids: it is missing from lists",
        "adds it to the ids",
    ),
    Damage(
        "record_unreadable",
        "error",
        "it waits or lies nowhere, and its record is damaged: a worker drops it without a word",
        "'asyncmq jobs remove' takes it out of the queue",
        "advice",
    ),
    Damage(
        "arguments_damaged",
        "error",
        "it is to run, but its arguments, which are stored apart from a large job's record, are missing or "
        "damaged: a worker fails at it",
        "'asyncmq jobs remove' it, and enqueue it anew",
        "advice",
    ),
    Damage(
        "id_without_record",
        "warning",
        "its id is known, but it has no record: no worker can run it",
        _FORGET,
    ),
    Damage("state_without_job", "info", "its state is stored, but neither its id nor a record", _FORGET),
    Damage(
        "member_without_job",
        "warning",
        "it is in the waiting set, but has no record: a worker will drop it without a word",
        _FORGET,
    ),
    Damage(
        "cancel_mark_stale",
        "warning",
        "it is marked as cancelled, but gone: a new job of this id would be dropped",
        "takes the mark away",
    ),
    Damage("result_without_job", "info", "its result is stored, but the job is gone", _FORGET),
    Damage("payload_without_record", "info", "its arguments are stored, but the job is gone", _FORGET),
    Damage(
        "dependencies_left",
        "info",
        "a set of its parents or children is stored, but the job is gone",
        _FORGET,
    ),
    Damage(
        "heartbeat_stale",
        "info",
        "its heartbeat is stored, but no worker holds a claim on it",
        "takes the heartbeat away",
    ),
    Damage(
        "member_unreadable",
        "error",
        "the member holds no job: one in the delayed set that is due keeps all others from becoming due",
        "nothing is known of it; look at it, and take it out with redis-cli ZREM",
        "advice",
    ),
    Damage(
        "repeatable_duplicate",
        "warning",
        "the definition is stored more than once, so it runs more than once",
        "leaves the one that runs next",
    ),
    Damage(
        "repeatable_conflict",
        "warning",
        "the definition is stored more than once, paused and running",
        "'asyncmq repeatables pause' or 'resume' leaves one, as you mean it",
        "advice",
    ),
    Damage(
        "repeatable_shadow",
        "warning",
        "beside a paused definition is another one of the same task and schedule, without its arguments: "
        "a resume in the dashboard makes such a one",
        "'asyncmq repeatables remove' the one, and 'resume' the other if it is to run",
        "advice",
    ),
    Damage(
        "repeatable_same_runs",
        "warning",
        "several definitions have the same task, arguments and schedule, and differ in retries or the like: "
        "each run is made by all of them",
        "'asyncmq repeatables remove QUEUE ID' takes away all but the one that is meant",
        "advice",
    ),
    Damage(
        "repeatable_rescheduled",
        "info",
        "a task is scheduled with the same arguments by intervals, or by cron expressions that differ in one "
        "field: a schedule that is changed by adding it anew leaves the old one",
        "'asyncmq repeatables remove QUEUE ID' takes the old one away; if all are meant, one cron expression "
        "such as '0 7,8 * * *' has them all",
        "advice",
    ),
    Damage(
        "repeatable_unreadable",
        "error",
        "a definition is no JSON object: the schedulers fail at it and run none of the queue's definitions",
        "look at it, and take it out with redis-cli ZREM",
        "advice",
    ),
    Damage(
        "repeatable_unscheduled",
        "warning",
        "its run is overdue by over a minute: nobody schedules it",
        "start a worker of the queue with 'asyncmq worker start' or run_worker; others schedule nothing",
        "advice",
    ),
    Damage(
        "paused_backlog",
        "warning",
        "the queue is paused, and jobs wait in it",
        "'asyncmq queues resume QUEUE' lets workers take them",
        "advice",
    ),
    Damage(
        "worker_gone",
        "info",
        "it has not been heard of for its heartbeat TTL, and is still listed: it ended without deregistering",
        "'asyncmq workers forget --stale --queue QUEUE' takes such workers out of the list",
        "advice",
    ),
    Damage(
        "wrong_type",
        "error",
        "the key does not hold what AsyncMQ, or asyncmq-cli, keeps there: what needs it fails",
        "look at it with redis-cli TYPE, and rename or delete it",
        "advice",
    ),
)
BY_CODE = {damage.code: damage for damage in DAMAGES}
