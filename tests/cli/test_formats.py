"""`-o` and the options that go with it: the output of each format, and where it is refused."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis
import yaml

from asyncmq_cli.cli.options import wants_json
from asyncmq_cli.demo.server import PrivateRedis
from asyncmq_cli.output.formats import SHAPES
from tests.conftest import Run, within_this_process
from tests.support import library
from tests.support.terminal import on_terminal

QUEUE = "mail"
FAILED = ("jobs", "list", QUEUE, "--state", "failed")


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateRedis]:
    """Queues that none of these tests changes."""
    with PrivateRedis() as server:

        async def fill(opened: Any) -> None:
            jobs = [("failed", library.job(f"dead-{n:02}", created_at=time.time() - n)) for n in range(25)]
            hostile = library.job("=1+1", task="app.évil\x1b[31m", priority=-3)
            await library.fill(opened, QUEUE, [*jobs, ("waiting", hostile)])
            await library.fill(opened, "tenant:a", [("waiting", library.job(f"a-{n}")) for n in range(3)])
            await library.fill(opened, "tenant:b", [("waiting", library.job("b"))])
            await library.fill(opened, "odd[1]", [("waiting", library.job("1e3"))])

        library.with_backend(server.url, fill)
        yield server


@pytest.fixture
def cli(
    filled: PrivateRedis, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> Run:
    return within_this_process(filled.url, monkeypatch, capfdbinary)


def test_each_format_of_a_list(cli: Run) -> None:
    names = ["mail", "odd[1]", "tenant:a", "tenant:b"]
    printed = {form: cli("queues", "list", "-o", form) for form in SHAPES}
    assert {each.code for each in printed.values()} == {0}
    assert printed["table"].lines[0].split()[:3] == ["NAME", "STATE", "WAITING"]
    assert printed["table"].lines[-1] == "+ 6 columns: -o wide"
    assert printed["wide"].lines[0].split()[-3:] == ["REPEAT", "WORKERS", "OLDEST"]
    assert len(printed["wide"].lines) == 5
    assert [line.split("\t")[0] for line in printed["tsv"].lines] == names
    assert [row["name"] for row in csv.DictReader(io.StringIO(printed["csv"].stdout))] == names
    assert [json.loads(line)["name"] for line in printed["jsonl"].lines] == names
    assert [row["name"] for row in printed["json"].json["queues"]] == names
    loaded = yaml.safe_load(printed["yaml"].stdout)
    assert [row["name"] for row in loaded["queues"]] == names and list(loaded["queues"][0])[1] == "paused"
    assert printed["name"].lines == names


def test_a_table_in_a_pipe_has_no_escape_sequences_unless_asked_for(
    cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "\x1b" not in cli("queues", "list", "-o", "table").stdout
    assert "\x1b" in cli("queues", "list", "-o", "table", "--color", "always").stdout
    monkeypatch.delenv("COLUMNS", raising=False)
    whole = cli("dlq", "list", QUEUE, "-o", "wide").lines
    assert "ConnectionRefusedError: [Errno 111] Connection refused" in whole[1]
    monkeypatch.setenv("COLUMNS", "40")
    assert max(map(len, cli("dlq", "list", QUEUE, "-o", "table").lines)) <= 40


def test_the_header_names_the_columns_as_fields_does(cli: Run) -> None:
    assert cli("queues", "list", "--header", "--fields", "name,dlq").lines[:2] == ["name\tdlq", "mail\t25"]
    assert cli("queues", "show", QUEUE, "--header").lines[0] == "key\tvalue"
    assert cli("queues", "list", "-o", "csv", "--fields", "name,dlq").lines[:2] == ["name,dlq", "mail,25"]


def test_csv_has_no_formulas_and_no_control_characters(cli: Run) -> None:
    waiting = cli("jobs", "list", QUEUE, "-o", "csv", "--fields", "id,task,prio")
    assert waiting.lines == ["id,task,prio", "'=1+1,app.évil\\x1b[31m,-3"]
    shown = dict(csv.reader(io.StringIO(cli("jobs", "show", QUEUE, "=1+1", "-o", "csv").stdout)))
    assert shown["id"] == "'=1+1" and shown["priority"] == "-3" and shown["key"] == "value"


def test_ids_and_csv_are_every_match_in_the_order_of_the_table(cli: Run) -> None:
    for line in (FAILED, ("dlq", "list", QUEUE)):
        page = [row.split("\t")[0] for row in cli(*line).lines]
        names = cli(*line, "-o", "name").lines
        assert len(names) == 25 and names[:20] == page
        assert [row.split(",")[0] for row in cli(*line, "-o", "csv").lines] == ["id", *names]
        assert cli(*line, "-o", "name", "--size", "3").lines == names[:3]
        assert cli(*line, "-o", "name", "--sort", "oldest").lines == names[::-1]


def test_json_is_indented_on_a_terminal_and_one_line_elsewhere(cli: Run, filled: PrivateRedis) -> None:
    screen = on_terminal("queues", "show", QUEUE, "--json", url=filled.url)
    assert screen.lines[:2] == ["{", '  "name": "mail",']
    assert len(cli("queues", "show", QUEUE, "-o", "json").lines) == 1
    assert cli("queues", "show", QUEUE, "-o", "jsonl").json["name"] == "mail"
    listed = on_terminal("queues", "list", "--ndjson", url=filled.url, columns=400).lines
    assert json.loads(listed[0])["name"] == "mail"


def test_jq_filters_documents_and_objects(cli: Run, filled: PrivateRedis) -> None:
    assert cli("queues", "list", "--jq", ".queues[] | select(.dlq > 0) | .name").lines == ['"mail"']
    assert cli("queues", "list", "--jq", ".queues[].name, 1", "-r").lines[-2:] == ["tenant:b", "1"]
    each = cli("queues", "list", "--ndjson", "--jq", "{name, dlq}").lines
    assert each[0] == '{"name":"mail","dlq":25}' and len(each) == 4
    assert cli("queues", "show", QUEUE, "--jq", ".dlq, .failed").lines == ["25", "25"]
    assert cli("jobs", "list", QUEUE, "--jq", ".jobs[].payload.task", "-r").lines == ["app.évil\x1b[31m"]
    screen = on_terminal("jobs", "list", QUEUE, "--jq", ".jobs[].payload.task", "-r", url=filled.url)
    assert screen.lines == ["app.évil\\x1b[31m"]
    event = cli(
        "events", "tail", "--once", "--event", "overview", "--jq", ".data.total_queues", "--no-record"
    )
    assert event.lines == ["4"]
    dry = cli("dlq", "retry", QUEUE, "--all", "--dry-run", "--jq", ".matched")
    assert dry.lines == ["25"]


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        (".queues[", "--jq: syntax error, unexpected end of file at <top-level>, line 1, column 8"),
        ("nosuch", "--jq: nosuch/0 is not defined at <top-level>, line 1, column 1"),
        (".[0]", "--jq: Cannot index object with number (0)"),
        ('error("a\\nb")', "--jq: a"),
    ],
)
def test_what_jq_refuses_is_wrong_usage_in_one_line(expression: str, message: str, cli: Run) -> None:
    refused = cli("queues", "list", "--jq", expression)
    assert (refused.code, refused.stdout) == (2, "")
    assert json.loads(refused.stderr)["error"]["message"].startswith(message)


def test_without_the_package_jq_the_error_names_the_extra(cli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "jq", None)
    refused = cli("queues", "list", "--jq", ".")
    assert refused.code == 2 and "asyncmq-cli[jq]" in json.loads(refused.stderr)["error"]["hint"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("queues list --json -o yaml", "--json and --output exclude each other"),
        ("queues list --jq . -o csv", "--jq and -o csv exclude each other"),
        ("queues list --raw", "--raw needs --jq"),
        ("queues list --header --ndjson", "--ndjson and --header exclude each other"),
        ("check -o csv", "'csv' is not one of table, json, jsonl, yaml"),
        ("-o name queues show mail", "'name' is not one of table, wide, tsv, csv, json, jsonl, yaml"),
        ("-o json metrics prometheus", "asyncmq metrics prometheus has no other format"),
        ("queues list --sort nmae", "unknown field 'nmae'; choose from name, state"),
    ],
)
def test_options_that_contradict_each_other_are_refused(line: str, message: str, cli: Run) -> None:
    refused = cli(*line.split())
    assert refused.code == (3 if line.startswith("check") else 2)
    assert message in refused.stderr and refused.stdout == ""
    assert len(refused.lines) == 0


def test_a_format_may_stand_before_the_noun_and_json_be_asked_for_twice(cli: Run) -> None:
    assert cli("-o", "name", "queues", "list").lines[0] == "mail"
    assert cli("--json", "queues", "show", QUEUE, "-o", "json").json["name"] == "mail"


@pytest.mark.parametrize(
    ("line", "is_json"),
    [
        ("queues list -o json", True),
        ("queues list -ojsonl", True),
        ("queues list --output=json", True),
        ("queues list --jq .x", True),
        ("queues list -o yaml", False),
        ("queues list -- -o json", False),
        ("queues list json", False),
    ],
)
def test_errors_are_json_where_json_is_asked_for(line: str, is_json: bool) -> None:
    assert wants_json(line.split()) is is_json


def test_queues_by_glob_and_in_the_order_of_a_column(cli: Run) -> None:
    def listed(*args: str) -> list[str]:
        return cli("queues", "list", "-o", "name", *args).lines

    assert listed("tenant:*") == ["tenant:a", "tenant:b"]
    assert listed("odd[1]") == ["odd[1]"]
    assert listed("tenant:b", "mail") == ["mail", "tenant:b"]
    assert listed("--sort", "-waiting")[0] == "tenant:a"
    assert listed("--sort", "dlq")[-1] == "mail"
    # A queue without a waiting job has no oldest one, and is last either way.
    for order in ("oldest", "-oldest"):
        assert len(listed("--sort", order)) == 4
    missing = cli("queues", "list", "tenant:c")
    assert (missing.code, missing.stdout) == (4, "") and "did you mean tenant:" in missing.stderr
    none = cli("queues", "list", "x*")
    assert (none.code, none.stdout) == (0, "")
    assert none.stderr.startswith("note: no queue matches 'x*' on unix://")


def test_a_named_queue_needs_no_scan_of_the_keyspace(cli: Run, filled: PrivateRedis) -> None:
    client = redis.Redis.from_url(filled.url)
    client.config_resetstat()
    cli("queues", "list", "tenant:b")
    assert "cmdstat_scan" not in client.info("commandstats")


def test_an_empty_redis_is_said(client: redis.Redis, run: Run) -> None:
    empty = run("queues", "list")
    assert (empty.code, empty.stdout) == (0, "")
    assert "note: no queues on " in empty.stderr and "is it the right database?" in empty.stderr
    assert run("queues", "list", "--json").stderr == ""


@pytest.fixture(scope="module")
def states(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateRedis]:
    """One job in each state, and a heartbeat of one of the active ones."""
    with PrivateRedis() as server:

        async def fill(opened: Any) -> None:
            for state in ("failed", "delayed", "completed", "active"):
                await library.put(opened, QUEUE, state, library.job(f"{state}-1"))
            soon = library.job("delayed-0")
            await opened.enqueue_delayed(QUEUE, soon, time.time() + 60)
            await library.put(opened, "beating", "active", library.job("beats"))
            await opened.save_heartbeat("beating", "beats", time.time())

        library.with_backend(server.url, fill)
        yield server


@pytest.mark.parametrize(
    ("line", "titles"),
    [
        ("jobs list mail --state active", "ID TASK SINCE CREATED PRIO FAILURES"),
        ("jobs list beating --state active", "ID TASK SINCE HEARTBEAT CREATED PRIO FAILURES"),
        ("jobs list mail --state failed", "ID TASK DIED CREATED PRIO FAILURES CAUSE"),
        ("jobs list mail --state delayed", "ID TASK DUE CREATED PRIO FAILURES"),
        ("jobs list mail --state completed", "ID TASK CREATED PRIO"),
        ("dlq list mail", "ID STATE TASK DIED CREATED PRIO FAILURES CAUSE"),
    ],
)
def test_columns_follow_the_state(line: str, titles: str, states: PrivateRedis) -> None:
    lines = on_terminal(*line.split(), url=states.url, columns=140).lines
    assert lines[0].split() == titles.split()
    assert "-" not in lines[1].split() and len(lines[1].split()) >= len(titles.split())


def test_rows_of_a_pipe_have_the_same_columns_and_a_heartbeat_is_read_only_if_shown(
    states: PrivateRedis, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    tool = within_this_process(states.url, monkeypatch, capfdbinary)
    active = ("jobs", "list", "mail", "--state", "active")
    assert tool(*active, "--header").lines[0].split("\t")[2:4] == ["since", "heartbeat"]
    assert (
        tool("jobs", "list", "beating", "--state", "active", "--fields", "heartbeat")
        .lines[0]
        .endswith("+00:00")
    )
    client = redis.Redis.from_url(states.url)
    with client.monitor() as seen:
        tool(*active, "--fields", "id,since")
        client.echo("end")
        commands = []
        for entry in seen.listen():
            if entry["command"] == "ECHO end":
                break
            commands.append(entry["command"])
    assert commands and not any(command.startswith("HMGET queue:mail:heartbeats") for command in commands)
    dead = tool("jobs", "list", "mail", "--state", "failed", "-o", "csv")
    assert dead.lines[0] == "id,task,died,created,prio,tries,cause"
    assert dead.lines[1].endswith("ConnectionRefusedError: [Errno 111] Connection refused")
    assert tool("jobs", "list", "mail", "--state", "delayed", "-o", "name").lines == [
        "delayed-0",
        "delayed-1",
    ]
    assert tool("jobs", "list", "mail", "--state", "failed", "--fields", "error,died").code == 0


def test_an_empty_page_or_state_is_said(states: PrivateRedis, run: Run) -> None:
    past = on_terminal("jobs", "list", "mail", "--state", "failed", "--page", "999", url=states.url)
    assert past.lines[-1] == "no page 999: 1 job on 1 page"
    piped = run("--redis-url", states.url, "jobs", "list", "mail", "--state", "failed", "--page", "999")
    assert (piped.stdout, piped.stderr) == ("", "note: no page 999: 1 job on 1 page\n")
    waiting = on_terminal("jobs", "list", "mail", url=states.url)
    assert waiting.lines[-1] == "in mail: 1 active, 2 delayed, 1 dead; --state lists them"


def test_a_job_fits_on_one_screen_with_who_changed_it(
    server: PrivateRedis, client: redis.Redis, run: Run
) -> None:
    library.with_backend(server.url, lambda opened: library.put(opened, QUEUE, "failed", library.job("f1")))
    raw = on_terminal("jobs", "show", QUEUE, "f1", url=server.url)
    assert len(raw.lines) <= 23 and max(map(len, raw.lines)) <= 80
    assert "Root cause:   ConnectionRefusedError: [Errno 111] Connection refused" in raw.lines
    red = on_terminal("jobs", "show", QUEUE, "f1", "--color", "always", url=server.url).raw
    assert "\x1b[1;31m ConnectionRefusedError" in red.replace("        ", "").replace("   C", " C")
    run("jobs", "retry", QUEUE, "f1", "--reason", "mail is back", "--actor", "ann")
    lines = on_terminal("jobs", "show", QUEUE, "f1", url=server.url).lines
    assert any(
        line.startswith("Audit:        retried by ann ") and '"mail is back"' in line for line in lines
    )
    assert any(line.startswith("State:        waiting") for line in lines)
