"""Find out which repeatable definition the user means, and plan its change: which member is to be stored.

Even if a definition has several members, a change leaves one or none. Source: `upsert_repeatable`,
`pause_repeatable`, `resume_repeatable` and `remove_repeatable` in asyncmq.backends.redis.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from asyncmq_cli.errors import AmbiguousRepeatable, ChangeRefused, UsageProblem
from asyncmq_cli.models.changes import ChangeResult
from asyncmq_cli.models.repeatables import RepeatableChange
from asyncmq_cli.models.values import as_number
from asyncmq_cli.services.repeatables.schedule import InvalidSchedule, next_runs
from asyncmq_cli.storage.read.repeatables import IDENTITY_PREFIX, Found, Member, encode, identity, normalized


class Address(Struct, frozen=True):
    """How the user names a definition: by a prefix of its id, by its task, or by its JSON, which may have
    only some of its fields."""

    queue: str
    id: str | None = None
    task: str | None = None

    @property
    def text(self) -> str:
        """The text that the user typed."""
        return self.task or self.id or ""

    @property
    def definition(self) -> Mapping[str, Any] | None:
        """The definition, or some of its fields, if it is given as JSON; else None. Raises UsageProblem."""
        return _definition_in(self.id) if self.task is None and self.id else None

    def means(self, member: Member) -> bool:
        """Whether the address names exactly this definition. JSON with only some of the fields does not."""
        if self.task is not None:
            return name_of(member) == self.task
        given = self.definition
        start = (identity(given) if given is not None else self.id or "").lower()
        start = start.removeprefix(IDENTITY_PREFIX)
        return bool(start) and member.id.removeprefix(IDENTITY_PREFIX).startswith(start)

    def means_in_part(self, member: Member) -> bool:
        """Whether the definition has all fields of the given JSON, with equal values."""
        given, stored = _comparable(self.definition), _comparable(member.definition)
        return bool(given) and all(key in stored and stored[key] == value for key, value in given.items())


@functools.lru_cache(maxsize=16)
def _definition_in(text: str) -> Mapping[str, Any] | None:
    if not text.startswith("{"):
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise UsageProblem(
            f"the definition {text!r} is not JSON", hint="""in single quotes: '{"task_id": "app.digest"}'"""
        ) from exc
    return found if isinstance(found, dict) else None


def _comparable(definition: Mapping[str, Any] | None) -> dict[str, Any]:
    clean = normalized(definition or {})
    # Normalise the spaces, as when a definition is added.
    return {**clean, "cron": " ".join(clean["cron"].split())} if isinstance(clean.get("cron"), str) else clean


class Plan(Struct, frozen=True):
    """The plan of a change. `member` is to be stored with `next_run` as its score; None deletes the
    definition. With `unchanged`, nothing is written. `runs` are the coming runs, if the change sets them.
    `existed` says whether the definition existed before."""

    member: str | None = None
    next_run: float = 0.0
    runs: Sequence[float] = ()
    note: str | None = None
    unchanged: bool = False
    existed: bool = True


def adding(definition: Mapping[str, Any], found: Found, now: float, *, paused: bool) -> Plan:
    """Add or replace a definition; its next run is computed from `now`. Raises InvalidSchedule."""
    runs = next_runs(definition, now)
    return Plan(
        encode(definition, paused=paused),
        runs[0],
        # A paused definition has no runs.
        () if paused else runs,
        "; ".join(_on_adding(definition, found, paused=paused)) or None,
        existed=bool(found.members),
    )


def pausing(found: Found, now: float) -> Plan:
    """Pause a definition. Its next run stays, as in AsyncMQ: a resume computes it again."""
    first = found.members[0]
    if len(found.members) == 1 and first.paused:
        return Plan(unchanged=True, note="was paused already; nothing changed")
    return Plan(encode(first.definition or {}, paused=True), first.score, note=_made_one(found))


def resuming(found: Found, now: float) -> Plan:
    """Resume a definition. Its next run is computed from `now`. Raises ChangeRefused if the schedule has
    none."""
    first = found.members[0]
    if len(found.members) == 1 and not first.paused:
        return Plan(unchanged=True, note="was not paused; nothing changed")
    definition = normalized(first.definition or {})
    try:
        runs = next_runs(definition, now)
    except InvalidSchedule as exc:
        raise ChangeRefused(
            "schedule_invalid",
            f"it cannot be resumed: {exc}",
            hint="delete it with 'asyncmq repeatables remove', and 'add' one with a valid schedule",
        ) from exc
    return Plan(encode(definition, paused=False), runs[0], runs, _made_one(found))


def removing(found: Found, now: float) -> Plan:
    """Remove a definition with all of its members."""
    many = len(found.members) > 1
    return Plan(note=f"it was stored {len(found.members)} times" if many else None)


def schedule_of(member: Member) -> str:
    """The schedule as text: the cron expression, or else `every 60s`."""
    definition = member.definition or {}
    return str(definition["cron"]) if definition.get("cron") else f"every {definition.get('every')}s"


def seconds_last(definition: Mapping[str, Any]) -> bool:
    """Whether the cron expression has a sixth field, which AsyncMQ reads as seconds."""
    return len(str(definition.get("cron") or "").split()) > 5


def name_of(member: Member) -> str:
    """The `job_id` of a definition in the audit trail, which is the id of its task. Source:
    asyncmq.contrib.dashboard."""
    definition = normalized(member.definition or {})
    return str(definition.get("task_id") or definition.get("name") or member.id)


def runs_of(member: Member) -> tuple[bytes, str | float | None]:
    """A digest of task and arguments, and the schedule. Two definitions for which both are equal make the
    same runs, even if retries, ttl or the white space in cron differ."""
    definition = normalized(member.definition or {})
    arguments = [definition.get("args") or [], definition.get("kwargs") or {}]
    text = json.dumps([name_of(member), *arguments], sort_keys=True)
    cron = definition.get("cron")
    return (
        hashlib.sha1(text.encode(), usedforsecurity=False).digest(),
        " ".join(str(cron).split()) if cron else as_number(definition.get("every")),
    )


def _on_adding(definition: Mapping[str, Any], found: Found, *, paused: bool) -> list[str]:
    notes = []
    if found.members:
        was_paused = all(member.paused for member in found.members)
        if was_paused and not paused:
            notes.append("it already existed, paused, and runs again")
        elif paused and not was_paused:
            notes.append("it already existed and is paused now")
        else:
            notes.append("it already existed; its next run is counted from now")
    if seconds_last(definition):
        notes.append(f"the sixth field of {definition['cron']!r} is the seconds, not the first as elsewhere")
    if definition.get("priority") == 0:
        # `build_repeatable_job` in asyncmq.core.repeatables.
        notes.append("AsyncMQ runs a repeatable of priority 0 with priority 5")
    return notes


def _made_one(found: Found) -> str | None:
    return f"it was stored {len(found.members)} times; one was kept" if len(found.members) > 1 else None


def each(
    addresses: Sequence[Address], change: Callable[[Address], RepeatableChange]
) -> list[RepeatableChange]:
    """Make the change at each address. Returns a report per address, up to an interrupted one. The error of
    an ambiguous address is raised if it is the only address; otherwise it is a failed result."""
    if len(addresses) == 1:
        return [change(addresses[0])]
    reports: list[RepeatableChange] = []
    for address in dict.fromkeys(addresses):
        try:
            reports.append(change(address))
        except AmbiguousRepeatable as exc:
            refused = ChangeResult(address.queue, address.text, error=exc)
            reports.append(RepeatableChange("", address.queue, dry_run=False, results=(refused,)))
        if reports[-1].interrupted is not None:
            break
    return reports


def together(
    action: str, queue: str, reports: Iterable[RepeatableChange], *, dry_run: bool
) -> RepeatableChange:
    """Combine the reports into one with the results of all."""
    made = list(reports)
    if len(made) == 1:
        return made[0]
    return RepeatableChange(
        action,
        queue,
        dry_run,
        results=tuple(result for report in made for result in report.results),
        interrupted=made[-1].interrupted if made else None,
    )
