"""Filters, orders, columns, marks, copies and tabs; the tree of a job."""

from __future__ import annotations

import asyncio
import json

import pytest
import redis

from asyncmq_cli.cli.session import Session
from asyncmq_cli.demo.server import PrivateRedis
from asyncmq_cli.errors import Halted, UsageProblem
from asyncmq_cli.models.jobs import JobFilter
from asyncmq_cli.models.queues import QueueScope
from asyncmq_cli.ui.jobs import flags_of, words_of
from asyncmq_cli.ui.lanes import Lane, Lanes
from asyncmq_cli.ui.rows import PAGE, StreamedRows
from asyncmq_cli.ui.whole import children, matches
from tests.ui.stage import Stage, play


def test_a_filter_is_text_or_options(server: PrivateRedis, production: redis.Redis) -> None:
    async def story(stage: Stage) -> None:
        await stage.press("down", "enter")
        await stage.sees("1 of 251 jobs")
        await stage.press("slash")
        await stage.sees("text anywhere in the job")
        await stage.type("ACME-17")
        await stage.press("enter")
        await stage.sees("1 of 11 jobs", "filter: ACME-17", "mail-170")
        await stage.press("escape")
        await stage.sees("1 of 251 jobs")
        await stage.press("slash")
        await stage.type("--job-id bad-a")
        await stage.press("enter")
        await stage.sees("1 of 1 job", "bad-address")
        await stage.press("slash", *["backspace"] * 14)
        await stage.type("--taks x")
        await stage.press("enter")
        await stage.sees("error: no such filter '--taks'", "choose from --q")
        await stage.press("escape")
        await stage.sees("1 of 251 jobs")

    play(server.url, story, size=(100, 24))


def test_orders_and_columns(server: PrivateRedis, production: redis.Redis) -> None:
    async def story(stage: Stage) -> None:
        await stage.press("s")
        await stage.sees("Sort by", "waiting")
        await stage.press("enter")
        rows = stage.app.page.pane.listing
        await stage.until(lambda: [rows.rows.row(at).name for at in range(2)] == ["emails", "imports"])
        await stage.press("f")
        await stage.sees("Columns")
        await stage.press("down", "space", "enter")
        await stage.until(lambda: "STATE" not in stage.text)
        await stage.press("home", "enter")
        await stage.sees("mail-249")
        await stage.press("s")
        await stage.sees("oldest")
        await stage.press("end", "enter")
        text = await stage.sees("bad-address", "1 of 100 jobs so far, more below")
        assert text.index("bad-address") < text.index("mail-000")

    play(server.url, story)


def test_marks_and_copies(server: PrivateRedis, production: redis.Redis) -> None:
    async def story(stage: Stage) -> None:
        await stage.press("down", "enter")
        await stage.sees("1 of 251 jobs")
        await stage.press("space", "space")
        text = await stage.sees("2 marked", " *mail-249", " *mail-248", "> mail-247")
        pane = stage.app.page.pane
        assert [job.id for job in pane.targets()] == ["mail-249", "mail-248"]
        await stage.press("y")
        await stage.sees("copied 'mail-247'")
        assert stage.app.clipboard == "mail-247"
        await stage.press("Y")
        await stage.sees("characters")
        copied = json.loads(stage.app.clipboard)
        assert copied["id"] == "mail-247" and copied["payload"]["kwargs"]["password"] == "[redacted]"
        await stage.press("up", "space")
        text = await stage.sees("1 marked")
        assert " *mail-248" not in text

    play(server.url, story)


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
def test_failures_by_cause_and_the_jobs_of_one(
    server: PrivateRedis, production: redis.Redis, size: tuple[int, int]
) -> None:
    async def story(stage: Stage) -> None:
        await stage.press("3")
        await stage.sees("251 dead jobs, 1 cause", "ConnectionRefusedError")
        await stage.matches("failures")
        await stage.press("enter")
        await stage.sees("[Errno <*>] Connection refused", "of 100 jobs so far")
        await stage.press("slash")
        await stage.type("bad-addr")
        await stage.press("enter")
        await stage.sees("1 of 1 job", "bad-address")
        await stage.press("enter")
        await stage.sees("'bob' is not a mail address")
        await stage.press("o")
        await stage.sees("error {4}", "/app/tasks.py:30 in send", "to: a@example.org")
        await stage.matches("whole")
        await stage.press("slash")
        await stage.type("example.ORG")
        await stage.press("enter")
        await stage.until(lambda: "search: example.ORG" in stage.text)
        await stage.press("y")
        await stage.sees("copied 'a@example.org'")

    play(server.url, story, size=size)


def test_every_tab(server: PrivateRedis, production: redis.Redis) -> None:
    async def story(stage: Stage) -> None:
        await stage.press("2")
        await stage.sees("the latest jobs of all queues", "wait-")
        await stage.press("tab", "tab")
        await stage.sees("no schedules")
        await stage.press("tab")
        await stage.sees("worker-1", "healthy")
        await stage.press("tab")
        await stage.sees("nothing was changed yet")
        await stage.press("slash")
        await stage.type("zzz")
        await stage.press("enter")
        await stage.sees("no event matches")
        await stage.press("tab")
        await stage.sees("STATE", "imports")
        await stage.press("slash")
        await stage.type("mail")
        await stage.press("enter")
        await stage.sees("1 queue of 3 with 'mail'")

    play(server.url, story)


def test_a_search_can_be_left_and_keeps_what_it_found(server: PrivateRedis, production: redis.Redis) -> None:
    async def search() -> None:
        session = Session({"redis_url": server.url})
        lanes = Lanes(session)
        rows = StreamedRows(
            lanes.new(),
            lambda own: own.dlq.every(QueueScope.of("emails"), JobFilter(q="acme"), sort=None),
            lambda: None,
            lambda error: None,
        )
        await rows.read()
        assert (rows.found, rows.is_done) == (PAGE, False) and rows.searched >= PAGE
        rows.halt()
        while not rows.is_done:
            await rows.read()
        assert rows.is_halted and PAGE <= rows.found < 250
        rows.close()
        lane = Lane(session.twin())
        await lane.call(lambda own: own.now())
        lane.halt()
        with pytest.raises(Halted):
            await lane.call(lambda own: own.now())
        lane.close()

    asyncio.run(search())


@pytest.mark.parametrize(
    ("text", "flags"),
    [
        ("", {}),
        ("  ", {}),
        ("two words", {"q": "two words"}),
        ("--q 'two words' --task=send", {"q": "two words", "task": "send"}),
        ("--older-than 2h", {"older_than": "2h"}),
    ],
)
def test_what_a_typed_filter_means(text: str, flags: dict[str, str]) -> None:
    assert flags_of(text) == flags
    assert flags_of(" ".join(f"{word!r}" if " " in word else word for word in words_of(flags))) == flags


@pytest.mark.parametrize("text", ["--nope x", "--q", "--q 'open", "--q x y"])
def test_a_filter_that_cannot_be_read(text: str) -> None:
    with pytest.raises(UsageProblem):
        flags_of(text)


def test_a_search_in_the_tree() -> None:
    data = {"kwargs": {"to": "Ana", "list": [{"name": "ana"}, 7]}, "args": ["x"]}
    assert list(matches(data, "ana")) == [("kwargs", "to"), ("kwargs", "list", 0, "name")]
    assert list(matches(data, "7")) == [("kwargs", "list", 1)]
    assert list(children("text")) == []
