"""Help with examples, and errors that suggest the right word."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from asyncmq_cli.app import _built
from asyncmq_cli.exit_status import OF_COMMANDS
from tests.conftest import Run
from tests.docs.test_schemas import assert_valid
from tests.support.shells import ROOT
from tools import commandtree


def commands(node: Any = None, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    node = node or _built()
    yield path, node
    for name in getattr(node, "commands", ()):
        yield from commands(node.get_command(None, name), (*path, name))


ALL = dict(commands())


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_help_leads_with_examples_that_are_true(path: tuple[str, ...], cli: Run) -> None:
    page = cli(*path, "--help")
    assert (page.code, page.stderr) == (0, "")
    titles = [line for line in page.lines if line.endswith(":") and not line.startswith("    ")]
    assert titles[0].strip() in ("Example:", "Examples:"), titles
    examples = [line.partition("asyncmq ")[2] for line in page.lines if line.startswith("  ")]
    assert any(line.split()[: len(path)] == list(path) for line in examples), examples


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_help_before_a_command_is_help_behind_it(path: tuple[str, ...], cli: Run) -> None:
    assert cli("help", *path).stdout == cli(*path, "--help").stdout


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_option_says_what_it_does(path: tuple[str, ...]) -> None:
    for param in ALL[path].params:
        assert param.hidden or param.help, param.name
        named = param.metavar or ""
        assert param.param_type_name != "option" or param.is_flag or named, param.name


def test_options_stand_in_groups_and_the_global_ones_last(cli: Run) -> None:
    titles = [line for line in cli("jobs", "retry", "--help").lines if line and line[0] != " "]
    assert titles[0] == "Usage: asyncmq jobs retry [OPTIONS] [QUEUE] [ID...]"
    assert titles[1:] == [
        *("Arguments:", "Options:", "Filters:", "Limits:"),
        titles[-1],
    ]
    assert titles[-1].startswith("Global options: --redis-url, --context, --all-contexts, ")
    for whole in (cli("jobs", "retry", "--all", "--help"), cli("help", "jobs", "retry", "--all")):
        page = whole.stdout
        assert page.index("\nGlobal options:\n") > page.index("\nLimits:\n")
        assert "\n  --redis-url URL " in page


def test_global_options_are_one_line_and_help_of_all_explains_them(cli: Run) -> None:
    short = cli("wait", "--help").stdout
    assert " ".join(short.split()).endswith("--help; --help --all explains them.")
    assert "\n  --color WHEN" not in short
    assert cli("wait", "--help", "--all").stdout == cli("wait", "-h", "--all").stdout
    assert "\n  --color WHEN" in cli("wait", "--help", "--all").stdout
    assert "\n  --color WHEN" in cli("--help").stdout


def test_retries_of_both_nouns_say_how_they_differ(cli: Run) -> None:
    pages = {noun: " ".join(cli(noun, "retry", "--help").stdout.split()) for noun in ("jobs", "dlq")}
    assert "'dlq retry' selects both" in pages["jobs"]
    assert "'jobs retry' selects only one of the two" in pages["dlq"]


def test_versions_for_a_fault_report(cli: Run) -> None:
    for line in ("--version --json", "--json --version", "jobs list --version --json"):
        report = cli(*line.split())
        assert (report.code, report.json["name"], report.json["asyncmq"]) == (0, "asyncmq-cli", "0.10.1")
        assert_valid(report.json, "version.json", report)
    assert "'asyncmq --version --json'" in " ".join(cli("--help").stdout.split())


def test_filters_of_a_list_are_under_the_heading_filters(cli: Run) -> None:
    for line, options in (
        ("audit list", ["--action", "--status", "--queue", "--job-id", "--by", "--since", "--q"]),
        ("workers list", ["--queue", "--health"]),
        (
            "jobs list",
            ["--queue", "--q", "--task", "--job-id", "--where", "--group", "--older-than", "--newer-than"],
        ),
    ):
        page = cli(*line.split(), "--help").stdout
        filters = page[page.index("\nFilters:\n") :].split("\n\n")[0]
        assert re.findall(r"^  (--[\w-]+)", filters, re.MULTILINE) == options


def test_the_help_lists_the_exit_statuses_of_the_docs(cli: Run) -> None:
    page = cli("--help").stdout
    reported = re.findall(r"^  (\d+) ", page[page.index("\nExit status:\n") :], re.MULTILINE)
    documented = re.findall(r"^\| (\d+) \|", (ROOT / "docs" / "errors.md").read_text(), re.MULTILINE)
    assert reported == documented


def test_programs_read_the_statuses_of_a_command_that_has_its_own(cli: Run) -> None:
    document = json.loads(cli("help", "--json").stdout)
    own = {one["name"]: [row["status"] for row in one["exit_statuses"]] for one in document["commands"]}
    assert {name: statuses for name, statuses in own.items() if statuses} == {
        name: list(meanings) for name, meanings in OF_COMMANDS.items()
    }
    assert own["check"] == [0, 1, 2, 3] and own["jobs retry"] == []


def test_examples_of_a_noun_stand_as_far_in_as_those_of_a_command(cli: Run) -> None:
    for line in ("jobs", "jobs list"):
        lines = cli(*line.split(), "--help").lines
        assert lines[lines.index("  Examples:") + 1].startswith("    asyncmq jobs list")


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_help_in_the_c_locale_is_ascii(
    path: tuple[str, ...], cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", "C")
    assert cli(*path, "--help").stdout.isascii()
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    assert ("…" in cli("queues", "list", "--help").stdout) is True


def test_help_shows_number_ranges_and_defaults_once(cli: Run) -> None:
    for path in ALL:
        page = " ".join(cli(*path, "--help").stdout.split())
        assert not re.search(r"x[<>]=", page), path
        assert not re.search(r"(\[default: [^]]*\]) \1", page), path


def test_help_shows_defaults_and_variables(cli: Run) -> None:
    page = " ".join(cli("jobs", "list", "--help", "--all").stdout.split())
    for reported in (
        "[default: waiting]",
        "Jobs per page, 1 to 1000. [default: 20]",
        "[env: ASYNCMQ_REDIS_URL, REDIS_URL; default: redis://localhost:6379/0]",
        "[env: NO_COLOR; default: auto]",
    ):
        assert reported in page
    root = cli("--help").stdout
    environment = root[root.index("Environment:") :]
    assert all(f"ASYNCMQ_{name}" in environment for name in ("REDIS_URL", "ACTOR", "CONFIG", "AUDIT_MAXLEN"))


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("jbos list", ["jobs"]),
        ("jbo list", ["jobs"]),
        ("wrokers list", ["workers"]),
        ("jobs lst", ["list"]),
        ("queue lits", ["list"]),
        ("jobs purge q 1", ["remove"]),
        ("dlq requeue q", ["retry"]),
        ("retry q 1", ["asyncmq jobs retry", "asyncmq dlq retry"]),
        ("help jobs rety", ["retry"]),
        ("jobs list q --sate failed", ["--state"]),
        ("jobs retry q --dryrun", ["--dry-run"]),
        ("jobs list q --newer 1h", ["--newer-than"]),
        ("--colour never queues list", ["--color"]),
        ("jobs list q --limit 5", ["--size"]),
        ("jobs list q --since 1h", ["--newer-than"]),
        ("jobs list q --status failed", ["--state"]),
        ("audit --newer-than 1h", ["--since"]),
        ("audit --actor ann", ["--by"]),
        ("jobs groups q", ["asyncmq dlq groups"]),
        ("version", ["--version"]),
        ("completion", ["--install-completion", "--show-completion"]),
        ("completions", ["--install-completion", "--show-completion"]),
        ("queues stop q", ["pause"]),
        ("jobs kill q", ["cancel"]),
        ("status", ["overview"]),
    ],
)
def test_a_typo_has_a_hint_with_the_right_name(line: str, meant: list[str], cli: Run) -> None:
    result = cli(*line.split())
    assert (result.code, result.stdout) == (2, "")
    assert result.stderr.splitlines()[1] == f"hint: did you mean {' or '.join(meant)}?"
    error = json.loads(cli("--json", *line.split()).stderr)["error"]
    assert error["details"] == {"nearest": meant}


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        (
            "queues remove q",
            "'asyncmq queues obliterate QUEUE --dry-run' shows everything that it would remove",
        ),
        ("queues rm q", "'asyncmq queues obliterate QUEUE --dry-run' shows everything that it would remove"),
        (
            "dlq list q --state failed",
            "dead jobs are failed or expired; 'asyncmq jobs list QUEUE --state failed' has one",
        ),
        ("list", "of what? 'asyncmq queues list', or jobs, dlq, tasks, repeatables, workers, audit, context"),
        ("jobs list q --csv", "did you mean -o csv?"),
        ("jobs export", "did you mean asyncmq jobs list QUEUE --state all --ndjson?"),
        ("queues pause q --yes", "'asyncmq queues pause' asks for no confirmation"),
        ("jobs edit q 1 --limit 5", "'asyncmq jobs edit --help' shows how"),
        ("workers list emails", "did you mean 'asyncmq workers list --queue emails'?"),
        ("jobs remove emails f1 --backup", "'asyncmq jobs remove --help' shows how"),
        ("--json jobs show emails f1 f2", "'asyncmq jobs show --help' shows how"),
    ],
)
def test_a_command_that_does_not_exist_has_a_hint_to_the_right_one(line: str, hint: str, cli: Run) -> None:
    result = cli(*line.removeprefix("--json ").split())
    assert (result.code, result.stdout) == (2, "")
    assert result.stderr.splitlines()[1:] == [f"hint: {hint}"]


def test_only_the_help_of_a_command_with_yes_speaks_of_it(cli: Run) -> None:
    for line, words in (("jobs retry", "needs it beside --yes if"), ("queues pause", "script needs it if")):
        assert words in " ".join(cli(*line.split(), "--help").stdout.split())


def test_a_word_like_no_name_gets_a_hint_to_the_help(cli: Run) -> None:
    # No queue of that name either.
    assert cli("xyzzy").stderr == "error: no such command 'xyzzy'\nhint: 'asyncmq --help' shows how\n"
    assert cli("jobs", "list", "q", "--xyzzy").stderr == (
        "error: no such option --xyzzy\nhint: 'asyncmq jobs list --help' shows how\n"
    )


def test_a_noun_without_a_verb_lists_its_verbs(cli: Run) -> None:
    error, hint = cli("queues").stderr.splitlines()
    assert cli("queues", "--").stderr.splitlines() == [error, hint]
    assert error == "error: asyncmq queues needs a verb"
    verbs = [command.path[1] for command in commandtree.commands() if command.path[0] == "queues"]
    assert verbs[:2] == ["list", "show"]
    assert hint == f"hint: one of {', '.join(verbs)}; 'asyncmq queues --help' shows how"
