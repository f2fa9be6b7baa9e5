"""All exit statuses, one row each, for errors, `--help`, the manual page and docs/errors.md."""

from __future__ import annotations

from enum import IntEnum


class ExitStatus(IntEnum):
    """The exit statuses. `meaning` is Markdown."""

    meaning: str

    def __new__(cls, status: int, meaning: str) -> ExitStatus:
        row = int.__new__(cls, status)
        row._value_ = status
        row.meaning = meaning
        return row

    DONE = 0, "Success. An empty list is a success, too."
    FAILED = (
        1,
        "At least one target was refused or failed. The others were still tried; each is reported.",
    )
    USAGE = 2, "Wrong usage."
    REDIS = (
        3,
        "Redis is unreachable, did not answer within `--timeout`, or refused "
        "(password, rights, memory, read-only).",
    )
    NOT_FOUND = (
        4,
        "The only target (a queue, job, group, repeatable or worker) does not exist.",
    )
    NOT_CONFIRMED = 5, "Not confirmed."
    TIMED_OUT = 124, "`wait --timeout` or `retry --wait`: timed out."
    HUNG_UP = 129, "Hung up (SIGHUP); like 130."
    INTERRUPTED = (
        130,
        "Interrupted (Ctrl-C). Changes made so far stay, and are audited. `q` ends `--watch` with 0.",
    )
    QUIT = 131, "Quit (SIGQUIT); like 130."
    TERMINATED = 143, "Terminated (SIGTERM); like 130."


OF_COMMANDS = {
    "check": {
        0: "OK.",
        1: "WARNING.",
        2: "CRITICAL.",
        3: "UNKNOWN: Redis or a named queue cannot be read; or wrong usage.",
    },
    "wait": {
        0: "Done: the queue is drained, or the named jobs have completed.",
        1: "It cannot be done: a job failed, expired, was cancelled or is gone, or no worker will run it.",
    },
    "jobs follow": {0: "All jobs have completed.", 1: "At least one job ended otherwise."},
    "doctor": {0: "Nothing is wrong.", 1: "Something is wrong, or could not be repaired."},
    "audit verify": {0: "The chain is intact.", 1: "The chain is broken."},
}
"""By command, the exit statuses that have another meaning."""


class CheckStatus(IntEnum):
    """The exit statuses of `check`, which monitors read. The names are those in CHECK_STATES."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3

    @classmethod
    def of(cls, state: str) -> CheckStatus:
        return cls[state.upper()]
