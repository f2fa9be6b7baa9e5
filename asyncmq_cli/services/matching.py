"""Which jobs a filter lets through. Source: `job_matches_inspection_filters` in asyncmq.core.inspection."""

from __future__ import annotations

import json
from typing import Any

from asyncmq_cli.models import Job, JobFilter


class Matcher:
    """A filter made ready. White space around a text is not part of it, as in the dashboard."""

    def __init__(self, wanted: JobFilter) -> None:
        self._q = wanted.q.strip().lower()
        self._task = wanted.task.strip().lower()
        self._job_id = wanted.job_id.strip()

    def __call__(self, job: Job) -> bool:
        if self._job_id and self._job_id not in job.id:
            return False
        if self._task and self._task not in (job.task_id or "").lower():
            return False
        return not self._q or self._q in searchable(job) or self._q in searchable(job, escaped=False)


def searchable(job: Job, *, escaped: bool = True) -> str:
    """The job's JSON in lower case; unescaped, a search finds what it holds beyond ASCII."""
    shown: Any = dict(job.record) if job.record is not None else {"id": job.id, "status": job.status}
    return json.dumps(shown, sort_keys=True, ensure_ascii=escaped).lower()
