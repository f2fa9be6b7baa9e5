"""The catalogue of damage: for each code, why it matters, and a repair or advice.

`doctor --repair` makes the `sure` repairs, which follow from the stored data. A repair after which a job may
run twice is `named`: it is made only with `--code`. Damage that the tool cannot repair has `advice`.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Way = Literal["sure", "named", "advice"]


class Damage(Struct, frozen=True):
    """One kind of damage. QUEUE in `repair` stands for the name of the queue.

    `severity` is `error` if jobs are stuck or lost, `warning` if data is misleading, and `info` if leftovers
    only take memory."""

    code: str
    severity: Literal["error", "warning", "info"]
    message: str
    repair: str
    way: Way = "sure"


_FORGET = "deletes what is left of it: id, state, result, claim, marks and sets"
_TWICE = (
    "puts it back into the waiting set; only with --code, because it runs twice if a worker is still "
    "running it"
)

DAMAGES = (
    Damage(
        "waiting_unlisted",
        "error",
        "its state is waiting, but it is not in the waiting set: no worker will find it",
        "puts it into the waiting set, after the jobs that already wait",
    ),
    Damage(
        "delayed_unlisted",
        "error",
        "its state is delayed, but it is not in the delayed set: it never becomes due",
        "puts it back into the delayed set, due at the time in its record",
    ),
    Damage(
        "delayed_timeless",
        "error",
        "its state is delayed, but it is not in the delayed set, and its record has no due time",
        "'asyncmq jobs requeue QUEUE ID' runs it, 'jobs remove' deletes it",
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
        "it is in the dead-letter queue alone, with the arguments and creation time of its record, but its "
        "state says that it is to run: it cannot be retried",
        "copies state and record from its dead letter",
    ),
    Damage(
        "dead_letter_unclear",
        "error",
        "its dead letter contradicts what else is stored of it, and nothing says which is right",
        "compare both with 'asyncmq jobs show'; then delete the dead letter with redis-cli ZREM, or set the "
        "job's state to failed with redis-cli HSET jobs:QUEUE:states and 'asyncmq jobs retry' it",
        "advice",
    ),
    Damage(
        "state_unknown",
        "error",
        "it is in no place where a worker looks, and its state is not one of AsyncMQ's: nothing will run it",
        "'jobs requeue' or 'jobs remove' it; or set the right state with redis-cli HSET jobs:QUEUE:states "
        "and run the doctor again",
        "advice",
    ),
    Damage(
        "ended_listed",
        "error",
        "it has ended, but is also in the waiting or the delayed set: a worker will run it again",
        "unless it should run again, delete its member with redis-cli ZREM",
        "advice",
    ),
    Damage(
        "active_listed",
        "error",
        "it is active, but is also in the waiting or the delayed set: a worker will run it a second time",
        "unless it should run again, delete its member with redis-cli ZREM",
        "advice",
    ),
    Damage(
        "active_lost",
        "error",
        "it is active, but its heartbeat has stopped or the queue has no live worker: its worker is gone",
        _TWICE,
        "named",
    ),
    Damage(
        "active_unclaimed",
        "error",
        "its state is active, but no worker has claimed it: if a worker runs it, its result is ignored",
        _TWICE,
        "named",
    ),
    Damage(
        "active_surplus",
        "warning",
        "more jobs have been active for longer than the heartbeat TTL than the live workers can run at once: "
        "this many are lost, but it is not known which",
        "'asyncmq jobs list QUEUE --state active --sort oldest' shows the most likely ones first",
        "advice",
    ),
    Damage(
        "active_silent",
        "warning",
        "it was claimed before a worker of this queue went silent while others live on: if that worker "
        "is dead and had this job, no worker runs it",
        "'asyncmq jobs list QUEUE --state active --sort oldest' shows them all; 'jobs requeue' "
        "those that no longer run",
        "advice",
    ),
    Damage(
        "parents_done",
        "error",
        "all jobs that it waits for have completed, but it was not released: it waits forever",
        "puts it into the waiting set, as the completion of its last parent should have",
    ),
    Damage(
        "parent_failed",
        "warning",
        "a job that it waits for failed or expired: it waits forever",
        "'asyncmq jobs retry' the parent, which releases it; AsyncMQ 0.10.1's own retry does not: then run "
        "the doctor again",
        "advice",
    ),
    Damage(
        "parent_gone",
        "error",
        "a job that it waits for is gone or cancelled: it waits forever",
        "'asyncmq jobs remove' it, and enqueue it again if it must run",
        "advice",
    ),
    Damage(
        "cancel_unfinished",
        "warning",
        "it has a cancel mark and is in no place, but its state says that it is still to run",
        "finishes the cancellation: sets record and state to cancelled",
    ),
    Damage(
        "in_two_places",
        "warning",
        "it is in both the waiting and the delayed set, or twice in one of them: it may run more than once",
        "'asyncmq jobs remove' deletes all of them; enqueue it again if it must run",
        "advice",
    ),
    Damage(
        "dead_letter_stale",
        "warning",
        "its dead letter is outdated: the job has completed, was cancelled, or is to run again",
        "deletes the dead letter; the job stays as it is",
    ),
    Damage(
        "claim_stale",
        "warning",
        "it has ended or is gone, but a worker's claim on it is left: it cannot be retried",
        "deletes the claim and the heartbeat",
    ),
    Damage(
        "record_missing",
        "warning",
        "it is in the delayed set or the dead-letter queue, but has no record: it cannot be looked up",
        "restores the record from its member, which holds the whole job",
    ),
    Damage(
        "record_unindexed",
        "warning",
        "it has a record, but its id is not in the queue's ids set: it is missing from lists",
        "adds its id to the ids set",
    ),
    Damage(
        "record_unreadable",
        "error",
        "its record cannot be read: a worker that takes it drops it silently",
        "'asyncmq jobs remove' deletes it",
        "advice",
    ),
    Damage(
        "arguments_damaged",
        "error",
        "its arguments, which a large job stores apart from its record, are missing or damaged: the worker "
        "that runs it will fail",
        "'asyncmq jobs remove' it, and enqueue it again",
        "advice",
    ),
    Damage(
        "id_without_record",
        "warning",
        "its id is in the ids set, but it has no record: no worker can run it",
        _FORGET,
    ),
    Damage("state_without_job", "info", "its state is stored, but the job is gone", _FORGET),
    Damage(
        "member_without_job",
        "warning",
        "it is in the waiting set, but has no record: a worker will drop it silently",
        _FORGET,
    ),
    Damage(
        "cancel_mark_stale",
        "warning",
        "it is gone, but its cancel mark is left: a new job with this id would be dropped",
        "deletes the mark",
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
        "its heartbeat is stored, but no worker has claimed it",
        "deletes the heartbeat",
    ),
    Damage(
        "member_unreadable",
        "error",
        "the member is not a job: in the delayed set, once due, it keeps all other jobs from becoming due",
        "inspect it, and delete it with redis-cli ZREM",
        "advice",
    ),
    Damage(
        "repeatable_duplicate",
        "warning",
        "the definition is stored more than once, so it runs more than once",
        "keeps the one that runs next, and deletes the others",
    ),
    Damage(
        "repeatable_conflict",
        "warning",
        "the definition is stored more than once, both paused and running",
        "'asyncmq repeatables pause' or 'resume' leaves only one",
        "advice",
    ),
    Damage(
        "repeatable_shadow",
        "warning",
        "a paused definition has a twin of the same task and schedule without its arguments, which a resume "
        "in the dashboard creates",
        "'asyncmq repeatables remove' one of them, and 'resume' the other if it should run",
        "advice",
    ),
    Damage(
        "repeatable_same_runs",
        "warning",
        "several definitions have the same task, arguments and schedule, and differ only in options such "
        "as retries: each of them enqueues every run",
        "'asyncmq repeatables remove QUEUE ID' all but one",
        "advice",
    ),
    Damage(
        "repeatable_rescheduled",
        "info",
        "a task is scheduled with the same arguments by several intervals, or by cron expressions that "
        "differ in one field: adding a changed schedule leaves the old one in place",
        "'asyncmq repeatables remove QUEUE ID' deletes the old one; to keep all, write one cron expression "
        "such as '0 7,8 * * *'",
        "advice",
    ),
    Damage(
        "repeatable_unreadable",
        "error",
        "a definition is not a JSON object: schedulers fail on it and run no definition of the queue",
        "inspect it, and delete it with redis-cli ZREM",
        "advice",
    ),
    Damage(
        "repeatable_stuck",
        "error",
        "its schedule has no later run: once due, the scheduler enqueues its job at every turn, and, unless "
        "it is an interval of 0 or less, runs no definition that is due after it",
        "'asyncmq repeatables remove QUEUE ID' ends that; 'repeatables add' takes only a schedule that works",
        "advice",
    ),
    Damage(
        "repeatable_unscheduled",
        "warning",
        "its run is overdue by more than a minute: no scheduler runs",
        "start a worker of the queue with 'asyncmq worker start' or run_worker: others schedule nothing",
        "advice",
    ),
    Damage(
        "paused_backlog",
        "warning",
        "the queue is paused, and jobs are waiting in it",
        "'asyncmq queues resume QUEUE' lets workers take them",
        "advice",
    ),
    Damage(
        "worker_gone",
        "info",
        "it has sent no heartbeat for its TTL and is still listed: it ended without deregistering",
        "'asyncmq workers forget --stale --queue QUEUE' removes silent workers from the list",
        "advice",
    ),
    Damage(
        "wrong_type",
        "error",
        "the key does not have the type that AsyncMQ or asyncmq-cli expects: commands that need it fail",
        "inspect it with redis-cli TYPE, and rename or delete it",
        "advice",
    ),
)
BY_CODE = {damage.code: damage for damage in DAMAGES}
