"""The blocks of code in the documentation, and what they need to run as they are written."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.conftest import Result, environment

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r"^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


def block(page: str, language: str) -> str:
    """The one block of a language on a page of docs/."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    (found,) = [match["text"] for match in _BLOCK.finditer(text) if match["language"] == language]
    return found


def programs(directory: Path) -> Path:
    """A directory in which `asyncmq` is this program, whatever else has the name on PATH."""
    program = directory / "asyncmq"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m asyncmq_cli "$@"\n')
    program.chmod(0o700)
    return directory


def run_shell(shell: list[str], script: str, path: Path, given: Mapping[str, str]) -> Result:
    """A script, with the programs in `path` before all others."""
    env = environment(None)
    env.update(PATH=os.pathsep.join([str(path), os.defpath]), PYTHONPATH=str(ROOT), **given)
    done = subprocess.run([*shell, script], env=env, capture_output=True, text=True, timeout=120, check=False)
    return Result(done.returncode, done.stdout, done.stderr)
