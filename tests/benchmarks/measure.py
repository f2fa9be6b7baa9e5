"""Measure one run of a program on a Redis: its own cost, that for Redis, and that for a second client."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis

from asyncmq_cli.demo.server import PrivateRedis

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
COMMAND = 0.010
"""Seconds that a command may hold Redis."""
_SLOW_MICROSECONDS = 500
_PING_BYTES, _PONG_BYTES = len(b"PING\r\n"), len(b"+PONG\r\n")
# What this file itself asks Redis for.
_OURS = ("ping", "info", "config", "slowlog")
_OURS_RAW = tuple(name.encode() for name in _OURS)


@dataclass(frozen=True, slots=True)
class Cost:
    """`seconds` from start to end, `cpu` of the program alone, `peak` its memory in bytes.

    `redis_cpu` is what Redis worked meanwhile, `worked` the part of it within commands. `commands` and `sent`
    (bytes, both ways) are what passed between the two, `longest` the seconds of the longest single command
    (0.0 where none was longer than half a millisecond), `slowest` which that was, and `too_long` how many
    took more than 10 ms. `wait` is the longest that a second client's PING took, and `wait_999` the 99.9th
    percentile. `stolen` is the seconds of processor that the
    host gave to other machines meanwhile, where it tells.
    """

    seconds: float
    cpu: float
    peak: int
    commands: int = 0
    sent: int = 0
    longest: float = 0.0
    slowest: str = ""
    too_long: int = 0
    redis_cpu: float = 0.0
    worked: float = 0.0
    wait: float = 0.0
    wait_999: float = 0.0
    stolen: float = 0.0


def tool(*args: str) -> list[str]:
    """The command line of the tool, by its entry point and not `python -m`."""
    code = "import sys; from asyncmq_cli.__main__ import main; sys.argv[0] = 'asyncmq'; main()"
    return [sys.executable, "-c", code, *args]


def module(name: str, *args: str) -> list[str]:
    return [sys.executable, "-m", f"tests.benchmarks.{name}", *args]


def environment(server: PrivateRedis | None) -> dict[str, str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("ASYNCMQ_", "REDIS_"))}
    # An installed program has been compiled before, and writes its output in pieces.
    for name in ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"):
        env.pop(name, None)
    env.update(PYTHONPATH=str(ROOT), ASYNCMQ_ACTOR="benchmark", XDG_CONFIG_HOME="/nonexistent")
    if server is not None:
        env["ASYNCMQ_REDIS_URL"] = server.url
    return env


def run(command: Sequence[str], server: PrivateRedis | None = None, *, status: int = 0) -> Cost:
    """Run a program. Raises RuntimeError if it ends with another status."""
    if server is None:
        return _launch(command, None, status)
    with redis.Redis.from_url(server.url, socket_timeout=None) as client:
        before = _counted(client)
        client.config_set("slowlog-log-slower-than", _SLOW_MICROSECONDS)
        client.config_set("slowlog-max-len", 10_000)
        client.slowlog_reset()
        stolen = _stolen()
        with _bystander(server) as waits:
            own = _launch(command, server, status)
        stolen = _stolen() - stolen
        slow = client.slowlog_get(10_000)
        theirs = [
            (entry["duration"], entry["command"])
            for entry in slow
            if not entry["command"].lower().startswith(_OURS_RAW)
        ]
        longest, slowest = max(theirs, default=(0, b""))
        after = _counted(client)
    pings, wait_999, wait = waits
    return Cost(
        seconds=own.seconds,
        cpu=own.cpu,
        peak=own.peak,
        commands=after[0] - before[0],
        sent=after[1] - before[1] - int(pings) * (_PING_BYTES + _PONG_BYTES),
        longest=longest / 1e6,
        slowest=slowest.partition(b" ")[0].decode(),
        too_long=sum(took > COMMAND * 1e6 for took, _ in theirs),
        redis_cpu=after[2] - before[2],
        worked=after[3] - before[3],
        wait=wait,
        wait_999=wait_999,
        stolen=stolen,
    )


def _launch(command: Sequence[str], server: PrivateRedis | None, expected: int) -> Cost:
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(HERE / "launch.py"), *command],
        env=environment(server),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    status, seconds, user, system, peak = done.stdout.split()
    if status != str(expected):
        raise RuntimeError(f"{command} ended with {status}: {done.stderr.strip()}")
    return Cost(float(seconds), float(user) + float(system), int(peak) * 1024)


def commands_of(client: redis.Redis) -> dict[str, tuple[int, float]]:
    """By command, the number of calls so far and their seconds, without the commands of this module."""
    stats: Any = client.info("commandstats")
    named = {name.removeprefix("cmdstat_"): reported for name, reported in stats.items()}
    return {
        name: (reported["calls"], reported["usec"] / 1e6)
        for name, reported in named.items()
        if not name.startswith(_OURS)
    }


def _counted(client: redis.Redis) -> tuple[int, int, float, float]:
    """The number of commands so far, the bytes both ways, the processor seconds of Redis, and those in
    commands."""
    stats = commands_of(client)
    commands = sum(calls for calls, _ in stats.values())
    passed: Any = client.info("stats")
    used: Any = client.info("cpu")
    return (
        commands,
        passed["total_net_input_bytes"] + passed["total_net_output_bytes"],
        used["used_cpu_user"] + used["used_cpu_sys"],
        sum(seconds for _, seconds in stats.values()),
    )


def _stolen() -> float:
    try:
        everywhere = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()
        # The processors' time: user, nice, system, idle, iowait, irq, softirq, steal.
        return int(everywhere[8]) / os.sysconf("SC_CLK_TCK")
    except (OSError, LookupError):
        return 0.0


def longest_pause(together: int, seconds: float) -> float:
    """The longest pause, in seconds, of this many processes that read the clock for this long at the same
    time."""
    command = [sys.executable, "-I", "-S", str(HERE / "pauses.py"), str(seconds)]
    readers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(together)]
    return max(float(reader.communicate()[0]) for reader in readers)


@contextmanager
def _bystander(server: PrivateRedis) -> Iterator[list[float]]:
    """Its three numbers, there once it has ended."""
    waits: list[float] = []
    with subprocess.Popen(
        [sys.executable, "-I", "-S", str(HERE / "bystander.py"), str(server.socket)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdout.readline()
        yield waits
        process.stdin.close()
        waits += map(float, process.stdout.read().split())
