"""The services that commands use. Each is created on first use."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection
from functools import cached_property
from typing import TYPE_CHECKING

from asyncmq_cli.models.queues import ALL_FIELDS

if TYPE_CHECKING:
    from asyncmq_cli.models.jobs import QueueScope
    from asyncmq_cli.services.audit import AuditService
    from asyncmq_cli.services.backup.restore import RestoreService
    from asyncmq_cli.services.changes.adding import AdditionService
    from asyncmq_cli.services.changes.jobs import JobChangeService
    from asyncmq_cli.services.changes.outcomes import OutcomeService
    from asyncmq_cli.services.doctor.repair import RepairService
    from asyncmq_cli.services.doctor.service import DoctorService
    from asyncmq_cli.services.jobs.service import DlqService, JobService
    from asyncmq_cli.services.monitoring.check import CheckService
    from asyncmq_cli.services.monitoring.events import EventService
    from asyncmq_cli.services.monitoring.follow import FollowService
    from asyncmq_cli.services.monitoring.metrics import MetricsService
    from asyncmq_cli.services.monitoring.poller import SnapshotReader
    from asyncmq_cli.services.monitoring.wait import WaitService
    from asyncmq_cli.services.monitoring.workers import WorkerService
    from asyncmq_cli.services.queues import QueueService
    from asyncmq_cli.services.repeatables.service import RepeatableService
    from asyncmq_cli.services.tasks import TaskSampler, TaskService
    from asyncmq_cli.storage.store import Store


class Services(ABC):
    @property
    @abstractmethod
    def store(self) -> Store:
        """The store through which all services use Redis."""

    @cached_property
    def queues(self) -> QueueService:
        from asyncmq_cli.services.queues import QueueService

        return QueueService(self.store)

    @cached_property
    def jobs(self) -> JobService:
        from asyncmq_cli.services.jobs.service import JobService

        return JobService(self.store)

    @cached_property
    def dlq(self) -> DlqService:
        from asyncmq_cli.services.jobs.service import DlqService

        return DlqService(self.store)

    @cached_property
    def job_changes(self) -> JobChangeService:
        from asyncmq_cli.services.changes.jobs import JobChangeService

        return JobChangeService(self.store)

    @cached_property
    def outcomes(self) -> OutcomeService:
        from asyncmq_cli.services.changes.outcomes import OutcomeService

        return OutcomeService(self.store, self.job_changes.why_idle)

    @cached_property
    def additions(self) -> AdditionService:
        from asyncmq_cli.services.changes.adding import AdditionService

        return AdditionService(self.store)

    @cached_property
    def restores(self) -> RestoreService:
        from asyncmq_cli.services.backup.restore import RestoreService

        return RestoreService(self.store)

    @cached_property
    def repeatables(self) -> RepeatableService:
        from asyncmq_cli.services.repeatables.service import RepeatableService

        return RepeatableService(self.store)

    @cached_property
    def workers(self) -> WorkerService:
        from asyncmq_cli.services.monitoring.workers import WorkerService

        return WorkerService(self.store)

    @cached_property
    def audit(self) -> AuditService:
        from asyncmq_cli.services.audit import AuditService

        return AuditService(self.store)

    @cached_property
    def checks(self) -> CheckService:
        from asyncmq_cli.services.monitoring.check import CheckService

        return CheckService(self.store)

    @cached_property
    def waits(self) -> WaitService:
        from asyncmq_cli.services.monitoring.wait import WaitService

        return WaitService(self.store)

    @cached_property
    def follows(self) -> FollowService:
        from asyncmq_cli.services.monitoring.follow import FollowService

        return FollowService(self.store)

    @cached_property
    def tasks(self) -> TaskService:
        from asyncmq_cli.services.tasks import TaskService

        return TaskService(self.store)

    def task_sampler(self, scope: QueueScope) -> TaskSampler:
        """A sampler that reads the active jobs repeatedly."""
        from asyncmq_cli.services.tasks import TaskSampler

        return TaskSampler(self.store, scope)

    @cached_property
    def doctor(self) -> DoctorService:
        from asyncmq_cli.services.doctor.service import DoctorService

        return DoctorService(self.store)

    @cached_property
    def repairs(self) -> RepairService:
        from asyncmq_cli.services.doctor.repair import RepairService

        return RepairService(self.store)

    @cached_property
    def metrics(self) -> MetricsService:
        from asyncmq_cli.services.monitoring.metrics import MetricsService

        return MetricsService(self.store)

    @cached_property
    def events(self) -> EventService:
        from asyncmq_cli.services.monitoring.events import EventService

        return EventService(self.store, self.metrics)

    def poller(
        self,
        fields: Collection[str] = ALL_FIELDS,
        *,
        workers: bool = False,
        latest: bool = False,
        trouble: bool = False,
        again: bool = False,
    ) -> SnapshotReader:
        """A reader of all queues. Only these fields of QueueStats are read; `workers`, `latest` and `trouble`
        add these parts of a Snapshot. With `again`, it is used for a series of snapshots."""
        from asyncmq_cli.services.monitoring.poller import SnapshotReader

        return SnapshotReader(
            self.store, fields, workers=workers, latest=latest, trouble=trouble, again=again
        )
