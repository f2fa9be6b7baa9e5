"""Why a job died: its root cause, named so that all jobs that died of the same have the same name."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from asyncmq_cli.services.jobs.traceback import raised_first, raised_first_in, raised_last, traceback_of

if TYPE_CHECKING:
    from asyncmq_cli.models.jobs import Job

_MAX_MESSAGE = 200
_MAX_READ = 4096

# The parts of a message that change from failure to failure, the longest first, and their placeholders.
# No pattern matches a placeholder, so generalizing a message twice changes nothing. Numbers, ids and
# addresses share one placeholder, because an id may by chance look like a number.
_CHANGING: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"""(?<!\w)(?:'[^']*'|"[^"]*"|`[^`]*`)(?!\w)"""), "<value>"),
    (re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s<>]+", re.IGNORECASE), "<url>"),
    (re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"), "<email>"),
    (re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", re.IGNORECASE), "<*>"),
    (re.compile(r"\b0x[0-9a-f]+\b", re.IGNORECASE), "<*>"),
    (re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b"), "<*>"),
    (re.compile(r"\b(?=[0-9a-f]*\d)[0-9a-f]{8,}\b", re.IGNORECASE), "<*>"),
    (re.compile(r"\d+(?:[.,:_-]\d+)*"), "<*>"),
    (re.compile(r"\s+"), " "),
)

# Any digits are the same, except that `0x` differs from `1x`.
_ALIKE = str.maketrans("23456789", "1" * 8)
_LONGEST_KEPT = 16 * 1024

_VALIDATION = re.compile(r"^\d+ (validation error)s?(?: for (.*))?$")
"""The first line of pydantic's errors, which only counts them. The next two name the field and its fault."""
_INPUT = re.compile(r"\s*(?:\[type=\w+, input_value=.*|\(type=[\w.]+.*\))$")
_SAYS_NOTHING = ("For further information visit ",)


@dataclass(frozen=True, slots=True)
class Signature:
    """The type and general message that failures of one cause share."""

    type: str | None
    message: str

    @property
    def id(self) -> str:
        """12 hex digits, the same for the same cause in every run and on every queue."""
        return _digest(f"root cause\0{self.type or ''}\0{self.message}")


def _digest(name: str) -> str:
    raw = name.encode("utf-8", "surrogatepass")
    return hashlib.sha1(raw, usedforsecurity=False).hexdigest()[:12]


def signature(job: Job) -> Signature:
    """The signature of a dead job's root cause: the same as `cause`, but parsed once for all tracebacks
    that differ only in digits."""
    if why := _without_error(job):
        return Signature(None, why)
    text = traceback_of(job)
    known = None if text is None or len(text) > _LONGEST_KEPT else _of_all_alike(text.translate(_ALIKE))
    return cause(job)[0] if known is None else known


@lru_cache(maxsize=1024)
def _of_all_alike(text: str) -> Signature | None:
    found = raised_first_in(text)
    # A signature has no digits, unless its type has.
    return None if found is None or re.search(r"\d", found[0]) else _signed(*found)[0]


def cause(job: Job) -> tuple[Signature, str]:
    """The signature of the root cause, and the job's own message. An expired job did not fail, whatever its
    record says of earlier attempts."""
    if why := _without_error(job):
        return Signature(None, why), why
    error = raised_first(job)
    if error is None:
        return _NO_ERROR
    kind, message = error
    # The cache keeps what it is asked for, and a message may have megabytes.
    return _signed(kind, message.lstrip()[:_MAX_READ])


def root_error(job: Job) -> tuple[str | None, str] | None:
    """The type of a dead job's root cause and the telling line of its message, as in the list of its group;
    None where no error is stored."""
    if why := _without_error(job):
        return None, why
    error = raised_first(job)
    return None if error is None else (error[0], telling(error[1]))


def outer_error(job: Job) -> str:
    """What the worker caught, in general: the outermost exception of the chain."""
    error = None if _without_error(job) else raised_last(job)
    if error is None:
        return cause(job)[0].message
    kind, message = error
    return f"{kind or ''}: {generalized(telling(message))}".strip(": ")


def former_id(job: Job) -> str:
    """The id that the job's group had while jobs were grouped by their outermost exception."""
    kind, message = None, _without_error(job)
    if message is None:
        error = raised_last(job)
        kind, message = (
            (None, _NO_ERROR[1]) if error is None else (error[0], generalized(_first_line(error[1])))
        )
    return _digest(f"{kind or ''}\0{message}")


def _without_error(job: Job) -> str | None:
    if job.status == "expired":
        return "expired before it could run"
    return "the job cannot be read" if job.problem is not None and job.record is None else None


_NO_ERROR = (Signature(None, "no error is stored"), "no error is stored")


@lru_cache(maxsize=4096)
def _signed(kind: str | None, message: str) -> tuple[Signature, str]:
    said = telling(message)
    return Signature(kind, generalized(said)), said[:_MAX_MESSAGE]


def telling(message: str) -> str:
    """The significant line of a message: the first, or the first two if the first only introduces the
    next."""
    text = message.strip()
    if "\n" not in text:
        return text
    lines = [line.strip() for line in text[:_MAX_READ].split("\n") if line.strip()]
    lines = [line for line in lines if not line.startswith(_SAYS_NOTHING)] or lines
    first, *rest = lines
    if counted := _VALIDATION.match(first):
        # How many there are in all differs from job to job.
        return ": ".join([counted[2] or counted[1], *(_INPUT.sub("", line) for line in rest[:2])])
    return " ".join([first, *rest[:1]]) if first.endswith(":") or not re.search(r"\w", first) else first


def _first_line(message: str) -> str:
    return message.strip().split("\n", 1)[0]


def generalized(message: str) -> str:
    """A message of one line, with placeholders for its changing parts."""
    text = message[: 4 * _MAX_MESSAGE]
    for pattern, word in _CHANGING:
        text = pattern.sub(word, text)
    return text[:_MAX_MESSAGE].strip()
