"""A change of a job with several dead letters takes all of them in one step."""

from __future__ import annotations

import json

import pytest
import redis

from asyncmq_cli.storage.read import locate
from tests.conftest import Run
from tests.support import library

QUEUE = "mail"


@pytest.fixture(autouse=True)
def letters(client: redis.Redis) -> None:
    """The job "twice" died three times, "other" once, and there are ten more dead letters."""
    names = ["other", *(f"more-{number}" for number in range(10)), "twice"]
    dead = [library.job(name, status="failed", created_at=1.6e9) for name in names]
    library.bury(client, QUEUE, dead, 1.6e9)
    for retries in (1, 2):
        earlier = library.job("twice", status="failed", created_at=1.6e9, retries=retries)
        client.zadd(f"queue:{QUEUE}:dlq", {json.dumps(earlier): 1.5e9 + retries})


def dead(client: redis.Redis) -> list[str]:
    return sorted(json.loads(member)["id"] for member in client.zrange(f"queue:{QUEUE}:dlq", 0, -1))


@pytest.mark.parametrize("targets", [["twice"], ["--all"], ["twice", "other"]], ids=" ".join)
@pytest.mark.parametrize("verb", ["retry", "remove"])
def test_all_of_a_jobs_dead_letters_go(verb: str, targets: list[str], client: redis.Redis, cli: Run) -> None:
    left = [name for name in dead(client) if name not in targets and "--all" not in targets]
    result = cli("dlq", verb, QUEUE, *targets, "--yes", "--json")
    assert (result.code, result.json["failed"], dead(client)) == (0, 0, left)
    waiting = [name.decode() for name in client.zrange(f"queue:{QUEUE}:waiting", 0, -1)]
    assert waiting.count("twice") == (verb == "retry")
    events = [event for event in library.events(client) if event["job_id"] == "twice"]
    assert [event["status"] for event in events] == ["success"]
    if verb == "retry":
        assert events[0]["details"]["dead_letters"] == 3
        record = json.loads(client.get(f"jobs:{QUEUE}:twice") or b"")
        assert record["retries"] == 0, "the dead letter that is the job's record counts"


@pytest.mark.parametrize("targets", [["twice"], ["--all"]], ids=" ".join)
def test_a_large_dead_letter_queue_is_not_read_for_other_letters(
    targets: list[str], client: redis.Redis, cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locate, "LOOKED_THROUGH", 10)
    client.config_resetstat()
    result = cli("dlq", "retry", QUEUE, *targets, "--yes", "--json")
    assert (result.code, result.json["failed"]) == (0, 0)
    assert dead(client).count("twice") == 2
    notes = [one["note"] for one in result.json["results"] if one["job_id"] == "twice"]
    if targets == ["twice"]:
        assert notes == [None]
        assert "cmdstat_zscan" not in client.info("commandstats")
    else:
        assert notes == ["it has more dead letters; 'asyncmq doctor mail' shows what is left of it"]
