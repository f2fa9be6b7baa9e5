"""The claims of workers on jobs. Source: `dequeue` and `save_heartbeat` in asyncmq.backends.redis."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import redis

from asyncmq_cli.models.values import as_number
from asyncmq_cli.storage import scan
from asyncmq_cli.storage.keys import QueueKeys, to_text

if TYPE_CHECKING:
    from asyncmq_cli.models.jobs import Job
    from asyncmq_cli.storage.lists import JobLists


@dataclass(frozen=True, slots=True)
class Claim:
    """`since` is when a worker took the job, by that worker's clock; None where it cannot be read.

    `heartbeat` is the job's own, None where it has none: only applications that turn AsyncMQ's
    stalled check on write them. `state` is the job's, None where neither the states hash nor a
    record tells it.
    """

    job_id: str
    since: float | None
    heartbeat: float | None
    state: str | None


class ClaimReader:
    """The active hash of a queue, with what else is known of its jobs."""

    def __init__(self, client: redis.Redis, jobs: JobLists) -> None:
        self._redis = client
        self._jobs = jobs

    def of(self, queue: str) -> Iterator[list[Claim]]:
        """Every claim, in bounded pieces; of a job that is not active too. Raises WrongType."""
        keys = QueueKeys(queue)
        for fields in scan.hash_fields(self._redis, keys.active):
            names = list(fields)
            heartbeats = scan.hash_get(self._redis, keys.heartbeats, names)
            job_ids = [to_text(name) for name in names]
            yield [
                Claim(
                    job_id=job_id,
                    since=as_number(to_text(fields[name])),
                    heartbeat=None if heartbeat is None else as_number(to_text(heartbeat)),
                    state=state,
                )
                for name, job_id, heartbeat, state in zip(
                    names, job_ids, heartbeats, self._states(queue, job_ids), strict=True
                )
            ]

    def _states(self, queue: str, job_ids: list[str]) -> list[str | None]:
        states = self._jobs.states(queue, job_ids)
        stateless = [job_id for job_id, state in zip(job_ids, states, strict=True) if state is None]
        if not stateless:
            return states
        recorded = dict(zip(stateless, self._jobs.load(queue, stateless), strict=True))
        return [
            state if state is not None else _recorded(recorded.get(job_id))
            for job_id, state in zip(job_ids, states, strict=True)
        ]


def _recorded(job: Job | None) -> str | None:
    return None if job is None or job.record is None else job.status
