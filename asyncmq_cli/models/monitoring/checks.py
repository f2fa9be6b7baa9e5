"""The probes of `check`, the problems on the overview, and the notices of `check --watch`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from asyncmq_cli.errors import AdminError


CHECK_STATES = ("ok", "warning", "unknown", "critical")
"""From best to worst. `unknown` is worse than `warning`, because what could not be read may be critical."""


class Range(Struct, frozen=True):
    """A range as in the guidelines of the Monitoring Plugins. A value outside `low` to `high` alerts; if
    `inside`, a value in the range alerts, bounds included. A missing bound is None."""

    low: float | None
    high: float | None
    inside: bool = False

    def alerts(self, value: float) -> bool:
        is_within = (self.low is None or value >= self.low) and (self.high is None or value <= self.high)
        return is_within is self.inside


class Threshold(Struct, frozen=True):
    """The bounds at which a value becomes a warning or critical; None for no bound. A number is crossed by a
    value above it or, with `least`, below it. A Range says itself which values alert."""

    warning: float | Range | None = None
    critical: float | Range | None = None
    least: bool = False

    def state_of(self, value: float) -> str:
        """`ok`, `warning` or `critical`."""
        for state, bound in (("critical", self.critical), ("warning", self.warning)):
            if bound is not None and self._is_crossed(bound, value):
                return state
        return "ok"

    def _is_crossed(self, bound: float | Range, value: float) -> bool:
        if isinstance(bound, Range):
            return bound.alerts(value)
        return value < bound if self.least else value > bound

    def bound_of(self, state: str) -> float | Range | None:
        """The bound for the state `warning` or `critical`."""
        return {"critical": self.critical, "warning": self.warning}.get(state)


class ProbeKind(Struct, frozen=True):
    """A probe of `check`, except how its value is read (see `services.monitoring.check`).

    `text` describes a value in the line of `check`; `meaning` is the text in `--help` and docs/monitoring.md.
    `option` sets the threshold. `always` is the threshold if that option is not given; a probe with `always`
    is made on every run. With `least`, a value below the threshold alerts. Values are counts or, with
    `is_duration`, seconds.
    """

    name: str
    text: str
    meaning: str
    option: str | None = None
    always: Threshold | None = None
    is_duration: bool = False
    least: bool = False


PROBES = (
    ProbeKind(
        "unattended",
        "a backlog of {} and no live worker",
        "Jobs that are waiting, or delayed and due, while the queue has no live worker.",
        always=Threshold(critical=0),
    ),
    ProbeKind(
        "paused",
        "paused with a backlog of {}",
        "The same jobs in a paused queue, for which the probe unattended is not made.",
        always=Threshold(warning=0),
    ),
    ProbeKind(
        "overdue",
        "{} overdue repeatable{s}",
        "Repeatables that are over a minute late.",
        "--max-overdue",
        always=Threshold(warning=0),
    ),
    ProbeKind(
        "lost",
        "{} active without a worker",
        "Active jobs whose worker is gone.",
        "--max-lost",
        always=Threshold(critical=0),
    ),
    ProbeKind(
        "silent",
        "{} claimed before a worker went silent",
        "Active jobs claimed before a worker went silent while others stayed alive.",
        "--max-silent",
        always=Threshold(warning=0),
    ),
    ProbeKind("waiting", "{} waiting", "Waiting jobs.", "--max-waiting"),
    ProbeKind(
        "oldest",
        "the oldest has waited {}",
        "Age of the oldest waiting job, such as 10m or 1h30m; only the first job of each priority is read.",
        "--max-oldest",
        is_duration=True,
    ),
    ProbeKind(
        "failed",
        "{} failed",
        "Failed jobs. Reads the states hash to leave out expired jobs.",
        "--max-failed",
    ),
    ProbeKind(
        "dlq",
        "{} dead",
        "Dead jobs, failed and expired: the cheapest way to watch a large dead-letter queue.",
        "--max-dlq",
    ),
    ProbeKind(
        "delayed-due",
        "{} delayed and due",
        "Delayed jobs that are due, but that no worker has moved to the waiting set.",
        "--max-delayed-due",
    ),
    ProbeKind(
        "running",
        "one has been active for {}",
        "How long the longest active job has been active.",
        "--max-running",
        is_duration=True,
    ),
    ProbeKind(
        "matching",
        "{} match --where",
        "Jobs that match --where. Reads all jobs, or those of one state if the expression names it.",
        "--max-matching",
    ),
    ProbeKind("workers", "{} live worker{s}", "Live workers.", "--min-workers", least=True),
)
PROBE_BY_NAME = {probe.name: probe for probe in PROBES}


class Probe(Struct, frozen=True):
    """One checked value; `queue` is None for a probe that is not about one queue. Durations are seconds; the
    value of the probe `redis` is the time that Redis took to reply.

    `value` is None if there is no value, or if it could not be read; then `state` is `unknown` and `problem`
    says why.
    """

    name: str
    queue: str | None
    value: float | None
    threshold: Threshold
    state: str
    problem: str | None = None


class CheckReport(Struct, frozen=True):
    """The result of all probes. `timestamp` is None if Redis did not reply; then `error` says why."""

    timestamp: float | None
    queues: Sequence[str]
    probes: Sequence[Probe]
    error: AdminError | None = None

    @property
    def state(self) -> str:
        """The worst of all probes."""
        return max((probe.state for probe in self.probes), key=CHECK_STATES.index, default="ok")


KINDS = (
    "unattended",
    "lost",
    "growing",
    "overdue",
    "paused",
    "silent",
    "contradiction",
    "worker_silent",
    "unreadable",
)
"""Kinds of problems, the worst first: the order among problems of one severity. A kind that `check` also
finds has the name of its probe."""
SEVERITIES = ("critical", "unknown", "warning")


class Problem(Struct, frozen=True):
    """One problem of one queue. `severity` is one of SEVERITIES, as `check` judges it; `value` is the count,
    or None if it could not be read."""

    kind: str
    severity: str
    queue: str
    value: int | None
    message: str

    @property
    def rank(self) -> tuple[int, int, int, str]:
        """The sort key: the worst first."""
        return SEVERITIES.index(self.severity), KINDS.index(self.kind), -(self.value or 0), self.queue


FORMATS = ("slack", "pagerduty", "json")


class Trouble(Struct, frozen=True):
    """A probe that is not OK, for notices. `queue` is None if the probe is not about one queue. `state` is
    `warning`, `unknown` or `critical`; it is `ok` once the trouble is over."""

    probe: str
    queue: str | None
    state: str
    message: str


class Notice(Struct, frozen=True):
    """A notice of a state change. `state` is the worst state of the current `troubles`, `previous` the state
    in the notice before; `over` are the troubles that have ended since. `at` is the time of the check, epoch
    seconds. `redis` is a URL without its password. `incident` identifies the check, and is the same in all of
    its notices."""

    state: str
    previous: str
    troubles: Sequence[Trouble]
    over: Sequence[Trouble]
    at: float
    redis: str
    incident: str
