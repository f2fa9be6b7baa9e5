"""TLS with a real Redis, a TLS proxy like those in use, and certificates that must be refused."""

from __future__ import annotations

import datetime
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
import trustme

from asyncmq_cli.demo.server import PrivateRedis
from tests.faults.fakes import Proxy
from tests.faults.support import CHANGES, COMMANDS, Keyspace, Tool, assert_refused


class TlsProxy(Proxy):
    """A TLS proxy in front of a real Redis. Like OpenSSL's own servers, it sends unrequested session
    tickets."""

    def __init__(self, target: Path, certificate: trustme.LeafCert) -> None:
        super().__init__(target)
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        certificate.configure_cert(self._context)
        self.url = f"rediss://localhost:{self.port}/0"

    def serve(self, connection: socket.socket) -> None:
        super().serve(self.keep(self._context.wrap_socket(connection, server_side=True)))


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def trusted(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tls") / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return path


@pytest.fixture
def probed_within() -> float:
    return 30


@pytest.fixture
def proxy(server: PrivateRedis, authority: trustme.CA) -> Iterator[TlsProxy]:
    with TlsProxy(server.socket, authority.issue_cert("localhost")) as running:
        assert isinstance(running, TlsProxy)
        yield running


@pytest.mark.extended(first=8)
@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_works_over_tls(
    name: str, proxy: TlsProxy, trusted: Path, keyspace: Keyspace, tool: Tool
) -> None:
    result = tool(f"{proxy.url}?ssl_ca_certs={trusted}", "--timeout", "30", *COMMANDS[name])
    if name.startswith("doctor"):
        assert result.code in (0, 1), result
    else:
        assert result.code == 0, result
    assert not result.stderr or name in CHANGES, result


def test_published_events_arrive_over_tls(
    proxy: TlsProxy, trusted: Path, keyspace: Keyspace, tool: Tool, client: redis.Redis
) -> None:
    """Both the subscription and the connection on which Redis announces changes use TLS."""
    url = f"{proxy.url}?ssl_ca_certs={trusted}"
    result = tool(
        url,
        "--timeout",
        "30",
        "events",
        "tail",
        "--runtime",
        "--count",
        "3",
        "--interval",
        "0.1s",
        "--no-record",
    )
    assert (result.code, result.stderr) == (0, ""), result
    assert len(result.lines) == 3 * 7


def expired() -> datetime.datetime:
    return datetime.datetime.now(tz=datetime.timezone.utc) - datetime.timedelta(days=1)


@pytest.mark.extended(first=5)
@pytest.mark.parametrize("wrong", ["unknown authority", "other host", "expired"])
@pytest.mark.parametrize("name", ["queues list", "pause", "retry", "remove", "events tail"])
def test_a_certificate_that_is_not_to_be_trusted_is_refused(
    wrong: str,
    name: str,
    server: PrivateRedis,
    authority: trustme.CA,
    trusted: Path,
    keyspace: Keyspace,
    tool: Tool,
) -> None:
    if wrong == "unknown authority":
        certificate = trustme.CA().issue_cert("localhost")
    elif wrong == "other host":
        certificate = authority.issue_cert("redis.example.org")
    else:
        certificate = authority.issue_cert("localhost", not_after=expired())
    with TlsProxy(server.socket, certificate) as proxy:
        for form in ((), ("--json",)) if name != "events tail" else ((),):
            args = (*COMMANDS[name], *form)
            result = tool(f"{proxy.url}?ssl_ca_certs={trusted}", *args)
            assert_refused(args, result, "redis_unreachable", "its certificate was refused: ")
            assert "ssl_ca_certs=FILE to the URL to trust its CA" in result.stderr
    keyspace.assert_untouched()


@pytest.mark.parametrize("option", ["ssl_ca_certs", "ssl_certfile", "ssl_keyfile"])
def test_a_file_that_cannot_be_read_is_named(option: str, proxy: TlsProxy, trusted: Path, tool: Tool) -> None:
    pair = f"&ssl_certfile={trusted}" if option == "ssl_keyfile" else ""
    result = tool(f"{proxy.url}?{option}=/nowhere/ca.pem{pair}", "queues", "list")
    assert_refused(
        ("queues", "list"), result, "redis_unreachable", f"{option} '/nowhere/ca.pem' cannot be read"
    )
    assert f"name a PEM file with {option}=FILE in the URL" in result.stderr


@pytest.mark.parametrize("name", ["queues list", "pause", "check", "overview"])
def test_tls_on_one_side_only_is_named(
    name: str, proxy: TlsProxy, server: PrivateRedis, keyspace: Keyspace, tool: Tool
) -> None:
    """On either side. A plain Redis does not answer, because it takes the handshake for the start of a
    command."""
    args = COMMANDS[name]
    result = tool(proxy.url.replace("rediss:", "redis:"), *args)
    assert_refused(args, result, "redis_unreachable", "that port uses TLS")
    with Proxy(server.socket) as plain:
        result = tool(plain.url.replace("redis:", "rediss:"), "--timeout", "1", *args)
    assert_refused(args, result, "redis_unreachable", "that port does not use TLS")
    keyspace.assert_untouched()


def test_a_file_that_holds_something_else_is_named(
    proxy: TlsProxy, authority: trustme.CA, trusted: Path, tmp_path: Path, tool: Tool
) -> None:
    """The error names the file. It does not say that the server wants a client certificate or is not
    running."""
    text, own, other = (tmp_path / name for name in ("text.pem", "own.pem", "other.pem"))
    text.write_text("no certificate")
    mine = authority.issue_cert("client")
    mine.cert_chain_pems[0].write_to_path(own)
    authority.issue_cert("client").private_key_pem.write_to_path(other)
    for options, message in (
        (f"ssl_ca_certs={text}", f"ssl_ca_certs '{text}' has no certificate"),
        (f"ssl_certfile={own}", f"ssl_certfile '{own}' is not a certificate and its key"),
        (
            f"ssl_certfile={own}&ssl_keyfile={other}",
            f"ssl_keyfile '{other}' are not a certificate and its key",
        ),
    ):
        ca = "" if "ssl_ca" in options else f"ssl_ca_certs={trusted}&"
        result = tool(f"{proxy.url}?{ca}{options}", "queues", "list")
        assert_refused(("queues", "list"), result, "redis_unreachable", message)
        assert "is Redis running there?" not in result.stderr


def test_tls_on_one_side_only_is_named_for_sentinels_too(
    proxy: TlsProxy, server: PrivateRedis, tool: Tool
) -> None:
    args = ("queues", "list")
    result = tool(f"redis-sentinel://localhost:{proxy.port}/main", "--timeout", "1", *args)
    assert_refused(args, result, "redis_unreachable", "that port uses TLS")
    assert "use rediss-sentinel:// instead of redis-sentinel://" in result.stderr
    with Proxy(server.socket) as plain:
        result = tool(f"rediss-sentinel://localhost:{plain.port}/main", "--timeout", "1", *args)
    assert_refused(args, result, "redis_unreachable", "that port does not use TLS")
