"""Servers that misbehave in ways that a real Redis never would."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType

import hiredis

Answer = Callable[[list[bytes]], bytes | None]
"""From a command to the bytes of its reply; None for a command that is left unanswered."""


class HangUpError(Exception):
    """Raised by an Answer to close the connection."""


class Listener:
    """A TCP server on a free local port, with a thread for each connection. A context manager."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = [self._listening]
        self.port: int = self._listening.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"

    def serve(self, connection: socket.socket) -> None:
        raise NotImplementedError

    def __enter__(self) -> Listener:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for opened in self._open:
            shut(opened)

    def keep(self, connection: socket.socket) -> socket.socket:
        self._open.append(connection)
        return connection

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection = self.keep(self._listening.accept()[0])
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError, HangUpError):
            self.serve(connection)
        shut(connection)


class FakeServer(Listener):
    """Sends `greeting` on each connection, then answers each command with the result of `answer`."""

    def __init__(self, answer: Answer, greeting: bytes = b"") -> None:
        super().__init__()
        self._answer = answer
        self._greeting = greeting

    def serve(self, connection: socket.socket) -> None:
        connection.sendall(self._greeting)
        reader = hiredis.Reader()
        while data := connection.recv(65536):
            for command in commands_in(data, reader):
                reply = self._answer(command)
                if reply is not None:
                    connection.sendall(reply)


class Proxy(Listener):
    """Forwards everything to a real Redis until the client has received `limit` bytes, or Redis has received
    `limit_asked`.

    Then it closes the connection or, with `stall`, sends nothing more. With `once`, only the first connection
    is cut. `before` is called with each command of the client before it is forwarded.
    """

    def __init__(
        self,
        target: Path,
        *,
        limit: int | None = None,
        limit_asked: int | None = None,
        once: bool = False,
        stall: bool = False,
        before: Callable[[list[bytes]], None] | None = None,
    ) -> None:
        super().__init__()
        self._target = target
        self._limit = limit
        self._limit_asked = limit_asked
        self._once = once
        self._stall = stall
        self._before = before
        self.passed = 0
        self.asked = 0
        self.cut = False
        self._servers: list[socket.socket] = []

    def __enter__(self) -> Proxy:
        super().__enter__()
        return self

    def hold_back(self) -> None:
        """Cut the connection before the client receives another byte."""
        self._limit = self.passed

    def wait(self) -> None:
        """Wait until Redis has executed everything that was forwarded to it."""
        for server in self._servers:
            with contextlib.suppress(OSError):
                server.shutdown(socket.SHUT_WR)
                while server.recv(65536):
                    pass

    def serve(self, connection: socket.socket) -> None:
        server = self.keep(socket.socket(socket.AF_UNIX))
        self._servers.append(server)
        server.connect(str(self._target))
        threading.Thread(target=self._to_client, args=(server, connection), daemon=True).start()
        reader = hiredis.Reader()
        try:
            while data := connection.recv(65536):
                for command in commands_in(data, reader) if self._before else ():
                    self._before(command)
                allowed = self._allowed(data, self._limit_asked, self.asked)
                self.asked += len(allowed)
                server.sendall(allowed)
                if len(allowed) < len(data):
                    self.cut = True
                    break
        finally:
            # Redis executes what was forwarded, but its replies are dropped.
            with contextlib.suppress(OSError):
                server.shutdown(socket.SHUT_WR)

    def _to_client(self, server: socket.socket, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                allowed = self._allowed(data, self._limit, self.passed)
                self.passed += len(allowed)
                connection.sendall(allowed)
                if len(allowed) < len(data):
                    self.cut = True
                    break
        if not self._stall:
            shut(connection)

    def _allowed(self, data: bytes, limit: int | None, before: int) -> bytes:
        if limit is None or (self._once and self.cut):
            return data
        return data[: max(0, limit - before)]


def commands_in(data: bytes, reader: hiredis.Reader) -> Iterator[list[bytes]]:
    """The commands that are complete with this piece of data. Data that is not a command, such as the start
    of TLS, counts as one."""
    reader.feed(data)
    try:
        while (command := reader.gets()) is not False:
            yield command
    except hiredis.ProtocolError:
        yield [data]


def shut(connection: socket.socket) -> None:
    """Close the socket, and wake the thread that reads from it."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
