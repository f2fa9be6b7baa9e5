"""`python -m asyncmq_cli.demo.worker URL`: fill an empty Redis with sample jobs, and run workers.

It ends on SIGTERM, on SIGINT, and when its stdin is a pipe that closes, because then the process that started
it has ended.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import stat
import sys
from typing import Any

import asyncmq
from asyncmq.backends.redis import RedisBackend
from asyncmq.runners import run_worker

from asyncmq_cli.demo import tasks
from asyncmq_cli.demo.environment import READY
from asyncmq_cli.demo.samples import Produced, produce

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
