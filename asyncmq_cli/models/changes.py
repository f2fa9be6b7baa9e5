"""Changes: their reports and audit events, and the guard, which checks a context's rules before a change."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field
from msgspec.structs import asdict

from asyncmq_cli.errors import AdminError, NotConfirmed
from asyncmq_cli.exit_status import ExitStatus
from asyncmq_cli.models.audit.actions import BY_NAME
from asyncmq_cli.models.values import counted

if TYPE_CHECKING:
    from typing_extensions import Self


class AuditEvent(Struct, frozen=True):
    """One change, attempted or made, in the shape of the dashboard's audit trail."""

    timestamp: float
    action: str
    source: str
    status: str
    queue: str | None
    job_id: str | None
    actor: str | None
    details: Mapping[str, Any]
    error: str | None
    id: str = ""
    chain: str | None = None
    """The stored `chain` field (see models/audit/chain.py); None if an older release wrote the event."""

    @property
    def shown_details(self) -> dict[str, Any]:
        """The details, with the kept copy of an edited job replaced by its size."""
        shown = dict(self.details)
        was = shown.pop("was", None)
        if isinstance(was, Mapping):
            texts = (was.get(name) for name in ("member", "record", "payload"))
            shown["was_bytes"] = sum(len(text) for text in texts if isinstance(text, str))
        return shown


class AuditRun(Struct, frozen=True):
    """A run of events that differ only in their job. `count` is their number, `since` the time of the
    oldest."""

    newest: AuditEvent
    count: int
    since: float


class ChangeResult(Struct, frozen=True):
    """The outcome for one target. `error` is None on success. `queue` is None if no queue was named and the
    job was found in none.

    `note` is what an operator should know about a success: that nothing had to be changed, or that the job
    will expire again. `state` is the job's state if the job was only read. `edit` has what a dry run would
    edit in a single job: `set`, `unset` and `before`, as in the audit event.
    """

    queue: str | None
    job_id: str | None
    error: AdminError | None = None
    note: str | None = None
    state: str | None = None
    edit: Mapping[str, Any] | None = None


class RetryOutcome(Struct, frozen=True):
    """What became of retried jobs by the end of a wait. `failed` counts the jobs that are dead again,
    `causes` counts them by root cause, `gone` counts the jobs that no longer exist, and `left` those that
    have not ended. `stopped` is None if all have ended; else it is `timeout`, or the reason why no worker
    runs the jobs that are left. `error` is any other error that ended the wait."""

    total: int
    completed: int
    failed: int
    cancelled: int
    gone: int
    left: int
    causes: Mapping[str, int]
    stopped: str | None
    waited_seconds: float
    error: AdminError | None = None


class ChangeReport(Struct, frozen=True):
    """The outcome of a change for all its targets.

    `interrupted` is the error that ended the run before every target was tried. `outcome` is set if the
    command waited for retried jobs to end.
    """

    action: str
    queue: str | None
    dry_run: bool
    results: Sequence[ChangeResult] = field(default_factory=tuple)
    interrupted: AdminError | None = None
    total: int | None = None
    outcome: RetryOutcome | None = None

    @classmethod
    def of(cls, report: ChangeReport, **more: Any) -> Self:
        """The same report as a subclass with more fields."""
        values = asdict(report)
        return cls(**values, **more)

    @property
    def matched(self) -> int:
        """The number of targets found; with --percent, more than were tried."""
        return len(self.results) if self.total is None else self.total

    @property
    def succeeded(self) -> int:
        """The number of targets that were changed, or would be in a dry run."""
        return sum(1 for result in self.results if result.error is None)

    @property
    def failed(self) -> int:
        """The number of targets that failed."""
        return len(self.results) - self.succeeded


class ReadOnly(AdminError):
    """The context, a flag or a variable forbids every change."""

    code = "read_only"

    def __init__(self, by: str) -> None:
        super().__init__(f"refused: {by} allows no change", hint=None, details={"by": by})


class TooManyChanges(AdminError):
    """The run has more targets than the context allows."""

    code, exit_code = "too_many_changes", ExitStatus.FAILED


class Rules(Struct, frozen=True):
    """The rules of a context. `must_confirm` says whether guarded changes need the name of the `context`
    typed. `read_only_by` names the setting that forbids every change, or is "". `max_changes` is how many
    targets one run may have; None for any number."""

    context: str = ""
    must_confirm: bool = False
    read_only_by: str = ""
    max_changes: int | None = None

    @property
    def kind(self) -> str | None:
        """The value of `guard` in the context: `read-only`, `confirm` or None."""
        if self.must_confirm:
            return "confirm"
        return "readonly" if self.read_only_by.startswith("context ") else None


class Guard:
    """The rules for one run of the program, and what has been confirmed in it.

    If the name of the context must be typed and has not been, `ask` is called with the change in words, such
    as `remove 3 jobs`. It returns if the user then types the name, and raises NotConfirmed otherwise.
    """

    def __init__(self, rules: Rules, ask: Callable[[str], None] | None = None) -> None:
        self.rules = rules
        self.ask = ask or self.refuse
        self.confirmed = False
        self._made = 0

    def refuse(self, deed: str) -> None:
        """Raises NotConfirmed. `deed` is the change in words, such as `remove 3 jobs`."""
        name = self.rules.context
        raise NotConfirmed(
            f"this would {deed} on {name}, which must be confirmed by its name",
            hint=f"--confirm {name} confirms it; --dry-run shows what would be done",
        )

    def require_writable(self) -> None:
        """Raises ReadOnly."""
        if self.rules.read_only_by:
            raise ReadOnly(self.rules.read_only_by)

    def permit(self, action: str, count: int | None) -> None:
        """Check the rules before the first change. `count` is the number of targets, or None if it is not
        known yet. Raises ReadOnly, NotConfirmed or TooManyChanges."""
        self.require_writable()
        if count is not None:
            self.spend(count)
        several = count is None or self._made > 1
        if self.rules.must_confirm and not self.confirmed and (several or BY_NAME[action].guarded):
            self.ask(_deed(action, count))
            self.confirmed = True

    @property
    def has_made(self) -> bool:
        """Whether this run has already been permitted a change."""
        return self._made > 0

    def spend(self, count: int) -> None:
        """Count this many targets towards `max_changes`. Raises TooManyChanges."""
        self.require_few(count)
        self._made += count

    def require_few(self, count: int) -> None:
        """Raises TooManyChanges if this many more targets would exceed `max_changes`."""
        name, most, together = self.rules.context, self.rules.max_changes, self._made + count
        if most is not None and together > most:
            raise TooManyChanges(
                f"these are {together:,} changes, and context {name!r} allows {most:,} at a time",
                hint=f"max_changes of [context.{name}] is the limit; a command with --limit can take fewer",
                details={"changes": together, "max_changes": most},
            )


_OF_JOBS = ("queue.drain", "queue.clean", "dlq.retry", "dlq.remove")
"""Actions whose targets are jobs."""


def _deed(action: str, count: int | None) -> str:
    noun = "job" if action in _OF_JOBS else action.partition(".")[0]
    verb = BY_NAME[action].verb
    if action == "queue.obliterate" and count is not None:
        # The last target is the queue; the others are its jobs.
        return f"obliterate 1 queue with {counted(count - 1, 'job')}"
    return f"{verb} what is found" if count is None else f"{verb} {counted(count, noun)}"
