"""Generated pages are up to date, and other pages agree with the code."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

import asyncmq_cli
from asyncmq_cli.app import COMPLETE
from asyncmq_cli.errors import AdminError
from tests.conftest import Run
from tests.docs.conftest import ROOT
from tools import commandtree, reference
from tools.pages import DOCS, blocks, plain, table, without_blocks

SOURCE = {path: path.read_text() for path in sorted(Path(asyncmq_cli.__file__).parent.rglob("*.py"))}
PAGES = [*sorted(DOCS.glob("*.md")), ROOT / "README.md", ROOT / "CHANGELOG.md"]
_PLACE = re.compile(r"(?<=\s)(?:[A-Z]{2,}[.…]*|\[[^\]]*\]|…)(?=\s)")
"""A word that stands for others, as QUEUE does."""
_NAMES = {command.path for command in commandtree.commands()}


_COMMAND = re.compile(r"(?:^|[$(]\s?|\|\s|\bthen\s|\bif\s|\s{2})asyncmq(?:-cli)? (?=\w)([^`]*)")


def command_lines(page: Path) -> Iterator[str]:
    """The command lines in the code of a page, in blocks and within lines, without those that only show a
    form."""
    text = page.read_text()
    code = [line for block in blocks(text) for line in _joined(block.text).splitlines()]
    code += re.findall(r"`([^`\n]+)`", without_blocks(text))
    for line in code:
        for found in _COMMAND.finditer(line):
            if not _PLACE.search(f" {found[1]} ") and (words := _without_shell(found[1])):
                yield words


def _joined(text: str) -> str:
    return text.replace("\\\n", " ")


def _without_shell(text: str) -> str:
    """The words before the first word of shell syntax."""
    lexer = shlex.shlex(text, posix=True, punctuation_chars="|>;&()")
    lexer.whitespace_split = True
    words = []
    for word in lexer:
        if set(word) <= set("|>;&()"):
            break
        words.append(word)
    return shlex.join(words)


# The library's own program has the same name.
ASYNCMQS_OWN = {"worker start", "queue info"}
LINES = sorted(
    {(page.name, line) for page in PAGES for line in command_lines(page) if line not in ASYNCMQS_OWN}
)


def test_generated_files_are_up_to_date() -> None:
    for path, text in reference.pages().items():
        assert path.read_text() == text, f"run 'make reference': {path.name} is stale"


def test_every_command_and_option_is_in_both() -> None:
    page, manual = reference.COMMANDS.read_text(), reference.MANUAL.read_text().replace("\\-", "-")
    for option in commandtree.root().takes:
        assert option in page and option in manual
    for command in commandtree.commands():
        assert re.search(rf"^##+ {command.name}$", page, re.MULTILINE)
        assert f'.SS "{command.usage}"' in manual
        for option in command.takes:
            assert option in page and option in manual


@pytest.mark.parametrize(("page", "line"), LINES)
def test_every_command_line_parses(page: str, line: str) -> None:
    words = shlex.split(line)
    if words[0] == COMPLETE:
        # How the shells' scripts ask; it is no command that anyone types.
        return
    if tuple(words) not in _NAMES and not {"--help", "--version"} & set(words):
        commandtree.parse(words)


def test_command_lines_are_found() -> None:
    pages = {page for page, _ in LINES}
    assert {"README.md", "commands.md", "dashboard.md", "getting-started.md", "recipes.md"} <= pages
    assert ("recipes.md", "jobs list emails --state failed --ndjson") in LINES
    with pytest.raises(AdminError):
        commandtree.parse(["jobs", "list", "emails", "--state", "odd"])


def dashboard_lines() -> list[str]:
    return [line for page, line in LINES if page == "dashboard.md" and "--help" not in line]


@pytest.mark.parametrize("line", dashboard_lines())
def test_every_command_of_the_dashboards_routes_works(line: str, tool: Run) -> None:
    if line.startswith("events tail") and "--count" not in line:
        line += " --once"
    if "--watch" in line:
        # It draws on a terminal, and says so; tests of the terminal hold it.
        assert tool(*shlex.split(line)).code == 2
        return
    if line.startswith("repeatables resume"):
        tool("repeatables", "pause", *shlex.split(line)[2:])
    result = tool(*shlex.split(line))
    # A filter that finds nothing in the demo's queues says so, and a definition when it runs.
    reported = re.sub(r"^note: (?:no|next runs:|page \d+ of) .*\n", "", result.stderr, flags=re.MULTILINE)
    assert (result.code, reported) in ((0, ""), (0, unattended(line))), result


def unattended(line: str) -> str:
    """The warning of a list of workers about queues without workers."""
    return "warning: jobs wait in queue 'imports', and it has no live worker\n" if "workers" in line else ""


def test_every_route_of_the_dashboard_is_there() -> None:
    from asyncmq.contrib.dashboard.application import create_dashboard_app

    def paths(routes: Iterable[Any], before: str = "") -> Iterator[str]:
        for route in routes:
            if inner := getattr(route, "routes", None):
                yield from paths(inner, before + route.path)
            else:
                yield (before + route.path).replace("//", "/")

    routes = set(paths(create_dashboard_app().routes)) - {"/static"}
    assert {"/audit", "/queues/{name}/dlq"} <= routes
    rows = table((DOCS / "dashboard.md").read_text(), "Route")
    named = {re.sub(r"/(retry|remove|cancel)$", "/{action}", path) for row in rows for path in _paths(row[0])}
    assert named == routes


def _paths(cell: str) -> list[str]:
    return plain(cell).split(", ")


def test_every_action_of_the_audit_trail_is_named() -> None:
    from asyncmq_cli.models.audit.actions import ACTIONS

    page = (DOCS / "keys.md").read_text()
    assert [plain(name) for name, *_ in table(page, "Action")] == [action.name for action in ACTIONS]


def test_the_docs_have_every_error_code() -> None:
    codes = {found for text in SOURCE.values() for found in _codes(text)}
    assert {"usage", "redis_auth", "job_moved", "schedule_invalid", "aborted", "no_live_worker"} <= codes
    rows = table((DOCS / "errors.md").read_text(), "Code")
    assert {plain(code) for code, *_ in rows} == codes
    statuses = {plain(status) for status, _ in table((DOCS / "errors.md").read_text(), "Status")}
    assert {status for _, status, _ in rows} <= statuses


def _codes(text: str) -> list[str]:
    return [
        *re.findall(r'^    code(?:, exit_code)? = "(\w+)"', text, re.MULTILINE),
        *re.findall(r'(?:ChangeRefused|RedisProblem|NotNow|WaitFailed|WrongServer)\(\s*"(\w+)"', text),
        *re.findall(r'^    "[^"]+": \("(redis_\w+)"', text, re.MULTILINE),
        *re.findall(r'^    signal\.SIG\w+: "(\w+)"', text, re.MULTILINE),
    ]


def test_the_docs_have_every_setting() -> None:
    ours = {
        name
        for path, text in SOURCE.items()
        if "demo" not in path.parts
        for name in re.findall(r"\b(?:ASYNCMQ_[A-Z_]+|NO_COLOR|XDG_CONFIG_HOME)\b", text)
    }
    rows = table((DOCS / "settings.md").read_text(), "Variable")
    named = {plain(name) for name, *_ in rows}
    assert ours <= named
    assert named - ours == {"REDIS_URL", "TERM", "COLUMNS"}


def test_the_documented_error_is_the_printed_one(tool: Run) -> None:
    (shown,) = [block.text for block in blocks((DOCS / "errors.md").read_text()) if block.language == "json"]
    assert tool("queues", "show", "emils", "--json").stderr == shown


def test_every_key_of_ours_is_described() -> None:
    from asyncmq_cli.storage.schema import keys

    streams = {value.decode() for value in vars(keys).values() if isinstance(value, bytes)}
    ours = {key for key in streams if key.startswith("asyncmq-cli:")}
    assert {plain(name) for name, *_ in table((DOCS / "keys.md").read_text(), "Key")} == ours


def test_the_site_builds_and_every_link_leads_somewhere(tmp_path: Path) -> None:
    import sys

    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    made = {path.stem for path in tmp_path.glob("*.html")}
    assert {"index", "commands", "json", "CONTRIBUTING"} <= made


def test_links_lead_somewhere_in_the_repository_too() -> None:
    for page in [*PAGES, ROOT / "CONTRIBUTING.md"]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)", without_blocks(page.read_text())):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_manual_page_is_clean() -> None:
    """Checked by groff if it is installed; otherwise each line is a known macro or text."""
    lines = reference.MANUAL.read_text().splitlines()
    known = {".TH", ".SH", ".SS", ".PP", ".TP", ".B", ".BR", ".RI", ".RS", ".RE", ".nf", ".fi", ".br", '.\\"'}
    known |= {".nh", ".ad"}
    assert {line.split(" ")[0] for line in lines if line.startswith(".")} <= known
    assert not [line for line in lines if line.startswith("'") or not line or not line.isascii()]
    if groff := shutil.which("groff"):
        done = formatted_by(groff, "-ww", "-z")
        assert (done.returncode, done.stderr) == (0, "")


def formatted_by(groff: str, *options: str) -> subprocess.CompletedProcess[str]:
    command = [groff, "-man", "-Tutf8", *options, str(reference.MANUAL)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_manual_page_explains_what_its_words_stand_for() -> None:
    manual = reference.MANUAL.read_text().replace("\\-", "-")
    for text in (
        "the singular works too",
        "A DURATION is 90s",
        "an AGE is one, or a date",
        "check uses the statuses",
    ):
        assert text in manual
    assert re.search(r'^\.TH ASYNCMQ 1 "" "asyncmq-cli \d', manual, re.MULTILINE)


def test_what_one_copies_from_the_manual_page_is_in_one_piece() -> None:
    lines = reference.MANUAL.read_text().splitlines()
    assert lines.index(".nh") < lines.index(".SH NAME"), "no word is hyphenated"
    assert not [line for line in lines if line[:1] != "." and re.search(r"(?<!\\)-", line)], (
        "a bare hyphen may become another sign"
    )
    if groff := shutil.which("groff"):
        done = formatted_by(groff, "-P-c", "-rLL=80n")
        assert done.returncode == 0 and "\u2010" not in done.stdout
