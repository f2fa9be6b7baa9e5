"""Ending the processes that the demo starts, whatever becomes of the demo itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1
"""From <linux/prctl.h>."""


def stop_process(process: subprocess.Popen[bytes], *steps: tuple[signal.Signals, float]) -> None:
    """End a process and reap it. Each step is a signal and the seconds it is given to work.

    SIGKILL follows the last step, so this always ends. A process that has ended already is
    left alone.
    """
    for signum, seconds in steps:
        if process.poll() is not None:
            return
        process.send_signal(signum)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            continue
        return
    process.kill()
    process.wait()


def exit_status(returncode: int) -> int:
    """What a shell would call it: a process that a signal ended has 128 + its number."""
    return returncode if returncode >= 0 else 128 - returncode


def die_with_parent() -> Callable[[], None] | None:
    """A `preexec_fn` that has the kernel kill the new process when this one is gone.

    It covers what no handler can: SIGKILL. Only Linux has it. None is returned elsewhere, and
    in a thread: what Linux watches is the thread that forked, so a process started by a
    short-lived thread would die with that thread.
    """
    if not sys.platform.startswith("linux") or threading.current_thread() is not threading.main_thread():
        return None
    import ctypes

    try:
        # Looked up before the fork: in the child nothing should have to be loaded.
        prctl = ctypes.CDLL(None).prctl
    except (OSError, AttributeError):
        return None
    parent = os.getpid()

    def ask_the_kernel() -> None:
        prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
        if os.getppid() != parent:
            # The parent died before the request was in place; it would never be honoured.
            os._exit(1)

    return ask_the_kernel
