"""The single file runs on every bare Python, and two builds of the wheel are the same bytes."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from asyncmq_cli import __version__
from tests.docs.conftest import ROOT
from tests.release.smoke import LOCK, PYTHONS, find
from tools import pyz


@pytest.mark.extended
def test_one_file_starts_on_every_python(tmp_path: Path) -> None:
    pythons = {version: find(version) for version in PYTHONS}
    packed = [python for python in pythons.values() if python is not None]
    program = tmp_path / "asyncmq.pyz"
    pyz.build(program, packed)
    assert any("bcrypt" in name for name in zipfile.ZipFile(program).namelist()), "passwords of --web-config"
    for python in packed:
        for words, says in ((("--version",), f"asyncmq-cli {__version__}"), (("schema", "audit"), '"$id"')):
            done = subprocess.run(
                [python, "-I", program, *words],
                env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
                capture_output=True,
                text=True,
                check=False,
            )
            assert (done.returncode, done.stderr) == (0, ""), python
            assert says in done.stdout


def test_two_builds_of_the_wheel_are_equal_bytes(built: Path, tmp_path: Path) -> None:
    """One is built from the sdist, the other from the repository."""
    words = ["-m", "build", "--no-isolation", "--wheel", "--outdir", str(tmp_path), str(ROOT)]
    subprocess.run([sys.executable, *words], capture_output=True, check=True)
    (again,) = tmp_path.iterdir()
    assert again.read_bytes() == (built / again.name).read_bytes()


@pytest.mark.extended
def test_the_sbom_names_each_locked_package(tmp_path: Path) -> None:
    target = tmp_path / "sbom.json"
    words = ["-m", "cyclonedx_py", "requirements", str(LOCK), "--output-reproducible", "-o", str(target)]
    subprocess.run([sys.executable, *words], capture_output=True, check=True)
    components = {one["name"]: one["version"] for one in json.loads(target.read_text())["components"]}
    locked = dict(
        line.split()[0].split("==") for line in LOCK.read_text().splitlines() if "==" in line.split(" ")[0]
    )
    assert components == locked
