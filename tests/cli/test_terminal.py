"""On a terminal: tables that fit, confirmation before destructive changes, and colours if they are wanted."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid

import pytest
import redis
from asyncmq.backends.redis import RedisBackend

from asyncmq_cli.demo.server import PrivateRedis
from tests.conftest import Run, environment
from tests.support import library
from tests.support.terminal import on_terminal

IDS = [str(uuid.UUID(int=n)) for n in range(1, 13)]
TABLES = (
    ["queues", "list"],
    ["jobs", "list", "mail", "--state", "failed"],
    ["jobs", "list", "mail", "--state", "all"],
    ["dlq", "list", "mail"],
    ["dlq", "groups", "mail"],
    ["audit"],
)


@pytest.fixture(autouse=True)
def mail(server: PrivateRedis, client: redis.Redis) -> None:
    async def fill(opened: RedisBackend) -> None:
        await library.fill(opened, "mail", [("failed", library.job(job_id)) for job_id in IDS])

    library.with_backend(server.url, fill)


def test_tables_fit_eighty_columns_and_never_cut_an_id(server: PrivateRedis) -> None:
    for args in (*TABLES, ["jobs", "show", "mail", IDS[0]]):
        screen = on_terminal(*args, url=server.url)
        assert screen.code == 0
        assert max(len(line) for line in screen.lines) <= 80, screen.text
        if "list" in args and "jobs" in args:
            assert all(any(job_id in line for line in screen.lines) for job_id in IDS)


def test_columns_that_a_narrow_terminal_has_no_room_for_are_counted(server: PrivateRedis) -> None:
    lines = on_terminal("queues", "list", url=server.url).lines
    assert lines[-1] == "+ 6 columns: -o wide"
    assert "FAILED" not in lines[0]
    library.with_backend(server.url, lambda opened: opened.enqueue("alone", library.job("x")))
    lines = on_terminal("queues", "list", url=server.url).lines
    assert max(map(len, lines)) <= 80 and "no worker" in lines[1]
    narrow = on_terminal("queues", "list", url=server.url, columns=50).lines
    assert narrow[-1] == "+ 8 columns: -o wide"
    lines = on_terminal(
        "jobs",
        "list",
        "mail",
        "--state",
        "all",
        "--fields",
        "task,state,id,created",
        url=server.url,
        columns=48,
    ).lines
    assert lines[0].split() == ["TASK", "ID"] and lines[-1] == "12 jobs"
    assert lines[-2] == "+ 2 columns: widen the terminal"
    lines = on_terminal("jobs", "retry", "mail", *IDS, "--dry-run", url=server.url, columns=50).lines
    assert "+ 2 columns: -o wide" in lines


@pytest.mark.parametrize(("columns", "utc"), [(60, []), (80, ["--utc"])], ids=["ages", "dates"])
def test_no_table_wraps_a_line(columns: int, utc: list[str], server: PrivateRedis, run: Run) -> None:
    async def more(opened: RedisBackend) -> None:
        for number in range(3):
            await library.enlist(opened, str(uuid.uuid4()), "reports-of-the-month", 4)
            definition = {
                "task_id": f"company.reports.tasks.send_number_{number}",
                "cron": "*/15 9-17 * * 1-5",
            }
            await opened.upsert_repeatable("reports-of-the-month", definition)

    library.with_backend(server.url, more)
    run(
        "--actor",
        "somebody@bastion.example.org",
        "queues",
        "pause",
        "reports-of-the-month",
        "--reason",
        "why " * 20,
    )
    run("jobs", "retry", "mail", IDS[0], "--reason", "the mail server is back")
    for args in (
        *TABLES,
        ["repeatables", "list"],
        ["workers", "list"],
        ["jobs", "retry", "mail", *IDS[2:4], "--dry-run"],
        ["overview"],
    ):
        screen = on_terminal(*args, *utc, url=server.url, columns=columns)
        reported = ("+ ", "warning", "3 workers on ")
        table = [line for line in screen.lines if not line.startswith(reported)]
        assert screen.code == 0
        assert max(map(len, table)) <= columns, screen.text
        # The address of Redis loses its middle in the header of the overview.
        assert "…" not in table[0].split("unix:")[0], "no title is cut"


def test_the_audit_shows_who_did_what_and_why(server: PrivateRedis, run: Run) -> None:
    run("--actor", "ann@host", "jobs", "retry", "mail", IDS[0], "--reason", "the mail server is back")
    run("--actor", "bob@host", "jobs", "retry", "mail", IDS[0])
    lines = on_terminal("audit", url=server.url).lines
    assert lines[0].split() == ["TIME", "ACTION", "STATUS", "QUEUE", "JOB", "ACTOR", "WHY"]
    assert "job.retry  failed   mail" in lines[1] and "bob@host" in lines[1] and "job '000" in lines[1]
    assert "job.retry  success  mail" in lines[2] and "ann@host  the mail server is back" in lines[2]
    run("repeatables", "add", "mail", "--task", "app.report", "--every", "1h", "--reason", "hourly figures")
    lines = on_terminal("--utc", "audit", url=server.url).lines
    assert lines[0].split() == ["TIME", "ACTION", "STATUS", "QUEUE", "ACTOR", "WHY"]
    assert "repeatable.create  success  mail " in lines[1]
    (line,) = run("audit", "--fields", "details,why", "--by", "ann@host").lines
    assert line == '{"reason":"the mail server is back"}\tthe mail server is back'


def test_an_error_is_worth_more_than_when_and_how_often(server: PrivateRedis) -> None:
    screen = on_terminal("jobs", "list", "mail", "--state", "all", url=server.url)
    assert screen.lines[0].split() == ["ID", "STATE", "TASK", "ERROR"]
    assert "DeliveryError: no" in screen.lines[1]
    assert screen.lines[-2] == "+ 3 columns: -o wide"


def test_a_dry_run_is_distinguishable_in_a_pipe(run: Run) -> None:
    assert run("dlq", "retry", "mail", "--all", "--dry-run").lines[0].startswith("dry-run\tmail\t")
    assert run("dlq", "retry", "mail", "--all", "--yes").lines[0].startswith("success\tmail\t")


def test_a_wide_terminal_shows_every_column(server: PrivateRedis) -> None:
    header = on_terminal("overview", url=server.url, columns=200).text
    header = next(line for line in header.splitlines() if line.startswith("QUEUES")).split()
    assert header == [
        *("QUEUES", "STATE", "WAITING", "ACTIVE", "DELAYED", "FAILED", "COMPLETED", "EXPIRED", "CANCELLED"),
        *("CHILDREN", "DEAD", "REPEAT", "WORKERS", "OLDEST"),
    ]


def test_a_queue_whose_jobs_wait_without_a_worker_says_so_on_a_terminal_and_in_a_pipe(
    server: PrivateRedis, run: Run
) -> None:
    library.with_backend(server.url, lambda opened: opened.enqueue("alone", library.job("x")))
    header, line, idle = on_terminal("queues", "list", url=server.url).lines[:3]
    assert line.split()[:4] == ["alone", "no", "worker", "1"] and line.split()[-2] == "none", header
    assert idle.split()[:2] == ["mail", "running"] and "none" not in idle
    shown = on_terminal("queues", "show", "alone", url=server.url).lines
    assert {"State:               no worker", "Workers:             none"} <= set(shown)
    fields = ("queues", "list", "--fields", "name,state,workers")
    assert run(*fields).lines == ["alone\tno worker\t0", "mail\trunning\t0"]
    assert run("queues", "show", "alone", "--json").json["workers"] == 0


def test_a_pipe_gets_the_same_rows_tab_separated(server: PrivateRedis, run: Run) -> None:
    library.with_backend(server.url, lambda opened: opened.enqueue("mail", library.job("a\tb\\c")))
    (line,) = run("jobs", "list", "mail").lines
    cells = line.split("\t")
    assert cells[:2] == ["a\\tb\\\\c", "app.send"]
    assert cells[2].endswith("+00:00")


@pytest.mark.parametrize(
    ("answer", "code", "left"), [("y\n", 0, 10), ("n\n", 5, 12), ("\n", 5, 12), ("\x04", 5, 12)]
)
def test_removing_asks_and_names_what_it_will_hit(
    answer: str, code: int, left: int, server: PrivateRedis, client: redis.Redis
) -> None:
    screen = on_terminal("jobs", "remove", "mail", IDS[0], IDS[1], url=server.url, answer=answer)
    assert screen.code == code
    lines = screen.lines
    assert [line.split()[:2] for line in lines[:2]] == [[IDS[0], "app.send"], [IDS[1], "app.send"]]
    assert lines[3].startswith(f"Remove 2 failed jobs in mail on {server.url}? [y/N] ")
    assert client.zcard("queue:mail:dlq") == left
    assert len(library.events(client)) == 12 - left


def test_a_long_list_of_targets_is_shown_in_part(server: PrivateRedis) -> None:
    screen = on_terminal("jobs", "remove", "mail", *IDS, url=server.url, answer="n\n")
    lines = screen.lines
    assert lines[9].startswith(f"  {IDS[9]}  ") and lines[10] == "  … and 2 more"
    assert lines[12].startswith(f"Remove 12 failed jobs in mail on {server.url}? [y/N] ")


def test_ctrl_c_at_the_question_changes_nothing(server: PrivateRedis, client: redis.Redis) -> None:
    screen = on_terminal("jobs", "remove", "mail", IDS[0], url=server.url, answer="\x03")
    assert (screen.code, client.zcard("queue:mail:dlq")) == (130, 12)
    assert screen.text.endswith("\nerror: interrupted; nothing was changed\n")
    assert "Traceback" not in screen.text


def test_one_job_is_a_line_and_several_are_a_table(server: PrivateRedis) -> None:
    screen = on_terminal("jobs", "retry", "mail", IDS[0], url=server.url)
    idle = "note: no live worker serves it, so the jobs stay waiting\n"
    assert screen.text == f"Retried job {IDS[0]} in mail\n{idle}"
    screen = on_terminal("jobs", "retry", "mail", *IDS[:3], url=server.url)
    assert screen.code == 1
    assert "Retried 2 of 3; 1 failed\nerror: 1 of 3 failed\n" in screen.text


def test_colour_is_for_terminals_that_want_it(server: PrivateRedis, run: Run) -> None:
    args = ("jobs", "list", "mail", "--state", "all")
    assert "\x1b[31m" in on_terminal(*args, url=server.url).raw
    assert "\x1b" not in on_terminal(*args, url=server.url, env={"NO_COLOR": "1"}).raw
    assert "\x1b" not in on_terminal(*args, url=server.url, env={"TERM": "dumb"}).raw
    assert "\x1b" not in on_terminal(*args, "--color", "never", url=server.url).raw
    assert "\x1b" not in run(*args).stdout
    assert "\x1b[31m" in run(*args, "--color", "always").stdout


@pytest.mark.extended
def test_a_locale_without_unicode_is_no_obstacle(server: PrivateRedis, run: Run) -> None:
    library.with_backend(server.url, lambda opened: opened.enqueue("mäil", library.job("ü")))
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    result = run("queues", "list", env=ascii_only)
    assert result.code == 0
    assert "m\\xe4il" in result.stdout
    assert run("jobs", "list", "mäil", "--json", env=ascii_only).json["jobs"][0]["id"] == "ü"
    assert "--older-than, ~), or --all\n" in run("jobs", "retry", "mail", env=ascii_only).stderr


def test_json_quotes_the_given_text_in_every_locale(client: redis.Redis, run: Run) -> None:
    client.sadd("jobs:mail:ids", "one")
    result = run("jobs", "list", "mail", "--state", "a\u2026b\u2013c", "--json", env={"LC_ALL": "C"})
    assert result.code == 2
    assert "a\u2026b\u2013c" in json.loads(result.stderr)["error"]["message"]


def test_a_closed_pipe_ends_quietly(server: PrivateRedis, client: redis.Redis) -> None:
    library.with_backend(
        server.url,
        lambda opened: library.fill(
            opened, "mail", [("waiting", library.job(f"w{n}", args=["x" * 4000])) for n in range(100)]
        ),
    )
    for form in (["--ndjson"], ["--json", "--size", "1000"], ["--size", "1000"]):
        command = [sys.executable, "-m", "asyncmq_cli", "jobs", "list", "mail", "--state", "all", *form]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(server.url)
        )
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(10)
        process.stdout.close()
        assert process.stderr.read() == b""
        process.stderr.close()
        assert process.wait(60) == 0


def test_a_colour_that_is_asked_for_wins_over_the_environment(
    server: PrivateRedis, client: redis.Redis, run: Run
) -> None:
    client.zadd("queue:mail:waiting", {"one": 1})
    plain = run("overview", env={"NO_COLOR": "1"})
    assert "\x1b[" not in plain.stdout
    for args in (("overview",), ("queues", "list")):
        assert "\x1b[3" in run(*args, "--color", "always", env={"NO_COLOR": "1"}).stdout


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("queues list", "note: no queues on unix:"),
        ("jobs list", "note: no queues on unix:"),
        ("dlq groups", "no dead job in any queue"),
        ("tasks list", "no job in any queue"),
        ("repeatables list", "no repeatable definition"),
        ("workers list", "no worker is registered"),
        ("audit --queue mail", "no queue named 'mail'"),
        ("audit --status failed", "no event matches"),
        ("overview", "no queues here: is it the right database?"),
    ],
)
def test_an_empty_list_says_what_there_is_none_of(
    line: str, text: str, server: PrivateRedis, client: redis.Redis
) -> None:
    client.flushall()
    shown = on_terminal(*line.split(), url=server.url).text
    assert text in shown
    assert "-o wide" not in shown and "QUEUE  " not in shown
