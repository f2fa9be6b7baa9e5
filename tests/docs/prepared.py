"""The Redis of the examples in the documents, made with the real AsyncMQ and the tool."""

from __future__ import annotations

import io
import json
import time
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

import redis
from asyncmq.backends.redis import RedisBackend
from asyncmq.jobs import Job

from asyncmq_cli.app import run
from tests.support import library

"""A clock so far ahead that a worker stays alive."""


def failed(job_id: str, task: str, kind: str, message: str, **kwargs: Any) -> tuple[str, dict[str, Any]]:
    trace = library.TRACEBACK.replace("app.errors.DeliveryError: no mail server", f"{kind}: {message}")
    if kind == "ValueError":
        # Raised by the task itself, not because of another error.
        trace = "Traceback (most recent call last):" + trace.split("Traceback (most recent call last):")[-1]
    return job_id, {
        **Job(task_id=task, args=[], kwargs=kwargs, job_id=job_id).to_dict(),
        "status": "failed",
        "retries": 3,
        "max_retries": 3,
        "last_error": trace,
        "error_traceback": trace,
    }


def _dead() -> list[tuple[str, dict[str, Any]]]:
    refused = [
        failed(
            f"receipt-{number}",
            "app.send_receipt",
            "app.errors.DeliveryError",
            f"order {20480 + number} did not reach lakeside.example",
            to=f"customer-{number}@lakeside.example",
            api_token="sk-live-5f1c",
        )
        for number in range(1, 13)
    ]
    return [*refused, failed("f1", "app.send_receipt", "ValueError", "'marta' is no address", to="marta")]


async def _fill(opened: RedisBackend) -> None:
    await library.fill(
        opened,
        "emails",
        [
            ("completed", library.job("done-1")),
            ("completed", library.job("done-2")),
            ("active", library.job("running-1", task="app.send_digest")),
            ("delayed", library.job("later-1", task="app.send_digest")),
            ("expired", library.job("expired-1")),
            ("cancelled", library.job("withdrawn-1")),
            ("waiting", library.job("next-1", task="app.send_receipt", kwargs={"to": "customer-123"})),
            ("waiting", library.job("next-2", task="app.send_receipt")),
            ("waiting-children", library.job("child-1", depends_on=["next-1"])),
        ],
    )
    imports = [("waiting", library.job(f"import-{number}", task="app.import")) for number in range(1, 7)]
    sweep = library.job("sweep-1", task="app.sweep", kwargs={"file": "customers-05.csv"})
    await library.fill(opened, "imports", [*imports, ("waiting", sweep)])
    await library.fill(opened, "reports", [("completed", library.job("report-1"))])
    await library.fill(opened, "tenant:acme", [("waiting", library.job("sync-1"))])
    await opened.upsert_repeatable("emails", {"task_id": "app.digest", "every": 3600})
    await library.enlist(opened, "worker-1", "emails", 3)
    await library.enlist(opened, "worker-2", "reports", 3)
    await library.enlist(opened, "worker-3", "tenant:acme", 1)


def prepare(url: str) -> None:
    """Fill an empty server."""
    library.with_backend(url, _fill)
    with redis.Redis.from_url(url) as client:
        library.bury(client, "emails", [record for _, record in _dead()], time.time() - 600)
    for args in (
        ("jobs", "remove", "emails", "withdrawn-1", "--yes", "--actor", "mallory@laptop"),
        ("jobs", "remove", "emails", "done-2", "--yes", "--reason", "tidy", "--actor", "mallory@laptop"),
        ("jobs", "retry", "emails", "done-1", "--actor", "mallory@laptop"),
        ("queues", "pause", "reports", "--reason", "database migration", "--actor", "ana@ops"),
        ("queues", "resume", "reports", "--actor", "ana@ops"),
    ):
        # Within this process: it is the start-up that would take the time.
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            assert run([*args, "--redis-url", url]) in (0, 1), args


def remember(client: redis.Redis) -> None:
    """Write a history of the metrics up to now, with one snapshot a minute, like the tool."""
    now = time.time()
    for minute in range(10, 0, -1):
        snapshot = {
            "waiting": 10 + min(minute, 2),
            "active": 1,
            "delayed": 1,
            "completed": 2 - min(minute, 2),
            "failed": 13,
            "total_queues": 4,
            "total_workers": 3,
            "avg_duration": None,
        }
        fields = {"timestamp": f"{now - 60 * minute:.6f}", "snapshot": json.dumps(snapshot)}
        client.xadd("asyncmq-cli:metrics", fields)
