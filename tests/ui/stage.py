"""Drive the screen with textual's pilot, on a real Redis with data of the library."""

from __future__ import annotations

import asyncio
import io
import os
import re
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import redis
from rich.cells import cell_len
from rich.console import Console
from textual import events
from textual.pilot import Pilot
from textual.widgets import Button

from asyncmq_cli.cli.session import Session
from asyncmq_cli.ui.app import OperatorApp, opened
from tests.support.library import TRACEBACK, bury, enlist, fill, job, with_backend
from tests.support.library import events as audited

SIZES = [(80, 24), (120, 40)]
SNAPSHOTS = Path(__file__).parent / "snapshots"
WRITES = "UPDATE_SNAPSHOTS" in os.environ
HOUR, DAY = 3600.0, 86_400.0
HOSTILE = "x\x1b]0;owned\x07\x1b[31m[bold]y[/bold]"
REFUSED = TRACEBACK.replace(
    "app.errors.DeliveryError: no mail server", "ValueError: 'bob' is not a mail address"
)
_CLOCK = re.compile(r"\d\d:\d\d:\d\d")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}")
_EPOCH = re.compile(r"\b17\d{8}\.\d+")
_PLACE = re.compile(r"unix:///\S+?\?db=\d|unix:///[^\s›]+")
_FONT = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)
_PATIENCE = 30.0
_ROUNDS = 3
"""A key that opens a dialog takes three rounds of messages: the key, the screen, its focus."""


def dead(job_id: str, trace: str = TRACEBACK, **fields: Any) -> dict[str, Any]:
    failure = {"status": "failed", "last_error": trace, "error_traceback": trace, "retries": 4}
    return job(job_id, **{**failure, **fields})


def furnish(client: redis.Redis, url: str) -> None:
    """A small broken production. Its ages are far from values at which their text changes."""
    now = time.time()
    client.flushall()

    async def go(backend: Any) -> None:
        old = {"created_at": now - 3.5 * DAY - HOUR / 2}
        await fill(backend, "emails", [("waiting", job(f"wait-{n}", **old)) for n in range(5)])
        await fill(backend, "emails", [("delayed", job(f"later-{n}", **old)) for n in range(2)])
        await fill(backend, "emails", [("completed", job(f"done-{n}", **old)) for n in range(3)])
        await fill(backend, "imports", [("waiting", job(f"row-{n}", **old)) for n in range(4)])
        await fill(backend, "imports", [("waiting", job(HOSTILE, **old))])
        await fill(backend, "reports 漢字", [("completed", job("r-1", **old))])
        await backend.pause_queue("reports 漢字")
        await enlist(backend, "worker-1", "emails", 4)

    with_backend(url, go)
    died = now - 2.5 * DAY - HOUR / 2
    letters = [
        dead(
            f"mail-{n:03}",
            created_at=now - 4.5 * DAY - HOUR / 2,
            kwargs={"customer": f"acme-{n}", "password": "hunter2"},
        )
        for n in range(250)
    ]
    bury(client, "emails", letters, died)
    bury(client, "emails", [dead("bad-address", REFUSED, created_at=now - 4.5 * DAY - HOUR / 2)], died - HOUR)


def state_of(client: redis.Redis, job_id: str, queue: str = "emails") -> str:
    return (client.hget(f"jobs:{queue}:states", job_id) or b"").decode()


def changes(client: redis.Redis) -> list[tuple[Any, ...]]:
    """The action, source, status, job and reason of each event."""
    return [
        (one["action"], one["source"], one["status"], one["job_id"], one["details"].get("reason"))
        for one in audited(client)
    ]


Story = Callable[["Stage"], Awaitable[None]]


class Stage:
    """The keys and the screen of one test."""

    def __init__(self, app: OperatorApp, pilot: Pilot[None]) -> None:
        self.app = app
        self.pilot = pilot

    async def press(self, *keys: str) -> None:
        """Press each key after the previous one was handled. The pilot's own `press` waits until the process
        is idle, which takes ten times as long."""
        for key in keys:
            await self.until(self._takes_keys)
            self.app.simulate_key(key)
            await self.settle()

    def _takes_keys(self) -> bool:
        """Whether a key is handled: a button that is still shown as pressed handles none."""
        focused = self.app.screen.focused
        return not (isinstance(focused, Button) and focused.has_class("-active"))

    async def click(self, text: str) -> None:
        """Click on a text on the screen, and again if the first click only selected the row."""
        lines = self.text.splitlines()
        (y,) = [at for at, line in enumerate(lines) if text in line][:1]
        x = cell_len(lines[y][: lines[y].index(text)]) + 1
        await self.pilot.click(offset=(x, y))
        await self.settle()

    async def settle(self) -> None:
        """Wait until every widget has handled its messages, and those that they caused."""
        for _ in range(_ROUNDS):
            await self.pilot._wait_for_screen()

    async def type(self, text: str) -> None:
        """Paste the text."""
        self.app.screen.focused.post_message(events.Paste(text))
        await self.settle()

    @property
    def text(self) -> str:
        """The text of the screen."""
        app = self.app
        console = Console(width=app.size.width, height=app.size.height, file=io.StringIO(), record=True)
        screen: Any = app.screen
        console.print(screen._compositor.render_update(full=True, screen_stack=app._background_screens))
        return console.export_text()

    async def sees(self, *wanted: str) -> str:
        """Wait until the screen shows all of these."""
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline and self.app.error is None:
            text = self.text
            if all(one in text for one in wanted):
                return text
            await self.pilot.pause(0.02)
        raise AssertionError(f"not on the screen: {wanted}\n{self.text}")

    async def until(self, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _PATIENCE
        while not holds():
            assert time.monotonic() < deadline, self.text
            await self.pilot.pause(0.02)

    async def matches(self, name: str) -> None:
        """Wait until the screen has the text of its snapshot in tests/ui/snapshots. UPDATE_SNAPSHOTS=1 writes
        the snapshot, once the screen no longer changes."""
        width, height = self.app.size
        file = SNAPSHOTS / f"{name}-{width}x{height}.svg"
        if WRITES:
            await self.pilot.pause(1)
            file.write_text(self._picture(), encoding="utf-8")
        wanted = read_text(file.read_text(encoding="utf-8"))
        deadline = time.monotonic() + _PATIENCE
        while read_text(self._picture()) != wanted:
            if time.monotonic() > deadline:
                assert read_text(self._picture()) == wanted
            await self.pilot.pause(0.05)

    def _picture(self) -> str:
        return steady(self.app.export_screenshot(title="asyncmq ui"))


def steady(svg: str) -> str:
    """The snapshot without parts that differ from run to run, and without external fonts."""
    svg = re.sub(r"terminal-\d+", "terminal", _FONT.sub("", svg))
    svg = _EPOCH.sub("1772812186.204", svg)
    svg = _MOMENT.sub("2026-03-06T12:00:00.000000", svg)
    svg = _CLOCK.sub("12:00:00", svg)
    svg = _PLACE.sub(lambda found: "redis://prod".ljust(len(found[0]), "x"), svg)
    return "\n".join(line.rstrip() for line in svg.splitlines()) + "\n"


def read_text(svg: str) -> list[str]:
    """The texts of a snapshot with their positions, in order."""
    return re.findall(r"<text [^>]*?x=\"[\d.]+\" y=\"[\d.]+\"[^>]*>(.*?)</text>", svg)


def play(url: str | None, story: Story, *, size: tuple[int, int] = (80, 24), **flags: Any) -> OperatorApp:
    """Open the screen and run the test on it. Without a `url`, the flags say where Redis is."""
    os.environ.setdefault("XDG_CONFIG_HOME", "/nonexistent")
    where = {} if url is None else {"redis_url": url}
    session = Session({**where, "actor": "tester", **flags})
    # As open_session does: the printer belongs to the terminal, and not to what textual puts in its place.
    _ = session.out
    app = opened(session)
    # How often Redis was read until a picture is compared differs from run to run.
    trend: Any = app.trend
    trend.add = lambda totals: None

    async def run() -> None:
        async with app.run_test(size=size) as pilot:
            await story(Stage(app, cast("Pilot[None]", pilot)))

    try:
        asyncio.run(run())
    finally:
        session.store.close()
    return app
