"""Work on many items is shared between processes, and the results are as if one process had done it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from asyncmq_cli.system.parallel import processors, shared

NUMBERS = range(40)


def test_results_come_in_order_from_several_processes() -> None:
    first = os.getpid()
    done = list(shared(lambda n: (n * n, os.getpid()), NUMBERS, alone=0, processors=3))
    assert [(n, result and result[0]) for n, result in done] == [(n, n * n) for n in NUMBERS]
    assert {result[1] for _, result in done if result} - {first}
    assert not multiprocessing.active_children()


@pytest.mark.parametrize(("alone", "processors"), [(40, 3), (0, 1), (100, 1)])
def test_the_caller_works_alone(alone: int, processors: int) -> None:
    assert list(shared(str, NUMBERS, alone=alone, processors=processors)) == [(n, None) for n in NUMBERS]


def test_one_processor_is_left_to_redis_on_the_same_machine() -> None:
    # xdist may run this in a process with threads.
    alone = "import os; from asyncmq_cli.system.parallel import processors as p; "
    code = alone + "print(len(os.sched_getaffinity(0)), p(beside_redis=False), p(beside_redis=True))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    every, remote, local = map(int, found.stdout.split())
    assert (remote, local) == (every, max(1, every - 1))


def test_nothing_is_shared_beside_other_threads() -> None:
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(processors(beside_redis=False)))
    thread.start()
    thread.join()
    assert found == [1]


def test_few_items_start_no_process() -> None:
    items = shared(str, range(3), alone=3, processors=3)
    assert [next(items) for _ in range(3)] == [(0, None), (1, None), (2, None)]
    assert not multiprocessing.active_children()
    assert next(items, "end") == "end"


def test_an_item_that_fails_is_left_to_the_caller() -> None:
    done = list(shared(lambda n: 6 // (n - 3), NUMBERS, alone=0, processors=3))
    assert done == [(n, None if n == 3 else 6 // (n - 3)) for n in NUMBERS]


def test_a_result_that_cannot_be_sent_is_left_to_the_caller() -> None:
    # A function made within another cannot be pickled. This process does some of the items itself.
    done = list(shared(lambda n: lambda: n, NUMBERS, alone=0, processors=2))
    assert [n for n, _ in done] == list(NUMBERS)
    assert None in [result for _, result in done]


def test_the_work_goes_on_when_another_process_is_killed() -> None:
    first = os.getpid()

    def work(n: int) -> int:
        if n == 5 and os.getpid() != first:
            os.kill(os.getpid(), signal.SIGKILL)
        return -n

    done = list(shared(work, NUMBERS, alone=0, processors=2))
    assert [n for n, _ in done] == list(NUMBERS)
    assert all(result in (-n, None) for n, result in done)
    assert done[-1][1] == -NUMBERS[-1]


def test_no_process_is_left_when_the_caller_stops_early() -> None:
    items = shared(str, iter(NUMBERS), alone=0, processors=3)
    assert next(items) == (0, "0")
    assert isinstance(items, Iterator)
    items.close()  # type: ignore[attr-defined]
    _wait_until(lambda: not multiprocessing.active_children())


_KILLED = """
import itertools, os, sys, time
from asyncmq_cli.system.parallel import processors, shared
first = os.getpid()

def work(n):
    if os.getpid() != first:
        print(os.getpid(), flush=True)
    time.sleep(0.01)

for _ in shared(work, itertools.count(), alone=0, processors=2):
    pass
"""


def test_the_other_processes_end_with_the_first_one() -> None:
    """A process that is killed cannot tell the others."""
    with subprocess.Popen([sys.executable, "-c", _KILLED], stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        other = int(run.stdout.readline())
        run.kill()
        _wait_until(lambda: not _is_running(other))


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    # A zombie is reaped by the process that has adopted it.
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def _wait_until(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.01)
