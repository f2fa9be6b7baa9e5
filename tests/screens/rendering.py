"""The output of each main command for the broken production, on terminals of two sizes and in a pipe.

`python -m tests.screens` writes the expected screens again; a reviewer reads the difference.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pyte

from tests.conftest import run_tool
from tests.screens import production
from tests.support.screen import LiveTerminal

KEPT = Path(__file__).parent
SIZES = {"80x24": (80, 24), "140x40": (140, 40)}
COMMANDS: Mapping[str, tuple[str, ...]] = {
    "overview": ("overview",),
    "queues-list": ("queues", "list"),
    "queues-show": ("queues", "show", "billing"),
    "jobs-list-waiting": ("jobs", "list", "imports", "--size", "5"),
    "jobs-list-active": ("jobs", "list", "reports", "--state", "active"),
    "jobs-list-failed": ("jobs", "list", "mail", "--state", "failed", "--size", "5"),
    "jobs-list-delayed": ("jobs", "list", "mail", "--state", "delayed"),
    "jobs-list-completed": ("jobs", "list", "mail", "--state", "completed", "--size", "5"),
    "jobs-show": ("jobs", "show", "mail", "mail-0003"),
    "dlq-list": ("dlq", "list", "billing"),
    "dlq-groups": ("dlq", "groups", "mail"),
    "repeatables-list": ("repeatables", "list"),
    "workers-list": ("workers", "list"),
    "metrics-show": ("metrics", "show", "--no-record"),
    "audit": ("audit",),
    "check": ("check",),
    "doctor": ("doctor",),
    "dlq-retry-dry-run": ("dlq", "retry", "mail", "--q", "customer1", "--dry-run"),
    "dlq-groups-all": ("dlq", "groups"),
    "jobs-list-wide": ("jobs", "list", "mail", "--state", "failed", "--size", "3", "-o", "wide"),
    "no-such-queue": ("queues", "show", "mial"),
}
_FRESH_FOR = 25.0
_LONGEST = 400
_SPARK = re.compile(r" *[▁▂▃▄▅▆▇█ ]*[▁▂▃▄▅▆▇█]$")
_PAYLOAD = re.compile(r"(?<=^payload\t).*", re.MULTILINE)
_SOCKET = re.compile(r"unix://\S+")
_UNSTEADY = (
    (re.compile(r"\d{4}-\d\d-\d\d([T ])\d\d:\d\d:\d\d(\.\d+)?"), r"YYYY-MM-DD\1hh:mm:ss"),
    (re.compile(r"\b\d\d-\d\d \d\d:\d\d\b"), "MM-DD hh:mm"),
    (re.compile(r"\b\d\d:\d\d(:\d\d)?\b"), "hh:mm"),
    (re.compile(r"hh:mm…\d?:"), "hh:mm…:"),
    (re.compile(r"\b\d(\.\d+)?s\b"), "Ns"),
    (re.compile(r"\b\d+(\.\d+)? ?ms\b"), "N ms"),
    (re.compile(r"\b\d+\.\d{2,}\b"), "N.N"),
)


class Production:
    """The broken production on a Redis. It is made again before its shown ages would change."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._made = float("-inf")

    def renew(self) -> None:
        if time.monotonic() - self._made > _FRESH_FOR:
            production.fill(self.url)
            self._operate()
            production.back_date_audit(self.url, 2 * production.HOUR)
            self._made = time.monotonic()
        production.beat(self.url)

    def _operate(self) -> None:
        for line in (
            ("queues", "pause", "billing", "--reason", "double charges"),
            ("dlq", "retry", "mail", "--all", "--limit", "3", "--reason", "gateway is back", "--yes"),
            ("jobs", "remove", "imports", "part-0000", "--reason", "wrong file", "--yes"),
        ):
            done = run_tool(*line, url=self.url, env={"ASYNCMQ_ACTOR": "ann"})
            assert done.code == 0, done.stderr

    def on_a_terminal(self, command: tuple[str, ...], columns: int, rows: int) -> str:
        self.renew()
        with LiveTerminal(*command, url=self.url, columns=columns, rows=rows) as terminal:
            code = terminal.end()
            screen = pyte.Screen(columns, _LONGEST)
            pyte.ByteStream(screen).feed(terminal.raw)
        text = "\n".join(line.rstrip() for line in screen.display).rstrip()
        return self._kept(command, text, code)

    def in_a_pipe(self, command: tuple[str, ...]) -> str:
        self.renew()
        result = run_tool(*command, url=self.url)
        return self._kept(command, result.stdout + result.stderr, result.code)

    def _kept(self, command: tuple[str, ...], text: str, code: int) -> str:
        """The text without values that vary, followed by the exit status."""
        # The server's socket has another name each time. It keeps its length, by which tables are laid out.
        text = _SOCKET.sub(lambda found: "redis://shop/0".ljust(len(found[0]), "."), text)
        text = "\n".join(_without_trends(text.split("\n")))
        # Lua writes the keys of a record in another order on another server.
        text = _PAYLOAD.sub(lambda found: _sorted(found[0]), text)
        for pattern, steady in _UNSTEADY:
            text = pattern.sub(steady, text)
        return f"$ asyncmq {' '.join(command)}\n{text.rstrip()}\n[exit {code}]\n"


def _sorted(record: str) -> str:
    return json.dumps(json.loads(record), sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def _without_trends(lines: list[str]) -> Iterator[str]:
    """The text with its trends replaced by a constant, because their bars begin at whole minutes of the
    clock."""
    column = None
    for line in lines:
        found = None if column is None else _SPARK.search(line)
        yield line if found is None else f"{line[: found.start()]:<{column}}▄"
        column = line.index("TREND") if line.endswith("TREND") else column


def rendered(shop: Production, name: str) -> Mapping[str, str]:
    """The output of one command by the folder of its expected screen."""
    command = COMMANDS[name]
    looks = {size: shop.on_a_terminal(command, *dimensions) for size, dimensions in SIZES.items()}
    return {**looks, "pipe": shop.in_a_pipe(command)}
