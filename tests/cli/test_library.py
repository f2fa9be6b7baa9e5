"""The meaning of the library's own command lines in this program."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
import typer

from asyncmq_cli import app
from asyncmq_cli.cli import library
from asyncmq_cli.cli.library import HandOver, Lines, translate
from asyncmq_cli.cli.params import GLOBAL_OPTIONS
from asyncmq_cli.system import shortage

TRANSLATED = {
    "queue info emails": "queues show emails",
    "queue info emails --json": "queues show emails --json",
    "--redis-url unix:///x --utc queue info emails": "--redis-url unix:///x --utc queues show emails",
    "queue list-delayed emails": "jobs list --state delayed emails",
    "queue list-repeatables emails": "repeatables list emails",
    "job list --queue emails --state failed": "jobs list emails --state failed",
    "job list --state=failed --queue=emails": "jobs list emails --state=failed",
    "queue remove-delayed emails 7f3a": "jobs remove emails 7f3a",
    "queue pause-repeatable emails '{}'": "repeatables pause emails '{}'",
    "queue resume-repeatable emails '{}'": "repeatables resume emails '{}'",
    "queue clean emails --state completed": (
        "queues clean --older-than 0 --limit 1000 emails --state completed"
    ),
    "queue clean emails --state completed --grace 0.0 --limit 0": (
        "queues clean --older-than 0.0 emails --state completed"
    ),
    "queue clean emails --state failed --grace 3600 --limit 5": (
        "queues clean --older-than 3600 --limit 5 emails --state failed"
    ),
    "job retry 7f3a --queue emails": "jobs retry emails 7f3a",
    "job remove --queue emails 7f3a --yes": "jobs remove emails 7f3a --yes",
    "job remove 7f3a --queue emails --queue emails": "jobs remove emails 7f3a",
    # Our command refuses the second.
    "job remove 7f3a --queue emails --queue sms": "jobs remove emails 7f3a --queue sms",
    "job remove --queue emails -- -odd": "jobs remove emails -- -odd",
    "worker deregister w-1": "workers forget w-1",
}
UNTOUCHED = (
    "",
    "--version",
    "--help",
    "queues list",
    "queue list",
    "queue pause emails",
    "queue drain emails --include-delayed",
    "queue obliterate emails --force",
    "queue clean emails --state completed --older-than 7d",
    "queue --help",
    "worker",
    "worker list",
    "worker --help",
    "job list emails --state failed",
    "job cancel emails 7f3a",
    "jobs list --queue emails",
    "check --queue job",
    "jobs list info",
    "--json worker start emails",
)
HANDED_OVER = (
    "worker start emails",
    "worker start emails --concurrency 2",
    "worker start --help",
    "worker inspect w-1",
    "worker register w-1 emails --concurrency 2",
    "info",
    "info version",
    "job inspect 7f3a --queue emails",
)


@pytest.mark.parametrize("line", TRANSLATED)
def test_the_librarys_forms_are_read_in_our_words(line: str) -> None:
    meaning = translate(shlex.split(line))
    assert isinstance(meaning, Lines)
    assert [shlex.join(each) for each in meaning.lines] == [TRANSLATED[line]]
    only_reads = meaning.lines[0][-1] == "--json" or {"show", "list"} & set(meaning.lines[0])
    assert meaning.changes is not bool(only_reads)


@pytest.mark.parametrize("line", UNTOUCHED)
def test_our_own_lines_are_left_alone(line: str) -> None:
    assert translate(line.split()) is None


@pytest.mark.parametrize("line", HANDED_OVER)
def test_what_only_the_library_has_is_handed_over_word_for_word(line: str) -> None:
    meaning = translate(line.split())
    assert isinstance(meaning, HandOver)
    assert meaning.args == tuple(line.split())
    assert meaning.args[0] in app.LIBRARY_NOUNS


def test_no_form_of_the_library_hides_a_verb_of_ours() -> None:
    root = typer.main.get_command(app.app)
    for noun, verb in library._FORMS:
        ours = root.get_command(None, noun)  # type: ignore[attr-defined,arg-type]
        if noun != "job":
            # `queue clean` has other options, and is read by them.
            assert verb not in ours.commands or (noun, verb) == ("queue", "clean")
        assert noun in app.LIBRARY_NOUNS


def test_our_options_with_a_value_are_known() -> None:
    with_value = {name for name, (_, default) in GLOBAL_OPTIONS.items() if default is None}
    long = {name for name in shortage.GLOBAL_VALUES if name.startswith("--")}
    assert {f"--{name.replace('_', '-')}" for name in with_value} == long


def test_the_librarys_command_line_has_no_further_forms() -> None:
    """Each verb of the library is one of ours, is understood as one of ours, or is passed on to the
    library."""
    from asyncmq.cli.__main__ import app as librarys

    root = typer.main.get_command(app.app)
    for noun, group in librarys.commands.items():
        for verb in getattr(group, "commands", {}):
            known = translate([noun, verb, "x", "--queue", "q", "--state", "failed"]) is not None
            assert known or verb in root.get_command(None, noun).commands  # type: ignore[attr-defined,arg-type]


def test_programs_are_distinguished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, librarys, other = (tmp_path / name / "asyncmq" for name in ("ours", "librarys", "other"))
    for path, text in (
        (ours, "from asyncmq_cli.__main__ import main"),
        (librarys, "from asyncmq.cli.__main__ import main"),
        (other, "exec true"),
    ):
        path.parent.mkdir()
        path.write_text(text)
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{ours.parent}:relative:{other.parent}:{librarys.parent}:/nowhere")
    assert list(library.programs_on_path("asyncmq")) == [ours, other, librarys]
    assert list(library.others_on_path()) == [other, librarys]
    assert library.is_librarys(librarys) and not library.is_librarys(ours)
