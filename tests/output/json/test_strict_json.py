"""Strict readers accept every document, whatever is in jobs and names."""

from __future__ import annotations

import json
from typing import Any

import jq
import orjson
import pytest
import redis
from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import Run

QUEUE = "mail"
DOCUMENTS = (
    ["queues", "list"],
    ["jobs", "list", QUEUE, "--state", "failed"],
    ["jobs", "list", QUEUE, "--state", "failed", "--ndjson"],
    ["jobs", "show", QUEUE, "j1"],
    ["dlq", "list", QUEUE],
    ["dlq", "groups", QUEUE],
    ["overview"],
    ["doctor"],
    ["dlq", "retry", QUEUE, "--all", "--dry-run"],
    ["events", "tail", "--once"],
    ["audit"],
)


@pytest.fixture(autouse=True)
def hostile(client: redis.Redis) -> None:
    """Texts that only Python's own JSON accepts, and a name that is not UTF-8."""
    texts = ("fine", r"half of an emoji \ud83d", r"a byte \udcff", "fine too")
    for number, text in enumerate(texts):
        record = (
            f'{{"id":"j{number}","task":"t{text}","args":["{text}",NaN,1e999,{10**400}],'
            f'"kwargs":{{"{text}":{2**70}}},"created_at":{number},'
            f'"status":"failed","last_error":"bad {text}"}}'
        )
        client.set(f"jobs:{QUEUE}:j{number}", record)
        client.sadd(f"jobs:{QUEUE}:ids", f"j{number}")
        client.hset(f"jobs:{QUEUE}:states", f"j{number}", "failed")
        client.zadd(f"queue:{QUEUE}:dlq", {record: number})
    client.zadd(b"queue:caf\xe9:waiting", {"x": 1})


def refuse(constant: str) -> Any:
    raise AssertionError(constant)


@pytest.mark.parametrize("args", DOCUMENTS, ids=" ".join)
def test_jq_orjson_and_python_read_every_document(args: list[str], cli: Run) -> None:
    as_json = [] if "--ndjson" in args or args[0] == "events" else ["--json"]
    result = cli(*args, *as_json)
    assert result.code in (0, 1)
    lines = result.lines
    assert lines
    for line in lines:
        orjson.loads(line)
        json.loads(line, parse_constant=refuse)
    assert len(jq.compile("type").input_text(result.stdout).all()) == len(lines)


def test_half_a_character_is_shown_as_what_it_is(cli: Run) -> None:
    shown = cli("jobs", "show", QUEUE, "j1", "--json").json
    assert shown["payload"]["args"] == ["half of an emoji \\ud83d", "NaN", "Infinity", f"1{'0' * 400}"]
    assert list(shown["payload"]["kwargs"]) == ["half of an emoji \\ud83d"]


def test_a_byte_and_the_text_that_shows_it_are_two_series(client: redis.Redis, cli: Run) -> None:
    client.zadd(b"queue:caf\\xe9:waiting", {"x": 1, "y": 2})
    text = cli("metrics", "prometheus").stdout
    (jobs,) = [
        family for family in text_string_to_metric_families(text) if family.name == "asyncmq_queue_jobs"
    ]
    waiting = {s.labels["queue"]: s.value for s in jobs.samples if s.labels["state"] == "waiting"}
    assert waiting == {"caf\\xe9": 1, "caf\\\\xe9": 2, QUEUE: 0}
