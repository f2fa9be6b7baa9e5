"""`context`, and the name of the context wherever one must see it."""

from __future__ import annotations

from pathlib import Path

import pytest
import redis

from asyncmq_cli.demo.server import PrivateRedis
from tests.conftest import Run
from tests.support.operator import Operator, dead_jobs


@pytest.fixture
def operator(server: PrivateRedis, client: redis.Redis, tmp_path: Path) -> Operator:
    return Operator(server, tmp_path)


def test_contexts_are_listed_chosen_and_shown(operator: Operator) -> None:
    assert [line.split("\t")[:2] for line in operator("context", "list").lines] == [["dev", ""], ["prod", ""]]
    assert operator("context", "prompt").stdout == ""
    assert operator("context", "use", "dev").code == 0
    assert operator("context", "prompt").stdout == "dev\n"
    assert operator("--context", "prod", "context", "prompt").stdout == "prod\n"
    listed = operator("context", "list", "--json").json["contexts"]
    assert [(row["name"], row["in_use"], row["redis_url"]) for row in listed] == [
        ("dev", True, operator.url(1)),
        ("prod", False, operator.url(2)),
    ]
    shown = operator("context", "show", "--json").json
    assert shown["context"] == "dev"
    assert shown["settings"]["context"] == {"value": "dev", "from": "'context use'"}
    assert shown["settings"]["actor"] == {"value": "tester", "from": "ASYNCMQ_ACTOR"}
    assert operator("contexts", "show", "prod", "--json").json["context"] == "prod"
    assert operator("context", "use", "--none").code == 0
    assert operator("context", "prompt").stdout == ""


def test_context_commands_need_no_redis_and_print_no_secret(operator: Operator) -> None:
    operator.write('password_command = "echo s3cret"\n[context.far]\nredis_url = "redis://:hidden@far:1/0"')
    for args in (
        ("context", "list"),
        ("context", "show", "far"),
        ("context", "show", "prod", "--json"),
        ("context", "use", "far"),
        ("context", "prompt"),
    ):
        result = operator(*args)
        assert (result.code, result.stderr) == (0, ""), result
        assert "hidden" not in result.stdout and "s3cret" not in result.stdout
    assert "printed by 'echo'" in operator("context", "show", "prod").stdout


def test_an_unreadable_file_is_named_instead_of_listing_no_contexts(run: Run, tmp_path: Path) -> None:
    (tmp_path / "asyncmq" / "config.toml").mkdir(parents=True)
    for args in (("context", "list"), ("context", "show"), ("queues", "list")):
        result = run(*args, env={"XDG_CONFIG_HOME": str(tmp_path)})
        assert result.code == 0 and result.stderr.count("the configuration file is ignored") == 1, result


def test_a_wrong_name_is_wrong_usage_with_the_nearest(operator: Operator) -> None:
    for args in (("context", "use", "prdo"), ("queues", "list", "--context", "prdo")):
        result = operator(*args)
        assert result.code == 2 and "hint: did you mean prod?" in result.stderr, result
    assert operator("context", "use").code == 2
    assert operator("context", "use", "dev", "--none").code == 2


def test_another_can_be_chosen_when_the_one_in_use_is_gone(operator: Operator) -> None:
    operator("context", "use", "prod")
    operator.file.write_text(f'[context.dev]\nredis_url = "{operator.url(1)}"\n')
    assert operator("queues", "list").code == 2
    assert operator("context", "list").code == 0
    assert operator("context", "use", "dev").code == 0
    assert operator("queues", "list").code == 0


def test_each_event_has_the_context_in_its_details(operator: Operator) -> None:
    dead_jobs(operator.url(2), "one", "two")
    assert operator("--context", "prod", "jobs", "remove", "mail", "one", "-y", "--reason", "old").code == 0
    assert operator("jobs", "retry", "mail", "two", "--redis-url", operator.url(2)).code == 0
    retried, removed = operator("audit", "--context", "prod", "--json").json["events"]
    assert removed["details"] == {"reason": "old", "context": "prod"}
    # Whoever names the same Redis by its address.
    assert retried["details"] == {"context": "prod"}
    dead_jobs(operator.url(3), "one")
    assert operator("jobs", "retry", "mail", "one", "--redis-url", operator.url(3)).code == 0
    assert operator("audit", "--redis-url", operator.url(3), "--json").json["events"][0]["details"] == {}


def test_a_question_and_its_refusal_name_the_context(operator: Operator) -> None:
    dead_jobs(operator.url(2), "one")
    screen = operator.on_terminal("jobs", "remove", "mail", "one", "--context", "prod", answer="n\n")
    asked = f"Remove 1 failed job in mail on prod ({operator.url(2)})? [y/N] "
    assert asked in screen.text.replace("\n", ""), screen
    refused = operator("jobs", "remove", "mail", "one", "--context", "prod")
    assert refused.code == 5 and "remove 1 failed job in 'mail' on prod, and there is no" in refused.stderr


def test_a_header_begins_with_the_context(operator: Operator) -> None:
    dead_jobs(operator.url(2), "one")
    screen = operator.on_terminal("overview", "--context", "prod")
    assert screen.lines[0].startswith(" prod  1 queue")
    assert "\x1b[1;7;31m prod " in screen.raw
    assert operator.on_terminal("overview", "--context", "dev").lines[0].startswith(" dev  ")
    elsewhere = operator.on_terminal("overview", "--redis-url", operator.url(3))
    assert elsewhere.lines[0].startswith("0 queues"), elsewhere
