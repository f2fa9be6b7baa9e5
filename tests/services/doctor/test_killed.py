"""The library is killed between any two commands of each of its operations, and the doctor repairs the
job."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
import redis

from asyncmq_cli.demo.server import PrivateRedis
from asyncmq_cli.services.doctor.catalogue import BY_CODE
from tests.conftest import Run
from tests.services.doctor.killing import Use, killed_after
from tests.services.doctor.support import QUEUE, due_in, job, places_of, put, work
from tests.support import library

X = job("x")
DEPENDENT = {**X, "depends_on": ["parent"]}


@dataclass(frozen=True)
class Operation:
    """`before` is the content of the queue. `codes` are the damages that a kill can leave; each of them must
    occur at least once."""

    use: Use
    before: tuple[tuple[str, str], ...]
    codes: frozenset[str] = field(default_factory=frozenset)


OPERATIONS = {
    "enqueue_delayed": Operation(
        lambda opened: opened.enqueue_delayed(QUEUE, job("x"), due_in(-1)), (), frozenset({"record_missing"})
    ),
    "retry_job": Operation(
        lambda opened: opened.retry_job(QUEUE, "x"), (("failed", "x"),), frozenset({"failed_unlisted"})
    ),
    "move_to_dlq, waiting": Operation(
        lambda opened: opened.move_to_dlq(QUEUE, {**X, "status": "failed"}),
        (("waiting", "x"),),
        frozenset({"waiting_unlisted", "dead_state_wrong"}),
    ),
    "move_to_dlq, active": Operation(
        lambda opened: opened.move_to_dlq(QUEUE, {**X, "status": "failed"}),
        (("active", "x"),),
        frozenset({"active_unclaimed", "dead_state_wrong"}),
    ),
    "remove_job, waiting": Operation(
        lambda opened: opened.remove_job(QUEUE, "x"),
        (("waiting", "x"),),
        frozenset({"waiting_unlisted", "id_without_record"}),
    ),
    "remove_job, dead": Operation(
        lambda opened: opened.remove_job(QUEUE, "x"),
        (("failed", "x"),),
        frozenset({"failed_unlisted", "id_without_record"}),
    ),
    "cancel_job, waiting": Operation(
        lambda opened: opened.cancel_job(QUEUE, "x"),
        (("waiting", "x"),),
        frozenset({"waiting_unlisted", "cancel_unfinished"}),
    ),
    "cancel_job, delayed": Operation(
        lambda opened: opened.cancel_job(QUEUE, "x"),
        (("delayed", "x"),),
        frozenset({"delayed_timeless", "cancel_unfinished"}),
    ),
    "resolve_dependency": Operation(
        lambda opened: opened.resolve_dependency(QUEUE, "parent"),
        (("completed", "parent"), ("child", "x")),
        frozenset({"parents_done"}),
    ),
    "enqueue, dependent": Operation(
        lambda opened: opened.enqueue(QUEUE, DEPENDENT), (("waiting", "parent"),), frozenset()
    ),
}


@pytest.mark.extended(first=1)
@pytest.mark.parametrize("name", OPERATIONS)
def test_damage_after_a_kill_is_found_and_repaired(
    name: str, server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    operation = OPERATIONS[name]
    seen: set[str] = set()
    step = 1
    while True:
        client.flushall()
        prepare(server, operation)
        if not killed_after(server.url, step, operation.use):
            break
        seen |= found_and_repaired(cli)
        assert len(places_of(client, "x")) <= 1, (step, places_of(client, "x"))
        step += 1
    assert step > 2
    assert seen == operation.codes


def prepare(server: PrivateRedis, operation: Operation) -> None:
    for state, name in operation.before:
        if state == "child":
            library.with_backend(server.url, lambda opened: opened.enqueue(QUEUE, DEPENDENT))
        else:
            record = X if name == "x" else job(name)
            library.with_backend(
                server.url,
                lambda opened, state=state, record=record: library.put(opened, QUEUE, state, record),
            )


def found_and_repaired(cli: Run) -> set[str]:
    """The codes that were found. Fails if anything is left after the repair except what only has advice."""
    findings = cli("doctor", "--json").json["findings"]
    codes = {finding["code"] for finding in findings}
    for finding in findings:
        assert finding["sample_ids"] == ["x"], finding
        named = ["--code", finding["code"]] if BY_CODE[finding["code"]].way == "named" else []
        mended = cli("doctor", "--repair", *named, "--yes", "--json")
        assert mended.json["failed"] == 0, mended
    left = cli("doctor", "--json").json["findings"]
    assert all(BY_CODE[finding["code"]].way == "advice" for finding in left), left
    return codes


def test_a_job_is_run_once_wherever_its_delaying_was_cut_short(
    server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    operation = OPERATIONS["enqueue_delayed"]
    step = 1
    while client.flushall() and killed_after(server.url, step, operation.use):
        found_and_repaired(cli)
        assert work(server, 1) == ["x"], step
        assert cli("doctor", "--json").json["findings"] == []
        step += 1
    assert step > 3


def test_a_retry_that_was_cut_short_is_put_back_and_can_be_made_again(
    server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    put(server.url, ("failed", "x"))
    assert killed_after(server.url, 2, OPERATIONS["retry_job"].use)
    assert cli("jobs", "retry", QUEUE, "x").code == 1
    assert found_and_repaired(cli) == {"failed_unlisted"}
    assert cli("jobs", "retry", QUEUE, "x").code == 0
    assert work(server, 1) == ["x"]
