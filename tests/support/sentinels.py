"""A primary with a replica, and three Sentinels that monitor them."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import redis
from redis.exceptions import RedisError

from asyncmq_cli.demo.processes import die_with_parent
from asyncmq_cli.demo.server import find_server

MASTER = "main"
_PATIENCE = 30.0


def free_ports(count: int) -> list[int]:
    opened = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in opened]
    for one in opened:
        one.close()
    return ports


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            if condition():
                return
        except RedisError:
            pass
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.02)


class Watched:
    """A context manager. `url` leads to the primary through the Sentinels."""

    def __init__(self, *, password: str = "") -> None:
        """With `password`, the Sentinels require it."""
        self.ports = free_ports(5)
        self._password = password
        self._folder = Path(tempfile.mkdtemp(prefix="asyncmq-sentinels-"))
        self._running: dict[int, subprocess.Popen[bytes]] = {}
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.ports[2:])
        self.url = f"redis-sentinel://{hosts}/{MASTER}/0"

    def __enter__(self) -> Watched:
        primary, replica, *sentinels = self.ports
        self._start(primary, f"port {primary}")
        self._start(replica, f"port {replica}\nreplicaof 127.0.0.1 {primary}")
        wait_for(lambda: self.client(replica).info("replication")["master_link_status"] == "up")
        for port in sentinels:
            asks = f"requirepass {self._password}\n" if self._password else ""
            self._start(
                port,
                f"port {port}\n{asks}sentinel monitor {MASTER} 127.0.0.1 {primary} 2\n"
                f"sentinel down-after-milliseconds {MASTER} 400\nsentinel failover-timeout {MASTER} 3000\n"
                + (f"sentinel sentinel-pass {self._password}\n" if self._password else ""),
                "--sentinel",
            )
        for port in sentinels:
            wait_for(lambda port=port: self._knows_all(port))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._running.values():
            process.kill()
        for process in self._running.values():
            process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def client(self, port: int) -> redis.Redis:
        return redis.Redis(port=port, password=self._password if port in self.ports[2:] else None)

    def kill(self, port: int) -> None:
        process = self._running.pop(port)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()

    def primary(self) -> int:
        """The port of the primary, according to the first Sentinel."""
        return int(self.client(self.ports[2]).sentinel_get_master_addr_by_name(MASTER)[1])

    def _knows_all(self, port: int) -> bool:
        about = self.client(port).sentinel_master(MASTER)
        return bool(about["num-slaves"] == 1 and about["num-other-sentinels"] == 2)

    def _start(self, port: int, text: str, *words: str) -> None:
        server = find_server()
        assert server is not None
        conf = self._folder / f"{port}.conf"
        conf.write_text(
            f'{text}\nbind 127.0.0.1\nsave ""\ndir {self._folder}\nrepl-diskless-sync-delay 0\n'
            if not words
            else f"{text}\nbind 127.0.0.1\ndir {self._folder}\n"
        )
        self._running[port] = subprocess.Popen(
            [server, conf, *words],
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=die_with_parent(),
        )
        wait_for(lambda: self.client(port).ping())
