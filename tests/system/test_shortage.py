"""Machines with few file descriptors, little memory, no home, no directory, or unusual locales."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import redis

from asyncmq_cli.demo.server import PrivateRedis
from asyncmq_cli.system.shortage import shortage
from tests.conftest import Result, Run, environment
from tests.faults.support import CHANGES, QUEUE, READERS, seed
from tests.support.forked import Forked

# With as many descriptors as the first word says beyond those in use.
_FEW = """
import os, resource, sys
left = int(sys.argv.pop(1))
import asyncmq_cli.__main__, asyncmq_cli.app
number = os.open("/dev/null", os.O_RDONLY) + left
os.closerange(number - left, number - left + 1)
resource.setrlimit(resource.RLIMIT_NOFILE, (number, number))
asyncmq_cli.__main__.main()
"""
_LITTLE = """
import resource, sys
limit = int(sys.argv.pop(1))
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
from asyncmq_cli.__main__ import main
main()
"""
_WORDS = (READERS["queues list"], READERS["check"], CHANGES["retry"])


def ended(process: Forked | subprocess.Popen[bytes]) -> Result:
    out, err = process.communicate(timeout=60)
    return Result(process.wait(), out.decode(), err.decode())


def assert_explained(result: Result, words: tuple[str, ...], *means: str) -> None:
    assert "Traceback" not in result.stderr and "bug in asyncmq" not in result.stderr, result
    if result.code:
        assert result.code == 3 or (result.code == 1 and words[0] != "check"), result
        first = result.stderr.splitlines()[0]
        assert first.startswith("error: ") and any(mean in first for mean in means), result


def test_too_few_file_descriptors_are_named(server: PrivateRedis, client: redis.Redis) -> None:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    for words in _WORDS:
        codes = []
        for left in range(3):
            client.flushall()
            seed(server.url)
            before = client.zcard(f"queue:{QUEUE}:dlq")
            process = Forked(["-c", _FEW, str(left), *words], env=environment(server.url), **pipes)
            result = ended(process)
            assert_explained(result, words, "too few file descriptors")
            assert result.code == 0 or client.zcard(f"queue:{QUEUE}:dlq") == before
            codes.append(result.code)
        assert codes[0] != 0


def test_too_little_memory_is_named(server: PrivateRedis, client: redis.Redis) -> None:
    seed(server.url)
    words = READERS["check"]
    codes = []
    for megabytes in (8, 20, 200):
        # A fork has what it needs already, so these are real starts.
        process = subprocess.Popen(
            [sys.executable, "-c", _LITTLE, str(megabytes * 1_000_000), *words],
            env=environment(server.url),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        result = ended(process)
        assert_explained(result, words, "too little memory")
        codes.append(result.code)
    assert (codes[0], codes[-1]) == (3, 0)


@pytest.mark.parametrize(
    ("exc", "named"),
    [
        (OSError(24, "Too many open files"), "too few file descriptors"),
        (OSError(23, "Too many open files in system"), "too few file descriptors"),
        (MemoryError(), "too little memory"),
        (ImportError("x.so: failed to map segment from shared object"), "too little memory"),
        (SystemError("error return without exception set"), "too little memory"),
        (RuntimeError("can't start new thread"), "too few threads or processes"),
        (OSError(28, "No space left on device"), "no space left on the disk"),
        (ValueError("Too many open files"), None),
        (RuntimeError("something else"), None),
    ],
    ids=repr,
)
def test_the_resource_that_ran_out_is_recognised(exc: Exception, named: str | None) -> None:
    assert (found := shortage(exc)) == found and (found[0] if found else None) == named


def test_what_ran_out_is_found_behind_another_error() -> None:
    outer = ValueError("no connection")
    outer.__cause__ = OSError(24, "Too many open files")
    assert shortage(outer) is not None


@pytest.mark.extended(first=1)
@pytest.mark.parametrize(
    "env",
    [
        {"LANG": "C", "LC_ALL": "C"},
        {"LANG": "C", "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
        {"LC_ALL": "nowhere.ISO-8859-1"},
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "ascii:strict"},
        {"PYTHONIOENCODING": "utf-16"},
        {"PYTHONUNBUFFERED": "1"},
    ],
    ids=str,
)
def test_no_locale_is_too_odd(env: dict[str, str], server: PrivateRedis, client: redis.Redis) -> None:
    for name in ("caf\u00e9", "\u754c"):
        client.sadd(f"jobs:{name}:ids", "j\u00f6b")
        client.hset(f"jobs:{name}:states", "j\u00f6b", "completed")
    for words in (
        ("queues", "list"),
        ("jobs", "show", "caf\u00e9", "n\u00f6"),
        ("overview", "--json"),
    ):
        process = subprocess.Popen(
            [sys.executable, "-m", "asyncmq_cli", *(word.encode() for word in words)],
            env={**environment(server.url), **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        out, err = process.communicate(timeout=60)
        assert process.returncode == (4 if "n\u00f6" in words else 0), (words, out, err)
        assert b"Traceback" not in err and b"bug in asyncmq" not in err, err


def test_neither_a_home_nor_a_directory_is_needed(
    server: PrivateRedis, client: redis.Redis, tmp_path: Path
) -> None:
    seed(server.url)
    gone = tmp_path / "gone"
    gone.mkdir()
    program = "import os, sys, runpy; os.chdir(sys.argv[1]); os.rmdir(sys.argv.pop(1)); " + (
        "runpy.run_module('asyncmq_cli', run_name='__main__', alter_sys=True)"
    )
    for words, code in (
        (READERS["queues list"], 0),
        (CHANGES["retry"], 0),
        (("jobs", "remove", QUEUE, "late", "--yes", "--backup", "here"), 1),
        (("jobs", "restore", "here", "--yes"), 2),
        (("metrics", "prometheus", "--output", "here"), 1),
    ):
        gone.mkdir(exist_ok=True)
        env = {**environment(server.url), "HOME": "", "XDG_CONFIG_HOME": "", "USER": "", "LOGNAME": ""}
        env = {name: value for name, value in env.items() if value}
        process = Forked(
            ["-c", program, str(gone), *words], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        result = ended(process)
        assert result.code == code, (words, result)
        assert "Traceback" not in result.stderr and "bug in asyncmq" not in result.stderr, result


def test_nobody_has_a_name_for_our_number_nor_a_home(run: Run) -> None:
    env = dict.fromkeys(("HOME", "ASYNCMQ_ACTOR", "LOGNAME", "USER", "LNAME", "USERNAME"), "")
    result = run("audit", env=env)
    assert (result.code, result.stderr) == (0, "")
    assert os.getuid() >= 0
