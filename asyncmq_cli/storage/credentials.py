"""The password that a file holds or a program prints, so that it need not stand in a URL.

No error here holds what was read.
"""

from __future__ import annotations

import functools
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from asyncmq_cli.config import drain, read_bounded
from asyncmq_cli.errors import UsageProblem

if TYPE_CHECKING:
    from asyncmq_cli.config import Config

MAX_PASSWORD = 64 * 1024
COMMAND_WITHIN = 30.0
"""Seconds: a password manager may ask somebody to unlock it."""


def password(config: Config) -> str | None:
    """The address's own, else what `password_file` or `password_command` gives. Raises UsageProblem."""
    if config.password_file is not None:
        return _of_file(config.password_file)
    if config.password_command is not None:
        return _of_command(config.password_command)
    return config.address.password


@functools.cache
def _of_file(path: str) -> str:
    try:
        return _whole(read_bounded(Path(path), MAX_PASSWORD), f"the password file {path!r}")
    except OSError as exc:
        raise UsageProblem(f"cannot read the password file: {exc}") from exc


@functools.cache
def _of_command(words: tuple[str, ...]) -> str:
    """What a program prints. It is run once, without a shell and with nothing on its standard input; what it
    says on stderr is not shown, because that may be the password."""
    # Its arguments may hold a secret.
    name = f"the password command {words[0]!r}"
    try:
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
    except (OSError, ValueError) as exc:
        raise UsageProblem(f"{name} cannot be started: {getattr(exc, 'strerror', None) or exc}") from exc
    try:
        assert process.stdout is not None  # noqa: S101
        with process.stdout:
            printed = drain(process.stdout.fileno(), MAX_PASSWORD, COMMAND_WITHIN)
        status = process.wait(COMMAND_WITHIN)
    except (OSError, subprocess.TimeoutExpired) as exc:
        why = getattr(exc, "strerror", None) or f"it does not end within {COMMAND_WITHIN:g} s"
        raise UsageProblem(f"{name} was given up: {why}") from exc
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        process.wait()
    if status != 0:
        raise UsageProblem(f"{name} failed with status {status}", hint="run it by hand to see why")
    return _whole(printed, f"what {name} prints")


def _whole(data: bytes, what: str) -> str:
    line = data.removesuffix(b"\n").removesuffix(b"\r")
    if not line:
        raise UsageProblem(f"{what} is empty")
    if b"\n" in line:
        raise UsageProblem(f"{what} has more than one line", hint="it must be the password alone")
    try:
        return line.decode()
    except UnicodeDecodeError:
        raise UsageProblem(f"{what} is not UTF-8") from None
