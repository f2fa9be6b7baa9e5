"""Context managers that bring a real Redis into each kind of trouble, and out of it again.

Each starts with a healthy server with data, and yields the URL for the tool. At its end, the server is
healthy again and can be checked.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import redis
from redis.exceptions import RedisError

from asyncmq_cli.demo.server import PrivateRedis
from tests.faults.support import FREEING, PASSWORD

_PATIENCE = 30.0
_PADDING = 10_000


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def with_credentials(server: PrivateRedis, credentials: str) -> str:
    return server.url.replace("unix://", f"unix://{credentials}@")


@contextmanager
def asks_for_a_password(server: PrivateRedis, admin: redis.Redis) -> Iterator[str]:
    admin.config_set("requirepass", PASSWORD)
    yield server.url
    admin.config_set("requirepass", "")


@contextmanager
def knows_another_password(server: PrivateRedis, admin: redis.Redis) -> Iterator[str]:
    admin.config_set("requirepass", "another")
    yield with_credentials(server, f":{PASSWORD}")
    admin.config_set("requirepass", "")


@contextmanager
def knows_no_such_user(server: PrivateRedis, admin: redis.Redis) -> Iterator[str]:
    yield with_credentials(server, f"nobody:{PASSWORD}")


@contextmanager
def has_no_password(server: PrivateRedis, admin: redis.Redis) -> Iterator[str]:
    """The URL has a password, but the server has none."""
    yield with_credentials(server, f":{PASSWORD}")


@contextmanager
def grants_nothing(server: PrivateRedis, admin: redis.Redis) -> Iterator[str]:
    admin.execute_command("ACL", "SETUSER", "narrow", "on", f">{PASSWORD}", "~*", "-@all", "+time", "+ping")
    yield with_credentials(server, f"narrow:{PASSWORD}")


@contextmanager
def grants_no_keys(server: PrivateRedis, admin: redis.Redis) -> Iterator[str]:
    admin.execute_command("ACL", "SETUSER", "keyless", "on", f">{PASSWORD}", "~queue:*", "+@all")
    yield with_credentials(server, f"keyless:{PASSWORD}")


@contextmanager
def is_a_replica(server: PrivateRedis, admin: redis.Redis) -> Iterator[str]:
    admin.replicaof("127.0.0.1", "1")
    yield server.url
    admin.replicaof("NO", "ONE")


@contextmanager
def is_a_lost_replica(server: PrivateRedis, admin: redis.Redis) -> Iterator[str]:
    admin.config_set("replica-serve-stale-data", "no")
    admin.replicaof("127.0.0.1", "1")
    yield server.url
    admin.replicaof("NO", "ONE")


@contextmanager
def is_out_of_memory(server: PrivateRedis, admin: redis.Redis) -> Iterator[str]:
    admin.config_set("maxmemory", 1)
    yield server.url
    admin.config_set("maxmemory", 0)


@contextmanager
def lacks_replicas(server: PrivateRedis, admin: redis.Redis) -> Iterator[str]:
    admin.config_set("min-replicas-to-write", 1)
    yield server.url
    admin.config_set("min-replicas-to-write", 0)


@contextmanager
def cannot_save(server: PrivateRedis, admin: redis.Redis) -> Iterator[str]:
    # A directory in place of the file, which not even root can write.
    (server.directory / "dump.rdb").mkdir()
    admin.config_set("save", "3600 1000000")
    admin.bgsave()
    wait_for(lambda: admin.info("persistence")["rdb_last_bgsave_status"] == "err")
    yield server.url
    admin.config_set("save", "")


@contextmanager
def runs_a_script(server: PrivateRedis, admin: redis.Redis) -> Iterator[str]:
    admin.config_set("lua-time-limit", 1)

    def run() -> None:
        with redis.Redis.from_url(server.url, socket_timeout=None, retry=None) as other:
            try:
                other.eval("while true do end", 0)
            except RedisError as exc:
                assert "killed" in str(exc)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    wait_for(lambda: refuses(server, "BUSY"))
    yield server.url
    admin.script_kill()
    thread.join()


@contextmanager
def is_loading(server: PrivateRedis, admin: redis.Redis) -> Iterator[str]:
    admin.mset({f"padding:{number}": "x" * 100 for number in range(_PADDING)})
    admin.config_set("key-load-delay", 1000)
    admin.config_set("loading-process-events-interval-bytes", 1024)

    def reload() -> None:
        with redis.Redis.from_url(server.url, socket_timeout=None) as other:
            other.execute_command("DEBUG", "RELOAD")

    thread = threading.Thread(target=reload, daemon=True)
    thread.start()
    wait_for(lambda: refuses(server, "loading the dataset"))
    yield server.url
    admin.config_set("key-load-delay", 0)
    thread.join()
    admin.delete(*(f"padding:{number}" for number in range(_PADDING)))


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@contextmanager
def has_no_connection_left(server: PrivateRedis, admin: redis.Redis) -> Iterator[str]:
    admin.config_set("maxclients", 1)
    # On a UNIX socket, what is written after the server has closed it is a broken pipe, and the
    # last reply of the server is lost.
    yield f"redis://127.0.0.1:{admin.config_get('port')['port']}/0"
    admin.config_set("maxclients", 100)


def refuses(server: PrivateRedis, word: str) -> bool:
    with redis.Redis.from_url(server.url, socket_timeout=1, retry=None) as other:
        try:
            other.exists("key")
        except RedisError as exc:
            return word in str(exc)
        return False


@dataclass(frozen=True)
class Trouble:
    provoke: Callable[[PrivateRedis, redis.Redis], AbstractContextManager[str]]
    code: str
    says: str
    for_readers: bool = True
    """Whether readers are refused as well; else they must work."""
    doubted: tuple[str, ...] = ()
    """Readers that work, but end with 3, because what they read may be old."""
    takes: tuple[str, ...] = ()
    """The changes that are made all the same."""
    from_redis: int = 6
    extra: tuple[str, ...] = ()


TROUBLES = [
    Trouble(asks_for_a_password, "redis_auth", "asks for a password"),
    Trouble(knows_another_password, "redis_auth", "user name or password"),
    Trouble(knows_no_such_user, "redis_auth", "user name or password"),
    Trouble(has_no_password, "redis_auth", "user name or password"),
    Trouble(grants_nothing, "redis_permission", "may not do this"),
    Trouble(grants_no_keys, "redis_permission", "may not do this"),
    Trouble(
        is_a_replica, "redis_readonly", "read-only replica", for_readers=False, doubted=("check", "wait")
    ),
    Trouble(is_a_lost_replica, "redis_master_down", "lost its primary"),
    Trouble(is_out_of_memory, "redis_out_of_memory", "out of memory", for_readers=False, takes=FREEING),
    Trouble(lacks_replicas, "redis_no_replicas", "too few replicas", for_readers=False),
    Trouble(cannot_save, "redis_misconf", "cannot save to disk", for_readers=False),
    Trouble(runs_a_script, "redis_busy", "busy running a script"),
    Trouble(
        is_loading,
        "redis_loading",
        "loading",
        from_redis=7,
        extra=("--enable-debug-command", "local"),
    ),
    Trouble(
        has_no_connection_left,
        "redis_max_clients",
        "no connection left",
        extra=("--port", str(free_port()), "--bind", "127.0.0.1"),
    ),
]
