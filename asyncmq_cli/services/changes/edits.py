"""Parse and apply `--set` and `--unset`, which change values at paths in a job's record."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from asyncmq_cli.errors import ChangeRefused, UsageProblem

Step = str | int

_STEP = re.compile(r"\.?(?P<name>[^.\[\]=\s\"]+)|\[(?P<index>\d{1,9})\]|\[(?P<quoted>\"(?:[^\"\\]|\\.)*\")\]")
FIXED = frozenset(
    {
        *("id", "status", "result", "delay_until", "depends_on", "repeat_every", "created_at", "last_error"),
        *("error_traceback", "deduplication", "priority", "last_attempt", "has_dependents", "active_since"),
    }
)
"""Fields that cannot be edited. They describe where a job is and how it ended, which AsyncMQ also stores in
other keys."""


class Edit(Struct, frozen=True):
    """One value to set or, with `removes`, to remove. `text` is the path as it was typed."""

    text: str
    path: tuple[Step, ...]
    value: Any = None
    removes: bool = False


def parse(sets: Sequence[str], unsets: Sequence[str]) -> list[Edit]:
    """The edits in order. A value is parsed as JSON by Python; if that fails, it is the text itself. Raises
    UsageProblem."""
    edits = []
    for text in sets:
        path, rest = _path(text, "--set")
        if not rest.startswith("="):
            raise UsageProblem(f"--set must be PATH=VALUE, not {text!r}", hint="such as kwargs.to=a@b.c")
        edits.append(Edit(text[: len(text) - len(rest)], path, _value(rest[1:])))
    for text in unsets:
        path, rest = _path(text, "--unset")
        if rest:
            raise UsageProblem(f"--unset must be a path, not {text!r}", hint="such as kwargs.to or args[0]")
        edits.append(Edit(text, path, removes=True))
    return edits


def _path(text: str, option: str) -> tuple[tuple[Step, ...], str]:
    """The steps of the path at the beginning of a text, and the rest of the text. Raises UsageProblem."""
    steps: list[Step] = []
    place = 0
    while found := _STEP.match(text, place):
        if found["index"] is not None:
            steps.append(int(found["index"]))
        else:
            steps.append(found["name"] if found["quoted"] is None else json.loads(found["quoted"]))
        place = found.end()
    if not steps or not isinstance(steps[0], str):
        raise UsageProblem(
            f"{option} {text!r} does not begin with a field of a job",
            hint="such as kwargs.to, args[0] or max_retries",
        )
    if steps[0] in FIXED:
        raise UsageProblem(
            f"{option} {text!r}: {steps[0]} says where a job is, and cannot be edited",
            hint="retry, cancel, remove and run-now move jobs",
        )
    return tuple(steps), text[place:]


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def applied(record: Mapping[str, Any], edits: Sequence[Edit]) -> dict[str, Any]:
    """A copy of the record with the edits applied. Raises ChangeRefused."""
    edited = copy.deepcopy(dict(record))
    for edit in edits:
        holder: Any = edited
        for step in edit.path[:-1]:
            holder = _inside(holder, step, edit)
        _apply(holder, edit)
    return edited


def before(record: Mapping[str, Any], edits: Sequence[Edit]) -> dict[str, Any]:
    """The present values at the paths of the edits, by the text of the path. A path that does not exist is
    left out."""
    found = {}
    for edit in edits:
        value: Any = record
        try:
            for step in edit.path:
                value = _inside(value, step, edit)
        except ChangeRefused:
            continue
        found[edit.text] = value
    return found


def _inside(holder: Any, step: Step, edit: Edit) -> Any:
    is_there = (isinstance(holder, list) and isinstance(step, int) and step < len(holder)) or (
        isinstance(holder, dict) and isinstance(step, str) and step in holder
    )
    if not is_there:
        raise _nowhere(edit, step)
    return holder[step]


def _apply(holder: Any, edit: Edit) -> None:
    last = edit.path[-1]
    if edit.removes:
        _inside(holder, last, edit)
        del holder[last]
    elif isinstance(holder, dict) and isinstance(last, str):
        holder[last] = edit.value
    elif isinstance(holder, list) and isinstance(last, int) and last <= len(holder):
        holder[last : last + 1] = [edit.value]
    else:
        raise _nowhere(edit, last)


def _nowhere(edit: Edit, step: Step) -> ChangeRefused:
    return ChangeRefused("no_such_path", f"{edit.text!r} is not in the job: there is no {step!r}")


def editable(record: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that may be edited."""
    return {name: value for name, value in record.items() if name not in FIXED}


def difference(record: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[Edit]:
    """The edits that turn the editable fields of a record into these. Raises UsageProblem for any other."""
    for name in wanted:
        if name in FIXED:
            raise UsageProblem(f"{name!r} says where a job is, and cannot be edited; nothing was changed")
    edits = [
        Edit(name, (name,), value)
        for name, value in wanted.items()
        # Compare their JSON: NaN does not equal itself, and 1 equals 1.0.
        if name not in record or json.dumps(value) != json.dumps(record[name])
    ]
    return [*edits, *(Edit(name, (name,), removes=True) for name in record if name not in wanted)]
