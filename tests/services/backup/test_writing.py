"""A backup is complete and on disk before a job leaves Redis, and lists exactly the jobs that were
removed."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis
from asyncmq.backends.redis import RedisBackend

from asyncmq_cli.cli.changes.confirm import NO_BACKUP
from asyncmq_cli.demo.server import PrivateRedis
from asyncmq_cli.storage.write.audit_stream import AuditLog
from asyncmq_cli.storage.write.scripts import Scripts
from tests.conftest import Result, Run, environment, run_tool
from tests.faults.fakes import Proxy
from tests.faults.test_midway import BeforeScript
from tests.support import library
from tests.support.terminal import on_terminal

QUEUE = "mail"
NAMES = [f"job-{number:03}" for number in range(120)]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "mail.ndjson"


@pytest.fixture(autouse=True)
def mail(server: PrivateRedis, client: redis.Redis) -> None:
    library.bury(client, QUEUE, [dead(name) for name in NAMES], 1.6e9)


def dead(name: str) -> dict[str, Any]:
    return library.job(name, status="failed", kwargs={"api_token": "hunter2"})


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def jobs_in(file: Path) -> list[str]:
    return [line["id"] for line in lines(file) if "id" in line]


def left(client: redis.Redis) -> set[str]:
    return {name.decode() for name in client.smembers(f"jobs:{QUEUE}:ids")}


def removed_by_event(client: redis.Redis) -> list[str]:
    return [event["job_id"] for event in library.events(client) if event["status"] == "success"]


def test_a_backup_holds_each_job_whole_and_is_its_owners_alone(
    file: Path, client: redis.Redis, cli: Run
) -> None:
    record = client.get(f"jobs:{QUEUE}:job-000")
    old = os.umask(0)
    try:
        assert cli("dlq", "remove", QUEUE, "job-000", "--backup", str(file), "--yes").code == 0
    finally:
        os.umask(old)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    job, outcome = lines(file)
    run = library.events(client)[0]["details"]["run"]
    assert library.events(client)[0]["details"] == {"backup": str(file), "run": run}
    assert job == {
        "backup": 1,
        "run": run,
        "queue": QUEUE,
        "id": "job-000",
        "state": "failed",
        "record": record.decode(),
        "payload": None,
        "result": None,
        "claim": None,
        "heartbeat": None,
        "in_ids": True,
        "cancelled": False,
        "waiting": [],
        "delayed": [],
        "dlq": [{"score": 1.6e9, "member": record.decode()}],
        "pending": [],
        "children": [],
        "parents": [],
    }
    assert "hunter2" in job["record"], "a redacted job could not be restored"
    assert outcome == {"backup": 1, "run": run, "queue": QUEUE, "removed": ["job-000"], "kept": []}


def test_the_lines_are_on_disk_before_the_script_is_sent(
    file: Path, client: redis.Redis, cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[Any] = []
    sync, send = os.fsync, Scripts.send_together

    def note_sync(opened: int) -> None:
        sync(opened)
        done.append("directory" if stat.S_ISDIR(os.fstat(opened).st_mode) else jobs_in(file))

    def note_send(scripts: Scripts, calls: Any) -> Any:
        done.append(len(calls))
        return send(scripts, calls)

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(Scripts, "send_together", note_send)
    assert cli("dlq", "remove", QUEUE, "--all", "--yes", "--backup", str(file)).code == 0
    assert done == ["directory", NAMES[:50], 50, NAMES[:100], 50, NAMES, 20]


def test_a_job_with_a_key_of_the_wrong_type_is_refused_and_the_next_is_backed_up(
    file: Path, client: redis.Redis, cli: Run
) -> None:
    client.set(f"deps:{QUEUE}:job-000:pending", "no set")
    report = cli("dlq", "remove", QUEUE, "job-000", "job-001", "--backup", str(file), "--yes", "--json")
    assert report.code == 1
    assert {row["job_id"]: row["status"] for row in report.json["results"]} == {
        "job-000": "failed",
        "job-001": "success",
    }
    assert "job-000:pending" in report.json["results"][0]["error"]
    assert jobs_in(file) == ["job-001"]
    assert [member["score"] for member in lines(file)[0]["dlq"]] == [1.6e9 + 0.001]


def test_a_dry_run_writes_no_backup(file: Path, cli: Run) -> None:
    assert cli("dlq", "remove", QUEUE, "--all", "--dry-run", "--backup", str(file)).code == 0
    assert not file.exists()


@pytest.mark.parametrize("target", ["file", "dangling link", "directory"])
def test_an_existing_file_is_not_overwritten(target: str, file: Path, client: redis.Redis, cli: Run) -> None:
    make: dict[str, Callable[[], Any]] = {
        "file": lambda: file.write_text("mine"),
        "dangling link": lambda: file.symlink_to("nowhere"),
        "directory": file.mkdir,
    }
    make[target]()
    for more in (["--yes"], ["--dry-run"], []):
        result = cli("dlq", "remove", QUEUE, "--all", *more, "--backup", str(file))
        assert (result.code, result.stdout) == (2, "")
        assert result.stderr.startswith(f"error: the backup '{file}' exists already\nhint: ")
    assert left(client) == set(NAMES)
    assert library.events(client) == []


@pytest.mark.parametrize("path", ["/dev/null/backup", "nowhere/backup", "x" * 300])
def test_a_backup_that_cannot_be_made_removes_nothing(
    path: str, file: Path, client: redis.Redis, cli: Run
) -> None:
    result = cli("dlq", "remove", QUEUE, "--all", "--yes", "--json", "--backup", str(file.parent / path))
    error = json.loads(result.stderr)["error"]
    assert (result.code, error["code"], result.json["succeeded"]) == (1, "backup_failed", 0)
    assert left(client) == set(NAMES)
    assert list(file.parent.iterdir()) == []


def test_a_full_disk_ends_the_run_and_removed_jobs_are_in_the_backup(
    server: PrivateRedis, file: Path, client: redis.Redis
) -> None:
    """A limit on the size of files replaces a full disk: the system then writes only a part."""
    command = [sys.executable, "-m", "asyncmq_cli", "dlq", "remove", QUEUE, "--all", "--yes", "--json"]
    bounded = ["bash", "-c", 'ulimit -f 100; exec "$@"', "-", *command, "--backup", str(file)]
    done = subprocess.run(bounded, capture_output=True, env=environment(server.url), check=False)
    report, error = json.loads(done.stdout), json.loads(done.stderr)["error"]
    assert (done.returncode, error["code"]) == (1, "backup_failed")
    assert error["message"].endswith(": File too large")
    assert file.read_bytes().endswith(b"\n")
    removed = [row["job_id"] for row in report["results"] if row["status"] == "success"]
    assert removed == removed_by_event(client)
    assert 0 < len(removed) < len(NAMES)
    assert set(removed) == set(jobs_in(file)) == set(NAMES) - left(client)


def test_what_moves_before_the_script_is_not_removed_and_cannot_be_restored(
    server: PrivateRedis, file: Path, client: redis.Redis, cli: Run
) -> None:
    async def end(opened: RedisBackend) -> None:
        """The job is retried, runs, and is removed by another client."""
        await opened.retry_job(QUEUE, "job-001")
        claimed = await opened.dequeue(QUEUE)
        await opened.complete_active_job(QUEUE, claimed, None)

    first = BeforeScript(1, lambda: library.with_backend(server.url, end))
    with Proxy(server.socket, before=first) as proxy:
        result = run_tool(
            "dlq", "remove", QUEUE, *NAMES[:3], "--yes", "--json", "--backup", str(file), url=proxy.url
        )
    assert [row["status"] for row in result.json["results"]] == ["success", "failed", "success"]
    assert lines(file)[-1]["kept"] == ["job-001"]
    assert "job-001" in left(client)
    library.with_backend(server.url, lambda opened: opened.remove_job(QUEUE, "job-001"))
    restored = cli("jobs", "restore", str(file), "--yes", "--json")
    assert [row["job_id"] for row in restored.json["results"]] == ["job-000", "job-002"]
    assert "1 job of the backup were not removed" in restored.stderr
    named = cli("jobs", "restore", str(file), "job-001", "--json")
    assert (named.code, json.loads(named.stderr)["error"]["code"]) == (1, "not_removed")
    assert "job-001" not in left(client)


CHANGES: dict[str, Callable[[redis.Redis], object]] = {
    "record": lambda client: client.set(f"jobs:{QUEUE}:job-001", "{}"),
    "payload": lambda client: client.set(f"jobs:{QUEUE}:job-001:payload", "{}"),
    "result": lambda client: client.hset(f"jobs:{QUEUE}:results", "job-001", ""),
    "score": lambda client: client.zadd(
        f"queue:{QUEUE}:dlq", {client.get(f"jobs:{QUEUE}:job-001"): 1.6e9 + 1e-6}, xx=True
    ),
    "heartbeat": lambda client: client.hset(f"queue:{QUEUE}:heartbeats", "job-001", "1.5"),
    "mark": lambda client: client.sadd(f"queue:{QUEUE}:cancelled", "job-001"),
    "ids": lambda client: client.srem(f"jobs:{QUEUE}:ids", "job-001"),
    "pending": lambda client: client.sadd(f"deps:{QUEUE}:job-001:pending", "p"),
    "child": lambda client: client.sadd(f"deps:{QUEUE}:parent:job-001", "c"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_only_jobs_in_the_backup_are_removed(
    what: str, server: PrivateRedis, file: Path, client: redis.Redis
) -> None:
    before = BeforeScript(1, lambda: CHANGES[what](client))
    with Proxy(server.socket, before=before) as proxy:
        result = run_tool(
            "dlq", "remove", QUEUE, "job-001", "--yes", "--json", "--backup", str(file), url=proxy.url
        )
    assert result.code == 1
    assert "it differs from the backup" in result.json["results"][0]["error"]
    assert client.exists(f"jobs:{QUEUE}:job-001")
    assert removed_by_event(client) == []


def killed(server: PrivateRedis, file: Path, at: int) -> Result:
    """A run that is killed before its `at`-th script reaches Redis."""
    started: list[subprocess.Popen[bytes]] = []

    def kill() -> None:
        os.kill(started[0].pid, signal.SIGKILL)
        started[0].wait()

    with Proxy(server.socket, before=BeforeScript(at, kill)) as proxy:
        command = [sys.executable, "-m", "asyncmq_cli", "dlq", "remove", QUEUE, "--all", "--yes"]
        started.append(subprocess.Popen([*command, "--backup", str(file)], env=environment(proxy.url)))
        started[0].wait(60)
    return Result(started[0].returncode, "", "")


def test_only_removed_jobs_are_restored_from_the_backup_of_a_killed_run(
    server: PrivateRedis, file: Path, client: redis.Redis, cli: Run
) -> None:
    before = library.dump(client)
    # In the second batch: its lines are written, and its transaction never got to Redis whole.
    assert killed(server, file, 51).code == -signal.SIGKILL
    assert jobs_in(file) == NAMES[:100]
    assert len(removed_by_event(client)) in (50, 100)
    gone = set(NAMES) - left(client)
    restored = cli("jobs", "restore", str(file), "--yes", "--json")
    back = [row["job_id"] for row in restored.json["results"] if row["status"] == "success"]
    assert set(back) == gone
    assert library.dump(client) == before


def test_a_removal_whose_reply_was_lost_is_known(
    server: PrivateRedis, file: Path, client: redis.Redis, cli: Run
) -> None:
    """The connection is cut after the script has run, so the file does not contain its outcome."""
    before = library.dump(client)
    with Proxy(server.socket, before=BeforeScript(1, lambda: cut.hold_back())) as cut:
        lost = run_tool("dlq", "remove", QUEUE, "job-000", "--yes", "--backup", str(file), url=cut.url)
    assert (lost.code, len(lines(file)), removed_by_event(client)) == (3, 1, ["job-000"])
    assert cli("jobs", "restore", str(file), "--yes").code == 0
    assert library.dump(client) == before


def test_without_a_trace_of_the_removal_it_takes_force(file: Path, client: redis.Redis, cli: Run) -> None:
    before = library.dump(client)
    cli("dlq", "remove", QUEUE, "job-000", "job-001", "--yes", "--backup", str(file))
    file.write_bytes(b"".join(file.read_bytes().splitlines(keepends=True)[:2]))
    client.delete("asyncmq-cli:audit")
    refused = cli("jobs", "restore", str(file), "--yes", "--json")
    assert (refused.code, refused.json["failed"]) == (1, 2)
    assert "is not known to have been removed" in refused.json["results"][0]["error"]
    assert cli("jobs", "restore", str(file), "--yes", "--force").code == 0
    assert library.dump(client) == before


@pytest.mark.parametrize(("count", "backup"), [(101, False), (1, False), (101, True)])
def test_whether_there_is_a_backup_is_said_when_it_asks(
    count: int, backup: bool, server: PrivateRedis, file: Path, run: Run, client: redis.Redis
) -> None:
    more = ["--backup", str(file)] if backup else []
    for args in (["--all", "--limit", str(count)], NAMES[:count]):
        screen = on_terminal("dlq", "remove", QUEUE, *args, *more, url=server.url, answer="n\n")
        assert screen.code == 5
        said = f"backup: {file}" if backup else NO_BACKUP
        assert f"\n{said}\nRemove " in screen.text
        refused = run("dlq", "remove", QUEUE, *args, *more)
        assert (refused.code, refused.stderr.endswith(f"; {said}\n")) == (5, True)
    assert left(client) == set(NAMES)


def test_a_change_whose_reply_was_lost_is_found_and_reported_as_done(
    server: PrivateRedis, file: Path, client: redis.Redis, cli: Run
) -> None:
    """After the reconnection, the tool finds out what became of the jobs."""
    with Proxy(server.socket) as proxy:
        args = ("dlq", "remove", QUEUE, "--all", "--yes", "--json")
        run_tool(*args, "--backup", str(file), url=proxy.url)
    cli("jobs", "restore", str(file), "--yes")
    client.delete("asyncmq-cli:audit")
    other = file.with_name("other")
    with Proxy(server.socket, limit=proxy.passed - 2, once=True) as cut:
        lost = run_tool(*args, "--backup", str(other), url=cut.url)
    error = json.loads(lost.stderr)["error"]
    assert (lost.code, lost.json["succeeded"], lost.json["failed"]) == (3, len(NAMES), 0)
    assert "not known" not in error["hint"]
    assert left(client) == set()
    assert lines(other)[-1]["removed"] == NAMES[100:]


def test_changes_are_reported_even_if_a_refusal_cannot_be_recorded(
    file: Path, client: redis.Redis, cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = Scripts.send_together

    def change_then_send(scripts: Scripts, calls: Any) -> Any:
        client.hset(f"jobs:{QUEUE}:results", "job-001", "1")
        return send(scripts, calls)

    def cannot(log: AuditLog, draft: Any) -> None:
        raise redis.ConnectionError("gone")

    monkeypatch.setattr(Scripts, "send_together", change_then_send)
    monkeypatch.setattr(AuditLog, "record", cannot)
    result = cli("dlq", "remove", QUEUE, *NAMES[:3], "--yes", "--json", "--backup", str(file))
    assert result.code == 3
    assert [row["status"] for row in result.json["results"]] == ["success", "failed", "success"]
    assert (lines(file)[-1]["removed"], lines(file)[-1]["kept"]) == (["job-000", "job-002"], ["job-001"])
