"""The guide to the code names files that exist, and the walks pass through the files that they name."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

import asyncmq_cli
from tests.docs.conftest import ROOT, environment
from tools.pages import DOCS

GUIDES = (DOCS / "architecture.md", ROOT / "CONTRIBUTING.md")
_FILE = re.compile(r"`([\w./]+\.(?:py|lua|md|json|yml|toml))`")
_NAME = re.compile(r"`([A-Z][a-z]+[A-Z]\w+|[A-Z]+_[A-Z]+|[A-Z]{4,})`")
_OF_REDIS = {"HLEN", "HSCAN", "ZCARD"}
_STATION = re.compile(r"\*\*`([\w./]+\.py)`\*\*")


def section(title: str) -> str:
    text = GUIDES[0].read_text()
    found = re.search(rf"^## {title}\n(.*?)^##", text, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.name)
def test_the_files_that_a_guide_names_exist(page: Path) -> None:
    names = set(_FILE.findall(page.read_text()))
    package = ROOT / asyncmq_cli.__name__
    assert len(names) > 10
    assert [name for name in sorted(names) if not ((ROOT / name).exists() or (package / name).exists())] == []


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.name)
def test_the_names_of_code_that_a_guide_names_exist(page: Path) -> None:
    names = set(_NAME.findall(page.read_text()))
    files = [*(ROOT / asyncmq_cli.__name__).rglob("*.py"), *(ROOT / "tests" / "faults").glob("*.py")]
    text = "\n".join(path.read_text() for path in files)
    defined = set(re.findall(r"^(?:class )?([A-Z]\w+)", text, re.MULTILINE))
    assert len(names) > 5
    assert names - defined - _OF_REDIS == set()


@pytest.mark.parametrize(
    ("title", "arguments"),
    [
        ("A list, file by file", ("jobs", "list", "emails", "--state", "failed", "--q", "marta")),
        ("A change, file by file", ("dlq", "retry", "emails", "--limit", "1", "--yes", "--group")),
    ],
)
def test_a_walk_passes_through_the_files_that_it_names(
    title: str, arguments: Sequence[str], url: str
) -> None:
    line = [*arguments, first_group(url)] if arguments[-1] == "--group" else list(arguments)
    done = run(url, "-m", "tools.files_used", *line)
    assert done.returncode == 0, done.stderr
    used = {row.split()[-1] for row in done.stdout.splitlines()}
    stations = set(_STATION.findall(section(title)))
    assert len(stations) > 8 and stations - used == set()


def first_group(url: str) -> str:
    listed = run(url, "-m", "asyncmq_cli", "dlq", "groups", "emails", "--fields", "group")
    return listed.stdout.split()[0]


def run(url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=environment(url),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
