"""The front door: `asyncmq`, `asyncmq-cli` and `python -m asyncmq_cli`.

The streams and the signals are put in order before anything else is imported, which takes most of the time
of a small command, and may fail where memory or file descriptors are short.
"""

from __future__ import annotations

import sys
from typing import NoReturn


def main() -> NoReturn:
    sys.exit(_status())


def _status() -> int:
    from asyncmq_cli import signals, streams

    streams.guard()
    signals.install()
    try:
        from asyncmq_cli.app import main as run

        return run()
    except KeyboardInterrupt as exc:
        return 128 + signals.number_of(exc)
    except Exception as exc:
        from asyncmq_cli.shortage import shortage

        found = shortage(exc)
        if found is None:
            raise
        sys.stderr.write(f"error: {found[0]}\nhint: {found[1]}\n")
        return 3 if "check" in sys.argv[1:] else 1


if __name__ == "__main__":
    main()
