"""A Redis that goes away and comes back at the same place."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from asyncmq_cli.demo.server import PrivateRedis, find_server


class Comeback(PrivateRedis):
    def __init__(self) -> None:
        chosen = os.environ.get("TEST_REDIS_SERVER")
        found = Path(chosen) if chosen else find_server()
        assert found is not None
        super().__init__(found)
        self._binary = found

    def go_away(self) -> None:
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self.socket.unlink()

    def come_back(self) -> None:
        """With nothing in it."""
        self._process = self._launch(self._binary)
        self._await_answer(self._process)
