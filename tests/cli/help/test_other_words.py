"""Words of other tools, and words in the wrong place, lead to the right command."""

from __future__ import annotations

import json

import pytest
import redis

from tests.conftest import Run, run_tool
from tests.support import library


@pytest.fixture(autouse=True)
def queues(server: object, client: redis.Redis) -> None:
    url = f"unix://{client.connection_pool.connection_kwargs['path']}"

    async def fill(opened: library.RedisBackend) -> None:
        for name in ("emails", "mail", "my reports"):
            await library.put(opened, name, "waiting", library.job("f1"))
        await library.put(opened, "emails", "failed", library.job("dead-1"))

    library.with_backend(url, fill)


DRAIN = "'asyncmq queues drain QUEUE --dry-run' shows the waiting jobs that it would remove"


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        # In the wrong place
        ("jobs|emails", "did you mean 'asyncmq jobs list emails'?"),
        ("dlq|my reports", "did you mean `asyncmq dlq list 'my reports'`?"),
        ("workers|emails", "did you mean 'asyncmq workers list --queue emails'?"),
        ("emails", "did you mean 'asyncmq queues show emails'?"),
        ("jobs|list|emails|failed", "did you mean 'asyncmq jobs list emails --state failed'?"),
        ("jobs|list|emails|running", "did you mean 'asyncmq jobs list emails --state active'?"),
        ("jobs|list|emails|dead", "did you mean 'asyncmq dlq list emails'?"),
        ("doctor|--queue|emails", "the queue is an argument: 'asyncmq doctor QUEUE'"),
        ("metrics|show|emails", "did you mean 'asyncmq queues show emails'?"),
        ("tasks|emails", "did you mean 'asyncmq tasks list emails'?"),
        ("audit|mail", "did you mean 'asyncmq audit --queue mail' or tail?"),
        ("audit|tial", "did you mean tail?"),
        (
            "jobs|nosuch",
            "if it is a queue: 'asyncmq jobs list nosuch'; 'asyncmq jobs --help' shows all verbs",
        ),
        (
            "jobs|7f3a9c52-0b1e-4d7c",
            "if it is a job: 'asyncmq jobs show 7f3a9c52-0b1e-4d7c'; 'asyncmq jobs --help' shows all verbs",
        ),
        # Other words for states
        (
            "jobs|list|emails|--state|dead",
            "dead jobs are failed or expired; 'asyncmq dlq list QUEUE' has both",
        ),
        ("jobs|list|emails|--state|pending", "did you mean waiting?"),
        ("jobs|list|emails|--state|Running", "did you mean active?"),
        # Other words for commands
        *((line, DRAIN) for line in ("drain", "jobs|drain", "queues|empty")),
        *((f"{noun}enqueue|emails", "did you mean asyncmq jobs add?") for noun in ("", "queues|")),
        ("jobs|enqueue|emails", "did you mean add?"),
        ("jobs|promote|emails", "did you mean run-now?"),
        ("ps", "did you mean asyncmq workers list?"),
        ("queues|top", "did you mean asyncmq queues list --watch?"),
        ("top", "did you mean overview?"),
        ("jobs|stats|emails", "did you mean asyncmq queues show QUEUE?"),
        ("tail", "did you mean asyncmq audit tail or asyncmq events tail?"),
        ("kill|f1", "did you mean asyncmq jobs cancel?"),
    ],
)
def test_the_hint_has_the_right_command(line: str, hint: str, cli: Run) -> None:
    result = cli(*line.split("|"))
    assert (result.code, result.stdout) == (2, "")
    assert result.stderr.splitlines()[1:] == [f"hint: {hint}"]


def test_a_queue_for_check_is_corrected_to_its_option(cli: Run) -> None:
    result = cli("check", "emails")
    assert (result.code, result.stdout) == (3, "")
    assert result.stderr.splitlines()[1:] == ["hint: did you mean 'asyncmq check --queue emails'?"]


@pytest.mark.parametrize(("noun", "word"), [("", "obliterate"), ("jobs", "obliterate"), ("queues", "empty")])
def test_no_word_of_the_library_is_answered_with_a_similar_change(noun: str, word: str, cli: Run) -> None:
    result = cli(*filter(None, (noun, word, "emails")))
    assert (result.code, result.stdout) == (2, "")
    assert "did you mean" not in result.stderr
    assert "--help'" in result.stderr or "--dry-run'" in result.stderr or "jobs list" in result.stderr


def test_a_line_without_a_queue_lists_them(cli: Run) -> None:
    lists = "'asyncmq queues list' shows the queues"
    for line in ("wait", "queues pause"):
        result = cli(*line.split())
        assert (result.code, result.stdout) == (2, "")
        assert result.stderr.splitlines() == [
            f"error: asyncmq {line} needs a QUEUE",
            f"hint: which one? emails, mail, my reports; {lists}",
        ]
    error = json.loads(cli("wait", "--json").stderr)["error"]
    assert (error["code"], error["details"]) == ("usage", {"queues": ["emails", "mail", "my reports"]})


def test_a_usage_error_is_found_without_redis() -> None:
    for line in ("wait", "jobs emails"):
        result = run_tool(*line.split(), url="unix:///nowhere/redis.sock")
        assert (result.code, result.stdout) == (2, "")
        assert len(result.stderr.splitlines()) == 2


def test_a_queue_and_an_id_that_changed_places(client: redis.Redis, cli: Run) -> None:
    shown = cli("jobs", "cancel", "f1", "my reports", "--yes")
    assert shown.code == 4
    assert shown.stderr.endswith("hint: the queue comes first: `asyncmq jobs cancel 'my reports' f1`\n")
    assert client.hget("jobs:my reports:states", "f1") == b"waiting"
    # Neither is a queue.
    assert "comes first" not in cli("jobs", "cancel", "f1", "f2", "--yes").stderr


def test_a_failure_group_in_the_place_of_an_id(cli: Run) -> None:
    hint = cli("dlq", "retry", "emails", "3f9c21").stderr.splitlines()[1]
    assert hint == (
        "hint: is 3f9c21 a failure group? 'asyncmq dlq retry emails --group 3f9c21'; "
        "'asyncmq dlq groups emails' lists them"
    )
    assert "--group" not in cli("dlq", "retry", "emails", "nobody").stderr


@pytest.mark.parametrize("other", ["ls", "list"])
def test_verbs_of_other_tools_work(other: str, cli: Run) -> None:
    assert cli("jobs", other, "emails").stdout == cli("job", "list", "emails").stdout
    for word in ("get", "describe"):
        assert cli("jobs", word, "emails", "dead-1", "--json").json["id"] == "dead-1"
    for word in ("rm", "delete"):
        preview = cli("dlq", word, "emails", "dead-1", "--dry-run", "--json").json
        assert (preview["action"], preview["matched"]) == ("dlq.remove", 1)
