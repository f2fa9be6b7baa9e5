"""Why a job died: parse its traceback, and find the root cause that failures are grouped by.

Python prints the chain of an exception oldest first: the root cause at the top, and the exception that the
worker caught at the bottom. The text may be cut, or may not be from Python, so nothing here relies on a
complete traceback. (No library was found that parses chains and exception groups.)
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from msgspec import Struct, field

from asyncmq_cli.models.jobs import Frame, JobError, Raised

if TYPE_CHECKING:
    from asyncmq_cli.models.jobs import Job


MAX_FRAMES = 50
_GROUP_TYPE = "ExceptionGroup"
# The fields in which applications and old versions store tracebacks, in the dashboard's order.
_TRACEBACK_FIELDS = ("error_traceback", "traceback", "stacktrace", "stack", "last_error")
_MESSAGE_FIELDS = ("last_error", "error", "exception")

_LINKS: dict[str, Literal["cause", "context"]] = {
    "The above exception was the direct cause of the following exception:": "cause",
    "During handling of the above exception, another exception occurred:": "context",
}
_HEADERS = ("Traceback (most recent call last):", "+ Exception Group Traceback (most recent call last):")
_START = re.compile(
    r"^(?P<indent>\s*)(?P<group>\+ )?(?:Exception Group )?Traceback \(most recent call last\):"
)
_FRAME = re.compile(r'^\s*File "(?P<path>.*?)", line (?P<line>\d+)(?:, in (?P<function>.*))?\s*$')
_GROUP_MARGIN = re.compile(r"^\s*\| ")
_GROUP_MEMBER = re.compile(r"^\s*\+-\+?-{4,}")
# A class that is defined in a function has `<locals>` in its name.
_RAISED = re.compile(r"^(?P<type>[^\W\d][\w.<>]*)(?::(?: (?P<message>.*))?)?$", re.DOTALL)
_MARKER = re.compile(r"^[\s^~]+$")


class _Link(Struct):
    frames: list[Frame] = field(default_factory=list)
    raised: list[str] = field(default_factory=list)
    led_to: Literal["cause", "context"] | None = None

    @property
    def text(self) -> str:
        return "\n".join(self.raised).rstrip()


def job_error(job: Job) -> JobError | None:
    """The error in the job's record, or None."""
    text = traceback_of(job)
    message = _first_text(job, _MESSAGE_FIELDS)
    if text is None:
        return None if message is None else _from_message(message)
    links = list(_links(text.split("\n")))
    chain = [link.text for link in links if link.text]
    frames = [frame for link in links for frame in link.frames][:MAX_FRAMES]
    if not chain or not frames:
        return _from_message(message or text, None if text == message and not frames else text, frames)
    last = _RAISED.match(chain[-1])
    return JobError(
        type=last["type"] if last else None,
        message=(last["message"] or "") if last else chain[-1],
        root_cause=chain[0],
        chain=chain,
        frames=frames,
        traceback=text,
        raised=[Raised(link.text, link.frames[-MAX_FRAMES:], link.led_to) for link in links],
    )


def raised_last(job: Job) -> tuple[str | None, str] | None:
    """The type and message of the exception that the worker caught, or None. Cheaper than `job_error`."""
    text = traceback_of(job)
    if text is None:
        message = _first_text(job, _MESSAGE_FIELDS)
        error = None if message is None else _from_message(message)
    else:
        links = list(_links(text[_last_start(text) :].split("\n")))
        found = _RAISED.match(links[-1].text) if links else None
        if found is not None and links[-1].frames:
            return found["type"], found["message"] or ""
        error = job_error(job)
    return None if error is None else (error.type, error.message or "")


def raised_first(job: Job) -> tuple[str | None, str] | None:
    """The type and message of the root cause, which is the innermost exception of the chain; for an exception
    group, the root cause of its first member. None if there is no error. Cheaper than `job_error`."""
    text = traceback_of(job)
    found = None if text is None else raised_first_in(text)
    if found is not None:
        return found
    error = job_error(job)
    if error is None:
        return None
    root = _RAISED.match(error.chain[0]) if len(error.chain) > 1 else None
    return (root["type"], root["message"] or "") if root else (error.type, error.message or "")


def traceback_of(job: Job) -> str | None:
    """The text that may be a traceback."""
    return _first_text(job, _TRACEBACK_FIELDS)


def raised_first_in(text: str) -> tuple[str, str] | None:
    """The type and message of the root cause in a traceback; None if it cannot be distinguished from other
    text."""
    return _root_of(text[: _first_end(text)])


def _root_of(text: str) -> tuple[str, str] | None:
    """The type and message of the first exception in this text."""
    lines = text.split("\n")
    first = next(_links(lines), None)
    found = _RAISED.match(first.text) if first is not None and first.frames else None
    if found is None:
        return None
    raised = found["type"], found["message"] or ""
    return (_of_member(lines) or raised) if found["type"].endswith(_GROUP_TYPE) else raised


def _of_member(lines: Sequence[str]) -> tuple[str, str] | None:
    """The root cause of the first member of the first exception group in these lines, or None."""
    start = next((number for number, line in enumerate(lines, 1) if _GROUP_MEMBER.match(line)), None)
    if start is None:
        return None
    margin = lines[start - 1].index("+") + 2
    inside: list[str] = []
    for line in lines[start:]:
        if line[:margin].strip() or line[margin : margin + 1] != "|":
            break
        inside.append(line[margin + 2 :])
    rest = lines[start + len(inside) :]
    text = "\n".join(inside)
    # A member that was created but not raised has no traceback.
    found = _root_of(text) or _named_in(text)
    is_group = found is not None and found[0].endswith(_GROUP_TYPE)
    return (_of_member(rest) or found) if is_group else found


def _named_in(text: str) -> tuple[str, str] | None:
    found = _RAISED.match(text.strip())
    return None if found is None else (found["type"], found["message"] or "")


def _first_end(text: str) -> int:
    """The end of the first exception's traceback, or of the whole text if it must be parsed to find it."""
    ends = [end for sentence in _LINKS if (end := text.find(f"\n\n{sentence}\n\n")) >= 0]
    if not ends or "Exception Group" in text:
        return len(text)
    after = text.find("\n\n", min(ends) + 2) + 2
    return min(ends) if text.startswith(_HEADERS[0], after) else len(text)


def _last_start(text: str) -> int:
    """The start of the last exception's traceback, or 0 if the whole text must be parsed to find it, because
    messages can contain tracebacks."""
    start = text.rfind(f"\n{_HEADERS[0]}") + 1
    between = text[:start].endswith(tuple(f"\n\n{sentence}\n\n" for sentence in _LINKS))
    return start if between and "Exception Group" not in text else 0


def _from_message(message: str, traceback: str | None = None, frames: Sequence[Frame] = ()) -> JobError:
    """An error that is stored as one text. Its first word is taken as the type only if it is named like an
    error class."""
    text = message.strip()
    found = _RAISED.match(text)
    named = found is not None and found["type"].endswith(
        ("Error", "Exception", "Warning", "Exit", "Interrupt")
    )
    return JobError(
        type=found["type"] if found and named else None,
        message=(found["message"] or "") if found and named else text,
        root_cause=text,
        chain=[text],
        frames=list(frames),
        traceback=traceback,
    )


def _links(lines: list[str]) -> Iterator[_Link]:
    """The exceptions of a chain, in the order of the text.

    An exception that was only named as a cause and not raised has no `Traceback` line. The lines of an
    exception group have a margin, and its members have their own tracebacks.
    """
    last_start = max((number for number, line in enumerate(lines) if _START.match(line)), default=-1)
    link, margin = _Link(), ""
    inside = in_members = False
    for number, raw in enumerate(lines):
        in_members = in_members and not raw[:1].strip()
        if in_members:
            continue
        line = "" if raw == margin.rstrip() else raw.removeprefix(margin)
        start = None if inside and link.raised else _START.match(raw)
        if start:
            # Text before the first frames, such as a log message, is not an exception.
            link.raised.clear()
            inside, margin = True, start["indent"] + ("| " if start["group"] else "")
        elif _is_between(lines, number, last_start):
            link.led_to = _LINKS[lines[number].strip()]
            yield link
            link, margin, inside = _Link(), "", False
        elif margin.endswith("| ") and _GROUP_MEMBER.match(raw):
            in_members = True
        elif inside and not link.raised and (frame := _frame(line, lines, number, margin)):
            link.frames.append(frame)
        elif link.raised or (line.strip() and not line[0].isspace()):
            link.raised.append(line)
        elif not inside and (bar := _GROUP_MARGIN.match(raw)):
            margin = bar[0]
            link.raised.append(raw.removeprefix(margin))
    if inside:
        yield link


def _is_between(lines: list[str], number: int, last_start: int) -> bool:
    """Whether a line is Python's sentence between two exceptions and not part of a message: it is surrounded
    by empty lines, and a traceback follows unless the text was cut there."""
    if lines[number].strip() not in _LINKS or (number and lines[number - 1].strip()):
        return False
    below = lines[number + 1 : number + 4]
    if below and below[0].strip():
        return False
    return number < last_start or (
        number + 3 >= len(lines) and any(header.startswith("".join(below).strip()) for header in _HEADERS)
    )


def _frame(line: str, lines: list[str], number: int, margin: str) -> Frame | None:
    found = _FRAME.match(line)
    if found is None:
        return None
    below = lines[number + 1].removeprefix(margin) if number + 1 < len(lines) else ""
    is_source = below.startswith("    ") and not _MARKER.match(below) and not _FRAME.match(below)
    return Frame(
        path=found["path"],
        line=int(found["line"][:9]),
        function=(found["function"] or "").strip(),
        source=below.strip() if is_source else "",
    )


def _first_text(job: Job, names: tuple[str, ...]) -> str | None:
    for name in names:
        value = job.get(name)
        if value and (text := value if isinstance(value, str) else str(value)).strip():
            return text
    return None


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

# Treat all digits as the same, but keep 0, so that `0x` differs from `1x`.
_ALIKE = str.maketrans("23456789", "1" * 8)
_LONGEST_KEPT = 16 * 1024

_VALIDATION = re.compile(r"^\d+ (validation error)s?(?: for (.*))?$")
"""The first line of pydantic's errors, which only counts them. The next two lines name the field and the
error."""
_INPUT = re.compile(r"\s*(?:\[type=\w+, input_value=.*|\(type=[\w.]+.*\))$")
_SAYS_NOTHING = ("For further information visit ",)


class Signature(Struct, frozen=True):
    """The type and the generalized message that all failures of one cause have in common."""

    type: str | None
    message: str

    @property
    def id(self) -> str:
        """12 hex digits that depend only on the cause, so they are the same in every run and queue."""
        return _digest(f"root cause\0{self.type or ''}\0{self.message}")


def _digest(name: str) -> str:
    raw = name.encode("utf-8", "surrogatepass")
    return hashlib.sha1(raw, usedforsecurity=False).hexdigest()[:12]


def signature(job: Job) -> Signature:
    """The signature of a dead job's root cause. The same as from `cause`, but tracebacks that differ only in
    digits are parsed once."""
    if why := _without_error(job):
        return Signature(None, why)
    text = traceback_of(job)
    known = None if text is None or len(text) > _LONGEST_KEPT else _of_all_alike(text.translate(_ALIKE))
    return cause(job)[0] if known is None else known


@lru_cache(maxsize=1024)
def _of_all_alike(text: str) -> Signature | None:
    found = raised_first_in(text)
    # A signature has no digits, except in its type.
    return None if found is None or re.search(r"\d", found[0]) else _signed(*found)[0]


def cause(job: Job) -> tuple[Signature, str]:
    """The signature of the root cause, and the job's own message. An expired job did not fail, even if its
    record has an error of an earlier attempt."""
    if why := _without_error(job):
        return Signature(None, why), why
    error = raised_first(job)
    if error is None:
        return _NO_ERROR
    kind, message = error
    # Cut the message, which may have megabytes, because the cache keeps its keys.
    return _signed(kind, message.lstrip()[:_MAX_READ])


def root_error(job: Job) -> tuple[str | None, str] | None:
    """The type of a dead job's root cause and the significant line of its message, as the list of groups
    shows them; None if no error is stored."""
    if why := _without_error(job):
        return None, why
    error = raised_first(job)
    return None if error is None else (error[0], telling(error[1]))


def outer_error(job: Job) -> str:
    """The exception that the worker caught (the outermost of the chain), generalized."""
    error = None if _without_error(job) else raised_last(job)
    if error is None:
        return cause(job)[0].message
    kind, message = error
    return f"{kind or ''}: {generalized(telling(message))}".strip(": ")


def former_id(job: Job) -> str:
    """The id of the job's group in releases that grouped jobs by their outermost exception."""
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
        # Leave out the number of errors, which differs from job to job.
        return ": ".join([counted[2] or counted[1], *(_INPUT.sub("", line) for line in rest[:2])])
    return " ".join([first, *rest[:1]]) if first.endswith(":") or not re.search(r"\w", first) else first


def _first_line(message: str) -> str:
    return message.strip().split("\n", 1)[0]


def generalized(message: str) -> str:
    """A message of one line with placeholders for the parts that vary."""
    text = message[: 4 * _MAX_MESSAGE]
    for pattern, word in _CHANGING:
        text = pattern.sub(word, text)
    return text[:_MAX_MESSAGE].strip()
