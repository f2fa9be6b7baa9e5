"""A broken production with past times, made by the real library: the data of all expected screens.

Ages are more than an hour and ten seconds past a whole minute. Two units of time are shown, so a screen that
is drawn within the next 50 seconds shows the same ages.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import redis
from asyncmq.backends.redis import RedisBackend
from asyncmq.jobs import Job
from asyncmq.queues import Queue

from tests.support import library

MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0
_PAST_THE_MINUTE = 10.0

_REFUSED = """Traceback (most recent call last):
  File "/srv/shop/.venv/lib/python3.11/site-packages/asyncmq/workers.py", line 214, in handle_job
    result = await handler(*args, **kwargs)
  File "/srv/shop/shop/tasks/mail.py", line 41, in send_receipt
    connection = await smtp.connect(host)
  File "/srv/shop/.venv/lib/python3.11/site-packages/aiosmtplib/client.py", line 310, in connect
    raise SMTPConnectError(f"Error connecting to {host}") from exc
ConnectionRefusedError: [Errno 111] Connect call failed ('10.0.3.7', 25)

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "/srv/shop/shop/tasks/mail.py", line 44, in send_receipt
    raise DeliveryError(f"the receipt for order {order} did not reach {to}") from exc
shop.errors.DeliveryError: the receipt for order {ORDER} did not reach {TO}
"""
_INVALID = """Traceback (most recent call last):
  File "/srv/shop/shop/tasks/billing.py", line 88, in charge
    card = Card.model_validate(payload)
  File "/srv/shop/.venv/lib/python3.11/site-packages/pydantic/main.py", line 716, in model_validate
    return cls.__pydantic_validator__.validate_python(obj)
pydantic_core._pydantic_core.ValidationError: 2 validation errors for Card
expires
  Field required [type=missing, input_value={'holder': '{HOLDER}'}, input_type=dict]
number
  String should have at least 12 characters [type=string_too_short, input_value='4111', input_type=str]
"""


def _ago(seconds: float) -> float:
    return time.time() - seconds - _PAST_THE_MINUTE


@contextmanager
def clock_put_back(seconds: float) -> Iterator[None]:
    """Set the clock of the library back. It reads `time.time()`, so what it writes meanwhile is that old."""
    moment = _ago(seconds)
    with mock.patch("time.time", lambda: moment):
        yield


def _job(job_id: str, task: str, kwargs: dict[str, Any], created: float, **fields: Any) -> dict[str, Any]:
    record = Job(task_id=task, args=[], kwargs=kwargs, job_id=job_id, created_at=_ago(created)).to_dict()
    return {**record, **fields}


def _died(record: dict[str, Any], traceback: str) -> dict[str, Any]:
    last = traceback.strip().rpartition("\n")[2]
    return {**record, "retries": 4, "last_error": last, "error_traceback": traceback}


async def _mail(backend: RedisBackend) -> None:
    for number in range(24):
        order, to = 20_481 + number, f"customer{number}@example.com"
        record = _job(
            f"mail-{number:04}", "shop.tasks.mail.send_receipt", {"to": to, "order": order}, 6 * HOUR
        )
        with clock_put_back(4 * HOUR - number * 7 * MINUTE):
            await backend.enqueue("mail", record)
            claimed = await backend.dequeue("mail")
            assert claimed is not None and claimed["id"] == record["id"]
            error = _REFUSED.replace("{ORDER}", str(order)).replace("{TO}", to)
            await backend.fail_active_job("mail", _died(claimed, error))
    for number in range(12):
        record = _job(f"sent-{number:04}", "shop.tasks.mail.send_receipt", {"order": number}, 5 * HOUR)
        await library.put(backend, "mail", "completed", record)
    for number in range(3):
        kwargs = {"to": f"late{number}@example.com", "order": 30_000 + number}
        record = _job(f"next-{number:04}", "shop.tasks.mail.send_receipt", kwargs, 64 * MINUTE)
        await backend.enqueue("mail", record)
    for hours in (2, 7):
        record = _job(f"digest-{hours}", "shop.tasks.mail.send_digest", {"edition": "morning"}, 2 * HOUR)
        await backend.enqueue_delayed("mail", record, time.time() + hours * HOUR + 50)


async def _billing(backend: RedisBackend) -> None:
    for number in range(5):
        holder = f"holder {number}"
        kwargs = {"customer": 900 + number, "api_token": "tok_live_1234567890"}
        record = _job(f"bill-{number:04}", "shop.tasks.billing.charge", kwargs, 6 * HOUR)
        with clock_put_back(5 * HOUR - number * MINUTE):
            await backend.enqueue("billing", record)
            claimed = await backend.dequeue("billing")
            assert claimed is not None
            await backend.fail_active_job("billing", _died(claimed, _INVALID.replace("{HOLDER}", holder)))
    for number in range(40):
        record = _job(f"due-{number:04}", "shop.tasks.billing.charge", {"customer": number}, 95 * MINUTE)
        await backend.enqueue("billing", record)


async def _reports(backend: RedisBackend) -> None:
    for number in range(4):
        record = _job(f"month-{number:02}", "shop.tasks.reports.monthly", {"month": number + 1}, 3 * HOUR)
        with clock_put_back(2 * HOUR - number * MINUTE):
            await backend.enqueue("reports", record)
            assert await backend.dequeue("reports") is not None


async def _imports(backend: RedisBackend) -> None:
    for number in range(150):
        kwargs = {"file": f"customers-{number:03}.csv"}
        record = _job(f"part-{number:04}", "shop.tasks.imports.load_customers", kwargs, 26 * HOUR)
        with clock_put_back(26 * HOUR - number * MINUTE):
            await backend.enqueue("imports", record)


async def _schedules(backend: RedisBackend) -> None:
    for queue, definition in (
        ("mail", {"task_id": "shop.tasks.mail.send_digest", "every": 24 * HOUR, "kwargs": {"edition": "am"}}),
        ("mail", {"task_id": "shop.tasks.mail.send_digest", "every": 12 * HOUR, "kwargs": {"edition": "pm"}}),
        ("reports", {"task_id": "shop.tasks.reports.monthly", "every": 6 * HOUR, "kwargs": {"month": 0}}),
    ):
        await Queue(queue, backend=backend).upsert_repeatable(**definition)
    nightly = {"task_id": "shop.tasks.sync", "cron": "30 2 * * 1-5", "kwargs": {"full": True}}
    paused = Queue("tenant:acme", backend=backend)
    await paused.upsert_repeatable(**nightly)
    for definition in await paused.list_repeatables():
        await paused.pause_repeatable(definition.job_def)


async def _fill(backend: RedisBackend) -> None:
    await _mail(backend)
    await _billing(backend)
    await _reports(backend)
    await _imports(backend)
    await library.put(backend, "tenant:acme", "completed", _job("sync-1", "shop.tasks.sync", {}, 2 * DAY))
    await _schedules(backend)


async def _beat(url: str) -> None:
    """The workers of two queues are healthy. One worker of `reports` was killed, the other lives."""
    async with library.backend(url) as backend:
        for worker, queue, seconds in (
            ("web-1", "mail", 0.0),
            ("web-2", "mail", 0.0),
            ("web-1b", "billing", 0.0),
            ("calc-1", "reports", 82 * MINUTE + _PAST_THE_MINUTE),
            ("calc-2", "reports", 0.0),
            ("sync-1", "tenant:acme", 0.0),
        ):
            await backend.register_worker(worker, queue, 4, time.time() - seconds - 4.5)


def fill(url: str) -> None:
    """Empty this Redis and fill it with the production."""
    with redis.Redis.from_url(url) as client:
        client.flushall()
    library.with_backend(url, _fill)


def beat(url: str) -> None:
    """Set the heartbeat of each live worker to four seconds ago again."""
    asyncio.run(_beat(url))


def back_date_audit(url: str, seconds: float) -> None:
    """Replace the events of the audit trail by older ones, because the scripts use the time of Redis."""
    with redis.Redis.from_url(url) as client:
        events = client.xrange("asyncmq-cli:audit")
        client.delete("asyncmq-cli:audit")
        for number, (_, fields) in enumerate(events):
            moment = _ago(seconds) + number
            client.xadd(
                "asyncmq-cli:audit",
                {**fields, b"timestamp": f"{moment:.6f}"},
                id=f"{moment * 1000:.0f}-0",
            )
