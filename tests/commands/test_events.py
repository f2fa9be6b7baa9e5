"""`events tail`: the dashboard's events as they come, for programs, for people, and through an outage."""

from __future__ import annotations

import json
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest
import redis
import sseclient
from asyncmq.backends.redis import RedisBackend

from asyncmq_cli import config
from asyncmq_cli.commands import events as commands
from asyncmq_cli.demo.server import PrivateRedis
from asyncmq_cli.models.monitoring.snapshots import EVENTS
from asyncmq_cli.services.monitoring.events import Event, EventService, TailOptions
from asyncmq_cli.services.monitoring.metrics import MetricsService
from asyncmq_cli.services.monitoring.poller import Outage
from asyncmq_cli.storage.store import Store
from tests.conftest import Run, environment
from tests.demo.processes import eventually
from tests.support import library
from tests.support.forked import Forked
from tests.support.screen import LiveTerminal
from tests.support.servers import Comeback
from tests.support.terminal import on_terminal
from tests.support.workers import QUEUE, holding, working

CHANNEL = "asyncmq:events"
_PATIENCE = 30.0


class Tail:
    """A running `events tail`. Its lines are read as they arrive, with their times."""

    def __init__(self, *args: str, url: str) -> None:
        self._process = Forked(
            ["-m", "asyncmq_cli", "events", "tail", *args],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(url),
        )
        self._lines: queue.Queue[tuple[float, str]] = queue.Queue()
        self._errors: queue.Queue[str] = queue.Queue()
        for stream, found in (
            (self._process.stdout, lambda line: self._lines.put((time.monotonic(), line))),
            (self._process.stderr, self._errors.put),
        ):
            threading.Thread(target=_read, args=(stream, found), daemon=True).start()

    def __enter__(self) -> Tail:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()

    def line(self) -> str:
        return self._lines.get(timeout=_PATIENCE)[1]

    def event(self, name: str | None = None) -> dict[str, Any]:
        """The next event, or the next with this name."""
        while True:
            found: dict[str, Any] = json.loads(self.line())
            if name in (None, found["event"]):
                return found

    def round(self) -> list[tuple[float, dict[str, Any]]]:
        got = [self._lines.get(timeout=_PATIENCE) for _ in EVENTS]
        return [(at, json.loads(text)) for at, text in got]

    def error(self) -> str:
        return self._errors.get(timeout=_PATIENCE)

    def interrupt(self) -> None:
        self._process.send_signal(signal.SIGINT)

    def end(self) -> int:
        return self._process.wait(_PATIENCE)


def _read(stream: Any, found: Callable[[str], None]) -> None:
    for line in stream:
        found(line.decode("utf-8", "surrogateescape").rstrip("\n"))


def await_subscriber(client: redis.Redis) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not client.pubsub_numsub(CHANNEL)[0][1]:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def enqueue(url: str, *ids: str, queue_name: str = "mail") -> None:
    async def put(opened: RedisBackend) -> None:
        for job_id in ids:
            await opened.enqueue(queue_name, library.job(job_id))

    library.with_backend(url, put)


def emit(url: str, name: str, data: dict[str, Any]) -> None:
    library.with_backend(url, lambda opened: opened.emit_event(name, data))


@pytest.fixture(autouse=True)
def mail(server: PrivateRedis, client: redis.Redis) -> None:
    enqueue(server.url, "a", "b")


# --- rounds


def test_a_round_is_the_seven_events_in_the_dashboards_order(cli: Run) -> None:
    documents = [json.loads(line) for line in cli("events", "tail", "--once").lines]
    assert [document["event"] for document in documents] == list(EVENTS)
    assert [list(document) for document in documents] == [["event", "timestamp", "data"]] * 7
    assert abs(documents[0]["timestamp"] - time.time()) < 60
    totals = {"total_queues": 1, "total_jobs": 2, "total_workers": 0, "states_age_seconds": 0.0}
    assert documents[0]["data"] == totals


def test_lines_come_when_they_are_true_and_not_when_a_buffer_is_full(server: PrivateRedis) -> None:
    with Tail("--interval", "0.5", url=server.url) as tail:
        first = tail.round()
        assert first[0][1]["data"]["total_jobs"] == 2
        enqueue(server.url, "c")
        while (found := tail.event("overview"))["data"]["total_jobs"] == 2:
            pass
        assert found["data"]["total_jobs"] == 3
        assert [job["id"] for job in tail.event("latest_jobs")["data"]] == ["c", "b", "a"]


def test_a_round_a_time_and_no_more_often_than_asked(server: PrivateRedis) -> None:
    with Tail("--interval", "0.5", "--count", "3", "--event", "jobdist", url=server.url) as tail:
        times = [tail.event()["timestamp"] for _ in range(3)]
        assert tail.end() == 0
    # A read may take long on a busy machine, and the next one less.
    assert times[1] - times[0] >= 0.2 and times[2] - times[1] >= 0.2


def test_some_events_only_in_the_order_of_a_round(cli: Run) -> None:
    wanted = ("--event", "latest_queues", "--event", "overview", "--event", "overview")
    lines = cli("events", "tail", "--count", "2", "--interval", "0.1", *wanted).lines
    assert [json.loads(line)["event"] for line in lines] == ["overview", "latest_queues"] * 2


@pytest.mark.parametrize(
    ("name", "unneeded"),
    [
        ("workers", {"zscan", "zrange", "sscan", "hmget"}),
        ("latest_jobs", {"evalsha", "eval"}),
        ("jobdist", {"evalsha", "eval", "xadd"}),
    ],
)
def test_only_requested_fields_are_read(name: str, unneeded: set[str], client: redis.Redis, cli: Run) -> None:
    client.config_resetstat()
    assert len(cli("events", "tail", "--once", "--event", name).lines) == 1
    used = {name.removeprefix("cmdstat_") for name in client.info("commandstats")}
    assert not used & unneeded
    assert client.exists("asyncmq-cli:metrics") == 0


def test_a_snapshot_is_kept_with_the_metrics_unless_that_is_not_wanted(client: redis.Redis, cli: Run) -> None:
    assert len(cli("events", "tail", "--once", "--no-record").lines) == 7
    assert client.exists("asyncmq-cli:metrics") == 0
    assert len(cli("events", "tail", "--once").lines) == 7
    assert client.xlen("asyncmq-cli:metrics") == 1


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--event", "metric"], "did you mean metrics?"),
        (["--interval", "0.01"], "--interval must be at least 0.1 seconds"),
        (["--interval", "soon"], "'soon' is not a duration"),
        (["--count", "0"], "--count must be a whole number from 1, not '0'"),
        (["--sse", "--json"], "--sse and --json exclude each other"),
        (["--once", "--count", "2"], "--once and --count exclude each other"),
    ],
    ids=str,
)
def test_wrong_usage(words: list[str], says: str, cli: Run) -> None:
    result = cli("events", "tail", *words)
    assert (result.code, result.stdout) == (2, "")
    assert says in result.stderr


# --- how it is printed


def test_an_sse_client_reads_what_the_dashboard_would_send(server: PrivateRedis, cli: Run) -> None:
    enqueue(server.url, "x", queue_name="a\nb: \u2028")
    text = cli("events", "tail", "--once", "--sse").stdout

    def chunks() -> Iterator[bytes]:
        yield text.encode()

    events = list(sseclient.SSEClient(chunks()).events())
    assert [event.event for event in events] == list(EVENTS)
    assert text.startswith("retry: 3000\n\n") and text.count("retry:") == 1
    started, first = events[0].id.split("-")
    assert [event.id for event in events] == [f"{started}-{int(first) + number}" for number in range(7)]
    found = {event.event: json.loads(event.data) for event in events}
    assert found["overview"]["total_jobs"] == 3
    assert [row["name"] for row in found["queues"]] == ["a\nb: \u2028", "mail"]


def test_people_get_lines_that_they_can_read(server: PrivateRedis, client: redis.Redis) -> None:
    client.set("queue:mail:dlq", "text")
    screen = on_terminal("events", "tail", "--once", "--no-record", url=server.url)
    assert screen.code == 0
    reported = {line.split()[1]: line for line in screen.lines if re.match(r"\d\d:\d\d:\d\d  ", line)}
    assert list(reported) == list(EVENTS)
    assert reported["overview"].endswith("total_queues=1  total_jobs=?  total_workers=0")
    assert "waiting=2  active=0" in reported["jobdist"] and "failed=?" in reported["jobdist"]
    assert screen.lines[0].startswith("warning: queue 'mail': the key 'queue:mail:dlq'")
    assert sum(line.startswith("warning") for line in screen.lines) == 1


def test_where_nothing_happens_a_client_gets_heartbeats(
    server: PrivateRedis, cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "_HEARTBEAT_SECONDS", 0.02)
    text = cli("events", "tail", "--count", "2", "--interval", "0.2", "--sse", "--event", "overview").stdout
    first, *between, last, end = text.removeprefix("retry: 3000\n\n").split("\n\n")
    assert "event: overview" in first and "event: overview" in last and end == ""
    assert set(between) == {": heartbeat"}


def test_people_see_the_changes_since_the_last_read(server: PrivateRedis) -> None:
    async def fill(opened: RedisBackend) -> None:
        for number in range(3):
            await library.put(opened, "mail", "completed", library.job(f"done-{number}"))
        failed = library.job("bad", last_error=library.TRACEBACK, error_traceback=library.TRACEBACK)
        await library.put(opened, "mail", "failed", failed)
        await opened.pause_queue("mail")

    words = ("events", "tail", "--interval", "0.1", "--no-record")
    with LiveTerminal(*words, url=server.url, columns=200) as terminal:
        terminal.shows("watching ")
        library.with_backend(server.url, fill)
        # The three may complete in one round or in several.
        terminal.shows("completed", "1 failed (ConnectionRefusedError)", "paused")
        assert " jobdist " not in terminal.text and "total_jobs" not in terminal.text


def test_the_end_of_an_outage_is_noted_like_its_start() -> None:
    with Comeback() as server:
        enqueue(server.url, "one")
        with Tail("--interval", "0.2", "--event", "overview", url=server.url) as tail:
            tail.event()
            server.go_away()
            assert tail.error().startswith("warning: cannot reach Redis")
            server.come_back()
            tail.event("overview")
            while (line := tail.error()).startswith("warning: "):
                pass
            assert re.fullmatch(r"note: Redis is back after \d+s", line)


def test_no_line_is_wider_than_the_terminal_and_no_fact_is_broken(
    server: PrivateRedis, client: redis.Redis
) -> None:
    async def fill(opened: RedisBackend) -> None:
        for state in ("completed", "failed", "expired", "cancelled", "active"):
            await library.put(opened, "mail", state, library.job(f"job-that-is-{state}"))

    library.with_backend(server.url, fill)
    for columns in (60, 80, 200):
        screen = on_terminal("events", "tail", "--once", "--no-record", url=server.url, columns=columns)
        assert max(map(len, screen.lines)) <= columns
        facts = [fact for line in screen.lines for fact in line.split() if "=" in fact]
        assert all(re.fullmatch(r"[a-z_]+=\S+", fact) for fact in facts)
        (jobdist,) = [line for line in screen.lines if " jobdist " in line]
        after = screen.lines[screen.lines.index(jobdist) + 1]
        assert after.startswith(" " * 24) == (columns < 200), "what is left goes on under it"


def test_a_terminal_is_shown_control_characters_as_escapes(server: PrivateRedis, client: redis.Redis) -> None:
    enqueue(server.url, "\x1b[31mred", queue_name="\x1b[2J\u202e")
    for words in ([], ["--sse"], ["--json"]):
        screen = on_terminal("events", "tail", "--once", *words, url=server.url)
        assert "\x1b" not in screen.raw.replace("\x1b[0m", "") and "\u202e" not in screen.raw


# --- how it ends


@pytest.mark.extended(first=1)
@pytest.mark.parametrize("words", [[], ["--sse"], ["--event", "metrics"]], ids=str)
def test_a_closed_pipe_ends_it_quietly(words: list[str], server: PrivateRedis) -> None:
    command = f"{sys.executable} -m asyncmq_cli events tail --interval 0.1 {' '.join(words)}"
    done = subprocess.run(
        ["bash", "-c", f"{command} | head -n 1; exit ${{PIPESTATUS[0]}}"],
        env=environment(server.url),
        capture_output=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.count(b"\n") == 1


@pytest.mark.parametrize(
    "words",
    [["--event", "overview"], ["--event", "runtime"], ["--event", "overview", "--runtime"], ["--sse"]],
    ids=" ".join,
)
def test_a_reader_that_closes_is_noticed_without_anything_to_write(
    words: list[str], server: PrivateRedis, client: redis.Redis
) -> None:
    """The next round is in ten minutes, and nothing is published."""
    process = Forked(
        ["-m", "asyncmq_cli", "events", "tail", "--interval", "600", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(server.url),
    )
    assert process.stdout is not None and process.stderr is not None
    try:
        if words == ["--event", "runtime"]:
            await_subscriber(client)
        else:
            process.stdout.readline()
        process.stdout.close()
        assert (process.wait(_PATIENCE), process.stderr.read()) == (0, b"")
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def test_a_reader_that_closes_during_an_outage_is_noticed() -> None:
    with Comeback() as server:
        enqueue(server.url, "one")
        process = Forked(
            ["-m", "asyncmq_cli", "events", "tail", "--interval", "0.1"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(server.url),
        )
        assert process.stdout is not None and process.stderr is not None
        try:
            process.stdout.readline()
            server.go_away()
            assert process.stderr.readline().startswith(b"warning: cannot reach Redis at ")
            process.stdout.close()
            assert process.wait(_PATIENCE) == 0
        finally:
            process.kill()
            process.wait()
            process.stderr.close()


def test_ctrl_c_is_an_interrupt(server: PrivateRedis) -> None:
    with Tail("--interval", "60", url=server.url) as tail:
        tail.round()
        tail.interrupt()
        assert tail.end() == 130
        assert tail.error() == "error: interrupted"


# --- when Redis goes away


def test_an_outage_is_a_warning_and_reading_continues() -> None:
    with Comeback() as server:
        enqueue(server.url, "one")
        with Tail("--interval", "0.2", url=server.url) as tail:
            tail.round()
            server.go_away()
            assert re.fullmatch(
                r"warning: cannot reach Redis at unix://\S+: .*; trying again in 1 s", tail.error()
            )
            server.come_back()
            enqueue(server.url, "two", "three")
            while tail.event("overview")["data"]["total_jobs"] != 2:
                pass
            tail.interrupt()
            assert tail.end() == 130


def test_the_pause_grows_with_the_outage_up_to_half_a_minute() -> None:
    with Comeback() as server:
        enqueue(server.url, "one")
        store = Store(config.resolve({"redis_url": server.url}), warn=lambda message: None)
        rests: list[float] = []
        events = EventService(store, MetricsService(store))
        found = events.tail(TailOptions(["overview"], interval=0.5, record=False), rests.append)
        try:
            assert isinstance(next(found), Event)
            server.go_away()
            outages = [next(found) for _ in range(8)]
            assert [outage.pause for outage in outages if isinstance(outage, Outage)] == [
                *(1, 2, 4, 8, 16, 30, 30, 30)
            ]
            assert rests[1:] == [1, 2, 4, 8, 16, 30, 30], "the last has been told, and is about to begin"
            server.come_back()
            assert isinstance(next(found), Event)
            server.go_away()
            again = next(found)
            assert isinstance(again, Outage) and again.pause == 1, "it begins anew"
        finally:
            store.close()


def test_without_retry_an_outage_is_the_end() -> None:
    with Comeback() as server, Tail("--interval", "0.2", "--no-retry", url=server.url) as tail:
        tail.round()
        server.go_away()
        assert tail.end() == 3
        assert tail.error().startswith("error: cannot reach Redis at ")


def test_a_connection_that_is_cut_costs_nothing(server: PrivateRedis, client: redis.Redis) -> None:
    """Servers close idle connections, which is not an outage."""
    with Tail("--interval", "0.2", "--event", "overview", url=server.url) as tail:
        tail.event()
        client.client_kill_filter(_type="normal", skipme=True)
        enqueue(server.url, "c")
        while tail.event()["data"]["total_jobs"] != 3:
            pass
        assert tail._errors.empty()


def test_where_redis_is_not_from_the_start_it_ends_at_once(cli: Run) -> None:
    for words in ([], ["--event", "runtime"]):
        result = cli("events", "tail", *words, "--redis-url", "unix:///nonexistent/redis.sock")
        assert (result.code, result.stdout) == (3, "")
        assert result.stderr.startswith("error: cannot reach Redis at ")


def test_a_wrong_password_is_not_tried_again() -> None:
    with PrivateRedis() as server:
        enqueue(server.url, "one")
        with Tail("--interval", "0.2", url=server.url) as tail:
            tail.round()
            with redis.Redis.from_url(server.url) as admin:
                admin.config_set("requirepass", "secret")
                admin.client_kill_filter(_type="normal", skipme=True)
            assert tail.end() == 3
            assert tail.error() == "error: Redis asks for a password"


# --- what AsyncMQ publishes


def test_what_the_library_publishes_arrives_at_once(server: PrivateRedis, client: redis.Redis) -> None:
    with Tail("--event", "runtime", "--interval", "600", url=server.url) as tail:
        await_subscriber(client)
        for number in range(3):
            emit(server.url, "job:stalled", {"id": f"job-{number}", "queue": "mail"})
            found = tail.event()
            assert list(found["data"]) == ["event", "data", "ts", "time"]
            assert found["event"] == "runtime"
            assert found["data"]["event"] == "job:stalled"
            assert found["data"]["data"] == {"id": f"job-{number}", "queue": "mail"}
            assert found["timestamp"] == found["data"]["ts"]


def test_the_job_of_a_killed_worker_is_reported_by_the_next_read(
    server: PrivateRedis, client: redis.Redis, tmp_path: Path
) -> None:
    client.flushall()
    end = tmp_path / "end"
    library.with_backend(server.url, lambda opened: opened.enqueue(QUEUE, holding("long", end)))
    with working(server.url, stalled=0.5) as worker:
        assert eventually(lambda: client.hlen(f"queue:{QUEUE}:heartbeats") == 1)
        worker.kill()
    with Tail("--event", "overview", "--runtime", "--interval", "600", url=server.url) as tail:
        assert tail.event()["event"] == "overview"
        with working(server.url, stalled=0.5):
            published = tail.event("runtime")["data"]
    assert published["event"] == "job:stalled"
    assert (published["data"]["queue_name"], published["data"]["id"]) == (QUEUE, "long")


def test_published_events_come_between_rounds(server: PrivateRedis, client: redis.Redis) -> None:
    with Tail("--runtime", "--event", "overview", "--interval", "1", url=server.url) as tail:
        assert tail.event()["event"] == "overview"
        emit(server.url, "job:stalled", {"id": "one"})
        assert tail.event("runtime")["data"]["data"] == {"id": "one"}
        assert tail.event("overview")["data"]["total_jobs"] == 2


def test_a_count_of_published_events(server: PrivateRedis, client: redis.Redis) -> None:
    with Tail("--event", "runtime", "--count", "2", "--interval", "0.2", url=server.url) as tail:
        await_subscriber(client)
        for number in range(3):
            emit(server.url, "job:stalled", {"id": number})
        assert [tail.event()["data"]["data"]["id"] for _ in range(2)] == [0, 1]
        assert tail.end() == 0


def test_junk_on_the_channel_is_warned_of_and_passed_over(server: PrivateRedis, client: redis.Redis) -> None:
    with Tail("--event", "runtime", url=server.url) as tail:
        await_subscriber(client)
        for junk in (b"\xff\xfe", b"[1]", b'{"data": 1}', b"", b'{"event": "later", "ts": "x"}'):
            client.publish(CHANNEL, junk)
        assert tail.event()["data"] == {"event": "later", "data": None, "ts": None, "time": None}
        assert tail.error().startswith("warning: a message on asyncmq:events is not an event")


def test_secrets_in_published_events_are_not_shown(server: PrivateRedis, client: redis.Redis) -> None:
    for words, shown in ([[], "[redacted]"], [["--show-secrets"], "hunter2"]):
        with Tail("--event", "runtime", "--count", "1", *words, url=server.url) as tail:
            await_subscriber(client)
            emit(server.url, "job:stalled", {"job": {"kwargs": {"password": "hunter2"}}})
            assert tail.event()["data"]["data"] == {"job": {"kwargs": {"password": shown}}}
            assert tail.end() == 0


def test_published_events_cannot_control_a_terminal(server: PrivateRedis, client: redis.Redis) -> None:
    with LiveTerminal("events", "tail", "--event", "runtime", "--count", "1", url=server.url) as terminal:
        await_subscriber(client)
        emit(server.url, "job:\x1b[2J", {"id": "\x1b]0;title\x07", "\x1b[31m": {"deep": "\x9b1m"}})
        assert terminal.end() == 0
        assert not re.search(rb"[\x1b\x07\x9b]", terminal.raw.replace(b"\xc2\x9b", b"\x9b"))
        assert "job:\\x1b[2J" in terminal.text


def test_an_outage_is_reported_while_only_listening() -> None:
    with Comeback() as server, Tail("--event", "runtime", "--interval", "0.5", url=server.url) as tail:
        with redis.Redis.from_url(server.url) as admin:
            await_subscriber(admin)
        # An event is only printed after the first read has succeeded.
        emit(server.url, "job:stalled", {"id": "first"})
        assert tail.event()["data"]["data"] == {"id": "first"}
        server.go_away()
        assert tail.error().startswith("warning: cannot reach Redis at ")
        server.come_back()
        with redis.Redis.from_url(server.url) as admin:
            await_subscriber(admin)
        emit(server.url, "job:stalled", {"id": "later"})
        assert tail.event()["data"]["data"] == {"id": "later"}


def test_a_channel_that_the_user_may_not_hear_is_an_error(server: PrivateRedis, client: redis.Redis) -> None:
    client.execute_command("ACL", "SETUSER", "deaf", "reset", "on", ">pw", "~*", "+@all", "resetchannels")
    try:
        url = server.url.replace("unix://", "unix://deaf:pw@")
        with Tail("--event", "runtime", url=url) as tail:
            assert tail.end() == 3
            assert "the Redis user may not do this" in tail.error()
    finally:
        client.execute_command("ACL", "DELUSER", "deaf")
