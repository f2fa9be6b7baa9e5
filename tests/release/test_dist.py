"""The built files are complete, work, and contain nothing else. `make dist` tries them on every Python."""

from __future__ import annotations

import email
import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Sequence
from email.message import Message
from pathlib import Path, PurePosixPath

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

import asyncmq_cli
from asyncmq_cli import __version__
from asyncmq_cli.demo.server import PrivateRedis
from tests.conftest import Run
from tests.docs.conftest import ROOT
from tests.release.smoke import PYTHONS
from tests.release.trial import DEAD, QUEUE, Program, prepare, try_out

STEM = f"asyncmq_cli-{__version__}"
PACKAGE = Path(asyncmq_cli.__file__).parent


@pytest.fixture(scope="session")
def wheel(built: Path) -> zipfile.ZipFile:
    return zipfile.ZipFile(built / f"{STEM}-py3-none-any.whl")


@pytest.fixture(scope="session")
def metadata(wheel: zipfile.ZipFile) -> Message:
    return email.message_from_bytes(wheel.read(f"{STEM}.dist-info/METADATA"))


def sources() -> set[str]:
    """All files of the package in the repository."""
    found = (path.relative_to(ROOT) for path in PACKAGE.rglob("*") if path.is_file())
    return {str(path) for path in found if path.suffix != ".pyc"}


def test_nothing_else_is_built(built: Path) -> None:
    assert {path.name for path in built.iterdir()} == {f"{STEM}.tar.gz", f"{STEM}-py3-none-any.whl"}


def test_the_wheel_holds_the_package_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    info, data = f"{STEM}.dist-info", f"{STEM}.data/data/share"
    schemas = {f"asyncmq_cli/schemas/{path.name}" for path in (ROOT / "docs/schemas").iterdir()}
    assert set(wheel.namelist()) == sources() | schemas | {
        f"{info}/METADATA",
        f"{info}/RECORD",
        f"{info}/WHEEL",
        f"{info}/entry_points.txt",
        f"{info}/licenses/LICENSE",
        f"{data}/man/man1/asyncmq.1",
    }
    kinds = {PurePosixPath(name).suffix for name in sources()}
    assert {".py", ".lua", ".typed", ".bash", ".fish", ".ps1"} <= kinds
    assert wheel.read(f"{data}/man/man1/asyncmq.1") == (ROOT / "docs/man/asyncmq.1").read_bytes()


def test_the_sdist_holds_the_sources_and_nothing_that_was_made_of_them(built: Path) -> None:
    with tarfile.open(built / f"{STEM}.tar.gz") as archive:
        held = {name.removeprefix(f"{STEM}/") for name in archive.getnames()}
    tops = {name.split("/")[0] for name in held}
    folders = {".github", "asyncmq_cli", "completions", "contrib", "docs", "tests", "tools"}
    texts = {"CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "README.md"}
    files = texts | {"Containerfile", "Makefile", "mkdocs.yml", "requirements.lock"}
    # The build's own, and the list of what git ignores, which the backend always takes along.
    made = {"PKG-INFO", "pyproject.toml", ".gitignore"}
    assert tops == folders | files | made
    assert sources() <= held
    assert {
        f"completions/{name}" for name in ("_asyncmq", "asyncmq.bash", "asyncmq.fish", "asyncmq.ps1")
    } <= held
    assert not [name for name in held if re.search(r"__pycache__|\.pyc$|(^|/)\.(?!git(ignore|hub/))", name)]


def test_the_version_is_one_everywhere(metadata: Message) -> None:
    changes = (ROOT / "CHANGELOG.md").read_text()
    unreleased, newest, *_ = re.findall(r"^## (.*)$", changes, re.MULTILINE)
    assert unreleased == "Unreleased"
    assert re.fullmatch(rf"{re.escape(__version__)} - \d{{4}}-\d\d-\d\d", newest)
    assert metadata["Version"] == __version__ == str(Version(__version__))
    manual = (ROOT / "docs/man/asyncmq.1").read_text()
    assert f'"asyncmq\\-cli {__version__}"' in manual


def test_the_metadata_says_what_it_is(metadata: Message, wheel: zipfile.ZipFile) -> None:
    assert metadata["Name"] == "asyncmq-cli"
    assert metadata["License-Expression"] == "BSD-3-Clause"
    assert metadata["Requires-Python"] == ">=3.10"
    classified = {line.split(" :: ")[-1] for line in metadata.get_all("Classifier", [])}
    assert set(PYTHONS) <= classified
    scripts = wheel.read(f"{STEM}.dist-info/entry_points.txt").decode()
    assert scripts.split() == [
        "[console_scripts]",
        *("asyncmq", "=", "asyncmq_cli.__main__:main"),
        *("asyncmq-cli", "=", "asyncmq_cli.__main__:main"),
    ]


def test_the_long_description_has_no_broken_links(metadata: Message) -> None:
    text = metadata.get_payload()
    assert isinstance(text, str) and text.startswith("# asyncmq-cli\n")
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert "```console\n$ make demo" in text and "![" not in text
    assert re.findall(r"\]\((?!https?:)", text) == []
    assert (ROOT / "README.md").read_text().count("](") > 10


def test_the_wheel_works_by_itself(built: Path, wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    unpacked, folder = tmp_path / "unpacked", tmp_path / "empty"
    folder.mkdir()
    wheel.extractall(unpacked)  # noqa: S202 - we have just built it
    # Its own files come before those of the repository, and its dependencies are this environment's.
    environ = {"PYTHONPATH": str(unpacked), "PYTHONDONTWRITEBYTECODE": "1"}
    where = Program(
        [sys.executable, "-c", "import asyncmq_cli; print(asyncmq_cli.__file__)"], folder, environ
    )
    assert where().stdout.startswith(str(unpacked))
    program = Program([sys.executable, "-m", "asyncmq_cli"], folder, environ)
    assert program("--show-completion", "fish").code == 0
    with PrivateRedis() as server:
        prepare(server.url)
        retried = program("jobs", "retry", QUEUE, DEAD, "--redis-url", server.url)
    assert (retried.code, retried.stdout) == (0, f"success\t{QUEUE}\t{DEAD}\t\n"), retried


def test_what_make_dist_tries_holds_here(server: PrivateRedis, cli: Run) -> None:
    """`make dist` takes minutes, so without this test an error in its trial would be noticed late."""
    prepare(server.url)
    assert try_out(cli, server.url) > 20


@pytest.mark.extended
@pytest.mark.parametrize("source", ["the wheel", "the repository"])
def test_uvx_runs_it(source: str, built: Path) -> None:
    """The command of the README, from the wheel and the sdist, with the dependencies of the wheel."""
    wheel = built / f"{STEM}-py3-none-any.whl"
    words = ["tool", "run", "--from", wheel if source == "the wheel" else ROOT, "asyncmq-cli", "--version"]
    done = subprocess.run([sys.executable, "-m", "uv", *words], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, f"asyncmq-cli {__version__}\n"), done.stderr


def locked() -> list[Requirement]:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    return [Requirement(line.rstrip(" \\")) for line in lines if line and line[0] not in " #"]


def on(python: str, system: str = "linux") -> dict[str, str]:
    return {"python_version": python, "python_full_version": f"{python}.99", "sys_platform": system}


def asked_for(metadata: Message) -> Sequence[Requirement]:
    wanted = [Requirement(line) for line in metadata.get_all("Requires-Dist", [])]
    return [each for each in wanted if "extra" not in str(each.marker)]


@pytest.mark.parametrize("python", PYTHONS)
def test_the_lock_has_one_version_of_each_dependency(python: str, metadata: Message) -> None:
    pins = [pin for pin in locked() if pin.marker is None or pin.marker.evaluate(on(python))]
    versions = {pin.name: next(iter(pin.specifier)).version for pin in pins}
    assert len(versions) == len(pins)
    for wanted in asked_for(metadata):
        if wanted.marker is None or wanted.marker.evaluate(on(python)):
            assert wanted.specifier.contains(versions[wanted.name]), wanted


def test_the_lock_is_exact_and_names_no_index() -> None:
    text = (ROOT / "requirements.lock").read_text()
    assert "://" not in text and "--index" not in text and "--find-links" not in text
    assert len(locked()) > 15
    for pin in locked():
        (specifier,) = pin.specifier
        assert specifier.operator == "==" and "*" not in specifier.version
    pinned = re.findall(r"^[a-z].* \\\n(?: +--hash=sha256:[0-9a-f]{64}(?: \\)?\n)+", text, re.MULTILINE)
    assert len(pinned) == len(locked()), "a digest of each file"
