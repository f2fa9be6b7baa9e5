"""The work on a long list is shared with a second process, and nothing of it is lost or out of order."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from asyncmq_cli.system import second_core
from asyncmq_cli.system.second_core import shared

PIECES = [[number, b"x" * 40_000] for number in range(60)]
OURS = os.getpid()


def by_whom(piece: list[Any]) -> bytes:
    """The number of the piece, and the process that did it."""
    return b"%d %d %b\n" % (piece[0], os.getpid(), piece[1])


def read(texts: list[bytes]) -> tuple[list[int], set[int]]:
    words = [text.split() for text in texts]
    assert {word[2] for word in words} == {b"x" * 40_000}
    return [int(word[0]) for word in words], {int(word[1]) for word in words}


def assert_ended(processes: set[int]) -> None:
    for process in processes - {OURS}:
        with pytest.raises(ChildProcessError):
            os.waitpid(process, os.WNOHANG)


@pytest.fixture(autouse=True)
def _two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(second_core, "_has_two_cores", lambda: True)


def test_both_processes_take_part_and_the_order_is_kept() -> None:
    def slow(piece: list[Any]) -> bytes:
        if os.getpid() == OURS:
            time.sleep(0.002)
        return by_whom(piece)

    numbers, processes = read(list(shared(slow, PIECES)))
    assert numbers == list(range(60))
    assert len(processes) == 2
    assert_ended(processes)


def test_a_short_list_is_not_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fork", lambda: pytest.fail("a second process was started"))
    assert read(list(shared(by_whom, PIECES[:8])))[0] == list(range(8))


def no_more_processes() -> int:
    raise BlockingIOError


def test_a_system_without_room_for_a_process_does_it_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fork", no_more_processes)
    assert read(list(shared(by_whom, PIECES))) == (list(range(60)), {os.getpid()})


def killed(piece: list[Any]) -> bytes:
    if os.getpid() != OURS and piece[0] > 20:
        os.kill(os.getpid(), signal.SIGKILL)
    return by_whom(piece)


def failing(piece: list[Any]) -> bytes:
    if os.getpid() != OURS and piece[0] > 20:
        raise MemoryError
    return by_whom(piece)


@pytest.mark.parametrize("work", [killed, failing])
def test_what_a_dead_process_had_is_done_again(work: Callable[[list[Any]], bytes]) -> None:
    assert read(list(shared(work, PIECES)))[0] == list(range(60))


def test_a_list_that_is_not_read_to_its_end_leaves_no_process() -> None:
    texts = shared(by_whom, PIECES)
    _, processes = read([next(texts) for _ in range(20)])
    assert len(processes) == 2
    texts.close()  # type: ignore[attr-defined]
    assert_ended(processes)
