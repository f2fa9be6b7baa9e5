"""List, show, pause, resume and forget queues."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING

from asyncmq_cli.errors import ChangeRefused, command_line
from asyncmq_cli.models.queues import ALL_FIELDS
from asyncmq_cli.services.jobs.lookup import has_wildcard, matches, near_new, require_queue, require_queues
from asyncmq_cli.storage.schema.keys import to_text

if TYPE_CHECKING:
    from asyncmq_cli.models.changes import ChangeReport
    from asyncmq_cli.models.queues import QueueStats
    from asyncmq_cli.services.changes.runner import Attempt
    from asyncmq_cli.storage.store import Store

SOURCE = "queues.detail"


class QueueService:
    """Lists queues, pauses, resumes and forgets them."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def list(self, fields: Collection[str] = ALL_FIELDS, globs: Sequence[str] = ()) -> Iterator[QueueStats]:
        """One row per queue, sorted by name, for all queues or those that match one of `globs`. Reads only
        what `fields` need, and does not scan the keys unless a glob has a wildcard. Raises QueueNotFound for
        a name that does not exist."""
        now = self._store.now()
        yield from self._store.queues.all_stats(self._named(globs), now, fields)

    def _named(self, globs: Sequence[str]) -> Sequence[str]:
        if globs and not any(map(has_wildcard, globs)):
            return sorted(require_queues(self._store, globs))
        names = self._store.queue_names.all()
        return [name for name in names if matches(name, globs)] if globs else names

    def exists(self, queue: str) -> bool:
        """Whether Redis has any key of the queue."""
        return self._store.queue_names.exists(queue)

    def near_new(self, queue: str) -> Sequence[str] | None:
        """Similar names if the queue does not exist yet; None if it exists. Raises UsageProblem if its name
        is empty."""
        return near_new(self._store, queue)

    def show(self, queue: str, fields: Collection[str] = ALL_FIELDS) -> QueueStats:
        """The row of one queue. Raises QueueNotFound."""
        require_queue(self._store, queue)
        return self._store.queues.stats(queue, self._store.now(), fields)

    def pause(
        self, queues: Sequence[str], *, reason: str | None, dry_run: bool, seconds: float | None = None
    ) -> ChangeReport:
        """Keep workers from taking jobs, for `seconds` seconds or until the queue is resumed. A queue that is
        already paused is a success with a note."""
        return self._set("queue.pause", queues, reason=reason, dry_run=dry_run, paused=True, seconds=seconds)

    def resume(self, queues: Sequence[str], *, reason: str | None, dry_run: bool) -> ChangeReport:
        """Let workers take jobs again. A queue that is not paused is a success with a note."""
        return self._set("queue.resume", queues, reason=reason, dry_run=dry_run, paused=False)

    def forget(self, queues: Sequence[str], *, reason: str | None, dry_run: bool) -> ChangeReport:
        """Delete the counter that is left of an empty queue. A queue that has anything else is refused."""
        from asyncmq_cli.services.changes.runner import Runner

        runner = Runner(self._store, "queue.forget", SOURCE, reason=reason, dry_run=dry_run)

        def attempt(attempt: Attempt, queue: str) -> str | None:
            require_queue(self._store, queue)
            if dry_run:
                left = self._store.queue_names.left_beside_sequence(queue)
            else:
                left = self._store.queue_changes.forget_queue(queue, attempt.draft())
            if left:
                raise ChangeRefused(
                    "queue_not_empty",
                    f"queue {queue!r} is not empty: it has {to_text(left)!r}",
                    hint=f"{command_line('queues', 'show', queue)} shows what is in it",
                )
            return None

        return runner.queues(queues, attempt)

    def _set(
        self,
        action: str,
        queues: Sequence[str],
        *,
        reason: str | None,
        dry_run: bool,
        paused: bool,
        seconds: float | None = None,
    ) -> ChangeReport:
        from asyncmq_cli.services.changes.runner import Runner

        details = {} if seconds is None else {"for_seconds": seconds}
        runner = Runner(self._store, action, SOURCE, reason=reason, dry_run=dry_run, details=details)
        changes = self._store.queue_changes

        def attempt(attempt: Attempt, queue: str) -> str | None:
            require_queue(self._store, queue)
            if dry_run:
                same = self._store.queues.is_paused(queue) is paused
                would = "is paused already" if paused else "is not paused"
                return f"{would}; nothing would change" if same else None
            unchanged = "was paused already; nothing changed" if paused else "was not paused; nothing changed"
            draft = attempt.draft()
            done = changes.pause(queue, draft, seconds) if paused else changes.resume(queue, draft)
            return None if done else unchanged

        return runner.queues(queues, attempt)
