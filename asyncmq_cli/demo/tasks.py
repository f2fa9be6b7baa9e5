"""The sample tasks. Their arguments decide whether they succeed, so that every demo is the same."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable
from typing import Any, Protocol

from asyncmq.tasks import task

EMAILS, REPORTS, TENANT, IMPORTS = "emails", "reports", "tenant:acme", "imports"

WORKED_QUEUES = (EMAILS, REPORTS, TENANT)
"""The queues that have a worker. IMPORTS has none, so its jobs stay waiting."""

unreachable_hosts = {"lakeside.example"}
"""Mail hosts that refuse connections. The worker empties this set, so that a retry succeeds."""

_EXCHANGE_RATES = {"EUR": 1.0, "USD": 1.08, "JPY": 171.3}


class SampleTask(Protocol):
    """The result of AsyncMQ's task decorator, as far as the demo uses it."""

    task_id: str
    queue: str
    enqueue: Callable[..., Any]


class DeliveryError(Exception):
    """A message could not be handed to the recipient's mail host."""


class ReportError(Exception):
    """A report could not be computed."""


class SyncError(Exception):
    """The shop's side of a synchronisation failed."""


def sample(queue: str) -> Callable[[Callable[..., Any]], SampleTask]:
    """AsyncMQ's `task`, with a type."""
    decorate: Callable[[Callable[..., Any]], SampleTask] = task(queue=queue)
    return decorate


@sample(EMAILS)
async def send_receipt(to: str, order: int, api_token: str) -> dict[str, Any]:
    host = _mail_host(to)
    try:
        await _connect(host)
    except ConnectionRefusedError as exc:
        raise DeliveryError(f"receipt {order} did not reach {host}") from exc
    return {"message_id": f"<receipt-{order}@shop.example>", "host": host}


@sample(EMAILS)
async def send_digest(edition: str, subscribers: int) -> dict[str, Any]:
    await asyncio.sleep(0.01)
    return {"edition": edition, "sent": subscribers}


@sample(REPORTS)
async def sales_report(month: str, currency: str) -> dict[str, Any]:
    try:
        rate = _EXCHANGE_RATES[currency]
    except KeyError as exc:
        raise ReportError(f"no sales report for {month}: no exchange rate for {currency}") from exc
    return {"month": month, "currency": currency, "revenue": round(48_210 * rate, 2)}


@sample(REPORTS)
async def rebuild_search_index(shards: int, minutes: float) -> dict[str, Any]:
    """Run so long that the job is still active when the demo ends."""
    await asyncio.sleep(minutes * 60)
    return {"shards": shards}


@sample(REPORTS)
async def publish_search_index(shards: int) -> dict[str, Any]:
    return {"published": shards}


@sample(TENANT)
async def sync_orders(shop: str, page: int, credentials: dict[str, str]) -> dict[str, Any]:
    await asyncio.sleep(0.01)
    if page > 3:
        try:
            await _shop_page(shop, page)
        except TimeoutError as exc:
            raise SyncError(f"page {page} of {shop} could not be read") from exc
    return {"shop": shop, "page": page, "orders": 50}


@sample(TENANT)
async def expire_carts(older_than_days: int) -> dict[str, Any]:
    return {"expired": 7 * older_than_days}


@sample(IMPORTS)
async def import_customers(file: str, rows: int) -> dict[str, Any]:
    return {"file": file, "imported": rows}


def _mail_host(address: str) -> str:
    name, _, host = address.partition("@")
    if not name or "." not in host:
        raise ValueError(f"{address!r} is not a mail address")
    return host


async def _connect(host: str) -> None:
    await asyncio.sleep(0.01)
    if host in unreachable_hosts:
        raise ConnectionRefusedError(errno.ECONNREFUSED, f"connection refused by mx.{host}:25")


async def _shop_page(shop: str, page: int) -> None:
    raise TimeoutError(f"{shop} sent nothing for 30 seconds")
