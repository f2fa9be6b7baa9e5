"""`python -m asyncmq_cli.demo.worker URL`: fill an empty Redis with sample jobs, and run workers.

The jobs show every state, several priorities, and typical problems of real queues. The process ends on
SIGTERM, on SIGINT, and when its stdin is a pipe that closes, because then the process that started it has
ended.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import stat
import sys
import time
from typing import Any

import asyncmq
from asyncmq.backends.redis import RedisBackend
from asyncmq.jobs import Job
from asyncmq.queues import Queue
from asyncmq.runners import run_worker
from msgspec import Struct, field

from asyncmq_cli.demo import tasks
from asyncmq_cli.demo.environment import READY

_HOUR = 3600.0
_TOKEN = "sk-demo-51f0c2"  # noqa: S105 - invented, to show that secrets are redacted


class Produced(Struct):
    """The jobs that workers run, as pairs of queue and id."""

    settling: list[tuple[str, str]] = field(default_factory=list)
    """Jobs that run at once and end up completed, failed or expired."""
    staying_active: list[tuple[str, str]] = field(default_factory=list)


async def produce(backend: Any) -> Produced:
    """Fill an empty Redis. `backend` is an AsyncMQ backend."""
    produced = Produced()
    await _emails(backend, produced)
    await _reports(backend, produced)
    await _tenant(backend, produced)
    await _imports(backend)
    await _repeatables(backend)
    return produced


async def _add(backend: Any, task: tasks.SampleTask, kwargs: dict[str, Any], **options: Any) -> str:
    """Add a job by `Queue.add`, which has separate parameters for the task's arguments and for options such
    as `delay`."""
    job_id: str = await Queue(task.queue, backend=backend).add(task.task_id, kwargs=kwargs, **options)
    return job_id


async def _emails(backend: Any, produced: Produced) -> None:
    recipients = [
        *(f"{name}@orchard.example" for name in ("ada", "ben", "chidi", "dora", "emre", "fatima")),
        *(f"{name}@lakeside.example" for name in ("greta", "hugo", "ines")),
        *(f"{name}@harbour.example" for name in ("jun", "kofi", "lena")),
    ]
    for number, to in enumerate(recipients):
        kwargs = {"to": to, "order": 20_481 + number, "api_token": _TOKEN}
        job_id = await _add(backend, tasks.send_receipt, kwargs, priority=1 + number % 9)
        produced.settling.append((tasks.EMAILS, job_id))
    misspelt = {"to": "marta.orchard.example", "order": 20_493, "api_token": _TOKEN}
    job_id = await _add(backend, tasks.send_receipt, misspelt, retries=2)
    produced.settling.append((tasks.EMAILS, job_id))
    for hours, edition in ((1, "evening"), (13, "morning")):
        kwargs = {"edition": edition, "subscribers": 1_840}
        await _add(backend, tasks.send_digest, kwargs, delay=hours * _HOUR)


async def _reports(backend: Any, produced: Produced) -> None:
    for month, currency in (
        ("2024-01", "EUR"),
        ("2024-02", "USD"),
        ("2024-03", "JPY"),
        ("2024-04", "XAU"),
    ):
        job_id = await _add(backend, tasks.sales_report, {"month": month, "currency": currency})
        produced.settling.append((tasks.REPORTS, job_id))
    slow = await _add(backend, tasks.rebuild_search_index, {"shards": 12, "minutes": 90}, priority=1)
    produced.staying_active.append((tasks.REPORTS, slow))
    # Only a task's own `enqueue` accepts parents.
    await tasks.publish_search_index.enqueue(shards=12, depends_on=[slow], backend=backend)
    await _add(
        backend, tasks.sales_report, {"month": "2024-05", "currency": "EUR"}, delay=6 * _HOUR, priority=8
    )


async def _tenant(backend: Any, produced: Produced) -> None:
    credentials = {"user": "acme-sync", "password": "correct-horse"}
    for page in range(1, 6):
        kwargs = {"shop": "acme.example", "page": page, "credentials": credentials}
        job_id = await _add(backend, tasks.sync_orders, kwargs, priority=3)
        produced.settling.append((tasks.TENANT, job_id))
    # This job was created an hour ago with 15 minutes to live, so it has expired.
    late = Job(
        task_id=tasks.expire_carts.task_id,
        args=[],
        kwargs={"older_than_days": 30},
        max_retries=0,
        ttl=900,
        created_at=time.time() - _HOUR,
    )
    await Queue(tasks.TENANT, backend=backend).enqueue(late.to_dict())
    produced.settling.append((tasks.TENANT, late.id))


async def _imports(backend: Any) -> None:
    for part, priority in enumerate((5, 1, 9, 5, 5), start=1):
        kwargs = {"file": f"customers-{part:02}.csv", "rows": 4_000}
        await _add(backend, tasks.import_customers, kwargs, priority=priority)
    withdrawn = await _add(backend, tasks.import_customers, {"file": "customers-old.csv", "rows": 90})
    await Queue(tasks.IMPORTS, backend=backend).cancel_job(withdrawn)


async def _repeatables(backend: Any) -> None:
    emails = Queue(tasks.EMAILS, backend=backend)
    await emails.upsert_repeatable(
        tasks.send_digest.task_id, cron="0 7 * * *", kwargs={"edition": "morning", "subscribers": 1_840}
    )
    reports = Queue(tasks.REPORTS, backend=backend)
    await reports.upsert_repeatable(
        tasks.sales_report.task_id,
        every=6 * _HOUR,
        kwargs={"month": "current", "currency": "EUR"},
        retries=2,
    )
    tenant = Queue(tasks.TENANT, backend=backend)
    nightly = {"cron": "30 2 * * 1-5", "kwargs": {"older_than_days": 30}}
    await tenant.upsert_repeatable(tasks.expire_carts.task_id, **nightly)
    for definition in await tenant.list_repeatables():
        await tenant.pause_repeatable(definition.job_def)


_SCAN_SECONDS = 0.25
_CONCURRENCY = 3
_SETTLED = ("completed", "failed", "expired")


def main() -> int:
    if len(sys.argv) != 2:
        sys.stderr.write("usage: python -m asyncmq_cli.demo.worker URL\n")
        return 2
    # AsyncMQ logs the traceback of every failed job, and some sample jobs fail on purpose.
    logging.disable(logging.CRITICAL)
    return asyncio.run(_serve(sys.argv[1]))


async def _serve(url: str) -> int:
    backend = _backend(url)
    if await backend.redis.dbsize():
        sys.stderr.write("the demo writes only into an empty Redis\n")
        return 1
    stop = asyncio.Event()
    _listen(stop)
    produced = await produce(backend)
    workers = [
        run_worker(queue, backend, concurrency=_CONCURRENCY, scan_interval=_SCAN_SECONDS)
        for queue in tasks.WORKED_QUEUES
    ]
    running = [asyncio.create_task(work) for work in (*workers, _announce(backend, produced))]
    stopped = asyncio.create_task(stop.wait())
    crew = asyncio.gather(*running)
    try:
        both: list[asyncio.Future[Any]] = [crew, stopped]
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if crew.done():
            # Workers never return, so one has failed. Raise its error, which the parent reports.
            crew.result()
    finally:
        for each in (*running, stopped):
            each.cancel()
        # Each worker deregisters before it ends.
        await asyncio.gather(crew, *running, stopped, return_exceptions=True)
        await backend.redis.aclose()
    return 0


def _backend(url: str) -> Any:
    backend = RedisBackend(url)
    settings = asyncmq.monkay.settings
    settings.backend = backend
    # The seconds after which a worker checks again whether its queue is paused, and the longest sleep before
    # it polls for a job. Both are short, because somebody is watching.
    settings.stalled_check_interval = 1.0
    settings.worker_idle_poll_max_interval = 0.2
    return backend


def _listen(stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)
    stdin = sys.stdin.fileno()
    if stat.S_ISFIFO(os.fstat(stdin).st_mode):
        loop.add_reader(stdin, _stop_at_end, stdin, stop)


def _stop_at_end(stdin: int, stop: asyncio.Event) -> None:
    if not os.read(stdin, 1024):
        asyncio.get_running_loop().remove_reader(stdin)
        stop.set()


async def _announce(backend: Any, produced: Produced) -> None:
    """Tell the parent when every sample job has reached its final state."""
    for queue, job_id in produced.settling:
        await _until(backend, queue, job_id, _SETTLED)
    for queue, job_id in produced.staying_active:
        await _until(backend, queue, job_id, ("active",))
    tasks.unreachable_hosts.clear()
    sys.stdout.write(READY.decode())
    sys.stdout.flush()


async def _until(backend: Any, queue: str, job_id: str, states: tuple[str, ...]) -> None:
    while await backend.get_job_state(queue, job_id) not in states:
        await asyncio.sleep(0.02)


if __name__ == "__main__":
    sys.exit(main())
