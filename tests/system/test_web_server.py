"""Addresses to listen on, and the file of --web-config."""

from __future__ import annotations

from pathlib import Path

import bcrypt
import pytest
import trustme

from asyncmq_cli.errors import UsageProblem
from asyncmq_cli.system.web_server import NotServed, WebServer, WebSettings, address_of, load

HASH = bcrypt.hashpw(b"pa55", bcrypt.gensalt(4)).decode()


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:9808", ("127.0.0.1", 9808)),
        ("[::1]:9808", ("::1", 9808)),
        (":9808", ("", 9808)),
        ("metrics.internal:0", ("metrics.internal", 0)),
    ],
)
def test_addresses(text: str, address: tuple[str, int]) -> None:
    assert address_of(text) == address


@pytest.mark.parametrize(
    "text", ["", "9808", "localhost", "localhost:x", "localhost:65536", "::1:9808", "a:-1"]
)
def test_invalid_addresses_are_refused(text: str) -> None:
    with pytest.raises(UsageProblem, match="not an address"):
        address_of(text)


def test_an_address_in_use_is_said() -> None:
    first = WebServer(("127.0.0.1", 0), WebSettings(None, print), lambda environ, start: [])
    try:
        with pytest.raises(NotServed, match=r"cannot listen on 127.0.0.1:.*in use"):
            port = int(first.url.rpartition(":")[2])
            WebServer(("127.0.0.1", port), WebSettings(None, print), lambda environ, start: [])
    finally:
        first.close()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[1]", "not a mapping"),
        ("a: b: c", "not YAML"),
        ("http_server_config: {}", "unknown key 'http_server_config'"),
        ("tls_server_config: {cert: x}", "unknown key 'cert'"),
        ("tls_server_config: {key_file: x}", "has no cert_file"),
        ("tls_server_config: {cert_file: no.pem, key_file: no.key}", "cannot be used: No such file"),
        ("tls_server_config: {cert_file: web.yml, key_file: web.yml}", "cannot be used"),
        ("tls_server_config: {cert_file: a, key_file: b, min_version: TLS10}", "min_version is not one of"),
        ("tls_server_config: {cert_file: a, key_file: b, client_ca_file: c}", "client_ca_file needs"),
        ("tls_server_config: 5", "tls_server_config is not a mapping"),
        ("basic_auth_users: [a]", "not a mapping"),
        ("basic_auth_users: {ada: secret}", "the password of 'ada' is not a bcrypt hash"),
    ],
)
def test_a_file_that_is_wrong_is_named_with_its_fault(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "web.yml"
    path.write_text(text)
    with pytest.raises(UsageProblem) as raised:
        load(path)
    assert said in raised.value.message and str(path) in raised.value.message
    assert "secret" not in raised.value.message


def test_a_missing_web_config_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageProblem, match="No such file"):
        load(tmp_path / "web.yml")


def test_passwords(tmp_path: Path) -> None:
    path = tmp_path / "web.yml"
    path.write_text(f"basic_auth_users:\n  ada: '{HASH}'\n")
    settings = WebSettings(path, print)
    # Twice: the second answer is remembered.
    for _ in range(2):
        assert settings.admits("ada", b"pa55")
        assert not settings.admits("ada", b"other")
        assert not settings.admits("bob", b"pa55")
        assert not settings.admits("ada", b"pa55\0")
        assert not settings.admits("ada", b"x" * 100)


def test_a_file_that_changes_is_read_again_and_one_that_breaks_is_not(tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate, key, path = (tmp_path / name for name in ("web.pem", "web.key", "web.yml"))

    def issue() -> None:
        made = authority.issue_cert("localhost")
        made.cert_chain_pems[0].write_to_path(certificate)
        made.private_key_pem.write_to_path(key)

    issue()
    path.write_text("tls_server_config: {cert_file: web.pem, key_file: web.key}\n")
    warnings: list[str] = []
    settings = WebSettings(path, warnings.append)
    before = settings.current().tls
    assert before is not None and settings.current().tls is before
    issue()
    renewed = settings.current().tls
    assert renewed is not None and renewed is not before
    certificate.write_text("broken\n")
    assert settings.current().tls is renewed and settings.current().tls is renewed
    assert len(warnings) == 1 and "stay in effect" in warnings[0]
