"""The next batch of changes is prepared while Redis executes the previous one, without changing the
results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import redis
from asyncmq.backends.redis import RedisBackend

from asyncmq_cli.demo.server import PrivateRedis
from asyncmq_cli.storage.read.job_dump import JobDumps
from asyncmq_cli.storage.store import Store
from asyncmq_cli.storage.write.job_changes import Changes
from tests.conftest import Run, run_tool
from tests.faults.fakes import Proxy
from tests.faults.support import QUEUE, error_of
from tests.support import library

JOBS = [f"job-{number:03}" for number in range(220)]


async def fill(opened: RedisBackend) -> None:
    await library.fill(opened, QUEUE, [("failed", library.job(name)) for name in JOBS])


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The steps of a change in order; a repeated step is listed once."""
    done: list[str] = []

    def note(owner: type, name: str) -> None:
        real = getattr(owner, name)

        def noted(*args: Any, **kwargs: Any) -> Any:
            if name not in done[-1:]:
                done.append(name)
            return real(*args, **kwargs)

        monkeypatch.setattr(owner, name, noted)

    for owner, name in ((Store, "locate"), (JobDumps, "read"), (Changes, "send"), (Changes, "outcomes")):
        note(owner, name)
    for name in ("retry", "remove"):
        note(Changes, name)
    return done


def test_a_batch_is_prepared_while_the_previous_one_runs_and_sent_after_it(
    server: PrivateRedis, client: redis.Redis, cli: Run, steps: list[str]
) -> None:
    library.with_backend(server.url, fill)
    assert cli("jobs", "retry", QUEUE, *JOBS[:150]).code == 0
    assert steps == [
        *("locate", "retry", "send"),
        *("locate", "retry", "outcomes", "send"),
        *("retry", "outcomes", "send", "outcomes"),
    ]
    assert client.zrange(f"queue:{QUEUE}:waiting", 0, -1) == [name.encode() for name in JOBS[:150]]


def test_a_batch_for_a_backup_is_read_after_the_previous_batch(
    server: PrivateRedis, cli: Run, steps: list[str], tmp_path: Path
) -> None:
    library.with_backend(server.url, fill)
    backup = str(tmp_path / "removed.ndjson")
    assert cli("dlq", "remove", QUEUE, "--all", "--yes", "--backup", backup).code == 0
    batch = ["read", "remove", "send", "outcomes"]
    assert [step for step in steps if step != "locate"] == batch * 5


@pytest.mark.parametrize(
    "problem",
    [redis.ConnectionError("gone"), redis.ResponseError("ERR no"), KeyError(), KeyboardInterrupt()],
)
def test_sent_changes_are_reported_even_if_the_next_jobs_cannot_be_located(
    problem: BaseException,
    server: PrivateRedis,
    client: redis.Redis,
    cli: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    library.with_backend(server.url, fill)
    locate = Store.locate

    def fails_later(store: Store, queue: str, job_ids: Any, *rest: Any, **more: Any) -> Any:
        if JOBS[0] not in job_ids:
            raise problem
        return locate(store, queue, job_ids, *rest, **more)

    monkeypatch.setattr(Store, "locate", fails_later)
    result = cli("jobs", "retry", QUEUE, *JOBS, "--json")
    if isinstance(problem, KeyError):
        # The error is reported as a bug of the tool, and no command is sent in part.
        assert result.code == 1 and "this is a bug in asyncmq-cli" in result.stderr
    else:
        code = 130 if isinstance(problem, KeyboardInterrupt) else 3
        assert (result.code, result.json["succeeded"], result.json["failed"]) == (code, 50, 0)
        assert "not known" not in (error_of(result).get("hint") or "")
    assert client.zrange(f"queue:{QUEUE}:waiting", 0, -1) == [name.encode() for name in JOBS[:50]]
    assert [event["job_id"] for event in library.events(client)] == JOBS[:50]


def test_a_cut_connection_between_two_batches_leaves_no_change_unreported(
    server: PrivateRedis, client: redis.Redis
) -> None:
    """Both the reply to the sent batch and the read of the next jobs are lost."""
    library.with_backend(server.url, fill)
    scripts = 0

    def cut(command: list[bytes]) -> None:
        nonlocal scripts
        scripts += command[0] in (b"EVAL", b"EVALSHA") and command[2] != b"0"
        if scripts >= 50 and command[0] == b"MGET":
            client.client_kill_filter(_type="normal", skipme=True)

    with Proxy(server.socket, before=cut, once=True) as proxy:
        result = run_tool("jobs", "retry", QUEUE, "-", "--json", url=proxy.url, stdin="\n".join(JOBS))
    done = [name.decode() for name in client.zrange(f"queue:{QUEUE}:waiting", 0, -1)]
    assert result.code == 3
    assert done == JOBS[: len(done)] and len(done) >= 50
    assert [row["job_id"] for row in result.json["results"]] == done
    assert {row["status"] for row in result.json["results"]} == {"success"}
    assert [event["job_id"] for event in library.events(client)] == done
