"""Closed or full streams, and readers that have gone: the exit status is right nevertheless."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import redis

from asyncmq_cli.demo.server import PrivateRedis
from tests.conftest import Result, Run, environment
from tests.demo.processes import eventually
from tests.faults import scale
from tests.faults.support import QUEUE, seed
from tests.support import library
from tests.support.forked import Forked
from tools import commandtree

STREAMS = ("stdin", "stdout", "stderr")
# What a shell's `>&-` gives to a program.
_CLOSING = """
import os, runpy, sys
name, sys.argv[1:2] = sys.argv[1], []
os.close(("stdin", "stdout", "stderr").index(name))
setattr(sys, name, None)
runpy.run_module("asyncmq_cli", run_name="__main__", alter_sys=True)
"""

# None of them changes anything, so that all meet the same Redis. The status is that with pipes.
SAMPLES: dict[str, tuple[int, tuple[str, ...]]] = {
    "queues list": (0, ()),
    "queues show": (0, (QUEUE,)),
    "queues pause": (4, ("nosuch",)),
    "queues drain": (5, (QUEUE,)),
    "queues clean": (5, (QUEUE, "--state", "failed", "--older-than", "0")),
    "queues obliterate": (1, (QUEUE,)),
    "queues resume": (4, ("nosuch", "--json")),
    "jobs list": (0, (QUEUE, "--state", "all", "--ndjson")),
    "jobs show": (4, (QUEUE, "nosuch")),
    "jobs retry": (0, (QUEUE, "--all", "--dry-run")),
    "jobs edit": (2, (QUEUE, "dead")),
    "jobs remove": (5, (QUEUE, "-")),
    "jobs restore": (1, ("-", "--yes")),
    "jobs cancel": (1, (QUEUE, "done", "soon", "--dry-run")),
    "dlq list": (0, (QUEUE, "--json")),
    "dlq groups": (0, (QUEUE,)),
    "dlq retry": (5, (QUEUE, "--all")),
    "dlq remove": (4, (QUEUE, "nosuch", "--yes")),
    "repeatables list": (0, ("--output", "name")),
    "repeatables add": (2, (QUEUE, "--task", "app.new")),
    "repeatables pause": (4, (QUEUE, "nosuch")),
    "repeatables run": (4, (QUEUE, "nosuch")),
    "jobs add": (2, (QUEUE,)),
    "jobs run-now": (4, (QUEUE, "nosuch")),
    "jobs rerun": (4, (QUEUE, "nosuch")),
    "repeatables resume": (4, (QUEUE, "nosuch", "--json")),
    "repeatables remove": (0, (QUEUE, "--task", "app.tick", "--dry-run")),
    "workers list": (0, ()),
    "metrics show": (0, ("--no-record",)),
    "metrics record": (0, ()),
    "metrics history": (0, ()),
    "metrics prometheus": (0, ()),
    "events tail": (0, ("--once", "--no-record")),
    "overview": (0, ()),
    "audit list": (0, ()),
    "audit verify": (0, ()),
    "audit tail": (0, ()),
    "audit export": (0, ()),
    "check": (2, ("--max-waiting", ":0", "--max-overdue", "9")),
    "wait": (0, (QUEUE, "--for", "job", "done")),
    "doctor": (1, ("archive",)),
    "demo": (2, ("--shell", "--", "x")),
    "help": (0, ()),
    "queues forget": (1, (QUEUE,)),
    "jobs tree": (0, (QUEUE, "child")),
    "jobs follow": (0, (QUEUE, "done")),
    "jobs requeue": (1, (QUEUE, "running")),
    "tasks list": (0, ()),
    "tasks show": (4, ("app.nosuch",)),
    "tasks top": (0, ("--for", "10ms")),
    "repeatables show": (0, (QUEUE, "--task", "app.tick")),
    "repeatables next": (0, ()),
    "workers forget": (1, ("worker-1", "--yes")),
    "metrics serve": (2, ("--listen", "nowhere")),
    "context list": (0, ()),
    "context show": (0, ()),
    "context use": (2, ("nosuch",)),
    "context prompt": (0, ()),
    "schema": (0, ("queues",)),
    "ui": (2, ()),
}
GIVEN = {"jobs remove": b"dead\n", "jobs restore": b"no backup\n"}
COMMANDS = [*(one.name for one in commandtree.commands()), "", "nosuch"]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with PrivateRedis() as own:
        seed(own.url)
        yield own.url


def start(url: str, words: tuple[str, ...], stream: str, trouble: str, given: bytes) -> tuple[Forked, bytes]:
    """Start the tool with pipes for its streams, except one that is closed or full."""
    with ExitStack() as stack:
        pipes = dict.fromkeys(STREAMS, subprocess.PIPE)
        if trouble == "full":
            full = os.open("/dev/full", os.O_RDWR)
            stack.callback(os.close, full)
            pipes[stream] = full
        program = ("-c", _CLOSING, stream) if trouble == "closed" else ("-m", "asyncmq_cli")
        return Forked((*program, *words), env=environment(url), **pipes), given


def result_of(started: tuple[Forked, bytes]) -> Result:
    process, given = started
    try:
        out, err = process.communicate(given, timeout=60)
    finally:
        process.kill()
    return Result(process.wait(), (out or b"").decode(), (err or b"").decode())


@pytest.mark.extended(first=14)
@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_the_right_status_with_any_streams(name: str, url: str) -> None:
    code, rest = SAMPLES.get(name, (0, ("--help",)) if name != "nosuch" else (2, ()))
    words, given = (*name.split(), *rest), GIVEN.get(name, b"")
    started = {
        (stream, trouble): start(url, words, stream, trouble, given)
        for stream, trouble in (("none", "is"), *((s, t) for s in STREAMS for t in ("closed", "full")))
    }
    found = {case: result_of(one) for case, one in started.items()}
    scale.record("Streams", commands=len(found))
    usual = found["none", "is"]
    assert usual.code == code, usual
    for (stream, trouble), result in found.items():
        reported = f"{name} with {stream} {trouble}: {result}"
        expected = code
        if (stream, trouble) == ("stdout", "full") and usual.stdout:
            expected = 3 if name == "check" else code or 1
            errors = [line for line in result.stderr.splitlines() if line.startswith(("error: ", '{"error"'))]
            assert len(errors) == 1, reported
        if stream == "stdin" and given:
            # Nothing to read is no list of ids, and endless zeros are none either.
            assert result.code in (0, 2) if trouble == "closed" else result.code in (1, 2), reported
        else:
            assert result.code == expected, reported
        assert "Traceback" not in result.stderr and "bug in asyncmq" not in result.stderr, reported
        assert "Exception ignored" not in result.stderr, reported
        if stream == "stderr":
            assert bool(result.stdout) == bool(usual.stdout), reported


@pytest.fixture
def dead(server: PrivateRedis, client: redis.Redis) -> redis.Redis:
    jobs = [("failed", library.job(f"job-{number}-{'x' * 80}")) for number in range(200)]
    library.with_backend(server.url, lambda opened: library.fill(opened, QUEUE, jobs))
    return client


def into(words: tuple[str, ...], url: str, stdout: int) -> Result:
    process = Forked(
        ("-m", "asyncmq_cli", *words), env=environment(url), stdout=stdout, stderr=subprocess.PIPE
    )
    return result_of((process, b""))


def into_full(words: tuple[str, ...], url: str) -> Result:
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        return into(words, url, full)
    finally:
        os.close(full)


def into_closed_pipe(words: tuple[str, ...], url: str) -> Result:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        return into(words, url, writing)
    finally:
        os.close(writing)


@pytest.mark.parametrize("json", [(), ("--json",)], ids=["lines", "json"])
def test_a_change_that_cannot_be_reported_says_how_many_were_made(
    json: tuple[str, ...], server: PrivateRedis, dead: redis.Redis
) -> None:
    planned = into_full(("jobs", "retry", QUEUE, "--all", "--dry-run", *json), server.url)
    assert (planned.code, "done anyway" in planned.stderr) == (1, False)
    assert "No space left on device; Would retry 200" in planned.stderr
    result = into_full(("jobs", "retry", QUEUE, "--all", "--yes", *json), server.url)
    assert dead.zcard(f"queue:{QUEUE}:waiting") == 200
    assert result.code == 1
    (line,) = result.stderr.splitlines()
    assert "cannot write to standard output: No space left on device" in line
    assert "done anyway: Retried 200 of 200" in line


def test_a_change_that_failed_keeps_its_status_where_nothing_can_be_written(
    server: PrivateRedis, dead: redis.Redis
) -> None:
    for write in (into_full, into_closed_pipe):
        gone = [f"gone-{number}-{'x' * 80}" for number in range(200)]
        result = write(("jobs", "retry", QUEUE, *gone), server.url)
        assert (result.code, result.stderr.splitlines()[-2]) == (1, "error: 200 of 200 failed")
    assert into_closed_pipe(("jobs", "show", QUEUE, "gone"), server.url).code == 4


def test_a_closed_reader_stops_the_output_but_keeps_the_status(
    server: PrivateRedis, dead: redis.Redis
) -> None:
    for code, words in (
        (2, ("check", "--max-dlq", ":0")),
        (2, ("check", "--max-dlq", ":0", "--json")),
        (0, ("check",)),
        (1, ("wait", QUEUE, "--for", "job", "nosuch", "gone")),
        (0, ("jobs", "list", QUEUE, "--state", "failed", "--size", "200")),
        (0, ("jobs", "list", QUEUE, "--state", "failed", "--ndjson")),
        (0, ("--help",)),
        (0, ("jobs", "retry", QUEUE, "--all", "--yes")),
    ):
        result = into_closed_pipe(words, server.url)
        assert result.code == code, (words, result)
        assert "Traceback" not in result.stderr
        assert code or not result.stderr, (words, result)
    assert dead.zcard(f"queue:{QUEUE}:waiting") == 200


def test_the_doctors_status_outlives_its_reader(server: PrivateRedis, client: redis.Redis) -> None:
    seed(server.url)
    for words in (("doctor",), ("doctor", "--ndjson"), ("doctor", "--json")):
        assert into_closed_pipe(words, server.url).code == 1, words


def test_no_file_gets_the_number_of_a_closed_stream(url: str) -> None:
    """Otherwise, text for stderr would be sent to Redis."""
    numbers = "[os.readlink(f'/proc/self/fd/{n}') for n in range(3)]"
    looking = f"import atexit; atexit.register(lambda: os._exit(any('socket' in one for one in {numbers})))"
    for stream in STREAMS:
        program = _CLOSING.replace("runpy.run", f"{looking}; runpy.run")
        assert Forked(("-c", program, stream, "queues", "list"), env=environment(url)).wait(30) == 0, stream


@pytest.mark.parametrize(
    "words",
    [
        ("metrics", "prometheus", "--output", "FIFO"),
        ("jobs", "restore", "FIFO", "--yes"),
        ("jobs", "restore", "/dev/zero", "--yes"),
        ("jobs", "remove", QUEUE, "--all", "--yes", "--backup", "FIFO"),
    ],
    ids=" ".join,
)
def test_a_fifo_or_device_is_refused_at_once(words: tuple[str, ...], run: Run, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    result = run(*(str(tmp_path / "fifo") if word == "FIFO" else word for word in words))
    assert result.code in (1, 2) and result.stderr.startswith("error: "), result


@pytest.mark.parametrize("option", ["ssl_ca_certs", "ssl_certfile", "ssl_keyfile"])
def test_a_certificate_is_a_regular_file(option: str, run: Run, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", Path("/dev/zero")):
        result = run("--redis-url", f"rediss://127.0.0.1:1/0?{option}={path}", "queues", "list")
        assert result.code == 2 and result.stderr.startswith(f"error: {option} '{path}' is not a regular"), (
            result
        )


def test_a_configuration_file_has_an_end_and_is_not_waited_for(run: Run, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "large").write_bytes(b"#" * 2_000_000)
    for path in (tmp_path / "fifo", tmp_path / "large", tmp_path, Path("/dev/zero")):
        result = run("queues", "list", env={"ASYNCMQ_CONFIG": str(path)})
        assert result.code == 2 and result.stderr.startswith("error: cannot read the configuration file")
    assert run("queues", "list", env={"ASYNCMQ_CONFIG": "/dev/null"}).code == 0


def test_a_backup_comes_through_a_fifo_once_somebody_writes_it(
    run: Run, tmp_path: Path, client: redis.Redis, server: PrivateRedis
) -> None:
    jobs = [("waiting", library.job("one"))]
    library.with_backend(server.url, lambda opened: library.fill(opened, QUEUE, jobs))
    backup, fifo = tmp_path / "backup", tmp_path / "fifo"
    os.mkfifo(fifo)
    assert run("jobs", "remove", QUEUE, "one", "--yes", "--backup", str(backup)).code == 0
    writer = subprocess.Popen(["/bin/sh", "-c", 'cat "$0" >"$1"', str(backup), str(fifo)])
    assert run("jobs", "restore", str(fifo), "--yes").code == 0
    writer.wait()
    assert client.zcard(f"queue:{QUEUE}:waiting") == 1


def test_endless_input_is_no_list_of_ids(server: PrivateRedis, dead: redis.Redis) -> None:
    with Path("/dev/zero").open() as zero:
        process = Forked(
            ("-m", "asyncmq_cli", "jobs", "retry", QUEUE, "-"),
            env=environment(server.url),
            stdin=zero.fileno(),
            stderr=subprocess.PIPE,
        )
        result = result_of((process, b""))
    assert result.code == 2 and result.stderr.startswith("error: standard input is too large")


def test_a_reader_that_takes_nothing_keeps_no_command_that_is_terminated(
    server: PrivateRedis, client: redis.Redis
) -> None:
    jobs = [("completed", library.job(f"job-{number}-{'x' * 500}")) for number in range(200)]
    library.with_backend(server.url, lambda opened: library.fill(opened, QUEUE, jobs))
    reading, writing = os.pipe()
    words = ("jobs", "list", QUEUE, "--state", "completed", "--ndjson")
    process = Forked(
        ("-m", "asyncmq_cli", *words), env=environment(server.url), stdout=writing, stderr=subprocess.PIPE
    )
    assert eventually(lambda: not select.select([], [writing], [], 0)[1]), "the pipe is full"
    process.send_signal(signal.SIGTERM)
    result = result_of((process, b""))
    os.close(writing)
    os.close(reading)
    assert result.code == 143 and '"code":"terminated"' in result.stderr


def test_a_pipe_that_another_process_made_non_blocking_is_waited_for(
    server: PrivateRedis, client: redis.Redis
) -> None:
    jobs = [("completed", library.job(f"job-{number}-{'x' * 500}")) for number in range(200)]
    library.with_backend(server.url, lambda opened: library.fill(opened, QUEUE, jobs))
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    words = ("jobs", "list", QUEUE, "--state", "completed", "--ndjson")
    process = Forked(("-m", "asyncmq_cli", *words), env=environment(server.url), stdout=writing)
    os.close(writing)
    with open(reading, "rb") as reader:  # noqa: PTH123
        assert len(reader.readlines()) == 200
    assert process.wait(30) == 0


def test_a_warning_is_flushed_at_once() -> None:
    guarded = "from asyncmq_cli.system.process import guard_streams; guard_streams()"
    text = f"import sys; {guarded}; print(sys.stderr.line_buffering)"
    for setting in ("", "1"):
        env = {**environment(None), "PYTHONUNBUFFERED": setting}
        done = subprocess.run([sys.executable, "-c", text], env=env, capture_output=True, check=True)
        assert done.stdout == b"True\n"
