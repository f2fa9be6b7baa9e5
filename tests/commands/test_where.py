"""--where on the command line: lists, groups, changes and check."""

from __future__ import annotations

import json

import pytest
import redis

from tests.conftest import Run
from tests.support import library

QUEUE = "mail"
ACME = 'kwargs.tenant == "acme-corp"'


@pytest.fixture(autouse=True)
def mail(client: redis.Redis) -> None:
    dead = [
        library.job(
            f"d{n}",
            status="failed",
            created_at=1.6e9 + n,
            retries=n,
            kwargs={"tenant": "acme-corp" if n % 2 else "other"},
            last_error=f"ValueError: {n}",
        )
        for n in range(8)
    ]
    library.bury(client, QUEUE, dead, 1.7e9)


def ids(run: Run, *args: str) -> list[str]:
    return sorted(json.loads(line)["id"] for line in run(*args, "--ndjson").lines)


def test_lists_and_groups_take_it(cli: Run) -> None:
    for list_ in (
        ("jobs", "list", "--state", "failed"),
        ("dlq", "list", QUEUE),
        ("jobs", "list", "--state", "all"),
    ):
        assert ids(cli, *list_, "--where", f"{ACME} and retries >= 3") == ["d3", "d5", "d7"]
        assert ids(cli, *list_, "--where", ACME, "--q", "ValueError: 5") == ["d5"]
    document = cli("dlq", "list", "--where", ACME, "--json").json
    assert (document["total"], document["filters"]["where"]) == (4, ACME)
    assert cli("dlq", "groups", "--where", ACME, "--json").json["scanned"] == 4


def test_changes_hit_what_the_list_shows(client: redis.Redis, cli: Run, tmp_path: object) -> None:
    report = cli("dlq", "retry", QUEUE, "--where", "retries < 2", "--yes", "--json").json
    assert {each["job_id"] for each in report["results"]} == {"d0", "d1"}
    file = f"{tmp_path}/removed.ndjson"
    report = cli(
        "jobs", "remove", "--state", "failed", "--where", ACME, "--backup", file, "--yes", "--json"
    ).json
    assert {each["job_id"] for each in report["results"]} == {"d3", "d5", "d7"}
    assert ids(cli, "dlq", "list") == ["d2", "d4", "d6"]
    report = cli("jobs", "cancel", QUEUE, "--where", 'task == "app.send"', "--yes", "--json").json
    assert {each["job_id"] for each in report["results"]} == {"d0", "d1"}


def test_a_wrong_expression_shows_the_place(cli: Run) -> None:
    result = cli("jobs", "list", "nowhere", "--where", 'retries > "3"')
    assert (result.code, result.stdout) == (2, "")
    assert result.stderr.splitlines() == [
        "error: --where: retries is a number, and this is a text",
        '  retries > "3"',
        "            ^",
        "hint: write 2h for a duration, 2026-03-01 for a date",
    ]
    error = json.loads(cli("jobs", "retry", QUEUE, "--where", "a =", "--json").stderr)["error"]
    assert (error["code"], error["details"]) == ("usage", {"column": 3})
    assert cli("jobs", "remove", QUEUE, "--where", " ", "--yes").code == 2


def test_a_name_that_is_nearly_one_of_the_language_is_pointed_out(cli: Run) -> None:
    for words in (("jobs", "list"), ("dlq", "groups"), ("tasks", "list")):
        reported = cli(*words, QUEUE, "--where", 'kwarg.tenant == "acme" and status != "x"').stderr
        (warning, *_) = reported.splitlines()
        assert warning == ("warning: --where: 'kwarg' is read from the job's record; did you mean 'kwargs'?")
    assert "did you mean" not in cli("jobs", "list", QUEUE, "--where", "created_at > 0 and shard == 1").stderr


def test_check_counts_the_matches(cli: Run) -> None:
    where = ("check", "--where", f'state == "failed" and {ACME}', "--json")
    for most, code in (("4", 0), ("3", 1), (":3", 2), ("3:10", 1)):
        result = cli(*where, "--max-matching", most)
        (probe,) = [each for each in result.json["probes"] if each["probe"] == "matching"]
        assert (result.code, probe["value"], probe["queue"]) == (code, 4, QUEUE)
    assert cli("check", "--where", ACME).code == 3
    assert cli("check", "--max-matching", "3").code == 3
    wrong = cli("check", "--where", "retries =", "--max-matching", "3")
    assert wrong.code == 3
    assert "^" in wrong.stderr


def test_the_bytes_are_skimmed_first(cli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from asyncmq_cli.storage.read import state_reader

    decoded: list[str] = []
    real = state_reader.hydrate

    def hydrate(queue: str, raw: object, **given: object) -> object:
        decoded.append(raw.id)  # type: ignore[attr-defined]
        return real(queue, raw, **given)  # type: ignore[arg-type]

    monkeypatch.setattr(state_reader, "hydrate", hydrate)
    cli("dlq", "list", "--where", f"{ACME} and retries == 3")
    assert sorted(decoded) == ["d1", "d3", "d5", "d7"]
