"""What a stored traceback says.

Python prints the chain of an exception oldest first: the root cause stands at the top and what
the worker caught at the bottom. The text may be cut or come from elsewhere, so nothing here
relies on its being whole. (No library was found that reads chains and exception groups.)
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from asyncmq_cli.models import Frame, Job, JobError

MAX_FRAMES = 50
# Where applications and old versions keep them, in the dashboard's order.
_TRACEBACK_FIELDS = ("error_traceback", "traceback", "stacktrace", "stack", "last_error")
_MESSAGE_FIELDS = ("last_error", "error", "exception")

_LINKS = (
    "The above exception was the direct cause of the following exception:",
    "During handling of the above exception, another exception occurred:",
)
_START = re.compile(r"^\s*(?:\+ )?(?:Exception Group )?Traceback \(most recent call last\):")
_FRAME = re.compile(r'^\s*File "(?P<path>.*?)", line (?P<line>\d+)(?:, in (?P<function>.*))?$')
_GROUP_MARGIN = re.compile(r"^\s*[|+] ?")
_GROUP_MEMBER = re.compile(r"^\s*\+-\+?-{4,}")
_RAISED = re.compile(r"^(?P<type>[A-Za-z_][\w.]*)(?:: (?P<message>.*))?$", re.DOTALL)
_MARKER = re.compile(r"^[\s^~]+$")


@dataclass(slots=True)
class _Link:
    frames: list[Frame] = field(default_factory=list)
    raised: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "\n".join(self.raised).strip()


def job_error(job: Job) -> JobError | None:
    """The error that the job's record holds, or None where it holds none."""
    text = _first_text(job, _TRACEBACK_FIELDS)
    message = _first_text(job, _MESSAGE_FIELDS)
    if text is None:
        return None if message is None else _from_message(message)
    links = [link for link in _links(text.splitlines()) if link.text]
    if not links or not any(link.frames for link in links):
        return _from_message(message or text, None if text == message else text)
    last = _RAISED.match(links[-1].text)
    return JobError(
        type=last["type"] if last else None,
        message=(last["message"] or "") if last else links[-1].text,
        root_cause=links[0].text,
        chain=[link.text for link in links],
        frames=[frame for link in links for frame in link.frames][:MAX_FRAMES],
        traceback=text,
    )


def _from_message(message: str, traceback: str | None = None) -> JobError:
    """An error stored as one text: its type is believed only if it looks like a class of errors."""
    found = _RAISED.match(message.strip())
    named = found is not None and found["type"].endswith(
        ("Error", "Exception", "Warning", "Exit", "Interrupt")
    )
    text = message.strip()
    return JobError(
        type=found["type"] if found and named else None,
        message=(found["message"] or "") if found and named else text,
        root_cause=text,
        chain=[text],
        frames=[],
        traceback=traceback,
    )


def _links(lines: list[str]) -> Iterator[_Link]:
    """The exceptions of a chain, in the order of the text."""
    grouped = any("Exception Group Traceback" in line for line in lines)
    link = _Link()
    inside = False
    skipping = False
    for number, raw in enumerate(lines):
        skipping = skipping or (grouped and _GROUP_MEMBER.match(raw) is not None)
        if skipping and not raw[:1].strip():
            # What the members of a group raised is told in their own tracebacks.
            continue
        skipping = False
        line = _GROUP_MARGIN.sub("", raw, count=1) if grouped else raw
        if line.strip() in _LINKS or _START.match(line):
            if link.raised:
                yield link
                link = _Link()
            inside = _START.match(line) is not None
        elif not inside:
            continue
        elif not link.raised and (frame := _frame(line, lines, number, grouped)):
            link.frames.append(frame)
        elif link.raised or (line.strip() and not line[0].isspace() and not line.startswith("[Previous")):
            link.raised.append(line)
    if link.raised:
        yield link


def _frame(line: str, lines: list[str], number: int, grouped: bool) -> Frame | None:
    found = _FRAME.match(line)
    if found is None:
        return None
    below = lines[number + 1] if number + 1 < len(lines) else ""
    below = _GROUP_MARGIN.sub("", below, count=1) if grouped else below
    is_source = below.startswith("    ") and not _MARKER.match(below) and not _FRAME.match(below)
    return Frame(
        path=found["path"],
        line=int(found["line"][:9]),
        function=found["function"] or "",
        source=below.strip() if is_source else "",
    )


def _first_text(job: Job, names: tuple[str, ...]) -> str | None:
    for name in names:
        value = job.get(name)
        if value:
            return value if isinstance(value, str) else str(value)
    return None
