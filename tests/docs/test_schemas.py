"""The schemas match the output of the tool, key by key."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from asyncmq.backends.redis import RedisBackend
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from asyncmq_cli.services.doctor import scan
from tests.conftest import Result, Run
from tests.support import library
from tools import commandtree, pages

FOLDER = pages.DOCS / "schemas"
SCHEMAS = {path.name: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}
REGISTRY: Registry[Any] = Registry(retrieve=lambda name: Resource.from_contents(SCHEMAS[name]))
PAGE = (pages.DOCS / "json.md").read_text()

# What is typed for each command, besides --json. Every command has at least one line.
READING: dict[str, list[list[str]]] = {
    "overview": [[]],
    "queues list": [[]],
    "queues show": [["emails"], ["reports"]],
    "jobs list": [
        *(["emails", "--state", state] for state in ("waiting", "failed", "all", "repeatable")),
        ["emails", "--q", "customer-123", "--task", "send", "--job-id", "next", "--older-than", "0s"],
        ["--state", "all"],
    ],
    "jobs show": [
        ["emails", name] for name in ("f1", "next-1", "running-1", "child-1", "expired-1", "done-1")
    ],
    "jobs tree": [["emails", "child-1"], ["f1"]],
    "jobs follow": [["emails", "done-1"], ["f1", "done-1"]],
    "tasks list": [[], ["emails"]],
    "tasks show": [["app.send_receipt"]],
    "tasks top": [["--for", "0.2"], ["emails", "--for", "0.1"]],
    "dlq list": [["emails"], ["emails", "--newer-than", "1h", "--sort", "oldest"], ["--queue", "e*"]],
    "dlq groups": [["emails"], ["imports"], []],
    "repeatables list": [[], ["emails"]],
    "repeatables show": [["emails", "--task", "app.digest"]],
    "repeatables next": [[], ["3", "--queue", "emails"]],
    "workers list": [[], ["--queue", "emails"]],
    "workers forget": [["worker-1", "--force", "--yes"], ["nobody", "--yes"]],
    "metrics show": [[], ["--no-record"]],
    "metrics history": [[], ["--limit", "2"]],
    "audit list": [[], ["--status", "failed"]],
    "audit tail": [["--lines", "2"]],
    "audit verify": [[], ["--head", f"1-1:{'a' * 40}"]],
    "events tail": [["--once"], ["--once", "--event", "metrics"]],
    "check": [
        [],
        ["--queue", "imports", "--queue", "ghost", "--max-waiting", "1:5", "--max-oldest", "1s:2h"],
        ["--max-failed", "3", "--max-dlq", ":9", "--max-delayed-due", "0", "--max-running", "1h"],
        ["--min-workers", "2:1", "--max-overdue", "1", "--max-lost", ":3"],
        ["--redis-url", "unix:///nowhere/redis.sock"],
    ],
    "wait": [
        ["reports"],
        ["imports", "--timeout", "0.1"],
        ["emails", "--for", "active-empty", "--timeout", "0.1"],
        ["emails", "f1", "done-1"],
    ],
    "doctor": [[], ["emails"], ["reports"], ["--code", "paused_backlog"]],
    "context list": [[]],
    "context show": [[]],
    "context use": [["--none"]],
    "context prompt": [[]],
    "schema": [[]],
    "help": [[], ["jobs", "retry"]],
}
CHANGING: dict[str, list[list[str]]] = {
    "queues pause": [["emails"], ["emails", "ghost"], ["emails", "--dry-run"], ["emails", "--for", "1h"]],
    "queues resume": [["emails"]],
    "queues drain": [["emails", "--yes"], ["emails", "--include-delayed", "--dry-run"]],
    "queues clean": [["emails", "--state", "completed", "--older-than", "0", "--yes"]],
    "queues obliterate": [["emails", "--force", "--yes"], ["emails", "--yes"], ["reports", "--dry-run"]],
    "queues forget": [["emails"], ["nowhere"]],
    "jobs add": [["emails", "--task", "app.new"], ["emails", "--task", "app.new", "--id", "7"]],
    "jobs run-now": [["emails", "f1"]],
    "jobs rerun": [["emails", "done-1"]],
    "repeatables run": [["emails", "--task", "app.digest"]],
    "jobs edit": [["emails", "f1", "--set", "kwargs.to=a@b.c"], ["emails", "f1", "--unset", "kwargs.nope"]],
    "jobs requeue": [["emails", "running-1", "--force", "--yes"], ["emails", "f1", "--yes"]],
    "jobs retry": [
        ["emails", "f1"],
        ["emails", "ghost"],
        ["nowhere"],
        ["emails", "--all", "--limit", "2", "--yes"],
    ],
    "jobs remove": [
        ["emails", "f1", "running-1", "--yes"],
        ["emails", "--state", "completed", "--yes"],
        ["emails", "f1", "next-1", "--backup", "new.ndjson", "--yes"],
    ],
    "jobs restore": [
        ["removed.ndjson", "--yes"],
        ["removed.ndjson", "f1", "ghost"],
        ["removed.ndjson", "--dry-run"],
    ],
    "jobs cancel": [["emails", "next-2", "--yes"], ["emails", "--task", "digest", "--dry-run"]],
    "dlq retry": [["emails", "expired-1"], ["emails", "--q", "lakeside", "--percent", "50", "--yes"]],
    "dlq remove": [
        ["emails", "f1", "--yes"],
        ["emails", "--all", "--dry-run"],
        ["emails", "--q", "lakeside", "--backup", "new.ndjson", "--yes"],
    ],
    "repeatables add": [["emails", "--task", "app.new", "--cron", "0 7 * * *"]],
    "repeatables pause": [["emails", "--task", "app.digest"], ["emails", "--task", "ghost"]],
    "repeatables resume": [["emails", "--task", "app.digest"]],
    "repeatables remove": [["emails", "--task", "app.digest", "--yes"]],
    "doctor --repair": [["--yes"], ["emails", "--dry-run"], ["reports", "--yes"]],
    "doctor --self": [[], ["emails"], ["--redis-url", "unix:///nowhere/redis.sock"]],
}
TYPED = {**READING, **CHANGING}
SILENT = {"metrics record", "metrics prometheus", "metrics serve", "audit export"}
OTHERWISE = {"doctor --repair", "doctor --self"}
"""Options with which a command prints another document."""


STATUS = {"check": 3, "doctor": 1}
"""Of those that say by it that something is wrong."""


def documented() -> dict[str, tuple[str | None, str | None]]:
    """By command, the schema of its document and of its lines."""
    rows = pages.table(PAGE, "Command")
    return {pages.plain(name): (_linked(document), _linked(line)) for name, document, line in rows}


def _linked(cell: str) -> str | None:
    found = re.search(r"\(schemas/([\w-]+\.json)\)", cell)
    return found[1] if found else None


def assert_valid(document: Any, schema: str, reported: object) -> None:
    validator = Draft202012Validator(SCHEMAS[schema], registry=REGISTRY)
    problems = [f"{list(error.path)}: {error.message}" for error in validator.iter_errors(document)]
    assert not problems, (reported, problems)


def assert_remarks(result: Result) -> None:
    """Assert that all output on stderr is documented too."""
    for line in result.stderr.splitlines():
        (kind,) = remark = json.loads(line)
        assert_valid(remark, f"{kind}.json", line)


def objects(schema: Any) -> Iterator[dict[str, Any]]:
    if isinstance(schema, dict):
        if "properties" in schema:
            yield schema
        for inner in schema.values():
            yield from objects(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from objects(inner)


def test_every_command_has_its_schema() -> None:
    printing = {command.name for command in commandtree.commands() if "--json" in command.takes}
    assert set(documented()) == printing | OTHERWISE, "the first table of docs/json.md"
    assert set(TYPED) == (printing | OTHERWISE) - SILENT, "READING or CHANGING in this file"
    lists = {command.name for command in commandtree.commands() if "--ndjson" in command.takes}
    assert {name for name, (_, line) in documented().items() if line} == lists
    assert {name for name, (document, _) in documented().items() if document} == set(TYPED)


def test_every_schema_is_one_and_is_linked() -> None:
    assert set(re.findall(r"\(schemas/([\w-]+\.json)\)", PAGE)) == set(SCHEMAS)
    for schema in SCHEMAS.values():
        Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_object_of_a_schema_is_closed(name: str) -> None:
    for schema in objects(SCHEMAS[name]):
        assert schema["additionalProperties"] is False
        assert schema["required"] == list(schema["properties"])


async def leave_behind(opened: RedisBackend) -> None:
    """Create damage for the doctor, with calls of the library."""
    await opened.save_heartbeat("emails", "gone-1", 5.0)
    await opened.save_job_payload("emails", library.job("stuck-1", status="waiting"))
    await opened.pause_queue("imports")


@pytest.fixture
def given(url: str, tool: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """The data that a command needs to print something: a folder, a backup, or damage."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(scan, "GRACE", 0.02)

    def prepare(name: str) -> None:
        if name.startswith("doctor"):
            library.with_backend(url, leave_behind)
        if name == "jobs restore":
            tool("jobs", "remove", "emails", "f1", "next-1", "--backup", "removed.ndjson", "--yes")

    return prepare


@pytest.mark.parametrize(
    ("name", "args"), [(name, args) for name, typed in TYPED.items() for args in typed], ids=str
)
def test_documents_match_their_schemas(
    name: str, args: list[str], tool: Run, given: Callable[[str], None]
) -> None:
    given(name)
    document, line = documented()[name]
    assert document is not None
    result = tool(*name.split(), *args, "--json")
    assert result.stdout, result
    # A change that fails for one target has its document all the same, and `events tail` has many.
    for printed in result.lines:
        assert_valid(json.loads(printed), document, result)
    assert_remarks(result)
    if line is not None:
        listed = tool(*name.split(), *args, "--ndjson")
        for printed in listed.lines:
            assert_valid(json.loads(printed), line, listed)
        assert_remarks(listed)


def test_no_list_is_only_held_against_emptiness(tool: Run, given: Callable[[str], None]) -> None:
    for name, (_, line) in documented().items():
        if line is not None:
            given(name)
            assert any(tool(*name.split(), *args, "--ndjson").lines for args in TYPED[name]), name


def test_a_repair_reports_its_changes_and_the_remaining_findings(
    tool: Run, given: Callable[[str], None]
) -> None:
    given("doctor --repair")
    report = tool("doctor", "--repair", "--yes", "--json").json
    assert {result["job_id"] for result in report["results"]} == {"gone-1", "stuck-1"}
    assert [finding["code"] for finding in report["findings"]] == ["paused_backlog"]


def test_the_lines_of_a_queues_backup_are_as_their_schema_says(
    tool: Run, given: Callable[[str], None], tmp_path: Path
) -> None:
    given("queues obliterate")
    file = tmp_path / "whole.ndjson"
    assert tool("queues", "obliterate", "emails", "--force", "--yes", "--backup", str(file)).code == 0
    lines = [json.loads(line) for line in file.read_bytes().splitlines()]
    assert {"repeatables", "sequence"} <= {line.get("part") for line in lines}
    for line in lines:
        assert_valid(line, "backup.json", line)


def test_the_lines_of_a_backup_are_as_their_schema_says(
    url: str, tool: Run, given: Callable[[str], None], tmp_path: Path
) -> None:
    with redis.Redis.from_url(url) as client:
        client.hset("jobs:emails:results", "done-1", b"\xff")
        client.zadd("queue:emails:waiting", {"next-2": math.inf})
    given("jobs remove")
    removed = tool("jobs", "remove", "emails", "--state", "all", "--force", "--backup", "all.ndjson", "--yes")
    assert removed.code == 0, removed
    lines = (tmp_path / "all.ndjson").read_text().splitlines()
    assert len(lines) > 20
    for line in lines:
        assert_valid(json.loads(line), "backup.json", line)
    assert '{"base64":' in "".join(lines) and '"score":"Infinity"' in "".join(lines)


def test_damaged_data_is_as_the_schemas_say(url: str, tool: Run, given: Callable[[str], None]) -> None:
    given("doctor")
    with redis.Redis.from_url(url) as client:
        client.set("jobs:emails:next-1", "no JSON")
        client.zadd("queue:emails:repeatables", {"no JSON either": 1.0})
        client.hset("queue:emails:worker_heartbeats", "worker-9", "nor this")
        client.delete("queue:imports:active")
        client.set("queue:imports:active", "of a wrong type")
    for name, args in (
        ("overview", []),
        ("queues list", []),
        ("jobs list", ["emails"]),
        ("jobs show", ["emails", "next-1"]),
        ("repeatables list", []),
        ("workers list", []),
        ("metrics show", []),
        ("check", ["--max-running", "1h"]),
        ("doctor", []),
    ):
        result = tool(*name.split(), *args, "--json")
        assert result.code == STATUS.get(name, 0), result
        assert_valid(result.json, str(documented()[name][0]), result)
        assert_remarks(result)


def test_what_asyncmq_publishes_is_as_the_schema_says() -> None:
    from asyncmq_cli.models.monitoring.snapshots import RuntimeEvent
    from asyncmq_cli.output.json.snapshots import runtime

    for data, ts in (({"id": "f1", "token": "x"}, 1.5), (None, None)):
        shown = runtime(RuntimeEvent("job:stalled", data, ts), show_secrets=False)
        assert_valid({"event": "runtime", "timestamp": 2.0, "data": shown}, "event.json", shown)


@pytest.mark.parametrize(
    "args",
    [
        ["queues", "show", "emils"],
        ["jobs", "show", "emails", "ghost"],
        ["jobs", "remove", "emails", "f1"],
        ["jobs", "list", "emails", "--state", "odd"],
        ["queues", "list", "--redis-url", "unix:///nowhere/redis.sock"],
        ["jobs", "restore", "nowhere.ndjson"],
        ["wait", "emails", "ghost"],
        ["doctor", "--code", "odd"],
    ],
    ids=" ".join,
)
def test_errors_are_as_the_schema_says(args: list[str], tool: Run) -> None:
    result = tool(*args, "--json")
    assert result.code and result.stderr
    assert_remarks(result)


def test_a_key_without_a_schema_is_found() -> None:
    with pytest.raises(AssertionError, match="Additional properties"):
        assert_valid({"warning": {"message": "x", "more": 1}}, "warning.json", "")


def test_the_folder_holds_nothing_else() -> None:
    assert {path.suffix for path in Path(FOLDER).iterdir()} == {".json"}
