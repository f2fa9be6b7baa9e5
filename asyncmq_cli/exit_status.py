"""Every exit status, one row each: for the errors, `--help`, the manual page and docs/errors.md."""

from __future__ import annotations

from enum import IntEnum


class ExitStatus(IntEnum):
    """`meaning` is Markdown."""

    meaning: str

    def __new__(cls, status: int, meaning: str) -> ExitStatus:
        row = int.__new__(cls, status)
        row._value_ = status
        row.meaning = meaning
        return row

    DONE = 0, "Done. An empty list is done, too."
    FAILED = (
        1,
        "Refused or failed for at least one target; the others were still tried, and all are reported.",
    )
    USAGE = 2, "Wrong usage."
    REDIS = (
        3,
        "Redis is unreachable, slow past `--timeout`, or refuses (password, rights, memory, read-only).",
    )
    NOT_FOUND = (
        4,
        "No such queue, job, group, repeatable or worker, where it was the only target.",
    )
    NOT_CONFIRMED = 5, "Not confirmed."
    TIMED_OUT = 124, "`wait --timeout` or `retry --wait`: timed out."
    HUNG_UP = 129, "Hung up (SIGHUP); as 130."
    INTERRUPTED = (
        130,
        "Interrupted (Ctrl-C). Changes that were made stay made and audited. `--watch` ends with 0 by `q`.",
    )
    QUIT = 131, "Quit (SIGQUIT); as 130."
    TERMINATED = 143, "Terminated (SIGTERM); as 130."


OF_COMMANDS = {
    "check": {
        0: "OK.",
        1: "WARNING.",
        2: "CRITICAL.",
        3: "UNKNOWN: Redis, or a queue that was named, cannot be read; or wrong usage.",
    },
    "wait": {
        0: "Reached; named jobs have completed.",
        1: "It cannot be reached: a job failed, expired, was cancelled or is gone, or no worker works on it.",
    },
    "jobs follow": {0: "All have completed.", 1: "At least one has ended otherwise."},
    "doctor": {0: "Nothing is wrong.", 1: "Something is wrong, or could not be repaired."},
    "audit verify": {0: "The chain is intact.", 1: "The chain is broken."},
}
"""What a status means where a command gives it a meaning of its own."""


class CheckStatus(IntEnum):
    """The exit status of `check`, as monitors read it, by the names of `models.checks.CHECK_STATES`."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3

    @classmethod
    def of(cls, state: str) -> CheckStatus:
        return cls[state.upper()]
