"""A small threaded HTTP server for the exporter, with limits, TLS and passwords. It does not log requests.

The file of `--web-config` has the format of Prometheus' exporters: TLS, and bcrypt hashes of passwords. It is
read again when it, or a file that it names, has changed, so that certificates can be renewed. If the changed
file cannot be used, the previous settings stay in effect.
"""

from __future__ import annotations

import hashlib
import socket
import socketserver
import ssl
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from msgspec import Struct, field

from asyncmq_cli.errors import AdminError, UsageProblem
from asyncmq_cli.system.files import read_bounded

_MOST = 1024 * 1024
_TLS_KEYS = {"cert_file", "key_file", "client_ca_file", "client_auth_type", "min_version"}
_CLIENTS = {
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
_VERSIONS = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
_REMEMBERED = 100
_NOBODY = b"$2b$10$" + b"." * 53
"""A hash to compare with if the user is unknown, so that the reply takes equally long."""


class WebConfig(Struct, frozen=True):
    """The parsed settings. `users` maps names to bcrypt hashes; if it is empty, no password is required.
    `files` are the files from which they were read."""

    users: Mapping[str, bytes] = field(default_factory=dict)
    tls: ssl.SSLContext | None = None
    files: tuple[Path, ...] = ()


class WebSettings:
    """The current settings of the file. Raises UsageProblem if the file cannot be used at the start."""

    def __init__(self, path: Path | None, warn: Callable[[str], None]) -> None:
        self._path = path
        self._warn = warn
        self._config = WebConfig() if path is None else load(path)
        self._stamps = _stamps(self._config.files)
        self._known: dict[bytes, bool] = {}

    def current(self) -> WebConfig:
        if self._path is not None and (stamps := _stamps(self._config.files)) != self._stamps:
            self._stamps = stamps
            try:
                self._config = load(self._path)
                self._stamps = _stamps(self._config.files)
            except UsageProblem as exc:
                self._warn(f"{exc.message}; the settings from before that change stay in effect")
        return self._config

    def admits(self, name: str, password: bytes) -> bool:
        """Whether a user has this name and this password."""
        from bcrypt import checkpw

        wanted = self._config.users.get(name, _NOBODY)
        # Cache the result: bcrypt is slow on purpose, and Prometheus sends a request every few seconds.
        key = hashlib.sha256(b"\0".join((name.encode("utf-8", "surrogateescape"), password, wanted))).digest()
        if key not in self._known:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            # bcrypt does not support more than 72 bytes.
            self._known[key] = len(password) <= 72 and b"\0" not in password and checkpw(password, wanted)
        return self._known[key] and name in self._config.users


def _stamps(files: tuple[Path, ...]) -> list[tuple[int, int] | None]:
    found: list[tuple[int, int] | None] = []
    for path in files:
        try:
            status = path.stat()
        except OSError:
            found.append(None)
        else:
            found.append((status.st_mtime_ns, status.st_ino))
    return found


def load(path: Path) -> WebConfig:
    """Read and check the file. Raises UsageProblem, which names the file and the problem."""
    import yaml

    try:
        found = yaml.safe_load(read_bounded(path, _MOST)) or {}
    except OSError as exc:
        raise _wrong(path, exc.strerror or str(exc)) from exc
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as exc:
        raise _wrong(path, "it is not YAML") from exc
    if not isinstance(found, dict):
        raise _wrong(path, "it is not a mapping")
    _require_keys(path, found, {"tls_server_config", "basic_auth_users"})
    users = _users(path, found.get("basic_auth_users") or {})
    settings = found.get("tls_server_config") or {}
    if not isinstance(settings, dict):
        raise _wrong(path, "tls_server_config is not a mapping")
    _require_keys(path, settings, _TLS_KEYS)
    named = [path.parent / str(value) for key, value in settings.items() if key.endswith("_file")]
    return WebConfig(users, _context(path, settings) if settings else None, (path, *named))


def _users(path: Path, found: Any) -> dict[str, bytes]:
    if not isinstance(found, dict):
        raise _wrong(path, "basic_auth_users is not a mapping of names to bcrypt hashes")
    if found:
        try:
            from bcrypt import checkpw
        except ImportError as exc:
            raise _wrong(
                path, "basic_auth_users needs the package bcrypt", "pip install 'asyncmq-cli[exporter]'"
            ) from exc
    users: dict[str, bytes] = {}
    for name, value in found.items():
        hashed = str(value).encode()
        try:
            checkpw(b"", hashed)
        except ValueError as exc:
            raise _wrong(
                path,
                f"the password of {str(name)!r} is not a bcrypt hash",
                "'htpasswd -nBC 10 NAME' makes one",
            ) from exc
        users[str(name)] = hashed
    return users


def _context(path: Path, settings: Mapping[str, Any]) -> ssl.SSLContext:
    folder = path.parent
    for name in ("cert_file", "key_file"):
        if not settings.get(name):
            raise _wrong(path, f"tls_server_config has no {name}")
    clients = str(settings.get("client_auth_type") or "NoClientCert")
    version = str(settings.get("min_version") or "TLS12")
    for name, value, known in (
        ("client_auth_type", clients, list(_CLIENTS)),
        ("min_version", version, list(_VERSIONS)),
    ):
        if value not in known:
            raise _wrong(path, f"{name} is not one of {', '.join(known)}")
    authority = settings.get("client_ca_file")
    if (authority is None) is not (clients == "NoClientCert"):
        raise _wrong(path, "client_ca_file needs a client_auth_type that verifies certificates")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[version]
    try:
        context.load_cert_chain(folder / str(settings["cert_file"]), folder / str(settings["key_file"]))
        if authority is not None:
            context.load_verify_locations(folder / str(authority))
    except (OSError, ValueError) as exc:
        # Errors of ssl do not name a file.
        raise _wrong(path, f"the certificate or its key cannot be used: {exc.strerror or exc}") from exc  # type: ignore[union-attr]
    context.verify_mode = _CLIENTS[clients]
    return context


def _require_keys(path: Path, found: Mapping[Any, Any], known: set[str]) -> None:
    unknown = sorted(str(key) for key in found if key not in known)
    if unknown:
        raise _wrong(path, f"unknown key {unknown[0]!r}", f"choose from {', '.join(sorted(known))}")


def _wrong(path: Path, problem: str, hint: str | None = None) -> UsageProblem:
    return UsageProblem(f"--web-config {str(path)!r}: {problem}", hint=hint)


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
