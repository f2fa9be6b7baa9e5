"""Write one job, one tree of jobs or one queue in full."""

from __future__ import annotations

import json
import posixpath
import re
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from asyncmq_cli.models.audit.actions import BY_NAME
from asyncmq_cli.models.values import as_number
from asyncmq_cli.output.redaction.redact import redact, redact_text
from asyncmq_cli.output.tables import views
from asyncmq_cli.output.tables.tables import STATE_STYLES, human, shortened_path
from asyncmq_cli.output.text.cutting import cut_text, value_lines
from asyncmq_cli.output.text.escape import escape, escape_name
from asyncmq_cli.output.text.times import duration, relative, rfc3339

if TYPE_CHECKING:
    from rich.text import Text

    from asyncmq_cli.models.changes import AuditEvent
    from asyncmq_cli.models.jobs import Frame, Job, JobDetail, JobError, Relative, Tree
    from asyncmq_cli.models.queues import QueueStats
    from asyncmq_cli.output.tables.columns import Column

# Fields that are shown on separate lines or under a heading.
HEADINGS = ("args", "kwargs", "result", "last_error", "error_traceback")
_PLAIN = ("id", "task", "task_id", "name", "status", "priority", "retries", "max_retries", "ttl")
_MOMENTS = ("created_at", "delay_until", "run_at", "active_since", "last_attempt")
_SHOWN_ELSEWHERE = frozenset({*HEADINGS, *_PLAIN, *_MOMENTS, "depends_on"})
_NAMES = ("Job", "Queue", "Task")
_MANY_LINES = ("Error", "Root cause")
_MOST_LINES = 8
"""The most lines of an error's message that are shown without --full."""
_TITLE = 14
"""The width of a title in characters."""
_USUAL = {"backoff": 1.5, "has_dependents": False}
"""Values that AsyncMQ writes into every record, so that they are not worth showing."""
_LED_TO = {"cause": "caused by", "context": "while handling"}
_STYLES = {"Error": "red", "Root cause": "bold red", "Problem": "red"}
_LEAST_TASK = 8
"""The least width of a task in a tree. With less room, the line is left too long."""
_INLINE = 64
"""The most characters of a title and its value on one line."""
_SOURCE = " " * 8
"""The indentation of a frame's source line."""
_LIBRARY_PATH = re.compile(
    r"/(?:(?:site|dist)-packages|lib/python\d[\d.]*)/(?!(?:site|dist)-packages/)(?P<name>[^/]+?)(?:\.py)?(?:/|$)"
)
_FULL_TITLES = {
    "CHILDREN": "Waiting for parents",
    "DEAD": "Dead letters",
    "REPEAT": "Repeatables",
    "OLDEST": "Oldest waiting",
}


def job_lines(
    detail: JobDetail,
    *,
    now: float,
    show_secrets: bool,
    full: bool = False,
    audit: Sequence[AuditEvent] = (),
    width: int | None = None,
) -> Iterator[str]:
    """The lines of `jobs show` for people: the job's state, why it failed, its times and who changed it; then
    the frames of the traceback and the job's arguments. Long values are cut unless `full` is set. Sentences
    are wrapped at `width`, so one item may have several lines."""
    job, error = detail.job, detail.error

    def text(value: Any) -> str:
        shown = str(value) if show_secrets else redact_text(str(value))
        return shown if full else cut_text(shown)

    changed = [event.timestamp for event in audit if event.status == "success"]
    pairs: list[tuple[str, Any]] = [
        ("Job", job.id or "-"),
        ("Queue", job.queue),
        ("Task", job.task_id or "-"),
        ("State", _state(job, now, changed)),
        ("Problem", job.problem),
    ]
    if error is not None:
        pairs.append(("Error", ": ".join(filter(None, (error.type, error.message))) or "unknown"))
        if len(error.chain) > 1:
            pairs.append(("Root cause", error.root_cause))
    pairs += _times(job, now)
    pairs.append(("Time to live", job.get("ttl")))
    pairs += _tries(job)
    if (family := detail.family) is not None:
        pairs.append(("Waits for", _relatives(family.parents, family.parents_total)))
        pairs.append(("Awaited by", _relatives(family.children, family.children_total)))
    pairs += [("Audit", audit_text(event, now)) for event in audit]
    for title, value in pairs:
        if value is not None:
            lines = _message_lines(text(value), full) if title in _MANY_LINES else [text(value)]
            shown = [(escape_name if title in _NAMES else escape)(line) for line in lines]
            yield _wrapped([f"{title + ':':<{_TITLE}}{shown[0]}", *shown[1:]], _TITLE, width)
    if error is not None and error.frames:
        yield ""
        yield "Frames, the last called last:"
        for line in _calls(error, text, full):
            yield _one_line(line, width) if line.startswith(_SOURCE) and not full else line
    yield from _data_lines(detail, show_secrets, full, width)


def _tries(job: Job) -> list[tuple[str, Any]]:
    """The failed tries and the priority on one line, so that a job with a traceback of two exceptions fits on
    one screen."""
    tries, priority = (views.tries(job) or "").replace("/", " of "), job.get("priority")
    if not tries:
        return [("Priority", priority)]
    return [("Failed tries", f"{tries}; priority {priority}" if priority else tries)]


def _message_lines(message: str, full: bool) -> list[str]:
    """The lines of a message, such as pydantic's, which has two lines per field."""
    lines = [line.rstrip() for line in message.split("\n") if line.strip()] or [""]
    if full or len(lines) <= _MOST_LINES:
        return lines
    return [*lines[: _MOST_LINES - 1], f"… {len(lines) - _MOST_LINES + 1:,} more lines, --full shows them"]


def _wrapped(lines: Sequence[str], indent: int, width: int | None) -> str:
    """The lines joined by line breaks and wrapped at `width`. All but the first are indented by `indent`."""
    margin = " " * indent
    if width is None or width < 2 * indent:
        return f"\n{margin}".join(lines)
    shown = []
    for number, line in enumerate(lines):
        begin = margin if number else ""
        shown += textwrap.wrap(
            line,
            width,
            initial_indent=begin,
            subsequent_indent=margin,
            drop_whitespace=True,
            break_on_hyphens=False,
        )
    return "\n".join(shown)


def _one_line(line: str, width: int | None) -> str:
    return line if width is None or len(line) <= width else f"{line[: width - 1]}…"


def _state(job: Job, now: float, changed: Sequence[float] = ()) -> str:
    """The state, and since when or for how long. `changed` has the times of the job's last changes."""
    since = as_number(job.get("active_since"))
    if job.status == "active" and since is not None and since <= now:
        return f"active for {duration(now - since)}{_waited(job, since, changed)}"
    if job.dead_at is not None and job.dead_at <= now:
        age = None if job.created_at is None else job.dead_at - job.created_at
        lived = "" if age is None or age < 0 else f", {duration(age)} after it was created"
        return f"{job.status} {duration(now - job.dead_at)} ago{lived}"
    if job.status == "waiting":
        return f"waiting{_waited(job, now, changed)}"
    if job.status == "delayed" and job.delay_until is not None:
        return f"delayed, due {relative(job.delay_until, now)}"
    return job.status


def _waited(job: Job, until: float, changed: Sequence[float]) -> str:
    """How long the job waited since it was due, retried or created; "" if the clocks do not agree."""
    begun = max(filter(None, (job.created_at, job.delay_until, *changed)), default=None)
    if begun is None or begun > until:
        return ""
    waited = duration(until - begun)
    return f", after waiting {waited}" if job.status == "active" else f" for {waited}"


def audit_text(event: AuditEvent, now: float) -> str:
    """An event as text: `retried by ann 10m ago: "mail is back"`, or the action that failed, and why."""
    who = f"by {event.actor or 'unknown'} {relative(event.timestamp, now)}"
    if event.status != "success":
        return f"{event.action} failed, {who}: {event.error or 'unknown'}"
    done = BY_NAME[event.action].done.lower() if event.action in BY_NAME else event.action
    reason = event.details.get("reason")
    return f'{done} {who}: "{reason}"' if reason else f"{done} {who}"


def coloured(lines: Iterable[str]) -> Text:
    """The lines of a job with colours: errors in red, the root cause bold, titles and folded frames dim."""
    from rich.text import Text

    whole = Text()
    for number, line in enumerate(lines):
        title, colon, rest = line.partition(":")
        shown = Text(line)
        if colon and title and not line.startswith(" "):
            shown.stylize("bold" if not rest else "dim", 0, len(title) + 1)
            state = re.split(r"[ ,]", rest.strip(), maxsplit=1)[0]
            style = STATE_STYLES.get(state, "") if title == "State" else _STYLES.get(title, "")
            shown.stylize(style, len(title) + 1)
        elif line.lstrip().startswith("… "):
            shown.stylize("dim")
        whole.append_text(Text("\n" if number else "")).append_text(shown)
    return whole


_RELATIVES = 10


def _relatives(relatives: Sequence[Relative], total: int) -> str | None:
    shown = [f"{one.id} ({one.status or 'no such job'})" for one in relatives[:_RELATIVES]]
    more = [f"{total - len(shown):,} more"] if total > len(shown) else []
    return ", ".join([*shown, *more]) or None


def tree_lines(
    tree: Tree, changes: Mapping[str, AuditEvent], now: float, width: int | None = None
) -> Iterator[str]:
    """The lines of a dependency tree: each job below the job that it waits for, with its last change. The
    module of a task is shortened where a line would be wider than `width`."""
    rows = list(tree.drawn())
    # The levels on which more jobs follow below, computed from the last line to the first.
    open_levels: set[int] = set()
    marks: list[str] = []
    for depth, _, _ in reversed(rows):
        open_levels = {level for level in open_levels if level <= depth}
        bars = "".join("│   " if level in open_levels else "    " for level in range(1, depth))
        marks.append(bars + (("├── " if depth in open_levels else "└── ") if depth else ""))
        open_levels.add(depth)
    for mark, (_, node, note) in zip(reversed(marks), rows, strict=True):
        words = [redact_text(node.id), node.status or "no such job"]
        task = redact_text(node.task_id or "")
        notes = ["this job"] if node.id == tree.job_id else []
        notes += [] if note is None else [note]
        if node.id in changes:
            notes.append(redact_text(audit_text(changes[node.id], now)))
        rest = [f"({', '.join(notes)})"] if notes else []
        if width is not None:
            room = width - len(mark) - len("  ".join([*words, "", *rest]))
            task = shortened_path(task, max(room, _LEAST_TASK))
        yield mark + escape("  ".join(filter(None, [*words, task, *rest])))
    for ring in tree.cycles:
        names = " -> ".join(redact_text(name) for name in [*ring, ring[0]])
        yield escape(f"A cycle, so none of these can run: {names}")
    if not tree.is_whole:
        yield "… and more jobs, which were not read"


def queue_lines(stats: QueueStats, now: float, columns: Sequence[Column[QueueStats]]) -> Iterator[str]:
    """The lines of one queue: one pair of title and value per line, with the titles of the table."""
    for column in columns:
        title = _FULL_TITLES.get(column.title, column.title.capitalize())
        yield f"{title + ':':<21}{human(column, column.for_people(stats), now)}"


def pause_line(event: AuditEvent | None, now: float) -> str:
    """The line that says who paused a queue, when and why, if the audit trail has the event."""
    if event is None:
        return f"{'Paused by:':<21}unknown: not in the newest events of the audit trail"
    reason = event.details.get("reason")
    why = f': "{reason}"' if reason else ""
    text = f"{event.actor or 'unknown'}, {relative(event.timestamp, now)}{why}"
    return f"{'Paused by:':<21}{escape(redact_text(text))}"


def pause_end_line(seconds_left: float, now: float) -> str:
    """The line that says when a temporary pause ends."""
    end = now + seconds_left
    return f"{'Paused until:':<21}{rfc3339(round(end))} ({relative(end, now)})"


def _times(job: Job, now: float) -> list[tuple[str, Any]]:
    attempt = as_number(job.get("last_attempt"))
    if attempt is not None and job.dead_at is not None and abs(job.dead_at - attempt) < 1:
        # The last attempt is the one in which the job died, so do not repeat its time.
        attempt = None
    moments = (
        ("Created", job.created_at),
        ("Runs", as_number(job.run_at)),
        ("Due", job.delay_until),
        ("Active since", as_number(job.get("active_since")) if job.status == "active" else None),
        ("Last attempt", attempt),
        ("Dead since", job.dead_at),
    )
    return [
        (title, f"{rfc3339(moment) or moment} ({relative(moment, now)})")
        for title, moment in moments
        if moment is not None
    ]


def _calls(error: JobError, text: Callable[[Any], str], full: bool) -> Iterator[str]:
    """The lines of the frames. The exception that the worker caught comes first, then its cause, and so on.
    The messages of the first and the last exception are already printed above."""
    common = "" if full else _common_folder(error)
    if not error.raised:
        yield from _frame_lines(error.frames, text, common, full)
        return
    for number, raised in enumerate(reversed(error.raised)):
        is_above = not full and raised.text in (error.chain[0], error.chain[-1])
        what = escape(text(raised.text.split(":" if is_above else "\n", 1)[0] or "unknown"))
        yield f"  {_LED_TO[raised.led_to or 'context']} {what}" if number else f"  {what}"
        for line in _frame_lines(raised.frames, text, common, full):
            yield f"  {line}"


def _common_folder(error: JobError) -> str:
    """The folder that the application's frames have in common, without its last part: `/srv/` for
    `/srv/shop/mail.py` and `/srv/shop/tasks.py`. "" if there is none."""
    raised = [frame for one in error.raised for frame in one.frames]
    folders = [
        frame.path.rpartition("/")[0] for frame in raised or error.frames if _library(frame.path) is None
    ]
    if not folders or not all(folder.startswith("/") for folder in folders):
        return ""
    return posixpath.commonpath(folders).rpartition("/")[0] + "/"


def _shown_path(path: str, common: str, *, full: bool) -> str:
    """The path relative to site-packages or to the project's folder."""
    found = None if full else _LIBRARY_PATH.search(path)
    return path[found.start("name") :] if found else path.removeprefix(common)


def _frame_lines(
    frames: Sequence[Frame], text: Callable[[Any], str], common: str, full: bool
) -> Iterator[str]:
    """The lines of the application's frames with their source. Consecutive frames of libraries are folded
    into one line, unless `full` is set or all frames are of libraries."""
    folds = not full and any(_library(frame.path) is None for frame in frames)
    for is_folded, group in groupby(frames, lambda frame: folds and _library(frame.path) is not None):
        if is_folded:
            folded = [_library(frame.path) or "" for frame in group]
            names = ", ".join(dict.fromkeys(folded))
            yield f"  … {len(folded)} {'frame' if len(folded) == 1 else 'frames'} in {escape(text(names))}"
            continue
        for frame in group:
            # Redact before shortening: part of a path may no longer look like a secret.
            path = _shown_path(text(frame.path), common, full=full)
            yield f"  {escape(path)}:{frame.line} in {escape(text(frame.function or '?'))}"
            if frame.source:
                yield f"      {escape(text(frame.source))}"


def _library(path: str) -> str | None:
    """The package or module of an installed library, or of Python's standard library, that a file belongs to;
    else None."""
    found = _LIBRARY_PATH.search(path)
    return None if found is None else found["name"]


def _data_lines(detail: JobDetail, show_secrets: bool, full: bool, width: int | None) -> Iterator[str]:
    record = detail.job.record
    if record is None:
        return
    shown: dict[str, Any] = dict(record) if show_secrets else redact(record)
    titled = {"Arguments": "args", "Keyword arguments": "kwargs", "Result": "result"}
    values = [(title, shown.get(key)) for title, key in titled.items()]
    values.append(
        (
            "Other fields",
            {
                key: value
                for key, value in sorted(shown.items())
                if key not in _SHOWN_ELSEWHERE
                and value not in (None, [])
                and (full or _USUAL.get(key) != value)
            },
        )
    )
    before: list[str] = ["", ""]
    for title, value in values:
        if value not in (None, [], {}):
            lines = _value_lines(title, value, width=width, full=full)
            if len(before) > 1 or len(lines) > 1:
                yield ""
            yield from lines
            before = lines


def _value_lines(title: str, value: Any, *, width: int | None, full: bool) -> list[str]:
    """The lines of a value: on the line of its title if there is room, else below it."""
    lines = list(value_lines(value, full=full))
    room = max(_INLINE, (width or 0) - 2)
    is_short = sum(map(len, lines)) <= 2 * room
    inline = escape(json.dumps(value, ensure_ascii=False)) if is_short else ""
    if is_short and len(title) + len(inline) <= room:
        return [f"{title + ':':<14}{' ' * (len(title) > 12)}{inline}"]
    return [f"{title}:", *(f"  {line}" for line in lines)]
