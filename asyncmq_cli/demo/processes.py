"""End the processes that the demo starts, even if the demo itself is killed."""

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
    """End a process and reap it. Each step is a signal and the seconds to wait for the process to end.

    SIGKILL follows the last step, so this always succeeds.
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
    """The exit status that a shell reports: 128 + N for a process that was ended by signal N."""
    return returncode if returncode >= 0 else 128 - returncode


def die_with_parent() -> Callable[[], None] | None:
    """A `preexec_fn` that makes the kernel kill the new process when this process dies, even by SIGKILL.

    Only Linux can do that. Returns None on other systems, and outside the main thread: Linux watches the
    thread that forked, so the process would die when a short-lived thread ends.
    """
    if not sys.platform.startswith("linux") or threading.current_thread() is not threading.main_thread():
        return None
    import ctypes

    try:
        # Look this up before the fork, because nothing should be loaded in the child.
        prctl = ctypes.CDLL(None).prctl
    except (OSError, AttributeError):
        return None
    parent = os.getpid()

    def ask_the_kernel() -> None:
        prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
        if os.getppid() != parent:
            # The parent died before the kernel was asked.
            os._exit(1)

    return ask_the_kernel
