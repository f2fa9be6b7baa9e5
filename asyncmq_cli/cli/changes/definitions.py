"""Options that describe a job or a repeatable, and the values that they make."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Annotated, Any

from asyncmq_cli.cli.options import number, option, whole_number
from asyncmq_cli.durations import seconds
from asyncmq_cli.errors import UsageProblem

_MOST_LEVELS = 100
"""Levels of nesting in arguments. Not every JSON reader accepts more."""
MOST_PRIORITY = 9000
"""AsyncMQ orders a queue by priority * 10^12 + sequence. Beyond this priority, that number is not exact."""

_RANDOM = re.compile(r"(?<![A-Z])R(?![A-Z])")

TaskOption = Annotated[str, option("--task", "NAME", "Id of the task to run.")]
EveryOption = Annotated[str | None, option("--every", "DURATION", "Run every 90s, 5m, 2h or 1h30m.")]
CronOption = Annotated[
    str | None,
    option("--cron", "EXPRESSION", 'When, in UTC: "*/5 * * * *"; a sixth field is seconds.'),
]
ArgsOption = Annotated[str | None, option("--args", "JSON", "Positional arguments, an array.")]
KwargsOption = Annotated[str | None, option("--kwargs", "JSON", "Keyword arguments, an object.")]
RetriesOption = Annotated[
    int, option("--retries", "N", "How often to retry a failed job.", callback=whole_number(0))
]
TtlOption = Annotated[str | None, option("--ttl", "DURATION", "Age at which a job expires.")]
PriorityOption = Annotated[
    int,
    option(
        "--priority",
        "N",
        f"{-MOST_PRIORITY} to {MOST_PRIORITY}; lower runs first.",
        callback=whole_number(-MOST_PRIORITY, MOST_PRIORITY),
    ),
]
BackoffOption = Annotated[
    float | None,
    option("--backoff", "BASE", "Seconds before the n-th retry: BASE to the power of n.", callback=number),
]


DelayOption = Annotated[str | None, option("--delay", "DURATION", "Run it after this time: 90s, 5m or 2h.")]


def job_of(given: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a new job from `given`, which has them by the names of the options: as typed texts, or as
    JSON values. Raises UsageProblem."""
    found = {**given, "task": _name(str(given.get("task") or ""))}
    for name, kind, words in (("args", list, "an array"), ("kwargs", dict, "an object")):
        value = given.get(name)
        found[name] = _json(f"--{name}", value, kind, words) if isinstance(value, str | None) else value
        if not isinstance(found[name], kind) or _is_deeper(found[name], _MOST_LEVELS):
            raise UsageProblem(f"{name} must be {words} of at most {_MOST_LEVELS} levels")
    for name in ("ttl", "delay"):
        if given.get(name) is not None:
            found[name] = _duration(f"--{name}", str(given[name]))
    if given.get("backoff") is not None:
        found["backoff"] = _base(float(given["backoff"]))
    return found


def definition_of(**given: Any) -> dict[str, Any]:
    """The definition that AsyncMQ's `Queue.upsert_repeatable` would store, with its keys in the same order.
    `given` has the typed values by the names of the options. Raises UsageProblem."""
    job = job_of(given)
    keys = ("args", "kwargs", "retries", "ttl", "priority", "backoff")
    schedule = _schedule(given["every"], given["cron"])
    return {"task_id": job["task"], **{key: job[key] for key in keys}, **schedule}


def _schedule(every: str | None, cron: str | None) -> dict[str, Any]:
    if (every is None) == (cron is None):
        raise UsageProblem("give exactly one schedule: --every or --cron")
    if cron is None:
        return {"every": _duration("--every", every or "")}
    # Normalise the spaces: AsyncMQ would store other spacing as a second definition of the same schedule.
    fields = cron.split()
    if fields and fields[0].lower() == "@every":
        raise UsageProblem(
            f"{cron!r} is not a cron expression",
            hint=f"--every {''.join(fields[1:]) or '5m'} runs at an interval",
        )
    if any(_RANDOM.search(field.upper()) for field in fields):
        raise UsageProblem(
            f"{cron!r} has a random field, which AsyncMQ's scheduler picks again every time",
            hint="give a fixed time",
        )
    return {"cron": " ".join(fields)}


def _name(task: str) -> str:
    if not task.strip():
        raise UsageProblem("--task must name a task")
    return task


def _duration(option: str, text: str) -> int | float:
    duration = seconds(text)
    if not 0 < duration < math.inf:
        raise UsageProblem(f"{option} must be above 0, not {text!r}")
    return _whole(duration)


def _base(backoff: float) -> int | float:
    if not 0 <= backoff < math.inf:
        raise UsageProblem(f"--backoff must be a number from 0, not {backoff}")
    return _whole(backoff)


def _whole(number: float) -> int | float:
    return int(number) if number.is_integer() else number


def _json(option: str, text: str | None, kind: type[Any], name: str) -> Any:
    """Parse JSON with Python's `json`, as AsyncMQ does, so NaN and large integers are accepted. Raises
    UsageProblem."""
    if text is None:
        return kind()
    example = """'["inbox", 1]'""" if kind is list else """'{"to": "ana"}'"""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as exc:
        where = f": it ends or is wrong at character {exc.pos + 1}" if hasattr(exc, "pos") else ""
        raise UsageProblem(
            f"{option} is not JSON{where}", hint=f"{name} in single quotes: {example}"
        ) from exc
    if not isinstance(value, kind):
        raise UsageProblem(f"{option} must be {name}", hint=f"such as {example}")
    if _is_deeper(value, _MOST_LEVELS):
        raise UsageProblem(f"{option} is nested deeper than {_MOST_LEVELS} levels")
    return value


def _is_deeper(value: Any, levels: int) -> bool:
    if not isinstance(value, list | dict):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_is_deeper(each, levels - 1) for each in inner)
