"""Share the work on many pieces of data with other processes, so that it is not limited to one processor."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, TypeVar

from asyncmq_cli.system.process import ENDING

if TYPE_CHECKING:
    from concurrent.futures import Executor, Future

T = TypeVar("T")
R = TypeVar("R")

_ALONE = 16
"""The number of items that this process does alone: starting others takes as long as a few items."""
_MOST = 4
"""With more processes, the first one could not read fast enough to keep the others busy."""
_GIVEN = 2
"""The number of items that each process has at a time: one in work, and the next one."""
_AHEAD = 3
"""The number of items that may be finished before an earlier one is."""


def shared(
    work: Callable[[T], R], items: Iterable[T], *, processors: int, alone: int = _ALONE
) -> Iterator[tuple[T, R | None]]:
    """Yield each item with what `work` returns for it, in order. The result is None if the caller must do the
    work: for the first `alone` items, after an error, and if only one of the processors may be used.

    Other processes are forked, so `work` may be any function. It must not change or print anything, and items
    and results must be picklable.
    """
    items = iter(items)
    for item in islice(items, alone):
        yield item, None
    first = next(items, None)
    if first is None:
        return
    rest = chain([first], items)
    count = min(processors, _MOST) - 1
    executor = _started(work, count) if count > 0 else None
    if executor is None:
        yield from ((item, None) for item in rest)
        return
    is_done = False
    try:
        yield from _in_turn(executor, work, rest, count * _GIVEN)
        is_done = True
    finally:
        # The caller may have been interrupted, and must not wait for work that nobody needs.
        executor.shutdown(wait=is_done, cancel_futures=True)


def processors(*, beside_redis: bool) -> int:
    """The number of processors to use, at least 1: all that this process may use, without one for Redis if it
    is on the same machine. Otherwise Redis would have to wait for a processor, with all its clients. It is 1
    where forking is not possible or, because of other threads, not safe."""
    if not sys.platform.startswith("linux") or threading.active_count() > 1:
        return 1
    return max(1, len(os.sched_getaffinity(0)) - beside_redis)


def _started(work: Callable[[Any], Any], count: int) -> Executor | None:
    try:
        from concurrent.futures import ProcessPoolExecutor
        from multiprocessing import get_context

        return ProcessPoolExecutor(count, get_context("fork"), _begin, (work,))
    except (ImportError, OSError):
        # The system has no semaphores, or no memory for them.
        return None


def _in_turn(
    executor: Executor, work: Callable[[T], R], items: Iterable[T], most: int
) -> Iterator[tuple[T, R | None]]:
    given: deque[tuple[T, Future[R]]] = deque()
    for item in items:
        busy = sum(not future.done() for _, future in given)
        given.append((item, _future(executor, work, item, is_busy=busy >= most)))
        while given and (given[0][1].done() or len(given) > most + _AHEAD):
            yield _taken(*given.popleft())
    while given:
        yield _taken(*given.popleft())


def _future(executor: Executor, work: Callable[[T], R], item: T, *, is_busy: bool) -> Future[R]:
    from concurrent.futures import Future

    if not is_busy:
        # A process was killed, or the system allows no more processes or threads.
        with suppress(RuntimeError, OSError):
            return executor.submit(_do, item)
    future: Future[R] = Future()
    try:
        future.set_result(work(item))
    except Exception as exc:
        future.set_exception(exc)
    return future


def _taken(item: T, future: Future[Any]) -> tuple[T, Any]:
    try:
        return item, future.result()
    except Exception:
        # The caller does the work again, and meets the error itself.
        return item, None


class _Work:
    """What a forked process does."""

    of: Callable[[Any], Any]


def _begin(work: Callable[[Any], Any]) -> None:
    """Prepare a new process."""
    _Work.of = work
    # What runs beside this comes first.
    os.nice(10)
    # A signal from the terminal reaches all processes. The first one handles it, and ends the others.
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process when the first one has ended, even if it was killed."""
    from multiprocessing import parent_process
    from multiprocessing.connection import wait

    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
    os._exit(0)


def _do(item: Any) -> Any:
    return _Work.of(item)
