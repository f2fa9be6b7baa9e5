"""Hostile data in Redis causes no traceback, no terminal control, no leak of a secret, and no unbounded
memory."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from asyncmq_cli.demo.server import PrivateRedis
from tests.conftest import Result, environment
from tests.faults.hostile import SECRET, fill
from tests.faults.scale import record, scaled, seeded
from tests.faults.support import Tool
from tests.support import library
from tests.support.forked import Forked
from tests.support.terminal import on_terminal

ROUNDS = scaled(5, 150)
MEGABYTES = scaled(120, 400)
MOST_MEMORY = 150
"""Less memory than all the data, but more than the tool alone and one page need."""

_STYLE = re.compile(r"\x1b\[[0-9;]*m")
_OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def commands(queue: str, jobs: list[str]) -> list[list[str]]:
    # The id `-` means standard input.
    ids = [job for job in jobs if job != "-"]
    # An id that begins like an option is given after `--`.
    return [
        ["queues", "list"],
        ["queues", "show", "--", queue],
        *(["jobs", "list", "--state", state, "--", queue] for state in ("all", "failed", "repeatable")),
        ["jobs", "list", "--q", "a", "--", queue],
        *(["jobs", "show", "--", queue, job] for job in jobs),
        ["dlq", "list", "--", queue],
        ["dlq", "groups", "--", queue],
        ["repeatables", "list"],
        ["workers", "list"],
        ["audit"],
        ["overview"],
        ["events", "tail", "--once", "--no-record"],
        ["metrics", "show", "--no-record"],
        ["check", "--max-oldest", "10m", "--max-failed", "5"],
        ["doctor"],
        *(
            [verb, act, "--dry-run", "--", queue, *ids]
            for verb, act in (("jobs", "remove"), ("dlq", "retry"))
        ),
        ["jobs", "cancel", "--dry-run", "--yes", "--", queue, *ids],
    ]


def assert_harmless(args: list[str], result: Result) -> None:
    reported = (args, result.code, result.stdout[-1500:], result.stderr[-1500:])
    # `check` reports values that it cannot read as unknown.
    assert result.code in ((0, 1, 2, 3) if "check" in args else (0, 1, 2, 4)), reported
    assert "bug in asyncmq-cli" not in result.stderr, reported
    assert "\nTraceback " not in f"\n{result.stderr}", reported
    shown = _STYLE.sub("", result.stdout) if "always" in args else result.stdout
    found = _OBEYED.search(shown + result.stderr)
    assert found is None, (found, reported)
    assert SECRET not in result.stdout + result.stderr, around_secret(args, result)
    if "--json" in args or "--ndjson" in args:
        for document in (
            result.lines if "tail" in args or "--ndjson" in args else filter(None, [result.stdout])
        ):
            json.loads(document)


def around_secret(args: list[str], result: Result) -> tuple[list[str], str]:
    text = result.stdout + result.stderr
    found = text.find(SECRET)
    return args, text[max(0, found - 300) : found + 50]


@pytest.mark.extended
def test_hostile_data_harms_no_reader(server: PrivateRedis, client: redis.Redis, tool: Tool) -> None:
    rng = seeded("hostile")
    ran = 0
    for _ in range(ROUNDS):
        queue, jobs = fill(client, rng)
        names = [name.decode("utf-8", "surrogateescape") for name in (queue, *jobs) if name]
        for args in commands(names[0], names[1:]):
            for form in ([], ["--json"], ["--color", "always"]):
                line = [*form, *args]
                assert_harmless(line, tool(server.url, *line))
                ran += 1
            if "list" in args or "groups" in args or args == ["audit"]:
                assert_harmless(
                    [*args[:2], "--ndjson", *args[2:]], tool(server.url, *args[:2], "--ndjson", *args[2:])
                )
                ran += 1
    record("Hostile data", client, runs=ran, keyspaces=ROUNDS, losses=0)


def test_a_member_that_is_cut_off_is_an_id_that_shows_no_secret(
    server: PrivateRedis, client: redis.Redis, tool: Tool
) -> None:
    library.bury(client, "mail", [library.job("x")], 1.6e9)
    for place in ("waiting", "delayed", "dlq"):
        client.zadd(f"queue:mail:{place}", {f'{{"id": "y", "kwargs": {{"password": "{SECRET}"}}': 5})
    for args in commands("mail", ["x"]):
        for form in ([], ["--json"], ["--color", "always"]):
            assert_harmless([*form, *args], tool(server.url, *form, *args))


def test_no_control_character_reaches_the_terminal(server: PrivateRedis, client: redis.Redis) -> None:
    rng = seeded("hostile on a terminal")
    for _ in range(scaled(1, 5)):
        queue, jobs = fill(client, rng)
        names = [
            name.decode("utf-8", "surrogateescape") for name in (queue, *jobs) if name and b"\0" not in name
        ]
        if b"\0" in queue:
            continue
        for args in commands(names[0], names[1:])[:: scaled(5, 1)]:
            # A shell passes this name as bytes.
            raw = [arg.encode("utf-8", "surrogateescape").decode("latin-1").encode("latin-1") for arg in args]
            screen = on_terminal(*raw, url=server.url)  # type: ignore[arg-type]
            shown = screen.text.replace("\r", "")
            assert _OBEYED.search(shown) is None, (args, _OBEYED.search(shown), shown[-500:])
            assert SECRET not in shown


Fill = Callable[[redis.Redis, int, str], None]


def dead_letters(client: redis.Redis, number: int, text: str) -> None:
    job = library.job(f"job-{number}", status="failed", last_error=f"E{number}: {text}")
    library.bury(client, "huge", [job], 1.6e9)


def dead_letters_of_many(client: redis.Redis, number: int, text: str) -> None:
    job = library.job(f"job-{number}", status="failed", last_error=text)
    library.bury(client, f"huge-{number % 16}", [job], 1.6e9)


def results(client: redis.Redis, number: int, text: str) -> None:
    job = library.job(f"job-{number}", status="completed")
    client.sadd("jobs:huge:ids", job["id"])
    client.set(f"jobs:huge:{job['id']}", json.dumps(job))
    client.hset("jobs:huge:states", job["id"], "completed")
    client.hset("jobs:huge:results", job["id"], json.dumps(text))


def definitions(client: redis.Redis, number: int, text: str) -> None:
    definition = {"task_id": f"app.task-{number}", "args": [text], "kwargs": {}, "every": 60}
    client.zadd("queue:huge:repeatables", {json.dumps(definition): 5e9 - number})


def workers(client: redis.Redis, number: int, text: str) -> None:
    beat = {"heartbeat": 4e9, "concurrency": 1, "more": text}
    client.hset("queue:huge:worker_heartbeats", f"worker-{number}", json.dumps(beat))


def events(client: redis.Redis, number: int, text: str) -> None:
    event = {"action": "job.retry", "source": "jobs.single", "status": "success", "details": {"note": text}}
    reported = {**event, "queue": "huge", "job_id": f"job-{number}", "actor": "me", "error": None}
    client.xadd("asyncmq-cli:audit", {"timestamp": "1.0", "event": json.dumps(reported)})


READ = {
    dead_letters: [
        "jobs list huge --state failed",
        "jobs list huge --state all --ndjson",
        "jobs list huge --state all --q nothing",
        "jobs show huge job-0",
        "dlq list huge --ndjson",
        "dlq groups huge",
        "overview",
        "metrics show --no-record",
        "check --max-failed 9999",
        "doctor",
        "dlq remove huge --all --yes --backup BACKUP",
    ],
    dead_letters_of_many: ["queues list", "overview"],
    results: ["jobs list huge --state completed --ndjson", "jobs show huge job-0", "doctor"],
    definitions: [
        "repeatables list",
        "repeatables list --ndjson",
        "jobs list huge --state repeatable",
        "check --max-overdue 0",
        "doctor",
        "repeatables pause huge --task app.task-7",
        "repeatables remove huge --task app.task-8 --yes",
    ],
    events: ["audit --limit 20", "audit --ndjson", "audit --ndjson --by nobody"],
    workers: ["workers list", "workers list --ndjson", "queues list"],
}


@pytest.mark.extended
@pytest.mark.parametrize("fill", READ, ids=lambda fill: fill.__name__)
def test_memory_does_not_grow_with_the_data(
    fill: Fill, server: PrivateRedis, client: redis.Redis, tmp_path: Path
) -> None:
    text = "x" * 1_000_000
    for number in range(MEGABYTES):
        fill(client, number, text)
    peaks = {}
    for line in scaled([READ[fill][0], READ[fill][-1]], READ[fill]):
        args = line.replace("BACKUP", str(tmp_path / "backup")).split()
        peaks[line] = peak_megabytes(server.url, *args)
    assert {line: peak for line, peak in peaks.items() if peak > MOST_MEMORY} == {}


def packed(text: bytes) -> bytes:
    return b"asyncmq:zlib-json:v1:" + base64.b64encode(zlib.compress(text))


MEGABYTE = 1_000_000
BOMBS = {
    "brackets": lambda: b'{"args": [' + b"[]," * (83 * MEGABYTE) + b"1]}",
    "as many lists as may be": lambda: b'{"args": [' + b"[]," * (MEGABYTE * 14 // 10) + b"1]}",
    "depth": lambda: b'{"args": ' + b"[" * (30 * MEGABYTE) + b"]" * (30 * MEGABYTE) + b"}",
    "a long text": lambda: b'{"args": ["' + b"x" * (63 * MEGABYTE) + b'"]}',
    "escapes": lambda: b'{"args": ["' + b"\\n" * (31 * MEGABYTE) + b'"]}',
    "wide characters": lambda: b'{"args": ["\\ud83d\\ude00' + b"x" * (23 * MEGABYTE) + b'"]}',
    "objects": lambda: b'{"args": [' + b'{"a":1,"b":"c"},' * (MEGABYTE // 3) + b"1]}",
}
MOST_OF_NONE = 80
MOST_OF_ONE = 500
"""Megabytes for one job, whatever it holds, with ASYNCMQ_MAX_PAYLOAD as it is."""


@pytest.mark.extended
@pytest.mark.parametrize("kind", scaled(["brackets"], list(BOMBS)))
def test_no_payload_takes_more_than_its_bound(kind: str, server: PrivateRedis, client: redis.Redis) -> None:
    text = packed(BOMBS[kind]())
    for number in range(4):
        job = library.job(f"job-{number}", status="failed", last_error="E: x")
        library.bury(client, "huge", [{k: v for k, v in job.items() if k not in ("args", "kwargs")}], 1.6e9)
        client.set(f"jobs:huge:job-{number}:payload", text)
    lines = [
        "jobs show huge job-0",
        "jobs show huge job-0 --json",
        "jobs list huge --state failed --q nothing",
        "jobs list huge --state failed --json",
        "jobs list huge --state all --ndjson",
        "jobs list huge --state failed",
        "jobs list huge --state failed -o name",
        "dlq groups huge",
        "overview",
    ]
    peaks = {line: peak_megabytes(server.url, *line.split()) for line in scaled(lines[:1], lines)}
    # Commands that show no arguments do not read them.
    most = {line: MOST_OF_ONE if line in lines[:5] else MOST_OF_NONE for line in peaks}
    assert {line: peak for line, peak in peaks.items() if peak > most[line]} == {}


def peak_megabytes(url: str, *args: str) -> float:
    measured = (
        # Do not use getrusage: a process inherits its parent's peak.
        "import sys; from asyncmq_cli.app import run; code = run(sys.argv[1:]); "
        "peak = next(line for line in open('/proc/self/status') if line.startswith('VmHWM:')); "
        "sys.stderr.write(peak.split()[1]); sys.exit(code)"
    )
    done = Forked(["-c", measured, *args], env=environment(url), stderr=subprocess.PIPE)
    _, said = done.communicate()
    assert done.wait() == 0, (args, said)
    return int(said.split()[-1]) / 1024
