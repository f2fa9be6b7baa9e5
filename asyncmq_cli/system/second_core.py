"""Sharing the work on a long list with a second process, so that Python takes both cores of a machine."""

from __future__ import annotations

import marshal
import os
import select
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, BinaryIO

from asyncmq_cli.system.signals import ENDING

Work = Callable[[list[Any]], bytes]

_ALONE = 8
"""Pieces that are done without the second process: a short list is not worth its start."""
_AHEAD = 2
"""Pieces that the second process has at a time, so that it need not wait."""
_HELD = 8
_SIZE = 8


def shared(work: Work, pieces: Iterable[list[Any]]) -> Iterator[bytes]:
    """What `work` makes of each piece, in order. A piece holds plain values only (texts, bytes, numbers,
    None, tuples), and `work` needs nothing but the piece, since it may be called in another process."""
    helper: _Helper | None = None
    # Pieces with what was made of them: None while the second process has them.
    held: deque[tuple[list[Any], bytes | None]] = deque()
    try:
        for number, piece in enumerate(pieces):
            if number == _ALONE and _has_two_cores():
                helper = _Helper.started(work)
            if helper is not None and helper.take(piece):
                held.append((piece, None))
            else:
                held.append((piece, work(piece)))
            while held and (held[0][1] is not None or len(held) > _HELD or (helper and helper.is_ready())):
                yield _made(work, helper, *held.popleft())
        for piece, done in held:
            yield _made(work, helper, piece, done)
    finally:
        if helper is not None:
            helper.end()


def _has_two_cores() -> bool:
    # Elsewhere than on Linux a fork may be unsafe.
    return hasattr(os, "sched_getaffinity") and len(os.sched_getaffinity(0)) > 1


def _made(work: Work, helper: _Helper | None, piece: list[Any], done: bytes | None) -> bytes:
    if done is None and helper is not None:
        done = helper.give()
    # A second process that has died has given nothing.
    return work(piece) if done is None else done


class _Helper:
    """The second process. It ends with its input, so also when this process is killed."""

    def __init__(self, process: int, pieces: BinaryIO, results: BinaryIO) -> None:
        self._process = process
        self._pieces = pieces
        self._results = results
        self._has = 0
        self._is_dead = False

    @classmethod
    def started(cls, work: Work) -> _Helper | None:
        """None where no process can be started."""
        pieces, to_helper = os.pipe()
        from_helper, results = os.pipe()
        try:
            process = os.fork()
        except OSError:
            for end in (pieces, to_helper, from_helper, results):
                os.close(end)
            return None
        if process == 0:
            try:
                os.close(to_helper)
                os.close(from_helper)
                for number in ENDING:
                    # A signal for all processes of a terminal is for the first one, which ends this one.
                    signal.signal(number, signal.SIG_IGN)
                _serve(work, os.fdopen(pieces, "rb"), os.fdopen(results, "wb"))
            finally:
                # Nothing of the first process may be flushed or closed here, however this ends.
                os._exit(0)
        os.close(pieces)
        os.close(results)
        return cls(process, os.fdopen(to_helper, "wb"), os.fdopen(from_helper, "rb"))

    def take(self, piece: list[Any]) -> bool:
        """Whether it has taken the piece."""
        if self._is_dead or self._has >= _AHEAD:
            return False
        try:
            _send(self._pieces, marshal.dumps(piece))
        except OSError:
            self._is_dead = True
            return False
        self._has += 1
        return True

    def is_ready(self) -> bool:
        """Whether it has done a piece, or has died."""
        return self._has > 0 and bool(select.select([self._results], [], [], 0)[0])

    def give(self) -> bytes | None:
        """What it has made of the oldest of its pieces, once it is done; None if it has died."""
        self._has -= 1
        found = _received(self._results)
        self._is_dead = self._is_dead or found is None
        return found

    def end(self) -> None:
        with suppress(OSError):
            self._pieces.close()
        self._results.close()
        os.waitpid(self._process, 0)


def _serve(work: Work, pieces: BinaryIO, results: BinaryIO) -> None:
    # Read by a thread, so that the first process never waits for one that waits for it.
    taken: SimpleQueue[bytes | None] = SimpleQueue()

    def take() -> None:
        while (piece := _received(pieces)) is not None:
            taken.put(piece)
        taken.put(None)

    threading.Thread(target=take, daemon=True).start()
    while (piece := taken.get()) is not None:
        _send(results, work(marshal.loads(piece)))  # noqa: S302 - from our own process


def _send(stream: BinaryIO, text: bytes) -> None:
    stream.write(len(text).to_bytes(_SIZE, "big"))
    stream.write(text)
    stream.flush()


def _received(stream: BinaryIO) -> bytes | None:
    size = stream.read(_SIZE)
    text = stream.read(int.from_bytes(size, "big"))
    return text if len(size) == _SIZE and len(text) == int.from_bytes(size, "big") else None
