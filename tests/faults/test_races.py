"""Eight processes of the tool and four workers of the library change one queue at random."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import redis

from asyncmq_cli.demo.server import PrivateRedis
from tests.conftest import environment
from tests.faults import ledger
from tests.faults.race_player import QUEUE, RUNS
from tests.faults.scale import SEED, record, scaled, seeded
from tests.support import library

SECONDS = scaled(2, 60)
OPERATORS, WORKERS = 8, 4


@pytest.mark.extended
def test_no_job_is_lost_or_run_twice_and_no_event_is_without_its_change(
    server: PrivateRedis, client: redis.Redis, tmp_path: Path
) -> None:
    seeded("race")
    play(server.url, tmp_path)
    client.delete(f"queue:{QUEUE}:paused")
    trail = [event for event in library.events(client) if event["status"] == "success"]
    by_job = histories(trail)
    enqueued = {name.decode() for name in client.smembers("race-enqueued")}
    assert enqueued >= by_job.keys()
    runs = Counter(f"job-{int(entry.split()[0]):05}" for entry in client.lrange(RUNS, 0, -1))
    failures = Counter(
        f"job-{int(entry.split()[0]):05}" for entry in client.lrange(RUNS, 0, -1) if entry.endswith(b"failed")
    )
    keys = ledger.places(client, QUEUE)
    for name in sorted(enqueued):
        actions = by_job.get(name, [])
        reported = f"{name}: {actions}, ran {runs[name]} times, is in {ledger.in_(keys, name)}"
        assert_in_one_place(name, keys, actions, reported)
        counted = Counter(actions)
        assert runs[name] <= 1 + counted["retry"], f"run twice by our doing: {reported}"
        assert counted["retry"] <= failures[name], f"a retry without a failure: {reported}"
        assert 0 <= counted["remove"] - counted["restore"] <= 1, f"an event without its change: {reported}"
    assert len(trail) > 0
    record(
        "Races", client, runs=1, seconds=SECONDS, jobs=len(enqueued), executions=runs.total(),
        changes=len(trail), losses=0,
    )  # fmt: skip


def play(url: str, folder: Path) -> None:
    roles = [f"operator{n}" for n in range(OPERATORS)] + [f"worker{n}" for n in range(WORKERS)] + ["producer"]
    players = []
    for role in roles:
        # The workers run longer than the others, so that no job is left waiting.
        seconds = SECONDS + 3 if role.startswith("worker") else SECONDS
        line = [sys.executable, "-m", "tests.faults.race_player", role, url, str(SEED), str(seconds)]
        env = {**environment(url), "PYTHONPATH": os.getcwd(), "ASYNCMQ_ACTOR": role}  # noqa: PTH109
        players.append(
            subprocess.Popen([*line, str(folder)], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        )
    for role, player in zip(roles, players, strict=True):
        _, errors = player.communicate(timeout=SECONDS + 60)
        if role.startswith("operator"):
            assert player.returncode == 0, errors.decode()[-2000:]


def histories(trail: list[dict[str, object]]) -> dict[str, list[str]]:
    """By job, its changes in order. The events of a stream have the order of the changes."""
    found: dict[str, list[str]] = {}
    for event in trail:
        if event["job_id"] is not None:
            found.setdefault(str(event["job_id"]), []).append(str(event["action"]).split(".")[1])
    for name, actions in found.items():
        gone = False
        for action in actions:
            assert gone is (action == "restore"), f"{name}: {actions}"
            gone = action == "remove"
    return found


def assert_in_one_place(name: str, keys: ledger.Keys, actions: list[str], reported: str) -> None:
    """Assert that each job is where its last change put it, or where a worker put it afterwards."""
    lies = ledger.in_(keys, name)
    if actions and actions[-1] == "remove":
        assert not lies, f"removed, and yet there: {reported}"
        return
    assert {"record", "ids"} <= lies, f"lost: {reported}"
    assert len(lies & {"waiting", "delayed", "dlq", "active"}) <= 1, f"in two places: {reported}"
    states = {key for key in lies if key.startswith("state ")}
    assert len(states) == 1, reported
    at_home = {
        "state waiting": {"waiting"},
        "state delayed": {"delayed"},
        "state failed": {"dlq"},
        "state active": {"active"},
    }
    home = at_home.get(states.pop(), set())
    assert lies & {"waiting", "delayed", "dlq", "active"} == home, f"in no place of its state: {reported}"
