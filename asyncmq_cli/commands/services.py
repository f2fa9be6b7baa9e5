"""The use cases that a command works with, each imported and built when it is first used."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection
from functools import cached_property
from typing import TYPE_CHECKING

from asyncmq_cli.models.queues import ALL_FIELDS

if TYPE_CHECKING:
    from asyncmq_cli.services.audit import AuditService
    from asyncmq_cli.services.check import CheckService
    from asyncmq_cli.services.dlq import DlqService
    from asyncmq_cli.services.doctor import DoctorService
    from asyncmq_cli.services.doctor_repairs import RepairService
    from asyncmq_cli.services.events import EventService
    from asyncmq_cli.services.job_changes import JobChangeService
    from asyncmq_cli.services.jobs import JobService
    from asyncmq_cli.services.metrics import MetricsService
    from asyncmq_cli.services.poller import Poller
    from asyncmq_cli.services.prometheus import PrometheusService
    from asyncmq_cli.services.queues import QueueService
    from asyncmq_cli.services.repeatables import RepeatableService
    from asyncmq_cli.services.restore import RestoreService
    from asyncmq_cli.services.wait import WaitService
    from asyncmq_cli.services.workers import WorkerService
    from asyncmq_cli.storage.store import Store


class Services(ABC):
    @property
    @abstractmethod
    def store(self) -> Store:
        """What they all work on."""

    @cached_property
    def queues(self) -> QueueService:
        from asyncmq_cli.services.queues import QueueService

        return QueueService(self.store)

    @cached_property
    def jobs(self) -> JobService:
        from asyncmq_cli.services.jobs import JobService

        return JobService(self.store)

    @cached_property
    def dlq(self) -> DlqService:
        from asyncmq_cli.services.dlq import DlqService

        return DlqService(self.store)

    @cached_property
    def job_changes(self) -> JobChangeService:
        from asyncmq_cli.services.job_changes import JobChangeService

        return JobChangeService(self.store)

    @cached_property
    def restores(self) -> RestoreService:
        from asyncmq_cli.services.restore import RestoreService

        return RestoreService(self.store)

    @cached_property
    def repeatables(self) -> RepeatableService:
        from asyncmq_cli.services.repeatables import RepeatableService

        return RepeatableService(self.store)

    @cached_property
    def workers(self) -> WorkerService:
        from asyncmq_cli.services.workers import WorkerService

        return WorkerService(self.store)

    @cached_property
    def audit(self) -> AuditService:
        from asyncmq_cli.services.audit import AuditService

        return AuditService(self.store)

    @cached_property
    def checks(self) -> CheckService:
        from asyncmq_cli.services.check import CheckService

        return CheckService(self.store)

    @cached_property
    def waits(self) -> WaitService:
        from asyncmq_cli.services.wait import WaitService

        return WaitService(self.store)

    @cached_property
    def doctor(self) -> DoctorService:
        from asyncmq_cli.services.doctor import DoctorService

        return DoctorService(self.store)

    @cached_property
    def repairs(self) -> RepairService:
        from asyncmq_cli.services.doctor_repairs import RepairService

        return RepairService(self.store)

    @cached_property
    def metrics(self) -> MetricsService:
        from asyncmq_cli.services.metrics import MetricsService

        return MetricsService(self.store)

    @cached_property
    def prometheus(self) -> PrometheusService:
        from asyncmq_cli.services.prometheus import PrometheusService

        return PrometheusService(self.store)

    @cached_property
    def events(self) -> EventService:
        from asyncmq_cli.services.events import EventService

        return EventService(self.store, self.metrics)

    def poller(
        self,
        fields: Collection[str] = ALL_FIELDS,
        *,
        workers: bool = False,
        latest: bool = False,
        again: bool = False,
    ) -> Poller:
        """Reads all queues, of whose rows only these fields are wanted."""
        from asyncmq_cli.services.poller import Poller

        return Poller(self.store, fields, workers=workers, latest=latest, again=again)
