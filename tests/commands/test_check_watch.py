"""`check --watch --notify`, with a receiver that is a real HTTP server."""

from __future__ import annotations

import hashlib
import hmac
import json
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import redis
from jsonschema import Draft202012Validator

from asyncmq_cli.demo.server import PrivateRedis
from asyncmq_cli.errors import UsageProblem
from asyncmq_cli.system import webhook
from tests.conftest import Run, environment
from tests.demo.processes import eventually
from tests.docs.conftest import ROOT
from tests.support.forked import Forked

WATCH = ("check", "--watch", "1s", "--max-waiting", "0:2")


class Receiver:
    """The requests that arrived, and the status of each answer."""

    def __init__(self) -> None:
        self.answers: list[int] = []
        self.got: list[tuple[dict[str, str], bytes]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.got.append((dict(self.headers), body))
                status = receiver.answers.pop(0) if receiver.answers else 200
                self.send_response(status)
                if status in (302, 308):
                    self.send_header("Location", "/elsewhere")
                if status == 429:
                    self.send_header("Retry-After", "20")
                self.end_headers()

            def log_message(self, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook/T0P-SECRET"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def documents(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.got]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    running = Receiver()
    yield running
    running.close()


@contextmanager
def watching(server: PrivateRedis, *options: str) -> Iterator[Forked]:
    process = Forked(
        ["-m", "asyncmq_cli", *WATCH, *options],
        env=environment(server.url),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def fill(client: redis.Redis, count: int) -> None:
    """Add this many waiting jobs at once, because a check may read at any moment."""
    client.zadd("queue:<mail>:waiting", {f"j{number}": number for number in range(count)})


def test_a_change_is_sent_once_signed_and_its_end_too(
    server: PrivateRedis, client: redis.Redis, receiver: Receiver, tmp_path: Path
) -> None:
    (tmp_path / "key").write_text("s3cret\n")
    (tmp_path / "url").write_text(receiver.url + "\n")
    client.set("queue:<mail>:waiting:seq", 1)
    receiver.answers = [503]
    with watching(server, "--notify", f"@{tmp_path / 'url'}", "--secret", str(tmp_path / "key")) as process:
        assert process.stdout.readline().startswith(b"ASYNCMQ OK - ")
        fill(client, 1)
        assert eventually(lambda: len(receiver.got) == 2), "a try that failed, and one more"
        fill(client, 5)
        assert eventually(lambda: len(receiver.got) == 3)
        client.delete("queue:<mail>:waiting")
        assert eventually(lambda: len(receiver.got) == 4)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 143
        lines = process.stdout.read().decode().splitlines()
        assert process.stderr.read() == b""
    first, again, worse, over = receiver.documents
    assert {**first, "time": None} == {**again, "time": None}
    assert [one["state"] for one in (worse, over)] == ["critical", "ok"]
    assert (first["previous"], over["previous"]) == ("ok", "critical")
    assert list(first) == ["state", "previous", "summary", "time", "redis", "incident", "troubles", "over"]
    schema = json.loads((ROOT / "docs/schemas/notice.json").read_text())
    for one in receiver.documents:
        Draft202012Validator(schema).validate(one)
    assert {one["incident"] for one in receiver.documents} == {first["incident"]}
    assert {
        "probe": "waiting",
        "queue": "<mail>",
        "state": "critical",
        "message": "<mail>: 5 waiting (at most 2)",
    } in worse["troubles"]
    assert over["troubles"] == [] and {one["state"] for one in over["over"]} == {"ok"}
    assert [line.split()[1] for line in lines][-1] == "OK"
    for headers, body in receiver.got:
        text = headers["X-Asyncmq-Timestamp"].encode() + b"." + body
        digest = hmac.new(b"s3cret", text, hashlib.sha256).hexdigest()
        assert headers["X-Asyncmq-Signature"] == f"sha256={digest}"
        assert b"s3cret" not in body and b"T0P-SECRET" not in body


@pytest.mark.parametrize("form", ["slack", "pagerduty"])
def test_slack_and_pagerduty_get_their_own_documents(
    form: str, server: PrivateRedis, client: redis.Redis, receiver: Receiver, tmp_path: Path
) -> None:
    (tmp_path / "key").write_text("R0UTE")
    secret = ["--secret", str(tmp_path / "key")] if form == "pagerduty" else []
    fill(client, 5)
    with watching(server, "--notify", receiver.url, "--format", form, "--quiet", *secret):
        assert eventually(lambda: len(receiver.got) == 1)
        client.delete("queue:<mail>:waiting")
        assert eventually(lambda: len(receiver.got) == 2)
    bad, well = receiver.documents
    if form == "slack":
        assert list(bad) == ["text"]
        head, *lines = bad["text"].splitlines()
        assert head.startswith(":red_circle: *ASYNCMQ CRITICAL* on unix://")
        assert "• critical: &lt;mail&gt;: 5 waiting (at most 2)" in lines
        assert "• over: &lt;mail&gt;: 5 waiting (at most 2)" in well["text"].splitlines()
        return
    assert (bad["event_action"], well["event_action"]) == ("trigger", "resolve")
    assert bad["dedup_key"] == well["dedup_key"] and bad["routing_key"] == "R0UTE"
    assert list(bad["payload"]) == [
        "summary",
        "source",
        "severity",
        "timestamp",
        "component",
        "custom_details",
    ]
    assert bad["payload"]["severity"] == "critical" and "R0UTE" not in str(bad["payload"])


def test_trouble_that_does_not_last_is_not_sent(
    server: PrivateRedis, client: redis.Redis, receiver: Receiver
) -> None:
    fill(client, 5)
    with watching(server, "--notify", receiver.url, "--for", "1h") as process:
        assert process.stdout.readline().startswith(b"ASYNCMQ CRITICAL - ")
        reads = client.info("commandstats")["cmdstat_time"]["calls"]
        assert eventually(lambda: client.info("commandstats")["cmdstat_time"]["calls"] > reads + 1)
    assert receiver.got == []


def test_a_receiver_that_is_down_causes_one_warning_and_delays_no_check(
    server: PrivateRedis, client: redis.Redis, receiver: Receiver
) -> None:
    receiver.answers = [403]
    fill(client, 5)
    with watching(server, "--notify", receiver.url) as process:
        assert process.stdout.readline().startswith(b"ASYNCMQ CRITICAL - ")
        warned = process.stderr.readline().decode()
        assert (
            warned
            == "warning: the notice could not be delivered to 127.0.0.1: it answered 403; trying again\n"
        )
        client.delete("queue:<mail>:waiting")
        assert process.stdout.readline().startswith(b"ASYNCMQ OK - "), "a minute before the next try"
    assert len(receiver.got) == 1


@pytest.mark.parametrize(
    ("status", "may_pass"),
    [
        (200, None),
        (204, None),
        (500, True),
        (503, True),
        (429, True),
        (403, False),
        (302, False),
        (308, False),
    ],
)
def test_a_try(status: int, may_pass: bool | None, receiver: Receiver) -> None:
    receiver.answers = [status]
    if may_pass is None:
        webhook.post(receiver.url, b"{}", {})
    else:
        with pytest.raises(webhook.NotDelivered) as raised:
            webhook.post(receiver.url, b"{}", {})
        said = f"the notice could not be delivered to 127.0.0.1: it answered {status}"
        assert (raised.value.message, raised.value.may_pass) == (said, may_pass)
        assert raised.value.wish == (20 if status == 429 else 0)
    assert len(receiver.got) == 1, "a redirect is not followed"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (None, "it did not answer within 0.2 s"),
        (b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 3, "it did not answer within 0.2 s"),
        (b"", "it closed the connection without an answer"),
        (b"hello\r\n\r\n", "it did not answer in HTTP"),
    ],
    ids=["hangs", "trickles", "closes", "no HTTP"],
)
def test_a_receiver_that_does_not_answer(
    answer: bytes | None, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook, "_PATIENCE", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def receive() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(65536)
                if answer is None or answer.startswith(b"HTTP"):
                    # One byte each 0.05 s, so that no single read takes long.
                    for byte in answer or b"":
                        with suppress(OSError):
                            connection.send(bytes((byte,)))
                            gone.wait(0.05)
                    gone.wait(10)
                else:
                    connection.sendall(answer)

        gone = threading.Event()
        thread = threading.Thread(target=receive)
        thread.start()
        began = time.monotonic()
        try:
            with pytest.raises(webhook.NotDelivered, match=said) as raised:
                webhook.post(f"http://127.0.0.1:{listening.getsockname()[1]}/T0P-SECRET", b"{}", {})
        finally:
            gone.set()
            thread.join()
    assert raised.value.may_pass and time.monotonic() - began < 5
    assert "T0P-SECRET" not in raised.value.message


def test_a_receiver_that_is_not_running() -> None:
    with pytest.raises(webhook.NotDelivered, match="Connection refused"):
        webhook.post("http://127.0.0.1:1/T0P-SECRET", b"{}", {})


def test_the_pauses_between_attempts() -> None:
    retries = webhook.Retries()

    def pauses(*problems: tuple[bool, float]) -> list[float]:
        found = []
        for may_pass, wish in problems:
            retries.failed(webhook.NotDelivered("http://x/", "", may_pass=may_pass, wish=wish), 100.0)
            found.append(retries.due - 100)
        return found

    down, refused = (True, 0.0), (False, 0.0)
    assert pauses(*[down] * 8) == [1, 2, 4, 8, 16, 32, 60, 60]
    retries.delivered()
    assert pauses(refused, (True, 20.0), (True, 1.0)) == [60, 20, 4]


@pytest.mark.parametrize(
    "url",
    ["", "x", "ftp://x/", "file:///etc/passwd", "http://", "http://a b/", "http://x:y/", "https://u:p@x/"],
)
def test_an_invalid_webhook_url_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(UsageProblem) as raised:
        webhook.require_url(url)
    assert not url or len(url) < 2 or url not in raised.value.message


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--notify", "http://x/"], "need --watch"),
        (["--for", "2m"], "need --watch"),
        (["--watch", "0.5s"], "--watch must be at least 1 seconds"),
        (["--watch", "5s", "--format", "slack"], "need --notify"),
        (["--watch", "5s", "--format", "pagerduty"], "needs a key file by --secret"),
        (["--watch", "5s", "--notify", "@/nonexistent/url"], "cannot read '/nonexistent/url'"),
        (["--watch", "5s", "--json"], "prints no documents"),
    ],
)
def test_wrong_usage(options: list[str], said: str, cli: Run) -> None:
    result = cli("check", *options)
    assert result.code == 3 and said in result.stderr


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["check", "--watch", "5s"], "--watch takes one context"),
        (["metrics", "serve"], "'asyncmq metrics serve' takes one context"),
    ],
)
def test_a_command_that_does_not_end_takes_one_context(args: list[str], said: str, cli: Run) -> None:
    result = cli("--context", "a,b", *args)
    assert result.code in (2, 3) and said in result.stderr
