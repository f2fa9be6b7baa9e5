"""Recognise shortages of memory, file descriptors, threads and disk space, and choose the exit status.

That of `check` differs, so the command is found in the command line before it is parsed. This module imports
none whose import could fail because of a shortage.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence

_DESCRIPTORS = ("too few file descriptors", "raise the limit with 'ulimit -n'")
_MEMORY = ("too little memory", "free some, or raise the limit with 'ulimit -d' and 'ulimit -v'")
_DISK = ("no space left on the disk", "free some")
_BY_NUMBER = {
    errno.EMFILE: _DESCRIPTORS,
    errno.ENFILE: _DESCRIPTORS,
    errno.ENOMEM: _MEMORY,
    errno.ENOSPC: _DISK,
    errno.EDQUOT: _DISK,
}
_BY_TEXT = {
    "can't start new thread": ("too few threads or processes", "raise the limit with 'ulimit -u'"),
    "Too many open files": _DESCRIPTORS,
    # Errors of the dynamic loader when it loads a module that is written in C.
    "failed to map segment": _MEMORY,
    "annot allocate memory": _MEMORY,
    # Errors of the interpreter itself if an allocation failed and no MemoryError was raised.
    "without setting an exception": _MEMORY,
    "without exception set": _MEMORY,
}


GLOBAL_VALUES = frozenset(
    (
        *("--redis-url", "--context", "--settings", "--python", "--timeout", "--actor", "--color"),
        *("--output", "-o", "--jq"),
        # Options of `check`. Before the word `check` they are wrong, but the exit status is 3 there too.
        *("-t", "-w", "-c"),
    )
)
"""The global options that take a value."""


def noun_place(args: Sequence[str]) -> int:
    """The position of the noun or command in a command line: after the global options."""
    place = 0
    while place < len(args) and args[place].startswith("-"):
        place += 2 if args[place] in GLOBAL_VALUES else 1
    return place


def is_check(args: Sequence[str]) -> bool:
    """Whether the command is `check`. Its exit statuses 1 and 2 mean warning and critical, so any error must
    exit with 3, unknown."""
    place = noun_place(args)
    return list(args[place : place + 1]) == ["check"]


def exit_status(args: Sequence[str]) -> int:
    """The exit status of a command line that failed because of a shortage."""
    return 3 if is_check(args) else 1


def shortage(exc: BaseException) -> tuple[str, str] | None:
    """The resource that ran out, and what to do about it; None for any other exception."""
    seen: BaseException | None = exc
    while seen is not None:
        if isinstance(seen, MemoryError):
            return _MEMORY
        if isinstance(seen, OSError) and seen.errno in _BY_NUMBER:
            return _BY_NUMBER[seen.errno]
        if isinstance(seen, ImportError | RuntimeError | OSError | SystemError):
            for text, found in _BY_TEXT.items():
                if text in str(seen):
                    return found
        seen = seen.__cause__ or seen.__context__
    return None
