"""The format of a backup: one JSON object per line.

A job line holds a job that is about to be removed. After the removal, an outcome line says which jobs of the
batch were removed and which were kept. Bytes that are not UTF-8 are written as `{"base64": "…"}`.
docs/json.md describes both kinds of lines.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from msgspec import Struct

from asyncmq_cli.models.queues import PLURALS, QueuePart
from asyncmq_cli.storage.schema.job_dump import DeadLetter, JobDump, JobEdit, Members, Texts
from asyncmq_cli.storage.schema.keys import PLACES, to_bytes

VERSION = 1

_REQUIRED = ("queue", "id")
_VALUES = ("state", "record", "payload", "result", "claim", "heartbeat")
_FLAGS = ("in_ids", "cancelled")
_SETS = ("pending", "children", "parents")
_INFINITE = {"Infinity": math.inf, "-Infinity": -math.inf}


class BadLine(ValueError):
    """The line is not a line of a backup. The message says why, without quoting the line."""


class Outcome(Struct, frozen=True):
    """The outcome of a batch: which jobs of the lines above it were removed, and which were kept in Redis."""

    run: str
    queue: bytes
    removed: Sequence[bytes]
    kept: Sequence[bytes]


def job_line(run: str, parts: JobDump) -> bytes:
    """The line of a job that this run is about to remove."""
    line: dict[str, Any] = {"backup": VERSION, "run": run}
    for name in parts.__struct_fields__:
        value = getattr(parts, name)
        if name in PLACES:
            line[name] = [{"score": _number(score), "member": as_text(member)} for member, score in value]
        elif name in _SETS:
            line[name] = [as_text(one) for one in value]
        else:
            line[name] = value if value is None or isinstance(value, bool) else as_text(value)
    return orjson.dumps(line) + b"\n"


def part_line(run: str, part: QueuePart) -> bytes:
    """The line of a part of a queue that this run is about to delete."""
    line = {
        "backup": VERSION,
        "run": run,
        "queue": as_text(part.queue),
        "part": part.name,
        "elements": [[as_text(name), as_text(value)] for name, value in part.elements],
    }
    return orjson.dumps(line) + b"\n"


def edit_line(run: str, edit: JobEdit) -> bytes:
    """The line of a job that this run is about to edit."""
    line = {
        "backup": VERSION,
        "run": run,
        "queue": as_text(edit.queue),
        "id": as_text(edit.id),
        "place": edit.place,
        "before": _texts_line(edit.before),
        "after": _texts_line(edit.after),
        "retried": None if edit.retried is None else _letter_line(edit.retried),
    }
    return orjson.dumps(line) + b"\n"


def kept_in_event(edit: JobEdit) -> dict[str, Any]:
    """What the audit event of an edit stores so that the edit can be undone: the old texts, and a digest of
    the new ones."""
    before = edit.before
    texts = _texts_line(before)
    if before.member == _usual_member(edit.place, edit.id, before.record):
        del texts["member"]
    retried = None if edit.retried is None else _letter_line(edit.retried)
    return {"place": edit.place, **texts, "retried": retried, "after": edit.after.digest}


def edit_of_event(queue: str, job_id: str, kept: Mapping[str, Any], now: Texts) -> JobEdit | None:
    """The edit that an event has stored as `kept`. `now` are the job's present texts. None if these are not
    the ones that the edit wrote. Raises BadLine."""
    place, after = kept.get("place"), kept.get("after")
    if place not in PLACES or not isinstance(after, str):
        raise BadLine("it has no place or no digest")
    name = to_bytes(job_id)
    record = _bytes(kept, "record")
    member = _bytes(kept, "member") if "member" in kept else _usual_member(place, name, record)
    before = Texts(member, record, _bytes(kept, "payload"))
    if now.digest != after:
        return None
    return JobEdit(to_bytes(queue), name, place, before, now, _letter(kept))


def _usual_member(place: str, job_id: bytes, record: bytes) -> bytes:
    return job_id if place == "waiting" else record


def _letter_line(letter: DeadLetter) -> dict[str, Any]:
    texts = {name: getattr(letter, name) for name in ("state", "result")}
    shown = {name: None if text is None else as_text(text) for name, text in texts.items()}
    return {"score": _number(letter.score), **shown, "in_ids": letter.in_ids}


def _texts_line(texts: Texts) -> dict[str, Any]:
    return {name: as_text(getattr(texts, name)) for name in Texts.__struct_fields__}


def outcome_line(outcome: Outcome) -> bytes:
    """The line with the outcome of a batch."""
    line = {
        "backup": VERSION,
        "run": outcome.run,
        "queue": as_text(outcome.queue),
        "removed": [as_text(job_id) for job_id in outcome.removed],
        "kept": [as_text(job_id) for job_id in outcome.kept],
    }
    return orjson.dumps(line) + b"\n"


def read_line(line: bytes) -> tuple[str, JobDump | QueuePart | JobEdit] | Outcome:
    """Parse a line: an outcome; or the id of a run, and the job, part of a queue or edit that the run removed
    or made. Raises BadLine."""
    try:
        data = orjson.loads(line)
    except orjson.JSONDecodeError as exc:
        raise BadLine("it is not JSON") from exc
    if not isinstance(data, dict) or "backup" not in data:
        raise BadLine("it is not a line of a backup")
    version = data["backup"]
    if isinstance(version, bool) or version != VERSION:
        raise BadLine(f"its version is not {VERSION}, the only one that this program reads")
    run = data.get("run")
    if not isinstance(run, str):
        raise BadLine("its 'run' is not a text")
    if "removed" in data:
        removed, kept = (_names(data, name) for name in ("removed", "kept"))
        return Outcome(run, _bytes(data, "queue"), removed, kept)
    if "part" in data:
        return run, _part(data)
    if "after" in data:
        return run, _edit(data)
    found: dict[str, Any] = {
        **{name: _bytes(data, name) for name in _REQUIRED},
        **{name: None if data.get(name) is None else _bytes(data, name) for name in _VALUES},
        **{name: _flag(data, name) for name in _FLAGS},
        **{name: _members(data, name) for name in PLACES},
        **{name: _names(data, name) for name in _SETS},
    }
    return run, JobDump(**found)


def _edit(data: Mapping[str, Any]) -> JobEdit:
    place = data.get("place")
    if place not in PLACES:
        raise BadLine("its 'place' is not a place of jobs")
    before, after = (_texts(data, name) for name in ("before", "after"))
    return JobEdit(_bytes(data, "queue"), _bytes(data, "id"), place, before, after, _letter(data))


def _letter(data: Mapping[str, Any]) -> DeadLetter | None:
    letter = data.get("retried")
    if letter is None:
        return None
    if not isinstance(letter, dict):
        raise BadLine("its 'retried' is not an object")
    state, result = (
        None if letter.get(name) is None else _bytes(letter, name) for name in ("state", "result")
    )
    return DeadLetter(_score(letter.get("score"), "retried"), state, result, _flag(letter, "in_ids"))


def _texts(data: Mapping[str, Any], name: str) -> Texts:
    texts = data.get(name)
    if not isinstance(texts, dict):
        raise BadLine(f"its {name!r} is not an object")
    return Texts(*(_bytes(texts, name) for name in Texts.__struct_fields__))


def _part(data: Mapping[str, Any]) -> QueuePart:
    name, elements = data["part"], _list(data, "elements")
    if not isinstance(name, str) or name not in PLURALS:
        raise BadLine("its 'part' is not a part of a queue")
    if not all(isinstance(each, list) and len(each) == 2 for each in elements):
        raise BadLine("its 'elements' are not pairs")
    pairs = tuple((_raw(first, "elements"), _raw(second, "elements")) for first, second in elements)
    return QueuePart(_bytes(data, "queue"), name, pairs)


def is_cut(line: bytes) -> bool:
    """Whether this text, which has no newline, may be the beginning of a line that was cut off."""
    start = b'{"backup":%d,"run":"' % VERSION
    return line.startswith(start) or start.startswith(line)


def as_text(raw: bytes) -> str | dict[str, str]:
    """The text as a JSON value; `{"base64": "…"}` for bytes that are not UTF-8."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(raw).decode("ascii")}


def _number(score: float) -> float | str:
    return next((name for name, value in _INFINITE.items() if value == score), score)


def _bytes(data: Mapping[str, Any], name: str) -> bytes:
    return _raw(data.get(name), name)


def _raw(value: Any, name: str) -> bytes:
    if isinstance(value, dict) and isinstance(value.get("base64"), str):
        try:
            return base64.b64decode(value["base64"], validate=True)
        except (binascii.Error, ValueError) as exc:
            raise BadLine(f"its {name!r} is not base64") from exc
    if isinstance(value, str):
        return value.encode("utf-8")
    raise BadLine(f"its {name!r} is not a text")


def _flag(data: Mapping[str, Any], name: str) -> bool:
    value = data.get(name)
    if not isinstance(value, bool):
        raise BadLine(f"its {name!r} is not true or false")
    return value


def _names(data: Mapping[str, Any], name: str) -> tuple[bytes, ...]:
    return tuple(_raw(value, name) for value in _list(data, name))


def _members(data: Mapping[str, Any], name: str) -> Members:
    members = []
    for entry in _list(data, name):
        if not isinstance(entry, dict):
            raise BadLine(f"its {name!r} holds something other than members with a score")
        members.append((_raw(entry.get("member"), name), _score(entry.get("score"), name)))
    return tuple(members)


def _score(value: Any, name: str) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, str) and value in _INFINITE:
        return _INFINITE[value]
    raise BadLine(f"a score in its {name!r} is not a number")


def _list(data: Mapping[str, Any], name: str) -> list[Any]:
    value = data.get(name)
    if not isinstance(value, list):
        raise BadLine(f"its {name!r} is not a list")
    return value
