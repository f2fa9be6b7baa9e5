"""A repair that Redis would refuse in part is not started."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from asyncmq_cli.demo.server import PrivateRedis
from asyncmq_cli.services.doctor.catalogue import BY_CODE
from tests.conftest import Run
from tests.faults.test_rights import OPERATOR_RULES
from tests.services.doctor.support import QUEUE
from tests.services.doctor.test_damages import CASES, Case
from tests.support import library

COMMANDS = [word for word in OPERATOR_RULES.split() if word.startswith("+") and word != "+select"]
# One of each script.
SCRIPTS = [
    next(case for case in CASES if case.code == code)
    for code in (
        "waiting_unlisted",
        "parents_done",
        "failed_unlisted",
        "record_missing",
        "id_without_record",
        "dead_letter_stale",
        "claim_stale",
        "cancel_unfinished",
    )
]


@pytest.fixture
def user(server: PrivateRedis, client: redis.Redis) -> Iterator[str]:
    """The URL of an operator whose rights each test sets."""
    yield server.url.replace("unix://", "unix://operator:secret@")
    client.execute_command("ACL", "DELUSER", "operator")


def grant(client: redis.Redis, rules: str) -> None:
    client.execute_command("ACL", "SETUSER", "operator", "reset", "on", ">secret", *rules.split())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.make.__name__)
def test_an_operator_has_the_rights_for_each_repair(
    case: Case, server: PrivateRedis, client: redis.Redis, user: str, cli: Run
) -> None:
    grant(client, OPERATOR_RULES)
    case.make(server, client)
    named = ["--code", case.code] if BY_CODE[case.code].way == "named" else []
    reported = cli("doctor", QUEUE, "--repair", *named, "--yes", "--json", "--redis-url", user)
    assert (reported.code, reported.stderr, reported.json["succeeded"]) == (0, "", 1)


@pytest.mark.extended(first=1)
@pytest.mark.parametrize("case", SCRIPTS, ids=lambda case: case.code)
def test_a_repair_without_one_right_is_made_whole_or_not_begun(
    case: Case, server: PrivateRedis, client: redis.Redis, user: str, cli: Run
) -> None:
    case.make(server, client)
    keys = {key: client.dump(key) for key in client.scan_iter()}
    before = library.dump(client)
    refused = 0
    for command in COMMANDS:
        client.flushall()
        for key, value in keys.items():
            client.restore(key, 0, value)
        grant(client, f"~* +@all -{command[1:]}")
        reported = cli("doctor", QUEUE, "--repair", "--yes", "--redis-url", user)
        if reported.code == 3:
            refused += 1
            assert library.dump(client) == before and library.events(client) == [], command
        else:
            assert (reported.code, [event["status"] for event in library.events(client)]) == (0, ["success"])
            assert cli("doctor", QUEUE).code == 0
    assert 15 < refused < len(COMMANDS)
