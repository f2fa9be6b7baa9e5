"""`python -m tools.screenshots` draws docs/images: what real commands print in the demo, as SVG.

Ids and times differ from run to run. They are replaced by fixed ones of the same width, so that a picture
changes only when the program does.
"""

from __future__ import annotations

import asyncio
import html
import io
import json
import re
import shlex
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from asyncmq_cli.cli.session import Session
from asyncmq_cli.demo.environment import DemoEnvironment
from asyncmq_cli.demo.processes import asyncmq_command, asyncmq_environment
from asyncmq_cli.services.monitoring.metrics import LongTrend
from asyncmq_cli.ui.app import OperatorApp, opened
from asyncmq_cli.ui.dialogs.change import ChangeDialog
from asyncmq_cli.ui.lists.listing import Listing

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "images"
WIDTH, HEIGHT = 100, 40
GROUP = "7631966af00c"

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_SINCE = re.compile(r"new since \d\d:\d\d")
_ADDRESS = re.compile(r"unix://[^\s\x1b]*")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?\+00:00")
_TENS, _ONES = re.compile(r"\b\d\ds\b"), re.compile(r"\b\ds\b")
_PACKAGES = re.compile(r"/\S+/site-packages/")
_GAP_IN_QUESTION = re.compile(r"(redis://prod\.example\.org)((?:\u00a0|&#160;)+)\?")
_CLOCK = re.compile(r"\b\d\d:\d\d:\d\d\b")
_PLACE = re.compile(r"unix:///[^\s<›?]+(?:\?db=0)?")
_FONT = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)
_TEXT = re.compile(
    r'<text(?P<before>[^>]*? )x="(?P<x>[\d.]+)"(?P<between>[^>]*? )textLength="[\d.]+"(?P<after>[^>]*)>'
    r"(?P<text>[^<]*)</text>"
)
_BLANKS = re.compile(r"((?:&#160;|\u00a0| ){2,})")
_CELL = 12.2
"""The width of a character, as rich draws it."""
_PATIENCE = 60.0


@dataclass
class Studio:
    """Runs commands in the demo and keeps what they print, made steady."""

    environ: Mapping[str, str]
    _ids: dict[str, str] = field(default_factory=dict)

    def document(self, *arguments: str) -> Any:
        return json.loads(self._run(*arguments, "--json"))

    def shot(self, *commands: Sequence[str]) -> str:
        """A prompt and what came of it, for each command."""
        return "\n".join(
            self._prompt(command) + self._run(*command, "--color", "always") for command in commands
        )

    def _prompt(self, command: Sequence[str]) -> str:
        return f"\x1b[32m$\x1b[0m \x1b[1m{shlex.join(['asyncmq', *command])}\x1b[0m\n"

    def _run(self, *arguments: str) -> str:
        done = subprocess.run(
            asyncmq_command(arguments), env=self.environ, stdout=subprocess.PIPE, text=True, check=True
        )
        return done.stdout

    def steady(self, text: str) -> str:
        text = _PACKAGES.sub("", text).replace(f"{ROOT}/", "")
        text = _UUID.sub(lambda found: self._steady_id(found[0]), text)
        text = _MOMENT.sub(lambda found: "2026-03-06T15:49:46.204000+00:00"[: len(found[0])], text)
        text = _SINCE.sub("new since 15:49", text)
        text = _ADDRESS.sub(lambda found: "redis://localhost:6379/0".rjust(len(found[0])), text)
        return _ONES.sub("4s", _TENS.sub("12s", text))

    def _steady_id(self, found: str) -> str:
        number = str(len(self._ids))
        return self._ids.setdefault(found, str(uuid.uuid5(uuid.NAMESPACE_URL, number)))

    def wait_for_steady_ages(self) -> None:
        """Until jobs are 10 seconds old and heartbeats are not: then all ages are as wide as meant."""
        until = time.monotonic() + _PATIENCE
        while time.monotonic() < until:
            found = self.document("overview")
            jobs = [row["oldest_waiting_seconds"] or 11 for row in found["queues"]]
            beats = [worker["age_seconds"] for worker in found["workers"]]
            if min(jobs) >= 11 and min(beats) >= 1 and max(beats) < 6:
                return
            time.sleep(0.5)
        raise SystemExit("this machine is too busy to draw pictures that do not differ; try again")


def pictures(studio: Studio) -> Iterator[tuple[str, str]]:
    """The name of each picture, and what it shows."""
    studio.wait_for_steady_ages()
    yield "overview", studio.shot(["overview"])
    failed = studio.document("jobs", "list", "emails", "--group", GROUP, "--state", "failed")["jobs"]
    yield "job", studio.shot(["jobs", "show", "emails", failed[-1]["id"]])
    retry = ["dlq", "retry", "emails", "--group", GROUP]
    groups = studio.shot(["dlq", "groups", "emails"])
    retries = studio.shot(
        [*retry, "--limit", "1", "--reason", "mail server is back", "--yes"],
        [*retry, "--rate", "50/s", "--abort-above", "20%", "--yes"],
        ["queues", "pause", "reports", "--reason", "database migration"],
        ["audit", "--action", "queue.pause"],
    )
    yield "failures", f"{groups}\n{retries}"


def screen(url: str) -> dict[str, str]:
    """The interactive screen by the names of its pictures: its first page, and a retry by cause."""

    async def asked(app: OperatorApp) -> dict[str, str]:
        async with app.run_test(size=(WIDTH, 30)) as pilot:
            until = time.monotonic() + _PATIENCE
            await pilot.pause(0.5)
            home = app.export_screenshot(title="asyncmq ui")
            await pilot.press("3")
            while not isinstance(app.screen, ChangeDialog) and time.monotonic() < until:
                if app.page.query_one("#failures").query_one(Listing).rows.total:
                    await pilot.press("t")
                await pilot.pause(0.5)
            await pilot.press(*"mail", "space", *"server", "space", *"is", "space", *"back")
            await pilot.pause(0.5)
            return {"ui-home": home, "ui": app.export_screenshot(title="asyncmq ui")}

    session = Session({"redis_url": url, "actor": "ana@ops", "color": "always"})
    _ = session.out
    app = opened(session)
    # Trends differ from run to run.
    app.trend = LongTrend([])
    app.every = 3600.0
    try:
        return asyncio.run(asked(app))
    finally:
        session.store.close()


def _elsewhere(found: re.Match[str]) -> str:
    """An address as wide as the demo's."""
    return "redis://prod.example.org".ljust(len(found[0]), "\u00a0")


def _with_own_fonts(drawn: str) -> str:
    """Nobody who looks at a picture should be made to fetch a font for it. Plain renderers try the first name
    of a list only, and a table in another font than a monospaced one is no table."""
    plain = _FONT.sub("", drawn).replace("Fira Code, monospace", "monospace")
    return _TEXT.sub(_words, plain.replace("font-family: arial", "font-family: sans-serif"))


def _words(found: re.Match[str]) -> str:
    """The columns of a line as texts of their own: not every renderer obeys textLength, and a font that is a
    little wider than a cell would move all that follows."""
    at, drawn = float(found["x"]), []
    for piece in _BLANKS.split(found["text"]):
        cells = cell_len(html.unescape(piece))
        if html.unescape(piece).strip():
            length = f"{cells * _CELL:.10g}"
            drawn.append(
                f'<text{found["before"]}x="{at:.10g}"{found["between"]}textLength="{length}"'
                f"{found['after']}>{piece}</text>"
            )
        at += cells * _CELL
    return "".join(drawn)


def steady_svg(drawn: str) -> str:
    """A drawing without fonts from elsewhere and without ids that differ from run to run."""
    drawn = re.sub(r"terminal-\d+", "asyncmq-ui", _with_own_fonts(drawn))
    return "\n".join(line.rstrip() for line in drawn.splitlines()) + "\n"


def svg(name: str, text: str) -> str:
    console = Console(
        record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="standard"
    )
    console.print(Text.from_ansi(text, no_wrap=True, overflow="crop"), soft_wrap=True)
    drawn = console.export_svg(title="asyncmq", unique_id=f"asyncmq-{name}")
    return "\n".join(line.rstrip() for line in _with_own_fonts(drawn).splitlines()) + "\n"


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    with DemoEnvironment() as demo:
        environ = {
            **asyncmq_environment(demo.url, demo.directory),
            "COLUMNS": str(WIDTH),
            "LINES": str(HEIGHT),
            "ASYNCMQ_ACTOR": "ana@ops",
            "PYTHONIOENCODING": "utf-8",
        }
        studio = Studio(environ)
        studio.wait_for_steady_ages()
        for name, drawn in screen(demo.url).items():
            drawn = _PLACE.sub(_elsewhere, drawn)
            picture = _CLOCK.sub("15:49:46", studio.steady(steady_svg(drawn))).replace(
                "every&#160;3600s", "every&#160;2s"
            )
            (FOLDER / f"{name}.svg").write_text(picture, encoding="utf-8")
        for name, text in pictures(studio):
            path = FOLDER / f"{name}.svg"
            path.write_text(svg(name, studio.steady(text)), encoding="utf-8")
            sys.stdout.write(f"{path.relative_to(ROOT)}\n")


if __name__ == "__main__":
    main()
