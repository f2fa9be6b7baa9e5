"""Remove a whole queue: first its definitions, then its jobs, then the rest.

Definitions are removed first, so that no scheduler enqueues jobs during the removal. Each step is one script
with its event, so a run that ends early leaves a smaller queue, and the next run continues.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from asyncmq_cli.errors import ChangeRefused, command_line
from asyncmq_cli.models.changes import ChangeResult
from asyncmq_cli.models.queues import JOBLESS_PARTS, names_of
from asyncmq_cli.models.values import counted
from asyncmq_cli.services.changes.bulk import Decision, JobRunner
from asyncmq_cli.services.changes.runner import Attempt
from asyncmq_cli.services.repeatables.service import retry_while_busy
from asyncmq_cli.storage.schema.keys import PLACES, to_text

if TYPE_CHECKING:
    from asyncmq_cli.models.changes import ChangeReport
    from asyncmq_cli.models.queues import QueuePart
    from asyncmq_cli.services.changes.runner import Stop
    from asyncmq_cli.services.changes.selection import Selection


class Obliterator(JobRunner):
    """Removes a queue. The report has a result for each job and a last one for the queue, with a note that
    lists what was removed besides the jobs."""

    def obliterate(self, queue: str, selection: Selection, decide: Decision, *, force: bool) -> ChangeReport:
        """Remove the jobs of `selection`, which must have every job of the queue, and all other parts.
        Refused while jobs are active, unless `force` is set."""
        taken: Counter[str] = Counter()

        def run(stop: Stop) -> None:
            attempt = Attempt(self, queue, None)
            try:
                self._require_idle(queue, force=force)
                if self.dry_run:
                    taken.update(self.store.parts.sizes(queue))
                    self._change_all(selection, PLACES, decide, stop)
                else:
                    self._remove(queue, selection, decide, stop, taken)
            except ChangeRefused as exc:
                self.refused(attempt, exc)
            else:
                self.results.append(ChangeResult(queue, None, note=names_of(taken)))

        return self.report(queue, run, selection.count + 1)

    def _how_far(self, count: int | None, unknown: int) -> str:
        return "run it again to remove the rest"

    def _require_idle(self, queue: str, *, force: bool) -> None:
        active, _ = self.store.jobs.at_most(queue, "active")
        if active and not force:
            jobs = counted(active, "job")
            raise ChangeRefused(
                "queue_active",
                f"queue {queue!r} has {jobs} that a worker may be running",
                hint=f"after {command_line('queues', 'pause', queue)} "
                f"{command_line('wait', queue, '--for', 'active-empty')} waits until they have ended",
            )

    def _remove(
        self, queue: str, selection: Selection, decide: Decision, stop: Stop, taken: Counter[str]
    ) -> None:
        # Check all rights before the first step: a right that only the last step needs must not turn out to
        # be missing there.
        self.store.parts.require_rights(queue)
        self.store.changes.require_removal(queue)
        self._clear(self.store.parts.read(queue, "repeatables"), stop, taken)
        self._change_all(selection, PLACES, decide, stop)
        for place in ("delayed", "dlq"):
            self._clear(self.store.parts.nameless(queue, place), stop, taken)
        for name in JOBLESS_PARTS[1:-1]:
            self._clear(self.store.parts.read(queue, name), stop, taken, only_rest=True)
        # Do this last, and even if there is no counter: its event records that the queue is gone.
        parts = list(self.store.parts.read(queue, JOBLESS_PARTS[-1])) or [self.store.parts.nothing(queue)]
        self._clear(parts, stop, taken, only_rest=True)

    def _clear(
        self, parts: Iterable[QueuePart], stop: Stop, taken: Counter[str], *, only_rest: bool = False
    ) -> None:
        for part in parts:
            stop.between_targets()
            attempt = Attempt(self, to_text(part.queue), None)
            attempt.details |= {"part": part.name, "count": len(part.elements)}
            attempt.alone = True
            if self.backup is not None and part.elements:
                self.backup.write_part(part)

            def clear(part: QueuePart = part, attempt: Attempt = attempt) -> None:
                self.store.parts.clear(part, attempt.draft(), only_rest=only_rest)

            retry_while_busy(clear)
            self.in_flight = []
            taken[part.name] += len(part.elements)
