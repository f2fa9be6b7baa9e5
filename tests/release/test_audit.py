"""`make audit` passes only if the database answered, and knows of no vulnerability."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from tools.audit import main, pins

LOCK = """\
# a comment, and pins for one Python or another
redis==8.1.0 \\
    --hash=sha256:00
    # via asyncmq-cli
typer==0.29.1 ; python_full_version < '3.11' \\
    --hash=sha256:01
typer==0.29.2 ; python_full_version >= '3.11' \\
    --hash=sha256:02
"""
PINS = [("redis", "8.1.0"), ("typer", "0.29.1"), ("typer", "0.29.2")]
NOTHING: dict[str, Any] = {}


@contextmanager
def answering(status: int, body: bytes) -> Iterator[tuple[str, list[Any]]]:
    """A server that gives one answer. Yields its address and the requests that it received."""
    asked: list[Any] = []

    class Service(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Service) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1/querybatch", asked
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    path = tmp_path / "requirements.lock"
    path.write_text(LOCK)
    return path


def results(*each: dict[str, Any]) -> bytes:
    return json.dumps({"results": each}).encode()


def test_every_pin_is_asked_about_whatever_this_python_is(
    lock: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pins(LOCK) == PINS
    with answering(200, results(NOTHING, NOTHING, NOTHING)) as (service, asked):
        assert main([str(lock), "--service", service]) == 0
    (batch,) = asked
    assert [(query["package"]["name"], query["version"]) for query in batch["queries"]] == PINS
    assert {query["package"]["ecosystem"] for query in batch["queries"]} == {"PyPI"}
    assert capsys.readouterr() == ("", "3 packages audited, 0 known vulnerabilities\n")


def test_known_vulnerabilities_are_named_and_fail(lock: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with answering(200, results(NOTHING, {"vulns": [{"id": "GHSA-1"}, {"id": "PYSEC-2"}]}, NOTHING)) as (
        service,
        _,
    ):
        assert main([str(lock), "--service", service]) == 1
    assert capsys.readouterr() == (
        "typer\t0.29.1\tGHSA-1\ntyper\t0.29.1\tPYSEC-2\n",
        "3 packages audited, 2 known vulnerabilities\n",
    )


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (503, b"busy"),
        (404, b"{}"),
        (200, b"<html>a proxy's page</html>"),
        (200, b"[]"),
        (200, b"{}"),
        (200, results(NOTHING)),
    ],
)
def test_no_answer_for_each_is_no_good_news(
    status: int, body: bytes, lock: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with answering(status, body) as (service, _):
        assert main([str(lock), "--service", service]) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.startswith(f"error: nothing was audited: {service} ")


def test_a_service_that_is_not_there_fails_the_audit(lock: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with answering(200, b"{}") as (service, _):
        pass
    assert main([str(lock), "--service", service]) == 2
    assert f"{service} cannot be asked: " in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "# nothing\n", "redis>=8\n"])
def test_a_lock_that_locks_nothing_fails_the_audit(text: str, lock: Path) -> None:
    lock.write_text(text)
    assert main([str(lock), "--service", "http://127.0.0.1:1/"]) == 2
    lock.unlink()
    assert main([str(lock), "--service", "http://127.0.0.1:1/"]) == 2
