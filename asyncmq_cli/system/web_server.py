"""A small threaded HTTP server for the exporter, with limits and TLS. It does not log requests."""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from asyncmq_cli.errors import AdminError, UsageProblem

if TYPE_CHECKING:
    from asyncmq_cli.system.web_config import WebSettings

_MOST_AT_ONCE = 32
_PATIENCE = 10.0
"""Seconds to wait for each part of a request."""
_POLL = 0.25
"""Seconds after which the server notices that it should end."""


class NotServed(AdminError):
    """The server cannot listen on the address."""

    code = "not_served"


def address_of(text: str) -> tuple[str, int]:
    """Parse `HOST:PORT`, `[::1]:PORT`, or `:PORT` for every address of the host. Raises UsageProblem."""
    host, colon, port = text.strip().rpartition(":")
    if not colon or not port.isascii() or not port.isdecimal() or int(port) > 65535:
        raise UsageProblem(f"{text!r} is not an address", hint="such as 127.0.0.1:9808, [::1]:9808 or :9808")
    if ":" in host and not (host.startswith("[") and host.endswith("]")):
        raise UsageProblem(f"{text!r} is not an address", hint=f"write an IPv6 address as [{host}]:{port}")
    return host.removeprefix("[").removesuffix("]"), int(port)


class _Handler(WSGIRequestHandler):
    timeout = _PATIENCE

    def log_message(self, *args: Any) -> None:
        """Log nothing, because Prometheus sends a request every few seconds."""


class _Server(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], settings: WebSettings) -> None:
        self._settings = settings
        self._slots = threading.BoundedSemaphore(_MOST_AT_ONCE)
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        # Skip HTTPServer's method, which looks up the host's name; that may take seconds.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()

    def get_request(self) -> tuple[Any, Any]:
        request, client = super().get_request()
        tls = self._settings.current().tls
        if tls is not None:
            # The handshake happens at the first read, in this client's thread.
            request = tls.wrap_socket(request, server_side=True, do_handshake_on_connect=False)
        return request, client

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._slots.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._slots.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore errors of clients that disconnect or do not use TLS."""


class WebServer:
    """Serves `app`, a WSGI application, in the background, until `close`. Raises NotServed."""

    def __init__(self, address: tuple[str, int], settings: WebSettings, app: Callable[..., Any]) -> None:
        host, port = address
        try:
            self._server = _Server(address, settings)
        except (OSError, UnicodeError) as exc:
            problem = getattr(exc, "strerror", None) or exc
            raise NotServed(f"cannot listen on {_shown(host, port)}: {problem}") from exc
        self._server.set_app(app)
        scheme = "http" if settings.current().tls is None else "https"
        self.url = f"{scheme}://{_shown(host, self._server.server_port)}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(_POLL,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        with suppress(OSError):
            self._server.shutdown()
            self._server.server_close()


def _shown(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host or '0.0.0.0'}:{port}"  # noqa: S104  shown only
