"""An error about a value is one line, and the hint that corrects it is another."""

from __future__ import annotations

import json
from typing import Any

import pytest
import typer

from asyncmq_cli.app import _built
from asyncmq_cli.cli.help import other_words, suggestions
from asyncmq_cli.commands import NOUNS
from asyncmq_cli.demo.server import PrivateRedis
from tests.conftest import Run, run_tool

ADD = "repeatables add q --task t"


@pytest.mark.parametrize(
    ("line", "error", "hint"),
    [
        (
            "jobs list q --size abc",
            "--size must be a whole number from 1 to 1000, not 'abc'",
            "'asyncmq jobs list --help' shows how",
        ),
        (
            "jobs list q --size 5000",
            "--size must be a whole number from 1 to 1000, not '5000'",
            "'asyncmq jobs list --help' shows how",
        ),
        (
            "dlq list q --page 0",
            "--page must be a whole number from 1, not '0'",
            "'asyncmq dlq list --help' shows how",
        ),
        (
            "jobs retry q --all --rate 1/s --abort-above 200",
            "--abort-above must be at most 100%, not '200'",
            None,
        ),
        (
            "jobs retry q --all --rate 1/s --abort-above x",
            "--abort-above must be a share, not 'x'",
            "such as 20% or 20",
        ),
        (
            "queues list -o jason",
            "'jason' is not one of table, wide, tsv, csv, json, jsonl, yaml, name",
            "did you mean json?",
        ),
        (
            "queues list --color sometimes",
            "--color must be one of auto, always, never, not 'sometimes'",
            "auto colours only a terminal",
        ),
        (
            f"{ADD} --cron nonsense",
            "this cannot be scheduled: 'nonsense' is not a cron expression",
            "in UTC: minute, hour, day, month and day of the week, such as '0 7 * * mon-fri'",
        ),
        (
            f'{ADD} --every 5m --args {{"a"',
            "--args is not JSON: it ends or is wrong at character 5",
            "an array in single quotes: '[\"inbox\", 1]'",
        ),
        (f"{ADD} --every 5m --kwargs []", "--kwargs must be an object", 'such as \'{"to": "ana"}\''),
        (
            f"{ADD} --every 5m --backoff x",
            "--backoff must be a number, not 'x'",
            "'asyncmq repeatables add --help' shows how",
        ),
        (
            "queues list --timeout soon",
            "--timeout must be a time above 0, such as 5 (seconds), 500ms or 1m, not 'soon'",
            None,
        ),
    ],
)
def test_the_error_for_a_wrong_value_shows_a_right_one(
    line: str, error: str, hint: str | None, cli: Run
) -> None:
    result = cli(*line.split(" "))
    assert (result.code, result.stdout) == (2, "")
    assert result.stderr.splitlines() == [f"error: {error}", *([f"hint: {hint}"] if hint else [])]


def test_columns_of_json_are_left_to_jq(cli: Run) -> None:
    refused = cli("queues", "list", "--fields", "name", "--json")
    assert (refused.code, refused.stdout) == (2, "")
    assert (
        json.loads(refused.stderr)["error"]["hint"]
        == "--fields is for tables and pipes; choose from JSON with --jq"
    )


def test_a_database_that_there_is_not(server: PrivateRedis) -> None:
    url = f"{server.url.partition('?')[0]}?db=99"
    result = run_tool("queues", "list", url=url)
    assert (result.code, result.stdout) == (3, "")
    error, hint = result.stderr.splitlines()
    assert error == f"error: there is no such database at {url}"
    assert hint.startswith("hint: a Redis has the databases 0 to 15")


@pytest.mark.parametrize("noun", ["", *NOUNS])
def test_a_word_for_reading_never_leads_to_a_change(noun: str) -> None:
    root: Any = _built()
    context = typer.Context(root, info_name="asyncmq")
    group = root
    if noun:
        group = root.get_command(context, noun)
        context = typer.Context(group, info_name=noun, parent=context)
    for word in other_words.READS - set(group.commands):
        near = suggestions.no_such_command(group, word, context).details["nearest"]
        assert not {name.split()[-1] for name in near} & other_words.CHANGES, (word, near)


@pytest.mark.parametrize("verb", ["retry", "remove", "requeue", "restore"])
def test_no_option_leads_to_one_that_drops_a_safeguard(verb: str) -> None:
    root: Any = _built()
    node = root.get_command(None, "jobs").get_command(None, verb)
    context = typer.Context(node, info_name=verb)
    for name in ("--forced", "--no-ask", "--assume-yes", "--noconfirm", "--y", "--force-yes", "--all-yes"):
        near = suggestions.no_such_option(context, name).details["nearest"]
        assert not {"--yes", "--force"} & set(near), (name, near)


def test_every_verb_is_classified_as_read_or_change() -> None:
    root: Any = _built()
    looking = {"list", "show", "groups", "history", "next", "prometheus", "prompt", "tail"}
    looking |= {"follow", "top", "tree", "verify", "export", "serve"}
    verbs = {verb for noun in NOUNS for verb in root.get_command(None, noun).commands}
    unknown = verbs - looking - other_words.CHANGES
    assert not unknown, f"{unknown}: to CHANGES of cli/help/other_words.py, or if it only reads to `looking`"
