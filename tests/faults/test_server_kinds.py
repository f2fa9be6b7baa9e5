"""A Cluster node, a Sentinel and an outdated replica are named as such by every command."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from asyncmq_cli.demo.server import PrivateRedis
from asyncmq_cli.storage.client.connection import replica_doubt
from tests.faults import scale
from tests.faults.fakes import Proxy
from tests.faults.support import CHANGES, READERS, Keyspace, Tool, assert_refused
from tests.faults.troubles import free_port, wait_for

LOOKS = {
    name: READERS[name] for name in ("queues list", "jobs list", "overview", "check", "metrics prometheus")
}
COMMANDS = {**LOOKS, "pause": CHANGES["pause"], "retry all": CHANGES["retry all"]}
if scale.WHOLE:
    COMMANDS = {**READERS, **CHANGES}


def port_with_a_bus() -> int:
    """A free port whose cluster bus port, 10,000 above, is free too."""
    for port in range(20_000, 50_000):
        with socket.socket() as first, socket.socket() as second:
            try:
                first.bind(("127.0.0.1", port))
                second.bind(("127.0.0.1", port + 10_000))
            except OSError:
                continue
            return port
    raise AssertionError("no free port")


def test_a_node_of_a_cluster_is_refused(binary: Path, tool: Tool) -> None:
    extra = ("--cluster-enabled", "yes", "--port", str(port_with_a_bus()), "--bind", "127.0.0.1")
    with PrivateRedis(binary, extra=extra) as node, redis.Redis.from_url(node.url) as admin:
        admin.execute_command("ACL", "SETUSER", "narrow", "on", "nopass", "~*", "-@all", "+scan")
        for args in COMMANDS.values():
            assert_refused(args, tool(node.url, *args), "redis_cluster", "a node of a Redis Cluster")
        scale.record("Another kind of server", admin, commands=len(COMMANDS))
        # HELLO, whose reply names the mode, needs no right.
        narrow = node.url.replace("unix://", "unix://narrow:any@")
        args = READERS["queues list"]
        assert_refused(args, tool(narrow, *args), "redis_cluster", "a node of a Redis Cluster")


@pytest.fixture
def sentinel(binary: Path, tmp_path: Path) -> Iterator[str]:
    port = free_port()
    conf = tmp_path / "sentinel.conf"
    conf.write_text(f"port {port}\nbind 127.0.0.1\nsentinel monitor main 127.0.0.1 1 1\n")
    process = subprocess.Popen([binary, conf, "--sentinel"], cwd=tmp_path, stdout=subprocess.DEVNULL)
    url = f"redis://127.0.0.1:{port}"

    def is_up() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    wait_for(is_up)
    yield url
    process.kill()
    process.wait()


def test_a_sentinel_is_refused(sentinel: str, tool: Tool) -> None:
    for args in COMMANDS.values():
        result = tool(sentinel, *args)
        assert_refused(args, result, "redis_sentinel", "a Redis Sentinel, which holds no queues")
    scale.record("Another kind of server", commands=len(COMMANDS))
    assert "SENTINEL MASTERS" in tool(sentinel, "queues", "list").stderr


def test_a_replica_that_has_lost_its_primary_is_named(binary: Path, tool: Tool) -> None:
    extra = ("--replicaof", "127.0.0.1", str(free_port()))
    with PrivateRedis(binary, extra=extra) as replica, redis.Redis.from_url(replica.url) as admin:
        admin.execute_command("ACL", "SETUSER", "narrow", "on", "nopass", "~*", "+@all", "-info")
        for form in ((), ("--json",)):
            result = tool(replica.url, "queues", "list", *form)
            assert result.code == 0
            assert "this Redis is a replica, and it has lost its primary" in result.stderr
            assert result.stderr.count("warning") == 1
        # Its data may be outdated, so the state of the queues is unknown.
        checked = tool(replica.url, "check")
        assert checked.code == 3
        assert checked.stdout.startswith(
            "ASYNCMQ UNKNOWN - this Redis is a replica, and it has lost its primary"
        )
        with redis.Redis.from_url(replica.url) as data:
            admin.replicaof("NO", "ONE")
            data.sadd("jobs:mail:ids", "a")
            data.hset("jobs:mail:states", "a", "completed")
            admin.replicaof("127.0.0.1", str(free_port()))
        waited = tool(replica.url, "wait", "mail", "--timeout", "5s")
        assert (waited.code, waited.stdout) == (3, "mail\tredis_outdated\tdrained\n")
        assert "so it is not known whether the wait is over" in waited.stderr
        narrow = replica.url.replace("unix://", "unix://narrow:any@")
        assert "the user lacks +info" in tool(narrow, "queues", "list").stderr


def test_a_replica_that_keeps_up_is_read_without_a_warning(
    server: PrivateRedis, keyspace: Keyspace, tool: Tool, client: redis.Redis
) -> None:
    keyspace.restore()
    with (
        Proxy(server.socket) as line,
        PrivateRedis(extra=("--replicaof", "127.0.0.1", str(line.port))) as replica,
        redis.Redis.from_url(replica.url) as admin,
    ):
        wait_for(lambda: admin.info("replication")["master_link_status"] == "up")
        result = tool(replica.url, "queues", "list", "--fields", "name")
        assert (result.code, result.stderr) == (0, ""), result
        assert "mail" in result.lines
        args = CHANGES["pause"]
        assert_refused(args, tool(replica.url, *args), "redis_readonly", "a read-only replica")


@pytest.mark.parametrize(
    ("info", "says"),
    [
        ({"master_link_status": "up", "master_last_io_seconds_ago": "3"}, None),
        (
            {"master_link_status": "up", "master_last_io_seconds_ago": "21"},
            "heard nothing from its primary for 21 s",
        ),
        ({"master_link_status": "down", "master_link_down_since_seconds": "90"}, "lost its primary for 90 s"),
        ({"master_link_status": "down", "master_link_down_since_seconds": "-1"}, "lost its primary: "),
        ({"master_link_status": "down", "master_sync_in_progress": "1"}, "still being filled"),
        ({}, None),
    ],
)
def test_the_reasons_to_doubt_a_replica(info: dict[str, str], says: str | None) -> None:
    doubt = replica_doubt(info)
    assert doubt is None if says is None else doubt is not None and says in doubt
