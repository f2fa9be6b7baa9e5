"""Rows are read when they become visible."""

from __future__ import annotations

import asyncio

import pytest
import redis

from asyncmq_cli.cli.session import Session
from asyncmq_cli.demo.server import PrivateRedis
from asyncmq_cli.errors import Halted
from asyncmq_cli.models.jobs import JobFilter, QueueScope
from asyncmq_cli.ui.lanes import Lane, Lanes
from asyncmq_cli.ui.lists.rows import PAGE, StreamedRows
from tests.ui.stage import Stage, play


def test_a_list_reads_only_the_pages_in_sight(server: PrivateRedis, production: redis.Redis) -> None:
    async def story(stage: Stage) -> None:
        await stage.press("down", "enter")
        await stage.sees("mail-249", "1 of 251 jobs")
        rows = stage.app.page.pane.read_rows
        assert rows.pages_held == [0]
        await stage.press("end")
        await stage.sees("bad-address")
        assert rows.pages_held == [0, 251 // PAGE]
        await stage.press("home")
        await stage.sees("1 of 251 jobs", "mail-249")

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
