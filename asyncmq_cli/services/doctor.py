"""Looking for what crashes and bugs leave behind."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from asyncmq_cli.models.findings import Diagnosis
from asyncmq_cli.services.doctor_codes import BY_CODE
from asyncmq_cli.services.doctor_summary import Summary
from asyncmq_cli.services.examination import Examination
from asyncmq_cli.services.existence import require_queue

if TYPE_CHECKING:
    from asyncmq_cli.storage.store import Store


class DoctorService:
    """What is wrong with queues; nothing is changed."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def queues(self, queues: Sequence[str]) -> tuple[list[str], list[str]]:
        """Those to look at, all where none is named, and all that exist. Raises QueueNotFound."""
        for queue in queues:
            require_queue(self._store, queue)
        names = self._store.queues.names()
        return list(dict.fromkeys(queues)) or names, names

    def look(self, queues: Sequence[str], codes: Collection[str]) -> Diagnosis:
        """`codes` narrows what is looked for; empty, it is everything. Raises QueueNotFound."""
        chosen, names = self.queues(queues)
        summary = Summary()
        for found in Examination(self._store, codes or BY_CODE).rounds(chosen, names):
            summary.add(found)
        return Diagnosis(chosen, summary.findings(chosen))
