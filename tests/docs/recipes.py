"""The code blocks of the documentation, and the environment that they need."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import Result, environment
from tests.support import forked

ROOT = Path(__file__).resolve().parents[2]
_BLOCK = re.compile(r"^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


def block(page: Path, language: str) -> str:
    """The only block of a language on a page."""
    (found,) = blocks(page, language)
    return found


def blocks(page: Path, language: str) -> list[str]:
    text = page.read_text(encoding="utf-8")
    return [match["text"] for match in _BLOCK.finditer(text) if match["language"] == language]


@dataclass(frozen=True)
class Crontab:
    """The environment that cron sets, and the commands that it has run."""

    given: Mapping[str, str]
    commands: Sequence[str]


def crontab(text: str) -> Crontab:
    lines = text.splitlines()
    given = dict(line.split("=", 1) for line in lines if re.match(r"[A-Z_]+=", line))
    commands = [line.split(None, 5)[5] for line in lines if line.startswith("*")]
    assert len(given) + len(commands) == len(lines)
    assert not any("%" in command for command in commands), "which cron takes for the end of the line"
    return Crontab(given, commands)


def as_cron(command: str, path: Path, given: Mapping[str, str]) -> Result:
    """Run a command with /bin/sh in an almost empty environment."""
    return run_shell(["/bin/sh", "-c"], command, path, given)


def programs(directory: Path) -> Path:
    """A directory in which the name of recipes is this program; `asyncmq` may be the library's on PATH."""
    forked.client(directory / "asyncmq-cli", "-m", "asyncmq_cli")
    return directory


def run_shell(shell: list[str], script: str, path: Path, given: Mapping[str, str]) -> Result:
    """Run a script, with the programs in `path` first on PATH."""
    env = environment(None)
    env.update(PATH=os.pathsep.join([str(path), os.defpath]), **given)
    done = subprocess.run([*shell, script], env=env, capture_output=True, text=True, timeout=120, check=False)
    return Result(done.returncode, done.stdout, done.stderr)
