"""The measured commands, each with its floor and its targets."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tests.benchmarks.keyspace import BIG
from tests.benchmarks.measure import module, tool

TEXT = "customer-123@"
"""In one job of a keyspace; the search has to look at every other as well."""
IN_MANY = "example.org"
RETRIED = 100_000
JOBS_A_PAGE = 20


@dataclass(frozen=True, slots=True)
class Case:
    """`args` are the arguments of the tool. `floor` is a program and its arguments, or None if there is no
    floor.

    `at_most` is the target for the ratio to the floor, `worked_at_most` that for the seconds of Redis in
    commands, and `sent_at_most` that for the bytes sent both ways. `server` says whether Redis is needed, and
    `status` is the expected exit status.
    """

    name: str
    args: Sequence[str]
    floor: Sequence[str] | None
    at_most: float | None = None
    server: str | None = "big"
    repeats: int = 3
    status: int = 0
    worked_at_most: float | None = None
    sent_at_most: float | None = None


def importing(names: str) -> list[str]:
    return [sys.executable, "-c", f"import {names}"]


def start_up() -> list[Case]:
    plain, with_redis = importing("typer"), importing("typer, redis, orjson")
    return [
        Case("--version", ["--version"], plain, 1.3, None, 15),
        Case("--help", ["--help"], plain, 1.3, None, 15),
        Case("queues list, empty Redis", ["queues", "list"], with_redis, 1.25, "empty", 15),
    ]


def _listings() -> list[Case]:
    cases = []
    for state, floor in (
        ("waiting", ("place", "waiting")),
        ("active", ("anywhere", "active")),
        ("delayed", ("place", "delayed")),
        ("failed", ("place", "dlq")),
        ("completed", ("anywhere", "completed")),
    ):
        args = ["jobs", "list", BIG, "--state", state, "--json"]
        name = f"jobs list --state {state}"
        if state != "failed":
            # Of states without a bound one run tells enough.
            within, repeats = (1.2, 3) if state in ("waiting", "completed") else (None, 1)
            cases.append(Case(name, args, module("floors", *floor), within, repeats=repeats))
        if state in ("waiting", "failed", "completed"):
            at_most, repeats = (1.1, 3) if state == "failed" else (None, 1)
            search = [*args, "--q", TEXT]
            cases.append(Case(f"{name} --q", search, module("floors", *floor), at_most, repeats=repeats))
    return cases


def _pages(show: Sequence[str]) -> list[Case]:
    """Cases whose cost is that of a page, however long the list is: the floor is one `jobs show`."""
    cases = []
    for page in ("1", "50"):
        args = ["dlq", "list", BIG, "--page", page, "--json"]
        cases.append(Case(f"dlq list --page {page}", args, show, 1.3, worked_at_most=0.005, sent_at_most=1e6))
    for state in ("waiting", "delayed", "failed", "active"):
        # Of the failed an exact total is a pass over the states, which people are not made to wait for.
        args = ["jobs", "list", BIG, "--state", state, "--sort", "queue"]
        name = f"jobs list --state {state} --sort queue"
        cases.append(Case(name, args, show, 1.3, worked_at_most=0.005, sent_at_most=1e6))
    newest = ["jobs", "list", BIG, "--state", "failed"]
    cases.append(Case("jobs list --state failed", newest, show, 1.5, worked_at_most=0.02, sent_at_most=5e6))
    return [replace(case, repeats=5) for case in cases]


def _counting(show: Sequence[str]) -> list[Case]:
    """Cases that count a large queue among small ones. `check` finds that no worker serves them."""
    scan, both, states = (module("floors", name) for name in ("scan", "discovery", "states"))
    sizes = "name,paused,waiting,dlq,active,delayed"
    return [
        Case("queues list at a terminal", ["queues", "list", "--color", "always"], scan, 1.2),
        Case("queues list", ["queues", "list", "--json"], both, 1.2),
        Case("queues show", ["queues", "show", BIG, "--json"], states, 1.2),
        Case(
            f"queues show --fields {sizes}",
            ["queues", "show", BIG, "--fields", sizes],
            show,
            1.3,
            repeats=5,
            worked_at_most=0.005,
        ),
        Case("metrics show", ["metrics", "show", "--json", "--no-record"], both, 1.2),
        Case("metrics prometheus", ["metrics", "prometheus"], both, 1.2),
        Case("metrics record", ["metrics", "record"], both, 1.2),
        Case("overview", ["overview", "--json"], tool("queues", "list", "--json"), 1.3),
        Case("events tail --count 1", following(1), tool("queues", "list", "--json"), 1.3),
        Case("check", ["check", "--max-waiting", "1:2"], scan, 1.2, status=2),
        Case("check --queue", ["check", "--queue", BIG], None, repeats=5, status=2, worked_at_most=0.005),
        Case("wait", ["wait", BIG, "--timeout", "0"], None, repeats=5, status=124, worked_at_most=0.005),
    ]


def reading(total: int, job_id: str) -> list[Case]:
    deep = str(total // 10 // JOBS_A_PAGE)
    failed = ["jobs", "list", BIG, "--state", "failed"]
    show = tool("jobs", "show", BIG, job_id, "--json")
    return [
        *_pages(show),
        *_counting(show),
        *_listings(),
        Case(
            f"jobs list --state failed --page {deep}",
            [*failed, "--page", deep],
            module("floors", "place", "dlq"),
            repeats=1,
        ),
        Case("jobs show", ["jobs", "show", BIG, job_id, "--json"], module("floors", "one"), repeats=5),
        # Which queues there are is known from the names of all keys alone.
        Case("jobs show ID", ["jobs", "show", job_id, "--json"], module("floors", "scan"), 1.3, repeats=5),
        Case(
            "jobs list --state all --ndjson",
            ["jobs", "list", BIG, "--state", "all", "--ndjson"],
            module("floors", "everything"),
            2.5,
            repeats=1,
        ),
        Case("dlq groups", ["dlq", "groups", BIG, "--json"], module("floors", "place", "dlq"), 2, repeats=1),
        Case("doctor", ["doctor", BIG, "--json"], module("floors", "whole"), 3, repeats=1, status=1),
    ]


def retrying(count: int, prepared: str) -> Case:
    args = ["jobs", "retry", BIG, "--q", IN_MANY, "--limit", str(count), "--yes"]
    return Case(
        f"jobs retry of {count:,} by filter", args, module("floors", "retry", prepared), 1.5, repeats=2
    )


def chained(count: int) -> Case:
    """The same case compared with the tool without the hash chain."""
    args = ["jobs", "retry", BIG, "--q", IN_MANY, "--limit", str(count), "--yes"]
    name = f"jobs retry of {count:,}, beside no audit chain"
    return Case(name, args, module("unchained", *args), 1.15, repeats=3)


def following(rounds: int) -> list[str]:
    return ["events", "tail", "--count", str(rounds), "--interval", "0.5s", "--no-record"]
