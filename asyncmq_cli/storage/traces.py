"""What there is of jobs that are to be restored, and so should be gone."""

from __future__ import annotations

from collections.abc import Sequence

import redis

from asyncmq_cli.models.values import as_number
from asyncmq_cli.storage import scan
from asyncmq_cli.storage.keys import PLACES, RESTORED_HASH, QueueKeys, to_bytes, to_text
from asyncmq_cli.storage.locate import read_place
from asyncmq_cli.storage.location import Location
from asyncmq_cli.storage.questions import Question, answer, ask

_ASKED_AT_A_TIME = 200


def traces(client: redis.Redis, queue: str, job_ids: Sequence[str]) -> tuple[set[str], set[str]]:
    """Which of these jobs exist, and which ids are marked as cancelled. Raises WrongType.

    As for every change, a mark in the cancelled set alone is no job. Reads no record.
    """
    keys = QueueKeys(queue)
    existing: set[str] = set()
    cancelled: set[str] = set()
    for piece in scan.chunked(job_ids, _ASKED_AT_A_TIME):
        _ask(client, keys, piece, existing, cancelled)
    # A member of a sorted set may be all that there is of a job.
    loose = {job_id: Location(queue, job_id) for job_id in job_ids if job_id not in existing}
    for place in PLACES if loose else ():
        read_place(client, keys, place, loose)
    for location in loose.values():
        if location.problem is not None:
            raise location.problem
        if location.exists:
            existing.add(location.id)
    return existing, cancelled


def restored_runs(client: redis.Redis, runs: Sequence[str]) -> dict[str, float]:
    """Of those of these removals from whose backup something was restored, when that began: epoch seconds.
    Raises WrongType."""
    found = scan.hash_get_many(client, RESTORED_HASH, [run.encode() for run in runs], scan.Pace())
    times = {
        run: as_number(to_text(value)) for run, value in zip(runs, found, strict=True) if value is not None
    }
    # One that holds no time was restored at some time.
    return {run: 0.0 if time is None else time for run, time in times.items()}


def _ask(
    client: redis.Redis, keys: QueueKeys, job_ids: Sequence[str], existing: set[str], cancelled: set[str]
) -> None:
    names = [to_bytes(job_id) for job_id in job_ids]
    # Alone: a restore asks this first, and a server that speaks unasked would leave the last of many
    # commands without an answer.
    states = scan.hash_get(client, keys.states, names)
    asked: list[Question] = [
        ("HMGET", keys.active, *names),
        ("ZMSCORE", keys.waiting, *names),
        ("SMISMEMBER", keys.ids, *names),
        ("SMISMEMBER", keys.cancelled, *names),
        *(("EXISTS", keys.record(job_id)) for job_id in job_ids),
    ]
    claims, waiting, in_ids, marked, *records = map(answer, ask(client, asked))
    rows = zip(job_ids, states, claims, waiting, in_ids, marked, records, strict=True)
    for job_id, state, claim, score, in_set, mark, has_record in rows:
        if has_record or in_set or any(value is not None for value in (state, claim, score)):
            existing.add(job_id)
        if mark:
            cancelled.add(job_id)
