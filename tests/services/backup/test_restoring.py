"""Restoring jobs from intact and damaged files: each job once, and where a worker finds it."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from asyncmq.backends.redis import RedisBackend

from asyncmq_cli.demo.server import PrivateRedis
from asyncmq_cli.models.changes import AuditEvent
from asyncmq_cli.storage.write.audit_stream import AuditLog
from tests.conformance import test_worker
from tests.conformance.test_worker import work_until
from tests.conftest import Run, environment
from tests.support import forked, library
from tests.support.terminal import on_terminal

QUEUE = "mail"
NAMES = ["one", "two", "three"]


@pytest.fixture
def file(server: PrivateRedis, client: redis.Redis, cli: Run, tmp_path: Path) -> Path:
    """A backup of three of four dead letters, which were removed."""
    library.bury(client, QUEUE, [test_worker.dead(name) for name in (*NAMES, "four")], 1.6e9)
    path = tmp_path / "mail.ndjson"
    assert cli("dlq", "remove", QUEUE, *NAMES, "--yes", "--backup", str(path)).code == 0
    client.delete("asyncmq-cli:audit")
    return path


def test_each_restored_job_has_its_event(file: Path, client: redis.Redis, cli: Run) -> None:
    assert cli("jobs", "restore", str(file), "--yes", "--reason", "too many").code == 0
    run_id = json.loads(file.read_bytes().splitlines()[0])["run"]
    details = {"reason": "too many", "backup": str(file), "run": run_id}
    trail = [("job.restore", "jobs.bulk", "success", name, details) for name in NAMES]
    assert [
        (e["action"], e["source"], e["status"], e["job_id"], e["details"]) for e in library.events(client)
    ] == trail
    cli("dlq", "remove", QUEUE, "two", "--yes")
    assert cli("jobs", "restore", str(file), "two", "--force").stdout.split("\t")[:3] == [
        "success",
        QUEUE,
        "two",
    ]
    assert library.events(client)[-1]["source"] == "jobs.single"


def test_a_backup_is_restored_once_though_the_audit_trail_is_gone(
    file: Path, client: redis.Redis, cli: Run
) -> None:
    assert cli("jobs", "restore", str(file), "two", "--yes").code == 0
    assert cli("jobs", "restore", str(file), "--yes", "--json").json["succeeded"] == 2
    client.delete("asyncmq-cli:audit")
    assert cli("dlq", "remove", QUEUE, *NAMES, "--yes").code == 0
    before = library.dump(client)
    result = cli("jobs", "restore", str(file), "--yes", "--json")
    assert (result.code, result.json["succeeded"], library.dump(client)) == (1, 0, before)
    assert all("may already have been restored" in row["error"] for row in result.json["results"])
    assert cli("jobs", "restore", str(file), "--yes", "--force").code == 0


def test_what_exists_is_refused_and_the_rest_restored(file: Path, client: redis.Redis, cli: Run) -> None:
    client.sadd(f"jobs:{QUEUE}:ids", "two")
    before = library.dump(client)
    for more in (["--dry-run"], ["--yes"]):
        result = cli("jobs", "restore", str(file), *more, "--json")
        assert result.code == 1
        reported = {row["job_id"]: row["error"] for row in result.json["results"]}
        assert reported == {"one": None, "two": "job 'two' exists, so it is not restored", "three": None}
        if more == ["--dry-run"]:
            assert library.dump(client) == before
            assert library.events(client) == []
    assert Counter(event["status"] for event in library.events(client)) == {"success": 2, "failed": 1}
    assert client.get(f"jobs:{QUEUE}:two") is None


def test_on_a_terminal_the_reason_does_not_repeat_the_id(
    file: Path, client: redis.Redis, server: PrivateRedis
) -> None:
    client.sadd(f"jobs:{QUEUE}:ids", "two")
    shown = on_terminal("jobs", "restore", str(file), "--dry-run", url=server.url).text
    (row,) = [line for line in shown.split("\n") if line.startswith("failed")]
    assert row.split() == ["failed", QUEUE, "two", *["exists,", "so", "it", "is", "not", "restored"]]


TRACES: dict[str, Callable[[redis.Redis, str], object]] = {
    "record": lambda client, name: client.set(f"jobs:{QUEUE}:{name}", "{}"),
    "state": lambda client, name: client.hset(f"jobs:{QUEUE}:states", name, "waiting"),
    "claim": lambda client, name: client.hset(f"queue:{QUEUE}:active", name, "1"),
    "waiting": lambda client, name: client.zadd(f"queue:{QUEUE}:waiting", {name: 1}),
    "another dead letter": lambda client, name: client.zadd(
        f"queue:{QUEUE}:dlq", {json.dumps({"id": name, "odd": 1}): 1}
    ),
    "delayed": lambda client, name: client.zadd(f"queue:{QUEUE}:delayed", {json.dumps({"id": name}): 1}),
}


@pytest.mark.parametrize("trace", TRACES)
def test_any_trace_of_a_job_is_a_job(trace: str, file: Path, client: redis.Redis, cli: Run) -> None:
    TRACES[trace](client, "two")
    before = library.dump(client)
    result = cli("jobs", "restore", str(file), "two")
    assert (result.code, result.stderr.splitlines()[0]) == (
        1,
        "error: job 'two' exists, so it is not restored",
    )
    assert library.dump(client) == before


@pytest.mark.parametrize("trace", [name for name in TRACES if name != "delayed" and "another" not in name])
def test_a_job_that_comes_back_before_the_script_is_refused(
    trace: str, file: Path, client: redis.Redis, cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from asyncmq_cli.storage.read.job_dump import JobDumps

    def look_then_come_back(dumps: JobDumps, queue: str, job_ids: list[str]) -> tuple[set[str], set[str]]:
        TRACES[trace](client, "two")
        return set(), set()

    monkeypatch.setattr(JobDumps, "existing", look_then_come_back)
    result = cli("jobs", "restore", str(file), "--yes", "--json")
    assert [row["status"] for row in result.json["results"]] == ["success", "failed", "success"]
    assert "exists, so it is not restored" in result.json["results"][1]["error"]


def test_a_job_with_a_new_cancel_mark_is_not_restored(file: Path, client: redis.Redis, cli: Run) -> None:
    client.sadd(f"queue:{QUEUE}:cancelled", "two")
    for more in (["--dry-run"], ["--yes"]):
        result = cli("jobs", "restore", str(file), *more, "--json")
        reported = {row["job_id"]: row["error"] for row in result.json["results"]}
        assert "marked as cancelled" in reported.pop("two")
        assert reported == {"one": None, "three": None}


def test_a_removal_is_taken_back_once(file: Path, client: redis.Redis, cli: Run) -> None:
    """A worker may have run the job between the restore and whatever took it away again."""
    assert cli("jobs", "restore", str(file), "--yes").code == 0
    assert cli("dlq", "remove", QUEUE, "two", "--yes").code == 0
    before = library.dump(client)
    for more in ([], ["--dry-run"]):
        refused = cli("jobs", "restore", str(file), "two", *more)
        assert (refused.code, library.dump(client)) == (1, before)
        assert refused.stderr == (
            "error: job 'two' was already restored after this removal, and is gone again\n"
            "hint: it may have run meanwhile; --force restores it anyway\n"
        )
    event = library.events(client)[-1]
    assert (event["action"], event["status"]) == ("job.restore", "failed")
    assert cli("jobs", "restore", str(file), "two", "--force").code == 0
    assert library.dump(client) != before


def test_a_removal_of_its_own_backup_is_taken_back_though_one_before_was(
    file: Path, client: redis.Redis, cli: Run
) -> None:
    assert cli("jobs", "restore", str(file), "--yes").code == 0
    other = file.with_name("other")
    assert cli("dlq", "remove", QUEUE, "two", "--yes", "--backup", str(other)).code == 0
    together = file.with_name("together")
    together.write_bytes(file.read_bytes() + other.read_bytes())
    assert cli("jobs", "restore", str(together), "two").code == 0


def test_the_audit_trail_is_read_back_to_the_removal_and_no_further(
    client: redis.Redis, cli: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not read at all if the job exists."""
    library.bury(client, QUEUE, [test_worker.dead(f"job-{n}") for n in range(6)], 1.6e9)
    path = tmp_path / "mail.ndjson"
    for name in ("job-0", "job-1", "job-2"):
        assert cli("dlq", "remove", QUEUE, name, "--yes").code == 0
    assert cli("dlq", "remove", QUEUE, "job-3", "job-4", "--yes", "--backup", str(path)).code == 0
    assert cli("dlq", "remove", QUEUE, "job-5", "--yes").code == 0
    read: list[str | None] = []
    newest_first = AuditLog.newest_first

    def counted(log: AuditLog, warn: Callable[[str], None]) -> Iterator[AuditEvent]:
        for event in newest_first(log, warn):
            read.append(event.job_id)
            yield event

    monkeypatch.setattr(AuditLog, "newest_first", counted)
    assert cli("jobs", "restore", str(path), "--yes").code == 0
    assert read == ["job-5", "job-4", "job-3"]
    read.clear()
    assert cli("jobs", "restore", str(path), "--yes").code == 1
    assert read == []


def test_a_second_restore_changes_nothing(file: Path, client: redis.Redis, cli: Run) -> None:
    cli("jobs", "restore", str(file), "--yes")
    before = library.dump(client)
    result = cli("jobs", "restore", str(file), "--yes", "--json")
    assert (result.code, result.json["failed"]) == (1, 3)
    assert library.dump(client) == before


def test_five_processes_restore_each_job_once(
    server: PrivateRedis, file: Path, client: redis.Redis, tmp_path: Path
) -> None:
    forked.client(tmp_path / "asyncmq", "-m", "asyncmq_cli")

    async def race() -> None:
        racers = [
            await asyncio.create_subprocess_exec(
                tmp_path / "asyncmq", "jobs", "restore", str(file), "--yes",
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
                env=environment(server.url),
            )
            for _ in range(5)
        ]  # fmt: skip
        await asyncio.gather(*(racer.wait() for racer in racers))

    asyncio.run(race())
    done = Counter(event["job_id"] for event in library.events(client) if event["status"] == "success")
    assert done == dict.fromkeys(NAMES, 1)


def test_restored_jobs_are_retried_and_run_once_with_equal_arguments(
    server: PrivateRedis, file: Path, client: redis.Redis, cli: Run, tmp_path: Path
) -> None:
    test_worker.RUNS.clear()
    waiting = {**test_worker.dead("next"), "status": "waiting"}
    library.with_backend(server.url, lambda opened: opened.enqueue(QUEUE, waiting))
    other = str(tmp_path / "other")
    assert cli("jobs", "remove", QUEUE, "next", "--yes", "--backup", other).code == 0
    for path in (str(file), other):
        assert cli("jobs", "restore", path, "--yes").code == 0
    assert cli("dlq", "retry", QUEUE, "two").code == 0

    def work(opened: RedisBackend) -> Any:
        return work_until(opened, lambda: len(test_worker.RUNS) >= 2)

    library.with_backend(server.url, work)
    same = ((1.5, "é"), {"to": {"a": [1, None]}})
    assert sorted(test_worker.RUNS) == [("next", *same), ("two", *same)]
    assert {job["id"] for job in cli("dlq", "list", QUEUE, "--json").json["jobs"]} == {"one", "three", "four"}


def test_a_queue_that_is_gone_is_there_again(file: Path, client: redis.Redis, cli: Run) -> None:
    client.flushall()
    assert cli("jobs", "restore", str(file), "--yes").code == 0
    assert cli("dlq", "list", QUEUE, "--json").json["total"] == 3


def test_standard_input_is_a_backup_too(file: Path, run: Run, client: redis.Redis) -> None:
    result = run("jobs", "restore", "-", "--yes", "--json", stdin=file.read_bytes())
    assert (result.code, result.json["succeeded"], result.stderr) == (0, 3, "")
    assert list(library.events(client)[0]["details"]) == ["run"]


def test_ids_from_standard_input_choose_and_none_choose_nothing(file: Path, run: Run) -> None:
    assert run("jobs", "restore", str(file), "-", "--json", stdin="").json["results"] == []
    result = run("jobs", "restore", str(file), "-", "--json", stdin="three\none\n")
    assert [row["job_id"] for row in result.json["results"]] == ["one", "three"]
    assert run("jobs", "restore", "-", "-").code == 2


def test_a_job_that_is_not_in_the_backup_is_an_error(file: Path, cli: Run) -> None:
    result = cli("jobs", "restore", str(file), "four")
    assert (result.code, result.stderr) == (4, f"error: no job 'four' in the backup '{file}'\n")
    result = cli("jobs", "restore", str(file), "four", "one", "--json")
    assert (result.code, result.json["succeeded"], result.json["failed"]) == (1, 1, 1)


def test_a_whole_backup_is_asked_about(
    server: PrivateRedis, file: Path, run: Run, client: redis.Redis
) -> None:
    assert run("jobs", "restore", str(file)).code == 5
    screen = on_terminal("jobs", "restore", str(file), url=server.url, answer="n\n")
    assert screen.code == 5
    assert f"\nRestore 3 failed jobs in mail on {server.url}? [y/N] " in screen.text
    assert not client.exists(f"jobs:{QUEUE}:one")
    screen = on_terminal("jobs", "restore", str(file), url=server.url, answer="y\n")
    assert screen.code == 0
    assert screen.text.endswith("Restored 3 of 3\n")


def damaged(number: int, change: Callable[[dict[str, Any]], object]) -> Callable[[list[bytes]], None]:
    def damage(lines: list[bytes]) -> None:
        line = json.loads(lines[number])
        change(line)
        lines[number] = json.dumps(line).encode() + b"\n"

    return damage


def raw(number: int, text: bytes) -> Callable[[list[bytes]], None]:
    return lambda lines: lines.__setitem__(number, text)


DAMAGES: dict[str, tuple[int, Callable[[list[bytes]], None]]] = {
    "no JSON": (2, raw(1, b"hello\n")),
    "cut in the middle": (2, raw(1, b'{"backup":1,"run":"\n')),
    "an empty line": (2, raw(1, b"\n")),
    "too deep": (2, raw(1, b"[" * 100_000 + b"\n")),
    "no object": (2, raw(1, b"[1]\n")),
    "no UTF-8": (2, raw(1, b'{"backup":1,"run":"\xff"}\n')),
    "foreign JSON": (1, raw(0, b'{"id":"one","task":"app.send"}\n')),
    "a foreign last line without its end": (4, raw(3, b"hello")),
    "a newer version": (3, damaged(2, lambda line: line.update(backup=2))),
    "a version that is no number": (3, damaged(2, lambda line: line.update(backup=True))),
    "no id": (3, damaged(2, lambda line: line.pop("id"))),
    "no queue": (3, damaged(2, lambda line: line.update(queue=None))),
    "a number for a text": (3, damaged(2, lambda line: line.update(record=7))),
    "no base64": (3, damaged(2, lambda line: line.update(record={"base64": "!"}))),
    "a flag that is none": (3, damaged(2, lambda line: line.update(in_ids=1))),
    "a score that is none": (3, damaged(2, lambda line: line["dlq"][0].update(score="NaN"))),
    "a member that is none": (3, damaged(2, lambda line: line.update(dlq=["x"]))),
    "a list that is none": (3, damaged(2, lambda line: line.update(children="x"))),
    "an outcome that is none": (4, damaged(3, lambda line: line.update(removed={}))),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_bad_line_is_named_and_nothing_is_restored(
    name: str, file: Path, client: redis.Redis, cli: Run
) -> None:
    number, damage = DAMAGES[name]
    lines = file.read_bytes().splitlines(keepends=True)
    damage(lines)
    file.write_bytes(b"".join(lines))
    before = library.dump(client)
    for more in (["--yes"], ["--dry-run"], ["one", "--force"]):
        result = cli("jobs", "restore", str(file), *more)
        assert (result.code, result.stdout) == (1, "")
        first, hint = result.stderr.splitlines()
        assert first.startswith(f"error: line {number} of '{file}' cannot be restored: ")
        assert hint.startswith("hint: ")
    assert library.dump(client) == before
    assert library.events(client) == []


@pytest.mark.parametrize("size", [1, 15, 19, 40, 300])
def test_an_incomplete_last_line_is_skipped_with_a_warning(
    size: int, file: Path, client: redis.Redis, cli: Run
) -> None:
    whole = file.read_bytes()
    file.write_bytes(whole + whole.replace(b"one", b"new")[:size])
    result = cli("jobs", "restore", str(file), "--yes", "--json")
    assert (result.code, result.json["succeeded"]) == (0, 3)
    assert "line 5, the last of the backup, is incomplete" in json.loads(result.stderr)["warning"]["message"]


@pytest.mark.parametrize("path", ["/nonexistent/backup", "/"])
def test_a_backup_that_cannot_be_read_is_wrong_usage(path: str, cli: Run) -> None:
    result = cli("jobs", "restore", path, "--yes")
    assert (result.code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"error: cannot read the backup '{path}': ")


def test_an_empty_backup_restores_nothing(tmp_path: Path, cli: Run) -> None:
    (tmp_path / "empty").touch()
    result = cli("jobs", "restore", str(tmp_path / "empty"), "--yes", "--json")
    assert (result.code, result.json["matched"]) == (0, 0)


def test_backups_put_together_are_one(file: Path, client: redis.Redis, cli: Run, tmp_path: Path) -> None:
    """Of a job that was removed twice, the last removal counts."""
    cli("jobs", "restore", str(file), "one", "--yes")
    cli("dlq", "retry", QUEUE, "one", "--yes")
    other = tmp_path / "other"
    cli("jobs", "remove", QUEUE, "one", "--yes", "--backup", str(other))
    other.write_bytes(file.read_bytes() + other.read_bytes())
    assert cli("jobs", "restore", str(other), "--yes", "--json").json["succeeded"] == 3
    assert cli("jobs", "show", QUEUE, "one", "--json").json["status"] == "waiting"


def test_a_rate_is_kept(file: Path, cli: Run) -> None:
    assert cli("jobs", "restore", str(file), "--yes", "--rate", "100/s").code == 0
    assert cli("jobs", "restore", str(file), "--yes", "--rate", "soon").code == 2
