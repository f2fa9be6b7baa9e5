"""Pausing and resuming queues, as it is told to people."""

from __future__ import annotations

import redis

from asyncmq_cli.demo.server import PrivateRedis
from tests.conftest import Run
from tests.support import library
from tests.support.terminal import on_terminal

NOTE = "workers that saw the pause look again after their stalled_check_interval: up to 60 s"


def test_a_resume_says_when_workers_see_it_and_only_where_there_was_a_pause(
    server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    library.with_backend(server.url, lambda opened: opened.enqueue("mail", library.job("x")))
    assert NOTE not in cli("queues", "resume", "mail").stderr
    assert NOTE not in cli("queues", "pause", "mail").stderr
    assert NOTE not in cli("queues", "resume", "mail", "--dry-run").stderr
    resumed = cli("queues", "resume", "mail")
    assert (resumed.code, NOTE in resumed.stderr, NOTE in resumed.stdout) == (0, True, False)
    assert cli("queues", "pause", "mail").code == 0
    assert cli("queues", "resume", "mail", "--json").stderr == ""
    assert cli("queues", "pause", "mail").code == 0
    assert NOTE in " ".join(on_terminal("queues", "resume", "mail", url=server.url).text.split())
