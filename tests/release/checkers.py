"""External checkers for the files outside the wheel. `make shipped` installs those that the package index
has."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path


def check(program: str, *words: str | Path, folder: Path) -> None:
    """Run a checker from this environment or PATH. Fails with its output, or if it is missing."""
    found = find(program)
    assert found, f"no {program} here: `make shipped` installs it"
    done = subprocess.run([found, *words], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def find(program: str) -> str | None:
    path = os.pathsep.join([str(Path(sys.executable).parent), *os.get_exec_path()])
    return shutil.which(program, path=path)
