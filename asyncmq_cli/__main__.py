"""The entry point of `asyncmq`, `asyncmq-cli` and `python -m asyncmq_cli`.

Streams and signals are set up before the imports, which take most of the time of a small command and fail if
memory or file descriptors run out.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import NoReturn

from asyncmq_cli.system.shortage import exit_status, shortage

_RESERVE = 1 << 19
"""Bytes that are reserved for reporting a shortage of memory. They are never written to, so they cost
nothing."""


def main() -> NoReturn:
    sys.exit(_status())


def _status() -> int:
    reserve = bytearray()
    try:
        reserve = bytearray(_RESERVE)
        from asyncmq_cli.system import process

        process.guard_streams()
        process.install_signals()
        from asyncmq_cli.app import main as run

        return run()
    except KeyboardInterrupt as exc:
        return 128 + int(getattr(exc, "number", 2))
    except Exception as exc:
        reserve.clear()
        return _failure(exc)


def _failure(exc: Exception) -> int:
    """Report a shortage and return the exit status. Raises any other error."""
    found = shortage(exc)
    if found is None:
        raise exc
    # Do not use sys.stderr, which may need the resource that ran out. If this fails too, the exit status
    # still shows the shortage.
    with suppress(OSError):
        os.write(2, f"error: {found[0]}\nhint: {found[1]}\n".encode())
    return exit_status(sys.argv[1:])


if __name__ == "__main__":
    main()
