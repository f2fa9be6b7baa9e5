"""Which active jobs have lost their worker, decided on the keys that the library leaves behind."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
import redis
from asyncmq.backends.redis import RedisBackend

from asyncmq_cli import config
from asyncmq_cli.demo.server import PrivateRedis
from asyncmq_cli.services.monitoring.lost_jobs import SILENCE, LostJob, LostJobs
from asyncmq_cli.storage.store import Store
from tests.support import library

QUEUE = "tenant:mail"
TTL = config.DEFAULT_HEARTBEAT_TTL
YOUNG, OLD = TTL / 2, TTL * 2


class Story:
    """A queue whose jobs were claimed some time ago, made by calls of the library."""

    def __init__(self, server: PrivateRedis, client: redis.Redis) -> None:
        self.now = time.time()
        self.warnings: list[str] = []
        self._server = server
        self._client = client

    def claimed(self, **ages: float) -> None:
        """Jobs that a worker has claimed, by the age of the claim in seconds."""

        async def claim(opened: RedisBackend) -> None:
            await library.fill(opened, QUEUE, [("active", library.job(name)) for name in ages])

        library.with_backend(self._server.url, claim)
        for name, age in ages.items():
            self._client.hset(f"queue:{QUEUE}:active", name, repr(self.now - age))

    def beat(self, **ages: float) -> None:
        """Heartbeats of running jobs, as the stalled check saves them."""

        async def save(opened: RedisBackend) -> None:
            for name, age in ages.items():
                await opened.save_heartbeat(QUEUE, name, self.now - age)

        library.with_backend(self._server.url, save)

    def worker(self, concurrency: int, age: float = 0.0) -> None:
        async def register(opened: RedisBackend) -> None:
            await opened.register_worker(f"worker-{age}", QUEUE, concurrency, self.now - age)

        library.with_backend(self._server.url, register)

    def forget_expiry(self) -> None:
        """Remove the evidence of the server about when the workers wrote."""
        self._client.persist(f"queue:{QUEUE}:worker_heartbeats")

    def lost(self) -> tuple[dict[str, str], int]:
        """The lost jobs with the reason, and the number of further ones."""
        found = self.found()
        return {job.id: job.reason for job in found}, found.surplus

    def found(self) -> _Read:
        settings = config.resolve({"redis_url": self._server.url}, {"XDG_CONFIG_HOME": "/nonexistent"})
        store = Store(settings, self.warnings.append)
        try:
            return _Read(LostJobs(store, QUEUE, self.now))
        finally:
            store.close()


class _Read(list[LostJob]):
    def __init__(self, lost: LostJobs) -> None:
        super().__init__(lost)
        self.surplus = lost.surplus
        self.oldest_claim = lost.oldest_claim
        self.silent = lost.silent
        self.longest_silent = lost.longest_silent


@pytest.fixture
def story(server: PrivateRedis, client: redis.Redis) -> Story:
    return Story(server, client)


def test_without_a_live_worker_a_claim_older_than_the_ttl_is_lost(story: Story) -> None:
    story.claimed(old=OLD, young=YOUNG)
    assert story.lost() == ({"old": "no_live_worker"}, 0)
    story.worker(1, age=OLD)
    story.forget_expiry()
    assert story.lost() == ({"old": "no_live_worker"}, 0), "a stale worker is no live one"


def test_an_unexpired_key_proves_a_live_worker_with_any_clock(story: Story) -> None:
    story.claimed(old=OLD * 10)
    story.worker(1, age=OLD * 10)
    assert story.lost() == ({}, 0)
    assert "is 10 min behind the server's" in story.warnings[0]


def test_what_a_silent_worker_may_be_running_by_its_own_clock_is_not_lost(story: Story) -> None:
    """Beside a live worker, Redis does not show whether it is dead or its clock is 200 s behind."""
    story.claimed(by_live=OLD, by_silent=300, more=300)
    story.beat(by_silent=205, more=205)
    story.worker(2, age=200)
    story.worker(1)
    assert story.lost() == ({}, 0)
    story.claimed(of_nobody=190, nor_this=190)
    assert story.lost() == ({}, 2)


def test_jobs_claimed_before_a_worker_went_silent_are_counted_the_longest_claimed_first(story: Story) -> None:
    names = {f"job-{number}": OLD + 10.0 + number for number in range(8)}
    story.claimed(**names, running=OLD * 3, later=YOUNG)
    story.beat(running=1)
    story.worker(20, age=OLD)
    assert story.found().silent == 0, "alone it is the one that the server has heard of"
    story.worker(20)
    assert (story.found().silent, story.found().longest_silent) == (8, [f"job-{n}" for n in (7, 6, 5, 4, 3)])


def test_jobs_claimed_after_the_last_heartbeat_count_up_to_the_concurrency(story: Story) -> None:
    """The worker is killed after its first heartbeat and the claims that followed; one claim belongs to
    another worker."""
    story.claimed(first=OLD - 1, second=OLD - 2, third=OLD - 3, after=OLD - TTL / 3 - 1)
    story.worker(2, age=OLD)
    story.worker(4)
    assert (story.found().silent, story.found().longest_silent) == (2, ["first", "second"])


def test_a_claim_from_the_future_is_warned_of_and_not_lost(story: Story) -> None:
    story.claimed(ahead=-7200, old=OLD)
    assert story.lost() == ({"old": "no_live_worker"}, 0)
    assert "claimed in the future: a worker's clock is at least 2 h ahead of" in story.warnings[0]


def test_a_job_without_a_heartbeat_is_not_lost_while_a_worker_lives(story: Story) -> None:
    story.claimed(one=OLD * 1000, two=OLD)
    story.worker(2)
    assert story.lost() == ({}, 0)
    assert story.found().oldest_claim == story.now - OLD * 1000


def test_a_stopped_heartbeat_means_lost_even_beside_live_workers(story: Story) -> None:
    story.claimed(silent=SILENCE * 3, late=SILENCE * 3, fresh=SILENCE * 3)
    story.beat(silent=SILENCE + 1, late=SILENCE - 1, fresh=1)
    story.worker(3)
    assert story.lost() == ({"silent": "heartbeat_stopped"}, 0)


def test_a_job_with_a_heartbeat_is_not_lost(story: Story) -> None:
    story.claimed(fresh=OLD, late=OLD)
    story.beat(fresh=1, late=TTL + 1)
    assert story.lost() == ({"late": "no_live_worker"}, 0)


def test_a_heartbeat_from_before_the_claim_is_of_an_earlier_try(story: Story) -> None:
    story.claimed(again=YOUNG)
    story.beat(again=SILENCE * 2)
    assert story.lost() == ({}, 0)


@pytest.mark.parametrize(("concurrency", "surplus"), [(1, 2), (2, 1), (3, 0), (4, 0)])
def test_more_old_claims_than_live_workers_can_run_are_lost(
    concurrency: int, surplus: int, story: Story
) -> None:
    story.claimed(one=OLD, two=OLD, three=OLD, young=YOUNG)
    story.worker(concurrency)
    story.worker(9, age=OLD + TTL)
    assert story.lost() == ({}, surplus), "the young claim may be from just after another job ended"


def test_a_worker_without_a_known_concurrency_may_run_any_number(story: Story) -> None:
    story.claimed(one=OLD, two=OLD)
    story.worker(0)
    assert story.lost() == ({}, 0)


def test_a_leftover_claim_of_an_ended_job_is_ignored(story: Story, client: redis.Redis) -> None:
    story.claimed(ended=OLD, recorded=OLD, gone=OLD)
    client.hset(f"jobs:{QUEUE}:states", "ended", "completed")
    # Without an entry in the states hash, the record's own status counts.
    client.hdel(f"jobs:{QUEUE}:states", "recorded", "gone")
    record: dict[str, Any] = {**library.job("recorded"), "status": "active"}
    client.set(f"jobs:{QUEUE}:recorded", json.dumps(record))
    client.delete(f"jobs:{QUEUE}:gone")
    assert story.lost() == ({"recorded": "no_live_worker"}, 0)


def test_a_claim_that_holds_no_time_is_warned_of(story: Story, client: redis.Redis) -> None:
    story.claimed(odd=OLD)
    client.hset(f"queue:{QUEUE}:active", "odd", "soon")
    assert story.lost() == ({}, 0)
    assert story.warnings == [f"queue '{QUEUE}': a claim holds no time"]


def test_many_claims_are_read_in_pieces_and_reported_once(story: Story, client: redis.Redis) -> None:
    names = [f"job-{number}" for number in range(5000)]
    client.hset(f"queue:{QUEUE}:active", mapping=dict.fromkeys(names, repr(story.now - OLD)))
    client.hset(f"jobs:{QUEUE}:states", mapping=dict.fromkeys(names, "active"))
    client.config_resetstat()
    assert sorted(job.id for job in story.found()) == sorted(names)
    assert client.info("commandstats")["cmdstat_hscan"]["calls"] >= 5
