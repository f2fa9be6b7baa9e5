"""`python -m tools.pyz dist/asyncmq.pyz`: the tool and its dependencies in one file, for every supported
Python that is installed.

Compiled packages have a wheel for each Python, and cannot be imported from a zip file. pex keeps all of them
in the file, and unpacks those that fit at the first start (below ~/.cache/pex, or PEX_ROOT). The file has the
versions of the lock, downloaded by their digests with the pip of each interpreter, and the wheel of this
checkout.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.release.smoke import LOCK, PYTHONS, ROOT, find

NAME = "asyncmq-cli"


def build(target: Path, pythons: Sequence[Path]) -> None:
    """Write the file for these interpreters. Raises CalledProcessError, after what the program printed."""
    with tempfile.TemporaryDirectory(prefix="asyncmq-pyz-") as folder:
        wheels = Path(folder)
        _run(sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", wheels, ROOT)
        for python in pythons:
            download = (python, "-m", "pip", "download", "--quiet", "--disable-pip-version-check")
            locked = ("--only-binary", ":all:", "--require-hashes", "--requirement", LOCK)
            _run(*download, *locked, "--dest", wheels)
        each = [word for python in pythons for word in ("--python", python)]
        shebang = ("--python-shebang", "/usr/bin/env python3")
        packed = ("--pre-resolved-dists", wheels, "--no-compile", "--console-script", NAME)
        _run(
            sys.executable,
            "-m",
            "pex",
            f"{NAME}[exporter]",
            *packed,
            *each,
            *shebang,
            "--output-file",
            target,
        )


def _run(*words: str | Path) -> None:
    subprocess.run(words, check=True, stdout=sys.stderr)


def main() -> int:
    parser = argparse.ArgumentParser(description="Build the single-file program.")
    parser.add_argument("target", type=Path)
    target = parser.parse_args().target
    found = {version: find(version) for version in PYTHONS}
    missing = [version for version, python in found.items() if python is None]
    if missing:
        sys.stderr.write(f"not packed, because it is not here: Python {', '.join(missing)}\n")
    target.parent.mkdir(exist_ok=True)
    build(target, [python for python in found.values() if python is not None])
    return 0


if __name__ == "__main__":
    sys.exit(main())
