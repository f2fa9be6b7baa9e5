"""A Redis like those of cloud providers: TLS with client certificates, tokens as passwords, and our client
name."""

from __future__ import annotations

import contextlib
import os
import socket
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
import trustme

from asyncmq_cli import __version__
from asyncmq_cli.config import Config, resolve
from asyncmq_cli.demo.server import PrivateRedis
from asyncmq_cli.errors import DemoUnavailable, UsageProblem
from asyncmq_cli.storage.client.credentials import provider
from tests.conftest import Result, run_tool
from tests.support.sentinels import free_ports


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The certificates of a server, a client and their authority."""
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    for name, leaf in (
        ("server", authority.issue_cert("localhost", "127.0.0.1")),
        ("client", authority.issue_cert("ops@example.org")),
    ):
        leaf.private_key_pem.write_to_path(folder / f"{name}.key")
        leaf.cert_chain_pems[0].write_to_path(folder / f"{name}.pem")
    return folder


def with_tls(extra: list[str]) -> Path:
    """The first server on PATH that supports TLS, because not every build does."""
    for folder in os.environ["PATH"].split(os.pathsep):
        if (server := Path(folder) / "redis-server").exists():
            with contextlib.suppress(DemoUnavailable), PrivateRedis(server, extra=extra):
                return server
    raise AssertionError("no Redis server with TLS on PATH")


@pytest.fixture(scope="module")
def tls_port(folder: Path) -> Iterator[int]:
    (port,) = free_ports(1)
    files = {
        "tls-port": str(port),
        "bind": "127.0.0.1",
        "tls-cert-file": str(folder / "server.pem"),
        "tls-key-file": str(folder / "server.key"),
        "tls-ca-cert-file": str(folder / "ca.pem"),
        "tls-auth-clients": "yes",
    }
    extra = [word for name, value in files.items() for word in (f"--{name}", value)]
    with PrivateRedis(with_tls(extra), extra=extra) as server:
        with redis.Redis.from_url(server.url) as client:
            client.set("queue:mail:paused", "1")
        yield port


def in_context(tmp_path: Path, text: str) -> Callable[..., Result]:
    file = tmp_path / "config.toml"
    file.write_text(text)
    return lambda *args: run_tool(*args, env={"ASYNCMQ_CONFIG": str(file)})


def test_a_server_that_wants_a_client_certificate_gets_it(
    folder: Path, tls_port: int, tmp_path: Path
) -> None:
    url = f"rediss://localhost:{tls_port}/0?ssl_ca_certs={folder}/ca.pem"
    names = ("queues", "list", "--fields", "name")
    mine = f"&ssl_certfile={folder}/client.pem&ssl_keyfile={folder}/client.key"
    assert run_tool(*names, url=url + mine).lines == ["mail"]
    without = run_tool(*names, url=url)
    assert (without.code, without.stdout) == (3, ""), without
    assert "it closed the connection after the TLS handshake" in without.stderr, without
    assert "hint: if it wants a client certificate, add ssl_certfile=FILE" in without.stderr
    tool = in_context(
        tmp_path,
        f"""
        [context.prod]
        redis_url = "rediss://localhost:{tls_port}/0"
        ssl_ca_certs = "{folder}/ca.pem"
        ssl_certfile = "{folder}/client.pem"
        ssl_keyfile = "{folder}/client.key"
        ssl_min_version = "TLSv1.2"

        [context.open]
        redis_url = "rediss://localhost:{tls_port}/0"
        ssl_cert_reqs = "none"
        ssl_check_hostname = false

        [context.plain]
        redis_url = "redis://localhost:{tls_port}/0"
        ssl_ca_certs = "{folder}/ca.pem"
        """,
    )
    assert tool("--context", "prod", *names).lines == ["mail"]
    assert tool("--context", "open", *names).code == 3
    plain = tool("--context", "plain", *names)
    assert plain.code == 2 and "ssl_ca_certs is for TLS" in plain.stderr


def test_a_folder_of_authorities_will_do(folder: Path, tls_port: int, tmp_path: Path) -> None:
    import subprocess

    (tmp_path / "ca.pem").write_bytes((folder / "ca.pem").read_bytes())
    subprocess.run(["openssl", "rehash", str(tmp_path)], check=True, capture_output=True)
    url = f"rediss://localhost:{tls_port}/0?ssl_ca_path={tmp_path}"
    mine = f"&ssl_certfile={folder}/client.pem&ssl_keyfile={folder}/client.key"
    assert run_tool("queues", "list", url=url + mine).code == 0


def test_the_connection_is_named_after_the_operator(server: PrivateRedis, client: redis.Redis) -> None:
    client.config_set("slowlog-log-slower-than", 0)
    client.slowlog_reset()
    client.set("queue:mail:paused", "1")
    name = f"asyncmq-cli/{__version__}:night_shift,_caf__@host".encode()
    assert run_tool("queues", "list", "--actor", "night shift, café@host", url=server.url).code == 0
    names = {entry["client_name"] for entry in client.slowlog_get(100)}
    client.config_set("slowlog-log-slower-than", 10000)
    assert name in names, names


def test_a_name_in_the_url_is_kept(server: PrivateRedis, client: redis.Redis) -> None:
    assert resolve({"actor": "night shift é"}, {}).client_name.endswith(b":night_shift___")
    client.config_set("slowlog-log-slower-than", 0)
    client.slowlog_reset()
    assert run_tool("queues", "list", url=f"{server.url}&client_name=mine").code == 0
    names = {entry["client_name"] for entry in client.slowlog_get(100)}
    client.config_set("slowlog-log-slower-than", 10000)
    assert b"mine" in names and not any(one.startswith(b"asyncmq-cli") for one in names)


def test_over_ipv6_and_in_another_database() -> None:
    with socket.socket(socket.AF_INET6) as probe:
        probe.bind(("::1", 0))
        port = probe.getsockname()[1]
    with PrivateRedis(extra=("--port", str(port), "--bind", "::1")):
        with redis.Redis(host="::1", port=port, db=3) as client:
            client.set("queue:mail:paused", "1")
        assert run_tool("queues", "list", "--fields", "name", url=f"redis://[::1]:{port}/3").lines == ["mail"]


@pytest.mark.parametrize(
    ("setting", "user", "message"),
    [
        ("gcp", "u", "credentials cannot be 'gcp'"),
        ("aws", "u", "credentials cannot be 'aws'"),
        ("aws:cache:", "u", "credentials cannot be"),
        ("aws:cache:eu-west-1", None, "need a user"),
        ("azure:x", "u", "credentials cannot be 'azure:x'"),
    ],
)
def test_credentials_that_cannot_be_are_wrong_usage(setting: str, user: str | None, message: str) -> None:
    with pytest.raises(UsageProblem, match=message):
        provider(setting, user)


ENTRA = """
class Provider:
    def get_credentials(self):
        import os
        if not os.environ.get("TOKEN"):
            raise RuntimeError("no identity\\nis logged in")
        return "ops", os.environ["TOKEN"]

def create_from_default_azure_credential(scopes):
    assert scopes == ("https://redis.azure.com/.default",)
    return Provider()
"""


def test_a_token_is_what_the_provider_gives(tmp_path: Path) -> None:
    """Through redis-py's interface, with a stand-in for the package redis-entraid, because there is no cloud
    here."""
    package = tmp_path / "redis_entraid"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "cred_provider.py").write_text(textwrap.dedent(ENTRA))
    with PrivateRedis() as server, redis.Redis.from_url(server.url) as admin:
        admin.execute_command("ACL", "SETUSER", "ops", "on", ">a-token-of-today", "~*", "+@all")
        admin.execute_command("ACL", "SETUSER", "default", "off")
        url = server.url.replace("unix://", "unix://ops@")
        env = {"PYTHONPATH": str(tmp_path), "ASYNCMQ_CREDENTIALS": "azure"}
        done = run_tool("queues", "list", url=url, env={**env, "TOKEN": "a-token-of-today"})
        assert done.code == 0, done
        wrong = run_tool("queues", "list", url=url, env={**env, "TOKEN": "of-yesterday"})
        assert wrong.code == 3 and "refused the user name or password" in wrong.stderr
        nobody = run_tool("queues", "list", url=url, env=env)
        assert nobody.code == 3 and "no credentials from azure: no identity" in nobody.stderr
        missing = run_tool("queues", "list", url=url, env={"ASYNCMQ_CREDENTIALS": "azure"})
        assert missing.code == 2 and "pip install 'asyncmq-cli[azure]'" in missing.stderr


def test_credentials_are_for_the_url_that_they_stand_beside(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('[context.prod]\nredis_url = "rediss://ops@h"\ncredentials = "aws:cache:eu-west-1"')
    env = {"ASYNCMQ_CONFIG": str(file)}
    found: Config = resolve({"context": "prod"}, env)
    assert (found.credentials, found.password_source) == (
        "aws:cache:eu-west-1",
        "a token of aws:cache:eu-west-1",
    )
    assert resolve({"redis_url": "rediss://ops@h"}, env).credentials is None
