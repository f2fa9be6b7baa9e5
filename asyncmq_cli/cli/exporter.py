"""`metrics serve`: the HTTP pages, and the loop that reads Redis for them."""

from __future__ import annotations

import base64
import binascii
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asyncmq_cli.cli.watch import ends_quietly

if TYPE_CHECKING:
    from asyncmq_cli.cli.session import Session
    from asyncmq_cli.models.monitoring.snapshots import ExporterState
    from asyncmq_cli.system.web_server import WebSettings

_OPEN = ("/healthz", "/readyz")
"""Paths without a password: they show nothing confidential, and health probes have no password."""
_REALM = 'Basic realm="asyncmq", charset="UTF-8"'
_INDEX = b"""<!doctype html><title>asyncmq exporter</title><h1>asyncmq exporter</h1>
<p><a href="/metrics">metrics</a> <a href="/healthz">healthz</a> <a href="/readyz">readyz</a></p>
"""

_HELD = 4 * 1024 * 1024
"""Bytes. A longer answer is streamed instead of built in memory first."""
_FAST = 1
_GZIP = 16
"""Added to the window size (`wbits`), it makes zlib write gzip's format."""

_Start = Callable[..., Any]


def serve(
    session: Session, address: tuple[str, int], web_config: Path | None, interval: float, *, record: bool
) -> None:
    """Read Redis every `interval` seconds and serve the result over HTTP, until a signal ends it."""
    from asyncmq_cli.services.monitoring.exporter import Exporter
    from asyncmq_cli.system.web_server import WebServer, WebSettings

    settings = WebSettings(web_config, lambda problem: session.out.remark("warning", problem))
    exporter = Exporter(session.store, session.metrics, interval, record=record)
    server = WebServer(address, settings, _App(lambda: exporter.state, settings))
    session.out.remark("note", f"serving {session.config.shown_url} on {server.url}/metrics")
    try:
        was_away = False
        with ends_quietly():
            while True:
                pause = exporter.read()
                was_away = _report(session, exporter.state, was_away=was_away)
                time.sleep(pause)
    finally:
        server.close()


def _report(session: Session, state: ExporterState, *, was_away: bool) -> bool:
    """Print when Redis goes away, and when it is back. Returns whether it is away."""
    if state.error is not None and not was_away:
        session.out.remark("warning", f"{state.error.message}; asyncmq_up is 0; trying again")
    elif state.error is None and was_away:
        session.out.remark("note", "Redis can be read again")
    return state.error is not None


class _App:
    """The WSGI application. It never reads Redis: it shows the result of the last read."""

    def __init__(self, state: Callable[[], ExporterState], settings: WebSettings) -> None:
        self._state = state
        self._settings = settings

    def __call__(self, environ: dict[str, Any], start: _Start) -> Iterable[bytes]:
        answer = self._answered(environ, start)
        # Monitors of web pages ask for the head alone.
        return [] if environ.get("REQUEST_METHOD") == "HEAD" else answer

    def _answered(self, environ: dict[str, Any], start: _Start) -> Iterable[bytes]:
        path = environ.get("PATH_INFO") or "/"
        if environ.get("REQUEST_METHOD") not in ("GET", "HEAD"):
            allowed = [("Allow", "GET, HEAD")]
            return _answer(start, "405 Method Not Allowed", b"only GET and HEAD\n", allowed)
        if path not in _OPEN and not self._is_admitted(environ.get("HTTP_AUTHORIZATION", "")):
            return _answer(
                start, "401 Unauthorized", b"a password is needed\n", [("WWW-Authenticate", _REALM)]
            )
        if path == "/metrics":
            return self._metrics(environ, start)
        if path == "/healthz":
            return _answer(start, "200 OK", b"ok\n")
        if path == "/readyz":
            return self._readiness(start)
        if path == "/":
            return _answer(start, "200 OK", _INDEX, kind="text/html; charset=utf-8")
        return _answer(start, "404 Not Found", b"there is /metrics, /healthz and /readyz\n")

    def _metrics(self, environ: Mapping[str, str], start: _Start) -> Iterable[bytes]:
        from prometheus_client.exposition import choose_encoder, gzip_accepted

        from asyncmq_cli.output.text.prometheus import exporter_text

        encode, kind = choose_encoder(environ.get("HTTP_ACCEPT", ""))
        pieces = exporter_text(self._state(), encode)
        headers: list[tuple[str, str]] = []
        if gzip_accepted(environ.get("HTTP_ACCEPT_ENCODING", "")):
            headers.append(("Content-Encoding", "gzip"))
            pieces = _zipped(pieces)
        first: list[bytes] = []
        size = 0
        for piece in pieces:
            first.append(piece)
            size += len(piece)
            if size > _HELD:
                # Without Content-Length, the body ends when the connection is closed.
                start("200 OK", [("Content-Type", kind), *headers])
                return chain(first, pieces)
        return _answer(start, "200 OK", b"".join(first), headers, kind=kind)

    def _readiness(self, start: _Start) -> Iterable[bytes]:
        state = self._state()
        if state.snapshot is None:
            said = b"Redis could not be read\n" if state.failures else b"Redis has not been read yet\n"
            return _answer(start, "503 Service Unavailable", said)
        if time.monotonic() > state.fresh_until:
            return _answer(start, "503 Service Unavailable", b"the next read of Redis is overdue\n")
        return _answer(start, "200 OK", b"ok\n")

    def _is_admitted(self, header: str) -> bool:
        if not self._settings.current().users:
            return True
        scheme, _, given = header.partition(" ")
        try:
            name, colon, password = base64.b64decode(given, validate=True).partition(b":")
        except (binascii.Error, ValueError):
            return False
        is_basic = scheme.lower() == "basic" and bool(colon)
        return is_basic and self._settings.admits(name.decode("utf-8", "surrogateescape"), password)


def _zipped(pieces: Iterable[bytes]) -> Iterator[bytes]:
    packer = zlib.compressobj(_FAST, wbits=zlib.MAX_WBITS + _GZIP)
    for piece in pieces:
        yield packer.compress(piece)
    yield packer.flush()


def _answer(
    start: _Start,
    status: str,
    body: bytes,
    headers: Iterable[tuple[str, str]] = (),
    *,
    kind: str = "text/plain; charset=utf-8",
) -> Iterable[bytes]:
    start(status, [("Content-Type", kind), ("Content-Length", str(len(body))), *headers])
    return [body]
