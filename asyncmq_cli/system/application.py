"""Read the address of Redis from an application's AsyncMQ settings, in a process of the application's
Python."""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from msgspec import Struct

from asyncmq_cli.errors import UsageProblem
from asyncmq_cli.models.address import Address, of_arguments
from asyncmq_cli.system.files import drain

WITHIN = 30.0
"""Seconds that importing the settings may take: an application may import many modules."""
_MOST = 1024 * 1024
_NAME = re.compile(r"[A-Za-z_][\w.]*(:[A-Za-z_][\w.]*|\.[A-Za-z_]\w*)")


class Application(Struct, frozen=True):
    """The values from the settings. Times are seconds; None if the settings do not set them."""

    address: Address
    heartbeat_ttl: float | None
    stalled_check_interval: float | None


def python_of(env: Mapping[str, str]) -> str | None:
    """The Python of the active virtual environment, else the first one on PATH, or None."""
    for name in ("VIRTUAL_ENV", "CONDA_PREFIX"):
        if env.get(name):
            return str(Path(env[name]) / "bin" / "python")
    return shutil.which("python3", path=env.get("PATH")) or shutil.which("python", path=env.get("PATH"))


@functools.cache
def ask(name: str, python: str) -> Application:
    """Import and read the settings `name` with this Python. Raises UsageProblem, also if their backend is not
    Redis."""
    if not _NAME.fullmatch(name):
        raise UsageProblem(f"the settings {name!r} have no such name", hint="it is like my.app:Settings")
    found = _answer(name, python)
    if "error" in found:
        raise UsageProblem(
            f"the settings {name} cannot be read: {found['error']}",
            hint=f"{python} ran them; --python names another Python",
        )
    if not found["is_redis"]:
        raise UsageProblem(
            f"the settings {name} use the backend {found['backend']}, but this tool supports only Redis",
            hint="AsyncMQ's own CLI works with other backends",
        )
    return Application(of_arguments(found, name), found["heartbeat_ttl"], found["stalled_check_interval"])


def _answer(name: str, python: str) -> dict[str, Any]:
    text = Path(__file__).with_name("settings_probe.py").read_text("utf-8")
    try:
        process = subprocess.Popen(
            [python, "-c", text, name],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            # Do not show its stderr, which may contain secrets.
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as exc:
        raise UsageProblem(f"cannot run {python!r}: {exc.strerror}", hint="--python names a Python") from exc
    try:
        assert process.stdout is not None  # noqa: S101
        with process.stdout:
            printed = drain(process.stdout.fileno(), _MOST, WITHIN)
    except OSError as exc:
        raise UsageProblem(f"gave up on the settings {name}: {exc.strerror}") from exc
    finally:
        # Also kill the processes that it started.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    try:
        found = json.loads(printed)
    except ValueError:
        raise UsageProblem(f"{python} ended before it had read the settings {name}") from None
    return dict(found)
