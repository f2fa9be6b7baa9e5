"""Viewer, operator and maintainer: each role can do what docs/connecting.md says, and all else is refused
without any change."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from asyncmq_cli.demo.server import PrivateRedis
from asyncmq_cli.storage.client.rights import _SCRIPTS
from tests.faults.support import CHANGES, READERS, Args, Tool, assert_refused
from tests.faults.test_rights import OPERATOR_RULES as MAINTAINER_RULES
from tests.faults.test_rights import READER_RULES as VIEWER_RULES
from tests.faults.test_rights import Guarded
from tools.pages import DOCS

OPERATOR_RULES = MAINTAINER_RULES.replace(" +unlink", "").replace(" +srem", "")
RULES = {"viewer": VIEWER_RULES, "operator": OPERATOR_RULES, "maintainer": MAINTAINER_RULES}
FOR_OPERATORS = {
    *("queues pause", "queues resume", "jobs retry", "dlq retry", "jobs cancel", "workers forget"),
    *("repeatables add", "repeatables pause", "repeatables remove"),
}


def verb_of(args: Args) -> str:
    return "doctor --repair" if args[0] == "doctor" else " ".join(args[:2])


@pytest.fixture(scope="module")
def guarded(binary: Path) -> Iterator[Guarded]:
    with PrivateRedis(binary) as server:
        yield Guarded(server)


@pytest.mark.extended(first=2)
@pytest.mark.parametrize("role", RULES)
def test_each_role_may_do_what_doctor_self_says(role: str, guarded: Guarded, tool: Tool) -> None:
    guarded.keyspace.restore()
    guarded.grant(RULES[role])
    rights = tool(guarded.url, "doctor", "--self", "--json").json["rights"]
    assert rights["role"] == role
    cannot = {one["command"]: one["lacks"] for one in rights["cannot"]}
    for args in READERS.values():
        result = tool(guarded.url, *args)
        assert result.code == 0, result
    for args in CHANGES.values():
        guarded.keyspace.restore()
        result = tool(guarded.url, *args)
        if result.code == 0:
            assert verb_of(args) not in cannot and guarded.keyspace.changed, (role, args, result)
        else:
            assert_refused(args, result, "redis_permission", "")
            guarded.keyspace.assert_untouched()
            assert verb_of(args) in cannot or verb_of(args) not in _SCRIPTS, (role, args, result)
    verbs = {verb_of(args) for args in CHANGES.values()} & set(_SCRIPTS)
    if role == "viewer":
        assert verbs <= set(cannot)
    elif role == "operator":
        assert not FOR_OPERATORS & set(cannot)
        assert {"jobs remove", "dlq remove", "doctor --repair"} <= set(cannot)
        assert cannot["jobs remove"] == ["srem"]
    else:
        assert cannot == {}


def test_less_than_a_viewer_is_no_role(guarded: Guarded, tool: Tool) -> None:
    guarded.keyspace.restore()
    guarded.grant(VIEWER_RULES.replace(" +zrange ", " "))
    result = tool(guarded.url, "doctor", "--self", "--json")
    assert result.json["rights"]["role"] is None
    assert result.json["rights"]["reading"]["lacks"] == ["zrange"]


def test_the_recipes_are_those_of_the_documents() -> None:
    text = " ".join((DOCS / "connecting.md").read_text().split())
    for role, rules in RULES.items():
        assert re.search(rf"\*\*{role}\*\*.*?``` {re.escape(rules)} ```", text), role
