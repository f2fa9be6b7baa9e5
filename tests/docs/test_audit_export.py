"""The recipes that send audit events to other systems, run against servers of that kind."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from tests.docs.conftest import Shell
from tools.pages import DOCS, blocks


@pytest.fixture
def collector() -> Iterator[tuple[str, list[tuple[str, dict[str, Any]]]]]:
    """A server: its address, and the requests that it received, as pairs of path and document."""
    posted: list[tuple[str, dict[str, Any]]] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append((self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", posted
    server.shutdown()
    server.server_close()


def test_each_event_arrives_as_a_log_record(
    collector: tuple[str, list[tuple[str, dict[str, Any]]]], shell: Shell
) -> None:
    url, posted = collector
    (recipe,) = [one.text for one in blocks((DOCS / "recipes.md").read_text()) if "OTLP" in one.text]
    reported = shell(f"export OTEL_EXPORTER_OTLP_ENDPOINT={url}\n{recipe}")
    assert (reported.code, reported.stderr) == (0, "")
    events = [json.loads(line) for line in shell("asyncmq audit export").lines]
    assert len(posted) == len(events) > 2
    for event, (path, document) in zip(events, posted, strict=True):
        assert path == "/v1/logs"
        (record,) = document["resourceLogs"][0]["scopeLogs"][0]["logRecords"]
        assert json.loads(record["body"]["stringValue"]) == event
        assert abs(int(record["timeUnixNano"]) / 1e9 - event["timestamp"]) < 0.001
        assert record["severityText"] == ("INFO" if event["status"] == "success" else "WARN")


def test_each_event_arrives_at_syslog(shell: Shell) -> None:
    text = (DOCS / "recipes.md").read_text()
    (line,) = re.findall(r"^\$ (asyncmq audit tail .*)$", text, re.MULTILINE)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as syslog:
        syslog.bind(("127.0.0.1", 0))
        syslog.settimeout(30)
        line = line.replace(" -f", "").replace("logs.internal", "127.0.0.1")
        reported = shell(line.replace("--port 514", f"--port {syslog.getsockname()[1]}"))
        assert (reported.code, reported.stderr) == (0, "")
        for event in shell("asyncmq audit tail -o jsonl").lines:
            message = syslog.recv(65536).decode()
            assert " asyncmq-audit " in message and message.endswith(event)
