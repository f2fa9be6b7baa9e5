"""The jobs that a change hits: by their ids, or by a filter."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from asyncmq_cli.cli.ages import age, seconds
from asyncmq_cli.cli.jobs_meant import which_jobs
from asyncmq_cli.errors import UsageProblem
from asyncmq_cli.models.job_lists import JobFilter
from asyncmq_cli.models.values import DEAD_STATES

if TYPE_CHECKING:
    pass

FILTERS = ("q", "task", "job_id", "group", "older_than", "newer_than", "where")
_RATE = re.compile(r"(?P<count>\d+(?:\.\d+)?)\s*/\s*(?P<unit>s|sec|second|m|min|minute)")
_UNIT_SECONDS = {"s": 1, "m": 60}
_SHARE = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*%?")


@dataclass(frozen=True, slots=True)
class Targets:
    """The jobs that the command line names. `queue` is its first word, which may also be an id.
    `dead` means the dead-letter queue, whatever the state. `more_states` are searched beside the state."""

    queue: str | None
    job_ids: list[str] | None
    state: str | None = None
    default_state: str = "waiting"
    dead: bool = False
    more_states: Sequence[str] = ()

    @property
    def searched(self) -> str:
        """The state that a filter searches."""
        return "dead" if self.dead else " or ".join((self.state or self.default_state, *self.more_states))

    @property
    def other_states(self) -> str | None:
        """Which option searches the other states, None where there are none."""
        if self.dead or self.more_states:
            return None
        if self.default_state in DEAD_STATES:
            return f"--state {next(state for state in DEAD_STATES if state != self.searched)} searches those"
        # Not `all`: this is said where jobs are changed, some for good.
        return "--state chooses another state"


@dataclass(frozen=True, slots=True)
class ChangeOptions:
    """How a change is made. A change that is not destructive is confirmed only if a filter selected the
    jobs."""

    verb: str
    noun: Literal["job", "dlq", "queue"] = "job"
    reason: str | None = None
    dry_run: bool = False
    yes: bool = False
    destructive: bool = True
    backup: str | None = None
    wait: float | None = None
    """Seconds to wait for what becomes of retried jobs."""


def filter_of(flags: Mapping[str, Any], now: Callable[[], float]) -> JobFilter:
    """The filter that the options make. Raises UsageProblem for a wrong age or expression."""
    if where := flags.get("where"):
        from asyncmq_cli.services.jobs.where import compiled

        compiled(where)
    ages = {name: flags.get(name) for name in ("older_than", "newer_than")}
    return JobFilter(
        q=flags.get("q") or "",
        task=flags.get("task") or "",
        job_id=flags.get("job_id") or "",
        group=flags.get("group") or "",
        where=where or "",
        **{name: None if text is None else age(text, now) for name, text in ages.items()},
    )


def wait_limit(text: str | None, *, dry_run: bool) -> float | None:
    """Seconds. Raises UsageProblem."""
    if text is None:
        return None
    if dry_run:
        raise UsageProblem("--wait and --dry-run exclude each other")
    return seconds(text)


def has_filter(flags: Mapping[str, Any]) -> bool:
    """Whether one of the filters is given. Raises UsageProblem for an empty one."""
    _require_texts(flags)
    return any(name in flags for name in FILTERS)


def _require_texts(flags: Mapping[str, Any]) -> None:
    for name in FILTERS:
        if name in flags and not flags[name].strip():
            raise UsageProblem(f"--{name.replace('_', '-')} is empty", hint="--all means every job")


def is_by_filter(targets: Targets, flags: Mapping[str, Any]) -> bool:
    """Whether a filter selects the jobs. Raises UsageProblem unless there are either ids or a filter, and
    for an empty filter: it would match everything, and comes from a variable that is not set."""
    _require_texts(flags)
    chooses = (
        targets.state is not None or bool(flags.get("all_jobs")) or any(name in flags for name in FILTERS)
    )
    if targets.job_ids and chooses:
        raise UsageProblem("ids and a filter exclude each other", hint="give one or the other")
    if not targets.job_ids and targets.queue is None and not chooses:
        raise which_jobs()
    if not chooses and (flags.get("limit") is not None or flags.get("percent") is not None):
        raise UsageProblem("--limit and --percent go with a filter or --all")
    return chooses


def rate_of(flags: Mapping[str, Any]) -> float | None:
    """Jobs a second."""
    text = flags.get("rate")
    if text is None:
        return None
    found = _RATE.fullmatch(text.strip().lower())
    rate = float(found["count"]) / _UNIT_SECONDS[found["unit"][0]] if found else 0.0
    if rate <= 0:
        raise UsageProblem(f"--rate must be like 50/s or 300/m, not {text!r}")
    return rate


def abort_share_of(flags: Mapping[str, Any]) -> float | None:
    """A share from 0 to 1."""
    percent = percent_of(flags, "abort_above", "--abort-above")
    if percent is None:
        return None
    if flags.get("rate") is None:
        raise UsageProblem(
            "--abort-above goes with --rate",
            hint="without a rate all are retried before the first one ends",
        )
    return percent / 100


def percent_of(flags: Mapping[str, Any], name: str, option: str) -> float | None:
    """A number from 0 to 100, given with or without its sign."""
    text = flags.get(name)
    if text is None:
        return None
    found = _SHARE.fullmatch(text.strip())
    if found is None:
        raise UsageProblem(f"{option} must be a share, not {text!r}", hint="such as 20% or 20")
    if float(found["number"]) > 100:
        raise UsageProblem(f"{option} must be at most 100%, not {text!r}")
    return float(found["number"])
