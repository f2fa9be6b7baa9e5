"""The runner of all changes: every target is tried once, and every attempt is recorded."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from asyncmq_cli import config
from asyncmq_cli.demo.server import PrivateRedis
from asyncmq_cli.errors import ChangeRefused
from asyncmq_cli.services.changes.runner import Attempt, Runner
from asyncmq_cli.storage.store import Store
from tests.support import library

TARGETS = [("mail", "a"), ("mail", "b"), ("mail", "a"), ("sms", "c")]


@pytest.fixture
def store(server: PrivateRedis, client: redis.Redis) -> Iterator[Store]:
    settings = config.resolve({"redis_url": server.url, "actor": "tester"}, {})
    opened = Store(settings, warn=lambda message: None)
    yield opened
    opened.close()


def runner(store: Store, **options: Any) -> Runner:
    return Runner(store, "job.retry", "jobs.bulk", **{"reason": None, "dry_run": False, **options})


def refuse_a(attempt: Attempt) -> str | None:
    if attempt.job_id == "a":
        raise ChangeRefused("job_active", "job 'a' is active")
    return f"note on {attempt.job_id}"


def test_a_refused_target_does_not_stop_the_others(store: Store) -> None:
    report = runner(store).each(TARGETS, refuse_a)
    assert [(one.queue, one.job_id, one.note) for one in report.results] == [
        ("mail", "a", None),
        ("mail", "b", "note on b"),
        ("sms", "c", "note on c"),
    ]
    assert (report.matched, report.succeeded, report.failed) == (3, 2, 1)


def test_a_refusal_is_recorded_with_its_error_and_its_details(store: Store, client: redis.Redis) -> None:
    def refuse(attempt: Attempt) -> str | None:
        attempt.details["found"] = "active"
        return refuse_a(attempt)

    runner(store, reason="tidying", details={"force": True}).one("mail", "a", refuse)
    (event,) = library.events(client)
    assert (event["action"], event["source"], event["actor"]) == ("job.retry", "jobs.bulk", "tester")
    assert (event["status"], event["error"]) == ("failed", "job 'a' is active")
    assert event["details"] == {"reason": "tidying", "force": True, "found": "active"}


def test_a_dry_run_records_nothing(store: Store, client: redis.Redis) -> None:
    report = runner(store, dry_run=True).each(TARGETS, refuse_a)
    assert (report.failed, library.events(client)) == (1, [])


@pytest.mark.parametrize(
    ("targets", "queue"),
    [([("mail", "a"), ("mail", "b")], "mail"), (TARGETS, None), ([], None)],
)
def test_a_report_names_the_queue_where_there_is_one_alone(
    store: Store, targets: list[tuple[str, str]], queue: str | None
) -> None:
    assert runner(store).each(targets, lambda attempt: None).queue == queue


def test_a_queue_that_is_named_twice_is_changed_once(store: Store) -> None:
    changed: list[str] = []

    def change(attempt: Attempt, queue: str) -> str | None:
        changed.append(queue)
        return None

    report = runner(store).queues(["mail", "sms", "mail"], change)
    assert (changed, report.matched, report.queue) == (["mail", "sms"], 2, None)


def test_an_interrupt_waits_for_the_change_that_is_being_made(store: Store) -> None:
    def change(attempt: Attempt) -> str | None:
        os.kill(os.getpid(), signal.SIGINT)
        return "made"

    report = runner(store).each(TARGETS, change)
    assert [one.note for one in report.results] == ["made"]
    assert report.interrupted is not None
    assert report.interrupted.exit_code == 130


def test_a_change_with_a_lost_reply_is_found_in_the_audit_trail(store: Store) -> None:
    def change(attempt: Attempt) -> str | None:
        if attempt.job_id == "a":
            store.audit.record(attempt.draft())
        else:
            attempt.draft()
        raise redis.ConnectionError("the connection was cut")

    for job_id, succeeded in (("a", 1), ("b", 0)):
        report = runner(store).one("mail", job_id, change)
        assert (report.succeeded, report.interrupted is not None) == (succeeded, True)
        hint = report.interrupted.hint if report.interrupted else ""
        assert ("is not known" in (hint or "")) is not bool(succeeded)


@pytest.mark.parametrize(
    ("action", "total", "drafted", "hint"),
    [
        ("job.cancel", None, False, "1 of 4 done, 1 failed, 2 left: run it again to do the rest"),
        ("job.cancel", 4, False, "1 of 4 done, 1 failed, 2 left: run it again to do the rest"),
        # A share of those that match: another run would take as many again.
        ("job.cancel", 9, False, "1 of 4 done, 1 failed, 2 left: run it again with --limit 2 to do the rest"),
        ("job.rerun", 4, False, "1 of 4 done, 1 failed, 2 left: run it again without those that are done"),
        (
            "job.cancel",
            None,
            True,
            "1 of 4 done, 1 failed, 1 left: run it again to do the rest; "
            "it is not known whether job 'c' changed; 'asyncmq audit' shows it",
        ),
    ],
)
def test_a_run_that_is_cut_says_how_far_it_came(
    store: Store, action: str, total: int | None, drafted: bool, hint: str
) -> None:
    def change(attempt: Attempt) -> str | None:
        if attempt.job_id == "c":
            if drafted:
                attempt.draft()
            raise redis.ConnectionError("the connection was cut")
        return refuse_a(attempt)

    cut = Runner(store, action, "jobs.bulk", reason=None, dry_run=False)
    cut.total = total
    report = cut.each([("mail", name) for name in "abcd"], change)
    assert report.interrupted is not None
    assert report.interrupted.hint == hint


def test_a_stopped_run_says_how_far_it_came(store: Store) -> None:
    def change(attempt: Attempt) -> str | None:
        os.kill(os.getpid(), signal.SIGTERM)
        return "made"

    stopped = runner(store).each([("mail", "a"), ("mail", "b")], change)
    assert stopped.interrupted is not None
    assert stopped.interrupted.hint == "1 of 2 done, 1 left: run it again to do the rest"
    alone = runner(store).one("mail", "a", change)
    assert (alone.interrupted is not None and alone.interrupted.hint) is None
