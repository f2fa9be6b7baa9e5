"""`metrics show`, `record`, `history` and `prometheus`, as cron, a monitor and a person meet them."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import redis
from asyncmq.backends.redis import RedisBackend
from prometheus_client.parser import text_string_to_metric_families

from asyncmq_cli.demo.server import PrivateRedis
from tests.conftest import Run, run_tool
from tests.support import library
from tests.support.terminal import on_terminal

STREAM = "asyncmq-cli:metrics"
COUNTS = ("waiting", "active", "delayed", "completed", "failed", "total_queues", "total_workers")
HISTORY_KEYS = (
    *("timestamp", "time", "throughput", "avg_duration", "retries", "failures"),
    *("waiting", "active", "delayed", "completed", "failed", "total_queues", "total_workers"),
)
NOWHERE = "unix:///nonexistent/redis.sock"


@pytest.fixture(autouse=True)
def mail(server: PrivateRedis, client: redis.Redis) -> None:
    jobs = [("failed", library.job("a")), ("completed", library.job("b")), ("waiting", library.job("c"))]
    library.with_backend(server.url, lambda opened: library.fill(opened, "mail", jobs))


def keep(client: redis.Redis, timestamp: float, **counts: Any) -> None:
    """Store a snapshot like the tool."""
    stored = json.dumps({**dict.fromkeys(COUNTS, 0), "avg_duration": None, **counts})
    client.xadd(STREAM, {"timestamp": f"{timestamp:.6f}", "snapshot": stored})


# --- the history


def test_a_row_of_the_history_has_the_dashboards_keys_in_its_order(cli: Run) -> None:
    assert cli("metrics", "record").stdout == ""
    document = cli("metrics", "history", "--json").json
    assert list(document) == ["history"]
    (row,) = document["history"]
    assert tuple(row) == HISTORY_KEYS
    assert row["time"].startswith(time.strftime("%Y-%m-%dT", time.gmtime(row["timestamp"])))
    values = {name: value for name, value in row.items() if name not in ("timestamp", "time")}
    assert values == {
        "throughput": 1,
        "avg_duration": None,
        "retries": 1,
        "failures": 1,
        "waiting": 1,
        "active": 0,
        "delayed": 0,
        "completed": 1,
        "failed": 1,
        "total_queues": 1,
        "total_workers": 0,
    }


def test_the_newest_comes_first_and_a_limit_is_brought_within_its_bounds(
    client: redis.Redis, cli: Run
) -> None:
    now = time.time()
    pipe = client.pipeline()
    for number in range(600):
        keep(pipe, now - (600 - number) * 10, waiting=number)
    pipe.execute()

    def waiting(*options: str) -> list[int]:
        return [row["waiting"] for row in cli("metrics", "history", "--json", *options).json["history"]]

    assert waiting() == list(range(599, 479, -1))
    assert waiting("--limit", "3") == [599, 598, 597]
    assert waiting("--limit", "0") == waiting("--limit", "-5") == [599]
    assert waiting("--limit", "9999") == list(range(599, 99, -1))
    assert waiting("--since", "65s") == [599, 598, 597, 596, 595, 594]
    assert waiting("--since", "24h") == list(range(599, -1, -1))
    assert waiting("--since", "24h", "--limit", "2") == [599, 598]
    lines = cli("metrics", "history", "--ndjson", "--limit", "2").lines
    assert [tuple(json.loads(line)) for line in lines] == [HISTORY_KEYS] * 2


@pytest.mark.parametrize("options", [["--limit", "x"], ["--since", "tomorrow"]], ids=" ".join)
def test_a_limit_or_age_that_is_none_is_wrong_usage(options: list[str], cli: Run) -> None:
    assert cli("metrics", "history", *options).code == 2


def test_two_thousand_snapshots_are_kept_and_no_more(client: redis.Redis, cli: Run) -> None:
    pipe = client.pipeline()
    for number in range(2000):
        keep(pipe, time.time() - 9000 + number, waiting=number)
    pipe.execute()
    assert cli("metrics", "record").code == 0
    assert client.xlen(STREAM) == 2000
    rows = cli("metrics", "history", "--since", "7d", "--json").json["history"]
    assert [rows[0]["waiting"], rows[1]["waiting"], rows[-1]["waiting"]] == [1, 1999, 1]


def test_the_history_is_shared_by_all_and_survives_script_flush(
    server: PrivateRedis, client: redis.Redis, run: Run
) -> None:
    assert run("metrics", "record").code == 0
    client.script_flush()
    age_all(client, 10)
    assert run("metrics", "record").code == 0
    assert len(run("metrics", "history").lines) == 2
    assert run("metrics", "history").stdout == run("metrics", "history").stdout


def age_all(client: redis.Redis, seconds: float) -> None:
    """Make all stored snapshots older by this time."""
    kept = client.xrange(STREAM)
    client.delete(STREAM)
    for _, fields in kept:
        client.xadd(STREAM, {**fields, b"timestamp": f"{float(fields[b'timestamp']) - seconds:.6f}"})


def test_of_many_that_record_at_once_one_is_kept(server: PrivateRedis, client: redis.Redis) -> None:
    commands = [("metrics", "record"), ("metrics", "show"), ("events", "tail", "--once")] * 4
    with ThreadPoolExecutor(len(commands)) as pool:
        results = list(pool.map(lambda args: run_tool(*args, url=server.url), commands))
    assert {(result.code, result.stderr) for result in results} == {(0, "")}
    times = [float(fields[b"timestamp"]) for _, fields in client.xrange(STREAM)]
    assert len(times) >= 1
    assert all(later - earlier >= 2 for earlier, later in pairwise(times))


def test_two_seconds_later_the_next_is_kept(client: redis.Redis, cli: Run) -> None:
    for age, kept in ((1.0, 1), (2.5, 2)):
        client.delete(STREAM)
        keep(client, time.time() - age)
        assert cli("metrics", "record").code == 0
        assert client.xlen(STREAM) == kept


def test_a_clock_that_was_set_back_does_not_stop_the_record(client: redis.Redis, cli: Run) -> None:
    keep(client, time.time() + 3600, waiting=900, completed=5)
    assert cli("metrics", "record").code == 0
    assert client.xlen(STREAM) == 2
    rates = cli("metrics", "show", "--no-record", "--json").json["rates"]
    assert rates["snapshots"] == 2, "only what was kept since"
    assert rates["completed_per_minute"] in (0, None)
    rows = cli("metrics", "history", "--json").json["history"]
    assert [row["waiting"] for row in rows] == [1, 900]


@pytest.mark.parametrize(
    "fields",
    [
        {"other": "thing"},
        {"timestamp": "1.5"},
        {"timestamp": "1.5", "snapshot": "no JSON"},
        {"timestamp": "1.5", "snapshot": "[]"},
        {"timestamp": "1.5", "snapshot": '{"waiting": 1}'},
        {"timestamp": "soon", "snapshot": json.dumps(dict.fromkeys(COUNTS, 1))},
        {"timestamp": "1e300", "snapshot": json.dumps(dict.fromkeys(COUNTS, 1))},
        {"timestamp": "1.5", "snapshot": json.dumps(dict.fromkeys(COUNTS, "1"))},
        {"timestamp": "1.5", "snapshot": json.dumps(dict.fromkeys(COUNTS, -1))},
        {"timestamp": "1.5", "snapshot": json.dumps(dict.fromkeys(COUNTS, 10**40))},
        {"timestamp": "1.5", "snapshot": json.dumps(dict.fromkeys(COUNTS, True))},
    ],
    ids=str,
)
def test_entries_that_are_no_snapshots_are_skipped_with_a_warning(
    fields: dict[str, str], client: redis.Redis, cli: Run
) -> None:
    now = time.time()
    keep(client, now - 60, waiting=3)
    client.xadd(STREAM, fields)
    keep(client, now - 30, waiting=2)
    result = cli("metrics", "history", "--json")
    assert [row["waiting"] for row in result.json["history"]] == [2, 3]
    assert result.stderr.startswith('{"warning":{"message":"metrics entry ')
    assert cli("metrics", "show", "--json").json["rates"]["snapshots"] == 3
    assert cli("metrics", "record").code == 0


def test_foreign_stream_entries_cause_few_warnings(client: redis.Redis, cli: Run) -> None:
    for number in range(50):
        client.xadd(STREAM, {"n": number})
    result = cli("metrics", "history")
    assert (result.code, result.stdout) == (0, "")
    assert len(result.stderr.splitlines()) == 4
    assert result.stderr.endswith("warning: more metrics entries are not snapshots\n")


def test_a_key_of_a_wrong_type_in_the_historys_place(client: redis.Redis, cli: Run) -> None:
    client.set(STREAM, "text")
    for command in (["record"], ["history"]):
        result = cli("metrics", *command)
        assert (result.code, result.stdout) == (1, "")
        assert result.stderr.startswith(f"error: the key '{STREAM}' is not of the type")
    result = cli("metrics", "show", "--json")
    assert result.code == 0
    assert result.json["rates"] == NO_RATES
    assert [line.split(":")[3].strip() for line in result.stderr.splitlines()] == [
        "the key"
    ] * 0 or result.stderr
    assert "metrics history cannot be written" in result.stderr
    assert "metrics history cannot be read" in result.stderr
    assert client.get(STREAM) == b"text"


NO_RATES = {
    "completed_per_minute": None,
    "failed_per_minute": None,
    "backlog_per_minute": None,
    "seconds_until_empty": None,
    "window_seconds": None,
    "snapshots": 1,
}


# --- the present


def test_metrics_show_prints_totals_and_rates(client: redis.Redis, cli: Run) -> None:
    keep(client, time.time() - 60, waiting=2, completed=0, failed=1)
    document = cli("metrics", "show", "--json").json
    assert list(document) == [
        *("timestamp", "time", "metrics", "counts", "total_queues", "total_workers", "rates")
    ]
    assert document["metrics"] == {"throughput": 1, "avg_duration": None, "retries": 1, "failures": 1}
    assert document["counts"] == {"waiting": 1, "active": 0, "delayed": 0, "completed": 1, "failed": 1}
    rates = document["rates"]
    assert list(rates) == list(NO_RATES)
    assert rates["completed_per_minute"] == pytest.approx(60 / rates["window_seconds"])
    assert rates["failed_per_minute"] == 0
    assert rates["backlog_per_minute"] == pytest.approx(-60 / rates["window_seconds"])
    assert rates["seconds_until_empty"] == pytest.approx(rates["window_seconds"])
    assert client.xlen(STREAM) == 2

    text = cli("metrics", "show", "--color", "always").stdout
    assert "Completed/min:  1.0\n" in text
    assert "(empty in 1" in text


def test_in_a_pipe_show_prints_a_number_a_line(client: redis.Redis, cli: Run) -> None:
    keep(client, time.time() - 60, waiting=99999, completed=0, failed=1)
    lines = [line.split("\t") for line in cli("metrics", "show", "--no-record").lines]
    document = cli("metrics", "show", "--no-record", "--json").json
    assert [name for name, _ in lines] == [
        *("timestamp", "time"),
        *(f"metrics.{name}" for name in document["metrics"]),
        *(f"counts.{name}" for name in document["counts"]),
        *("total_queues", "total_workers"),
        *(f"rates.{name}" for name in document["rates"]),
    ]
    reported = dict(lines)
    assert reported["timestamp"] == reported["time"] and reported["time"].endswith("+00:00")
    assert (reported["counts.waiting"], reported["metrics.avg_duration"], reported["rates.snapshots"]) == (
        "1",
        "",
        "2",
    )
    assert float(reported["rates.backlog_per_minute"]) == pytest.approx(-1, rel=0.1)


def test_jobs_that_are_removed_make_no_pace(server: PrivateRedis, client: redis.Redis, cli: Run) -> None:
    jobs = [("waiting", library.job(f"w{number}")) for number in range(11)]
    library.with_backend(server.url, lambda opened: library.fill(opened, "mail", jobs))
    assert cli("metrics", "record").code == 0
    age_all(client, 24)
    assert cli("jobs", "remove", "mail", *(f"w{number}" for number in range(8)), "--yes").code == 0
    shown = cli("metrics", "show", "--json").json
    assert shown["counts"]["waiting"] == 4
    assert (shown["rates"]["backlog_per_minute"], shown["rates"]["seconds_until_empty"]) == (0, None)


def test_current_rates_read_only_the_needed_part_of_the_history(client: redis.Redis, cli: Run) -> None:
    now = time.time()
    for number in range(500, 0, -1):
        keep(client, now - 2 * number, waiting=number)

    def sent() -> int:
        return int(client.info("stats")["total_net_output_bytes"])

    before = sent()
    assert len(client.xrevrange(STREAM)) == 500
    whole, before = sent() - before, sent()
    rates = cli("metrics", "show", "--no-record", "--json").json["rates"]
    assert rates["snapshots"] == pytest.approx(61, abs=2)
    assert sent() - before < whole / 2


def test_the_first_time_there_are_no_rates(client: redis.Redis, cli: Run) -> None:
    assert cli("metrics", "show", "--json").json["rates"] == NO_RATES
    client.delete(STREAM)
    shown = cli("metrics", "show", "--color", "always")
    assert "Rates:          unknown until there are two snapshots\n" in shown.stdout


def test_a_snapshot_in_which_a_count_is_missing_is_not_kept(client: redis.Redis, cli: Run) -> None:
    client.delete("queue:mail:dlq")
    client.set("queue:mail:dlq", "text")
    result = cli("metrics", "record")
    assert (result.code, result.stdout) == (1, "")
    warning, error, hint = result.stderr.splitlines()
    assert warning.startswith("warning: queue 'mail': the key 'queue:mail:dlq'")
    assert error == "error: a count could not be read, so this snapshot is not kept"
    assert hint.startswith("hint: ")

    result = cli("metrics", "show", "--json")
    assert result.code == 0
    assert result.json["counts"]["failed"] is None
    assert result.json["metrics"]["failures"] is None
    assert result.json["counts"]["waiting"] == 1
    assert result.json["rates"] == {**NO_RATES, "snapshots": 0}
    assert "cannot be written: a count could not be read" in result.stderr
    assert "counts.failed\t\n" in cli("metrics", "show").stdout
    text = cli("metrics", "show", "--color", "always").stdout
    assert "Failed:         -\n" in text and "a count could not be read\n" in text
    assert client.exists(STREAM) == 0
    samples = text_string_to_metric_families(cli("metrics", "prometheus").stdout)
    states = {s.labels["state"] for f in samples if f.name == "asyncmq_queue_jobs" for s in f.samples}
    assert "failed" not in states and "waiting" in states


def test_workers_that_cannot_be_read_are_not_counted_as_none(client: redis.Redis, cli: Run) -> None:
    client.set("queue:mail:worker_heartbeats", "text")
    assert cli("overview", "--json").json["overview"]["total_workers"] is None
    assert cli("metrics", "show", "--json").json["total_workers"] is None
    assert cli("metrics", "record").code == 1
    assert "asyncmq_worker_total" not in cli("metrics", "prometheus").stdout


def test_a_user_without_write_rights_gets_a_warning_and_the_metrics(
    server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    keep(client, time.time() - 60)
    client.execute_command("ACL", "SETUSER", "reader", "reset", "on", ">pw", "~*", "+@all", "-xadd")
    try:
        url = server.url.replace("unix://", "unix://reader:pw@")
        shown = cli("metrics", "show", "--json", "--redis-url", url)
        assert shown.code == 0
        assert shown.json["rates"]["backlog_per_minute"] > 0
        assert "the metrics history cannot be written: the Redis user may not do this" in shown.stderr
        assert cli("metrics", "show", "--no-record", "--redis-url", url).stderr == ""
        assert cli("metrics", "record", "--redis-url", url).code == 3
        assert client.xlen(STREAM) == 1
    finally:
        client.execute_command("ACL", "DELUSER", "reader")


def test_a_redis_that_is_out_of_memory_can_still_be_read(client: redis.Redis, cli: Run) -> None:
    client.config_set("maxmemory", 1)
    try:
        shown = cli("metrics", "show")
        assert shown.code == 0
        assert "cannot be written: Redis is out of memory" in shown.stderr
        assert len(cli("events", "tail", "--once").lines) == 7
        assert cli("metrics", "record").code == 3
    finally:
        client.config_set("maxmemory", 0)


# --- on a terminal


def test_a_chart_is_beside_the_table_or_below_it(server: PrivateRedis, client: redis.Redis) -> None:
    now = time.time()
    for number in range(5):
        keep(client, now - 50 + number * 10, waiting=number * 3, completed=number)
    narrow = on_terminal("metrics", "history", url=server.url)
    assert max(map(len, narrow.lines)) <= 80
    titles = [narrow.lines.index(line) for line in narrow.lines if line.strip().startswith("jobs ")]
    assert len(titles) == 2 and titles[0] > 5
    wide = on_terminal("metrics", "history", url=server.url, columns=170)
    assert wide.lines[0].startswith("TIME ") and wide.lines[0].endswith("jobs waiting")
    assert max(map(len, wide.lines)) <= 170
    first = narrow.lines[1].split()
    assert first == [time.strftime("%H:%M:%S", time.localtime(now - 10)), "12", "0", "0", "0", "4", "0", "0"]


def test_a_chart_is_placed_where_it_is_visible(server: PrivateRedis, client: redis.Redis) -> None:
    pipe = client.pipeline()
    for number in range(60):
        keep(pipe, time.time() - 600 + number * 10, waiting=number * 3, completed=number)
    pipe.execute()
    screen = on_terminal("metrics", "history", url=server.url, columns=170)
    assert len(screen.lines) == 61
    titles = [at for at, line in enumerate(screen.lines) if re.search(r" {2}jobs (waiting|completed)", line)]
    assert titles == [61 - 18, 61 - 9]
    assert "┬" in screen.lines[-2]
    assert all(line.split()[0].count(":") == 2 for line in screen.lines[1:])


def test_the_times_of_days_ago_have_their_date(server: PrivateRedis, client: redis.Redis) -> None:
    moments = [time.time() - 3 * 86400, time.time() - 60]
    for moment in moments:
        keep(client, moment)
    screen = on_terminal("metrics", "history", url=server.url, columns=100)
    assert [line[:19] for line in screen.lines[1:3]] == [
        time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment)) for moment in reversed(moments)
    ]
    screen = on_terminal("metrics", "history", "--utc", url=server.url, columns=100)
    assert screen.lines[1].startswith(time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(moments[1])))
    by_name = on_terminal("metrics", "history", "--fields", "waiting,time", url=server.url)
    assert by_name.lines[0].split() == ["WAITING", "TIME"]
    assert by_name.lines[1].split()[1] == screen.lines[1].split()[0]


def test_an_empty_history_is_said(server: PrivateRedis, cli: Run) -> None:
    assert cli("metrics", "history", "--json").json == {"history": []}
    assert on_terminal("metrics", "history", url=server.url, columns=170).code == 0
    assert on_terminal("metrics", "history", url=server.url).lines[0].startswith("no snapshots; ")


# --- Prometheus


def test_hostile_names_come_back_as_they_are(client: redis.Redis, cli: Run) -> None:
    names = ['q"uote', "back\\slash", "new\nline", "a\\nb", "界 {}=,", "\x1b[2J", "carriage\rreturn"]
    for name in names:
        client.zadd(f"queue:{name}:waiting", {"x": 1})
    client.zadd(b"queue:\xff\xfe:waiting", {"x": 1})
    text = cli("metrics", "prometheus").stdout
    families = {family.name: family for family in text_string_to_metric_families(text)}
    found = {sample.labels["queue"] for sample in families["asyncmq_queue_paused"].samples}
    assert found == {"mail", *names, "\\xff\\xfe"}
    assert families["asyncmq_queue_total"].samples[0].value == len(found)
    assert_promtool_agrees(text)


def assert_promtool_agrees(text: str) -> None:
    if promtool := shutil.which("promtool"):
        done = subprocess.run(
            [promtool, "check", "metrics"], input=text.encode("utf-8", "surrogateescape"), capture_output=True
        )
        # These two gauges have the dashboard's names, which end in _total as only counters should.
        reported = done.stdout.decode() + done.stderr.decode()
        named = {line.split()[0] for line in reported.splitlines()}
        assert named <= {"asyncmq_queue_total", "asyncmq_worker_total"}, reported


def test_no_name_acts_on_the_terminal(server: PrivateRedis, client: redis.Redis) -> None:
    client.zadd("queue:\x1b[2J:waiting", {"x": 1})
    screen = on_terminal("metrics", "prometheus", url=server.url)
    assert "\x1b" not in screen.raw
    assert 'queue="\\x1b[2J"' in screen.text


def test_oldest_waiting_and_paused_are_exported_per_queue(server: PrivateRedis, cli: Run) -> None:
    async def fill(opened: RedisBackend) -> None:
        await opened.enqueue("old", library.job("x", created_at=time.time() - 500))
        await opened.pause_queue("old")
        await opened.enqueue("dated", {**library.job("y"), "created_at": None})
        await library.put(opened, "idle", "completed", library.job("z"))

    library.with_backend(server.url, fill)
    families = text_string_to_metric_families(cli("metrics", "prometheus").stdout)
    values = {(f.name, s.labels.get("queue")): s.value for f in families for s in f.samples if f.name}
    assert 500 <= values["asyncmq_queue_oldest_waiting_seconds", "old"] < 600
    assert values["asyncmq_queue_oldest_waiting_seconds", "idle"] == 0
    assert ("asyncmq_queue_oldest_waiting_seconds", "dated") not in values
    assert (values["asyncmq_queue_paused", "old"], values["asyncmq_queue_paused", "idle"]) == (1, 0)


def test_a_file_is_replaced_at_one_stroke(tmp_path: Path, cli: Run) -> None:
    target = tmp_path / "asyncmq.prom"
    target.write_text("old\n")
    seen: set[str] = set()
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            seen.add(target.read_text())

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(20):
        result = cli("metrics", "prometheus", "--output", str(target))
        assert (result.code, result.stdout, result.stderr) == (0, "", "")
    done.set()
    reader.join()
    assert stat.S_IMODE(target.stat().st_mode) == 0o644
    assert [path.name for path in tmp_path.iterdir()] == ["asyncmq.prom"]
    for text in seen - {"old\n"}:
        assert text.startswith("# HELP asyncmq_dashboard_ready") and text.endswith("\n")
        assert "asyncmq_queue_oldest_waiting_seconds{" in text


def test_where_the_file_cannot_be_written_the_old_one_stays(tmp_path: Path, cli: Run) -> None:
    (tmp_path / "folder").mkdir()
    for target in (tmp_path / "folder", tmp_path / "none" / "x.prom", tmp_path / ("x" * 300)):
        result = cli("metrics", "prometheus", "-o", str(target))
        assert (result.code, result.stdout) == (1, "")
        assert result.stderr.startswith(f"error: cannot write '{target}': ")
    assert [path.name for path in tmp_path.rglob("*")] == ["folder"]


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, server: PrivateRedis) -> None:
    target = tmp_path / "asyncmq.prom"
    target.write_text("old\n")
    script = 'ulimit -f 0; trap "" XFSZ; exec "$0" -m asyncmq_cli metrics prometheus -o "$1"'
    env = {**os.environ, "ASYNCMQ_REDIS_URL": server.url, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(["bash", "-c", script, sys.executable, str(target)], env=env, capture_output=True)
    assert done.returncode == 1
    assert done.stderr.startswith(b"error: cannot write ")
    assert (target.read_text(), len(list(tmp_path.iterdir()))) == ("old\n", 1)


def test_a_path_that_is_no_regular_file_is_written_to_and_kept(tmp_path: Path, cli: Run) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as pool:
        text = pool.submit(pipe.read_text)
        assert cli("metrics", "prometheus", "-o", str(pipe)).code == 0
        assert text.result().startswith("# HELP")
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_the_text_of_prometheus_is_no_json(tmp_path: Path, cli: Run) -> None:
    for words in ([], ["--output", str(tmp_path / "asyncmq.prom")]):
        result = cli("metrics", "prometheus", "--json", *words)
        assert (result.code, result.stdout) == (2, "")
        assert json.loads(result.stderr)["error"]["code"] == "usage"
    assert list(tmp_path.iterdir()) == []


def test_where_redis_cannot_be_read_it_says_not_ready_and_exits_3(tmp_path: Path, cli: Run) -> None:
    target = tmp_path / "asyncmq.prom"
    result = cli("metrics", "prometheus", "--redis-url", NOWHERE)
    to_file = cli("metrics", "prometheus", "-o", str(target), "--redis-url", NOWHERE)
    assert (result.code, to_file.code, to_file.stdout) == (3, 3, "")
    assert target.read_text() == result.stdout
    (family,) = text_string_to_metric_families(result.stdout)
    assert [(sample.name, sample.value) for sample in family.samples] == [("asyncmq_dashboard_ready", 0)]
    assert result.stderr.startswith("error: cannot reach Redis at ")
    assert_promtool_agrees(result.stdout)


def test_cron_hears_of_a_redis_that_is_away(cli: Run) -> None:
    for command in (["record"], ["show"], ["history"]):
        result = cli("metrics", *command, "--redis-url", NOWHERE)
        assert (result.code, result.stdout) == (3, "")
        assert result.stderr.startswith("error: cannot reach Redis at ")
