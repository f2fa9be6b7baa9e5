"""A failover during a command: no change is lost or made twice, and the output says so."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections import Counter

import pytest
import redis

from tests.conftest import environment
from tests.support import library
from tests.support.sentinels import Watched, free_ports, wait_for

JOBS = 600
SLOW = ("--rate", "200/s")


def fill(port: int) -> None:
    jobs = [("failed", library.job(f"job-{n:03}")) for n in range(JOBS)]
    library.with_backend(f"redis://127.0.0.1:{port}/0", lambda opened: library.fill(opened, "mail", jobs))


def start(url: str, *args: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "asyncmq_cli", *args],
        env=environment(url),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def done_on(client: redis.Redis) -> Counter[str]:
    """By job, the number of its success events in the audit trail."""
    found = [json.loads(fields[b"event"]) for _, fields in client.xrange("asyncmq-cli:audit")]
    return Counter(event["job_id"] for event in found if event["status"] == "success")


@pytest.mark.extended
def test_a_bulk_change_continues_on_the_new_primary() -> None:
    with Watched() as watched:
        old, new = watched.ports[:2]
        fill(old)
        running = start(watched.url, "dlq", "retry", "mail", "--all", "--yes", "--json", *SLOW)
        with watched.client(old) as client:
            wait_for(lambda: client.xlen("asyncmq-cli:audit") > JOBS / 4)
        watched.kill(old)
        out, err = running.communicate(timeout=90)
        assert running.returncode == 0, err
        report = json.loads(out)
        assert (report["matched"], report["succeeded"], report["failed"]) == (JOBS, JOBS, 0)
        assert f"the primary of 'main' is now 127.0.0.1:{new}; it was 127.0.0.1:{old}" in err
        with watched.client(new) as client:
            assert client.zcard("queue:mail:waiting") == JOBS
            assert client.zcard("queue:mail:dlq") == 0
            assert set(done_on(client).values()) == {1} and len(done_on(client)) == JOBS


@pytest.mark.extended
def test_changes_that_the_old_primary_did_not_replicate_are_made_again() -> None:
    with Watched() as watched:
        old, new = watched.ports[:2]
        fill(old)
        with watched.client(old) as client, watched.client(new) as replica:
            wait_for(lambda: replica.zcard("queue:mail:dlq") == JOBS)
            running = start(watched.url, "dlq", "retry", "mail", "--all", "--yes", "--json", *SLOW)
            wait_for(lambda: client.xlen("asyncmq-cli:audit") > JOBS / 4)
            # The replica no longer receives anything from its primary; the Sentinels repair that after 8
            # seconds.
            replica.replicaof("127.0.0.1", free_ports(1)[0])
            had = client.xlen("asyncmq-cli:audit")
            wait_for(lambda: client.xlen("asyncmq-cli:audit") > had + 20)
            watched.kill(old)
        out, err = running.communicate(timeout=90)
        assert running.returncode == 0, err
        assert "changes had not reached the new primary and are repeated" in err
        assert json.loads(out)["succeeded"] == JOBS
        with watched.client(new) as client:
            assert client.zcard("queue:mail:waiting") == JOBS
            assert set(done_on(client).values()) == {1} and len(done_on(client)) == JOBS


@pytest.mark.extended
def test_following_events_continues_after_a_note() -> None:
    with Watched() as watched:
        old, new = watched.ports[:2]
        fill(old)
        running = start(watched.url, "events", "tail", "--event", "metrics", "--interval", "0.2")
        assert running.stdout is not None and running.stderr is not None
        running.stdout.readline()
        watched.kill(old)
        wait_for(lambda: watched.primary() == new)
        # Never wait for longer than a minute.
        timer = threading.Timer(60, running.kill)
        timer.start()
        assert any("the primary of 'main' is now" in line for line in running.stderr)
        assert json.loads(running.stdout.readline())["event"] == "metrics"
        timer.cancel()
        running.terminate()
        running.communicate(timeout=30)
