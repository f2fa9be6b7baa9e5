"""The tool or Redis is killed, or the connection is cut, at any point in a change of many jobs."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest
import redis
from redis.exceptions import RedisError

from asyncmq_cli.demo.server import PrivateRedis
from asyncmq_cli.storage.read.repeatables import encode, identity
from tests.conftest import environment
from tests.demo.processes import eventually
from tests.faults import ledger
from tests.faults.fakes import Proxy
from tests.faults.scale import record, scaled, seeded
from tests.faults.support import QUEUE, Tool
from tests.support import library
from tests.support.forked import Forked

VERBS = ("retry", "remove", "cancel", "requeue", "run-now")
ALL_VERBS = (*VERBS, "restore", "repair", "add")
JOBS = [f"job-{number:05}" for number in range(scaled(400, 10_000))]
FEW = JOBS[:60]
KILLS = scaled(2, 34)
"""Of each of the changes."""
SERVER_KILLS = scaled(1, 10)
QUEUE_KILLS, SMALL = scaled(2, 100), JOBS[:400]
"""Many kills of a run over few jobs."""
EDIT_KILLS, EDITED = scaled(2, 50), JOBS[:150]
CUTS = scaled(4, 60)


def command(verb: str, *more: str) -> tuple[str, ...]:
    """The command line that changes all jobs. For a restore, `more` begins with the backup."""
    words = {
        "cancel": ("jobs", "cancel", QUEUE, "--all"),
        "requeue": ("jobs", "requeue", QUEUE, "--all", "--force"),
        "restore": ("jobs", "restore"),
        "repair": ("doctor", QUEUE, "--repair"),
        "run-now": ("jobs", "run-now", QUEUE, "--task", "app"),
        "add": ("jobs", "add", QUEUE, "-"),
    }
    return (*words.get(verb, ("dlq", verb, QUEUE, "--all")), "--yes", *more)


# Only the tool changes anything, so the doctor need not wait between its two passes.
TOOL = """
import sys
from asyncmq_cli.app import run
from asyncmq_cli.services.doctor import scan
scan.GRACE = 0.02
sys.exit(run(sys.argv[1:]))
"""


def start(url: str, *args: str) -> Forked:
    """Start the tool. `jobs add` reads all jobs from standard input."""
    adds = args[:2] == ("jobs", "add")
    process = Forked(
        ["-c", TOOL, *args],
        env=environment(url),
        stdin=subprocess.PIPE if adds else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    if adds:
        process.stdin.write(b"".join(b'{"id": "%b", "task": "app.send"}\n' % name.encode() for name in JOBS))
        process.stdin.close()
    return process


def prepare(client: redis.Redis, url: str, verb: str, rng: random.Random, folder: Path) -> list[str]:
    """Make the jobs to change, and return the arguments that name them."""
    if verb == "repair":
        ledger.damage(client, QUEUE, JOBS)
        return []
    if verb == "add":
        client.flushall()
        return []
    ledger.fill(client, QUEUE, JOBS, ledger.STATE.get(verb, "failed"))
    return [str(removed(client, url, rng, folder))] if verb == "restore" else []


def removed(client: redis.Redis, url: str, rng: random.Random, folder: Path) -> Path:
    """Remove all jobs with a run that is killed and a second one. Returns a file with both backups."""
    whole, one = folder / "both", folder / "one"
    whole.write_bytes(b"")
    for act in (True, False):
        line = command("remove", "--backup", str(one))
        if act:
            killed(rng, client, len(JOBS), url, line)
        else:
            start(url, *line).communicate()
        with whole.open("ab") as file:
            file.writelines(line for line in lines_of(one) if line.endswith(b"\n"))
        one.unlink(missing_ok=True)
    assert ledger.changed(client, QUEUE, "remove", JOBS) == set(JOBS)
    return whole


def lines_of(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True) if path.exists() else []


def strike(
    rng: random.Random,
    client: redis.Redis,
    left: int,
    process: Forked,
    act: Callable[[], object],
    refused: int = 0,
) -> bool:
    """Call `act` at a random moment of the run, usually while jobs are being changed. `left` is the number of
    jobs to change, `refused` the number that are refused before them. Returns False if the run had already
    ended."""
    moment = client.xlen("asyncmq-cli:audit") + refused + rng.randrange(max(1, min(1500, left)))
    deadline = time.monotonic() + (rng.uniform(0, 2) if rng.random() < 0.2 else 60)
    while client.xlen("asyncmq-cli:audit") <= moment and time.monotonic() < deadline:
        if process.poll() is not None:
            return False
    time.sleep(rng.uniform(0, 0.02))
    act()
    return True


def killed(
    rng: random.Random, client: redis.Redis, left: int, url: str, line: Sequence[str], refused: int = 0
) -> bool:
    """The same as `strike`, but kills the run. Then waits until Redis has executed everything that it sent,
    which may take several reads."""
    others = len(client.client_list())
    process = start(url, *line)
    struck = strike(rng, client, left, process, process.kill, refused)
    process.communicate()
    assert eventually(lambda: len(client.client_list()) <= others)
    return struck


@pytest.mark.extended(first=1)
@pytest.mark.parametrize("verb", ALL_VERBS)
def test_a_killed_run_leaves_each_job_in_one_place_and_the_next_run_continues(
    verb: str, server: PrivateRedis, client: redis.Redis, tmp_path: Path
) -> None:
    rng = seeded(f"killed {verb}")
    kills = jobs = runs = 0
    while kills < KILLS:
        more = prepare(client, server.url, verb, rng, tmp_path)
        jobs += len(JOBS)
        done: set[str] = set()
        backups: list[Path] = []
        while len(done) < len(JOBS) and kills < KILLS:
            runs += 1
            if verb == "remove":
                backups.append(tmp_path / str(runs))
                more = ["--backup", str(backups[-1])]
            line, left = command(verb, *more), len(JOBS) - len(done)
            kills += killed(rng, client, left, server.url, line, refused(verb, len(done)))
            now = ledger.changed(client, QUEUE, verb, JOBS)
            assert done <= now, "what was changed stays changed"
            done = now
        if verb == "remove":
            assert_backed_up(backups, done)
            more = []
    finish(client, server.url, verb, more)
    record("The tool killed", client, runs=kills, faults=kills, jobs=jobs, losses=0)


def refused(verb: str, done: int) -> int:
    """The number of attempts that are refused because another run has already changed `done` jobs."""
    return done if verb in ("restore", "add") else 0


def finish(client: redis.Redis, url: str, verb: str, more: list[str]) -> None:
    """Run the command twice without interruption: the first run changes the remaining jobs, the second finds
    nothing to do."""
    done = ledger.changed(client, QUEUE, verb, JOBS)
    for already in (len(done), len(JOBS)):
        process = start(url, *command(verb, *more, "--json"))
        reported = json.loads(process.communicate()[0])
        there = refused(verb, already)
        assert (process.returncode, reported["failed"]) == (int(there > 0), there)
        assert reported["succeeded"] == len(JOBS) - already
        assert ledger.changed(client, QUEUE, verb, JOBS) == set(JOBS)


def assert_backed_up(backups: list[Path], removed: set[str]) -> None:
    """Assert that everything removed from Redis is in a complete line of a backup."""
    lines = [line for path in backups for line in lines_of(path) if line.endswith(b"\n")]
    assert removed <= {json.loads(line).get("id") for line in lines}


@contextlib.contextmanager
def durable_redis(directory: Path) -> Iterator[PrivateRedis]:
    """A Redis that writes each change to disk before it answers."""
    extra = ["--dir", str(directory), "--appendonly", "yes", "--appendfsync", "always"]
    with PrivateRedis(extra=extra) as server:
        yield server


@pytest.mark.extended
@pytest.mark.parametrize("verb", ALL_VERBS)
def test_a_killed_redis_loses_no_reported_change(verb: str, tmp_path: Path) -> None:
    rng = seeded(f"killed Redis {verb}")
    done = set(JOBS)
    more: list[str] = []
    kills = 0
    while kills < SERVER_KILLS:
        with durable_redis(tmp_path) as server, redis.Redis.from_url(server.url) as client:
            if len(done) == len(JOBS):
                more = prepare(client, server.url, verb, rng, tmp_path)
                done = set()
            process = start(server.url, *command(verb, *more, "--json"))
            act = partial(os.kill, server.pid, signal.SIGKILL)
            struck = True
            with contextlib.suppress(RedisError):
                struck = strike(rng, client, len(JOBS) - len(done), process, act, refused(verb, len(done)))
            kills += struck
            reported, _ = process.communicate()
        with durable_redis(tmp_path) as server, redis.Redis.from_url(server.url) as client:
            now = ledger.changed(client, QUEUE, verb, JOBS)
            assert done | successful(reported) <= now
            done = now
    with durable_redis(tmp_path) as server, redis.Redis.from_url(server.url) as client:
        finish(client, server.url, verb, more)
        record("Redis killed", client, runs=kills, faults=kills, jobs=len(JOBS), losses=0)


def successful(reported: bytes) -> set[str]:
    results = json.loads(reported)["results"] if reported else []
    return {row["job_id"] for row in results if row["status"] == "success"}


@pytest.mark.extended(first=3)
@pytest.mark.parametrize("direction", ["to the tool", "to Redis"])
@pytest.mark.parametrize("verb", VERBS)
def test_a_connection_cut_after_any_byte_leaves_each_job_in_one_place(
    verb: str, direction: str, server: PrivateRedis, client: redis.Redis, tool: Tool
) -> None:
    """Each change that is reported as done was made, and no change that was made is reported as failed."""
    rng = seeded(f"cut {verb} {direction}")
    ledger.fill(client, QUEUE, FEW, ledger.STATE[verb])
    with Proxy(server.socket) as proxy:
        assert tool(proxy.url, *command(verb)).code == 0
    length = proxy.passed if direction == "to the tool" else proxy.asked
    lost = cuts = 0
    for number in range(CUTS):
        limit = rng.randrange(length * number // CUTS, length * (number + 1) // CUTS)
        ledger.fill(client, QUEUE, FEW, ledger.STATE[verb])
        limits = {"limit": limit} if direction == "to the tool" else {"limit_asked": limit}
        with Proxy(server.socket, **limits, once=True) as proxy:
            result = tool(proxy.url, *command(verb, "--json"))
            proxy.wait()
        done = ledger.changed(client, QUEUE, verb, FEW)
        reported = {row["job_id"]: row["status"] for row in result.json["results"]} if result.stdout else {}
        assert set(reported.values()) <= {"success"}, result
        assert reported.keys() <= done
        lost += len(done) - len(reported)
        cuts += proxy.cut
        if proxy.cut:
            assert result.code == 3, result
        assert tool(server.url, *command(verb)).code == 0
        assert ledger.changed(client, QUEUE, verb, FEW) == set(FEW)
    assert not lost, "the line was there again, so it could be looked up what was done"
    record("The line cut", client, runs=CUTS, faults=cuts, jobs=CUTS * len(FEW), losses=lost)


DEFINITIONS = {
    task: {"task_id": task, "args": [], "kwargs": {}, "every": 3600}
    for task in (f"app.task-{number}" for number in range(scaled(40, 200)))
}
NEXT_RUN = 5e9


@pytest.mark.extended
@pytest.mark.parametrize("verb", ["pause", "remove"])
def test_a_killed_change_leaves_each_definition_changed_or_unchanged(
    verb: str, server: PrivateRedis, client: redis.Redis
) -> None:
    rng = seeded(f"killed repeatables {verb}")
    ids = map(identity, DEFINITIONS.values())
    line = ("repeatables", verb, QUEUE, *ids, *(["--yes"] if verb == "remove" else []))
    kills = rounds = 0
    while kills < KILLS:
        client.flushall()
        members = {encode(one, paused=False): NEXT_RUN for one in DEFINITIONS.values()}
        client.zadd(f"queue:{QUEUE}:repeatables", members)
        # Without any definition there would be no queue.
        client.sadd(f"jobs:{QUEUE}:ids", "job")
        rounds += 1
        done: set[str] = set()
        while len(done) < len(DEFINITIONS) and kills < KILLS:
            left = len(DEFINITIONS) - len(done)
            kills += killed(rng, client, left, server.url, line, len(done) if verb == "remove" else 0)
            now = changed_definitions(client, verb)
            assert done <= now, "what was changed stays changed"
            done = now
    reported = json.loads(start(server.url, *line, "--json").communicate()[0])
    assert reported["failed"] == (len(done) if verb == "remove" else 0)
    assert changed_definitions(client, verb) == set(DEFINITIONS)
    record("The tool killed", client, runs=kills, faults=kills, definitions=rounds * len(DEFINITIONS))


def changed_definitions(client: redis.Redis, verb: str) -> set[str]:
    """The definitions that are paused or removed. Fails unless each is complete and has its event."""
    stored = client.zrange(f"queue:{QUEUE}:repeatables", 0, -1, withscores=True)
    running = {name: encode(one, paused=False).encode() for name, one in DEFINITIONS.items()}
    paused = {name: encode(one, paused=True).encode() for name, one in DEFINITIONS.items()}
    changed = running.keys() - {name for name, member in running.items() if (member, NEXT_RUN) in stored}
    expected = {**running, **{name: paused[name] for name in changed}}
    if verb == "remove":
        expected = {name: member for name, member in running.items() if name not in changed}
    assert sorted(stored) == sorted((member, NEXT_RUN) for member in expected.values())
    successes = ledger.successes(client, lambda action: action == f"repeatable.{verb}")
    assert successes == dict.fromkeys(changed, 1)
    return changed


@pytest.mark.extended
@pytest.mark.parametrize("verb", ["obliterate", "clean"])
def test_a_killed_obliterate_can_be_continued_and_restored_completely(
    verb: str, server: PrivateRedis, client: redis.Redis, tmp_path: Path
) -> None:
    """After each kill, the audit trail and the backups list everything that was removed. The backups of all
    runs together restore the queue byte for byte."""
    rng = seeded(f"killed {verb}")
    line = {
        "obliterate": ("queues", "obliterate", QUEUE, "--yes"),
        "clean": ("queues", "clean", QUEUE, "--state", "failed", "--older-than", "0", "--yes"),
    }[verb]
    kills = rounds = 0
    whole, one = tmp_path / "all", tmp_path / "one"
    while kills < QUEUE_KILLS:
        client.flushall()
        ledger.fill(client, QUEUE, SMALL, "failed")
        client.zadd(
            f"queue:{QUEUE}:repeatables", {encode(d, paused=False): NEXT_RUN for d in DEFINITIONS.values()}
        )
        client.sadd(f"queue:{QUEUE}:cancelled", *(f"gone-{number}" for number in range(3000)))
        client.mset({f"queue:{QUEUE}:paused": 1, f"queue:{QUEUE}:waiting:seq": len(SMALL)})
        before = library.dump(client)
        rounds += 1
        whole.write_bytes(b"")
        is_killed = True
        while is_killed:
            is_killed = killed(rng, client, len(SMALL), server.url, (*line, "--backup", str(one)))
            kills += is_killed
            with whole.open("ab") as file:
                file.writelines(line for line in lines_of(one) if line.endswith(b"\n"))
            one.unlink(missing_ok=True)
            assert_recorded(client, verb, whole)
        left = {} if verb == "obliterate" else {key: before[key] for key in library.dump(client)}
        assert library.dump(client) == left and not client.exists(f"queue:{QUEUE}:dlq")
        reported = json.loads(
            start(server.url, "jobs", "restore", str(whole), "--yes", "--json").communicate()[0]
        )
        assert reported["failed"] == 0
        assert library.dump(client) == before
    record("Whole queues and edits", client, runs=kills, faults=kills, jobs=rounds * len(SMALL), losses=0)


def assert_recorded(client: redis.Redis, verb: str, backup: Path) -> None:
    """Assert that each removed job, definition and mark has one event and a line in the backup."""
    gone = set(SMALL) - ledger.places(client, QUEUE)["dlq"]
    events = [
        e for e in library.events(client) if e["action"] == f"queue.{verb}" and e["status"] == "success"
    ]
    assert Counter(e["job_id"] for e in events if e["job_id"]) == dict.fromkeys(gone, 1)
    lines = [json.loads(line) for line in lines_of(backup)]
    assert gone <= {line.get("id") for line in lines}
    for part, size, there in (
        ("repeatables", len(DEFINITIONS), client.zcard(f"queue:{QUEUE}:repeatables")),
        ("cancelled", 3000, client.scard(f"queue:{QUEUE}:cancelled")),
        ("paused", 1, client.exists(f"queue:{QUEUE}:paused")),
    ):
        taken = size - int(there)
        assert sum(e["details"]["count"] for e in events if e["details"].get("part") == part) == taken
        assert taken <= len({str(e) for line in lines if line.get("part") == part for e in line["elements"]})


@pytest.mark.extended
@pytest.mark.parametrize("verb", ["edit", "retry"])
def test_a_killed_edit_leaves_each_job_whole_and_the_audit_trail_undoes_it(
    verb: str, server: PrivateRedis, client: redis.Redis
) -> None:
    rng = seeded(f"killed {verb} --set")
    kills = rounds = 0
    while kills < EDIT_KILLS:
        ledger.fill(client, QUEUE, EDITED, "failed")
        before = library.dump(client)
        rounds += 1
        left = set(EDITED)
        while left:
            line = ("jobs", verb, QUEUE, *sorted(left), "--set", "args[0]=7")
            kills += killed(rng, client, len(left), server.url, line)
            done = edited(client, verb)
            assert done >= set(EDITED) - left, "what was edited stays edited"
            left = set(EDITED) - done
        events = [entry.decode() for entry, _ in client.xrange("asyncmq-cli:audit")]
        words = [word for event in events for word in ("--from-audit", event)]
        # This run may be killed, too.
        killed(rng, client, len(EDITED), server.url, ("jobs", "restore", *words))
        start(server.url, "jobs", "restore", *words).communicate()
        assert library.dump(client) == before
    record("Whole queues and edits", client, runs=kills, faults=kills, jobs=rounds * len(EDITED), losses=0)


def edited(client: redis.Redis, verb: str) -> set[str]:
    """The jobs that were edited. Fails unless each has its event and is equal in all its places."""
    letters = {
        json.loads(member)["id"]: json.loads(member) for member in client.zrange(f"queue:{QUEUE}:dlq", 0, -1)
    }
    found = set()
    for name in EDITED:
        job = json.loads(client.get(f"jobs:{QUEUE}:{name}") or b"")
        is_edited = job["args"] == [7]
        found |= {name} if is_edited else set()
        waits = client.zscore(f"queue:{QUEUE}:waiting", name) is not None
        assert waits == (is_edited and verb == "retry")
        assert (name not in letters) if waits else letters[name] == job
    successes = ledger.successes(client, lambda action: action == f"job.{verb}")
    assert successes == dict.fromkeys(found, 1)
    return found
