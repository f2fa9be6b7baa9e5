"""The description of the tool for programs agrees with the tool."""

from __future__ import annotations

import json
from typing import Any

import pytest
import redis
from asyncmq.backends.redis import RedisBackend
from jsonschema import Draft202012Validator

from asyncmq_cli.demo.server import PrivateRedis
from asyncmq_cli.output.json import program
from tests.conftest import Run
from tests.faults import support
from tests.support import library
from tools import commandtree

NAMES = {command.name for command in commandtree.commands()}
Described = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def described() -> Described:
    root = commandtree.root()
    document = program.commands(root, list(commandtree.commands()))
    return {command["name"]: command for command in document["commands"]}


def named(args: tuple[str, ...]) -> str:
    # `audit` alone is `audit list`.
    return next(name for name in (" ".join(args[:2]), args[0], f"{args[0]} list") if name in NAMES)


@pytest.mark.parametrize("args", support.CHANGES.values(), ids=list(support.CHANGES))
def test_a_command_that_changes_something_says_so(args: tuple[str, ...], described: Described) -> None:
    assert described[named(args)]["changes"] != []


def test_a_screen_on_which_something_can_be_changed_says_so(described: Described) -> None:
    named = {change["action"] for change in described["ui"]["changes"]}
    assert {"job.retry", "queue.pause", "repeatable.create"} < named


@pytest.mark.parametrize("args", support.READERS.values(), ids=list(support.READERS))
def test_a_command_that_reads_says_so(args: tuple[str, ...], described: Described) -> None:
    always = [change for change in described[named(args)]["changes"] if change["only_with"] is None]
    assert always == []


def test_commands_that_add_to_the_history_are_marked(
    run: Run, client: redis.Redis, described: Described, server: PrivateRedis
) -> None:
    async def fill(opened: RedisBackend) -> None:
        await library.fill(opened, support.QUEUE, [("failed", library.job("dead"))])

    library.with_backend(server.url, fill)
    adding = set()
    for args in {tuple(word for word in args if word != "--no-record") for args in support.READERS.values()}:
        client.delete("asyncmq-cli:metrics")
        run(*args)
        if client.exists("asyncmq-cli:metrics"):
            adding.add(named(args))
    # The exporter does not end.
    assert adding | {"metrics record", "metrics serve"} == {
        name for name, command in described.items() if command["adds_to_history"]
    }


def test_options_have_their_values_and_choices(run: Run) -> None:
    (command,) = run("help", "jobs", "list", "--json").json["commands"]
    options = {option["names"][0]: option for option in command["options"]}
    assert options["--state"]["choices"][0] == "waiting"
    assert (options["--size"]["type"], options["--ndjson"]["type"]) == ("integer", "boolean")


def test_a_noun_has_its_verbs_and_an_unknown_command_is_refused(run: Run) -> None:
    assert {command["name"].split()[0] for command in run("help", "dlq", "--json").json["commands"]} == {
        "dlq"
    }
    refused = run("help", "jbs", "--json")
    assert (refused.code, refused.stdout) == (2, "")


@pytest.mark.parametrize("name", [name for name, _ in program.schema_names()])
def test_a_schema_stands_alone(name: str) -> None:
    whole = json.loads(json.dumps(program.schema(name)))
    Draft202012Validator.check_schema(whole)
    # Without a registry, a reference to another document would raise.
    list(Draft202012Validator(whole).iter_errors({}))


def test_documents_match_the_printed_schemas(run: Run) -> None:
    printed = run("schema", "queues").json
    assert list(Draft202012Validator(printed).iter_errors(run("queues", "list", "--json").json)) == []
    assert list(Draft202012Validator(printed).iter_errors({"queues": [{"name": 1}]})) != []


def test_an_unknown_schema_is_refused_with_the_nearest(run: Run) -> None:
    refused = run("schema", "jobz")
    assert (refused.code, refused.stderr) == (
        2,
        "error: there is no schema 'jobz'\nhint: did you mean 'job'?\n",
    )
