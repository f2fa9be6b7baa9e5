"""Decide which jobs match a filter. Source: `job_matches_inspection_filters` in asyncmq.core.inspection."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from asyncmq_cli.storage.read.prefilter import Prefilter, TextPrefilter, certainly_holds, needle_of

if TYPE_CHECKING:
    from asyncmq_cli.models.jobs import Job, JobFilter
    from asyncmq_cli.services.jobs.where import Expression


class Matcher:
    """A compiled filter, called with a job. White space around a text is ignored, as in the dashboard.

    `prefilter` drops jobs that cannot match before they are decoded; it is None if the filter searches for no
    text.
    """

    def __init__(self, wanted: JobFilter, now: float) -> None:
        self._group = wanted.group.strip().lower()
        self.groups: set[str] = set()
        """The ids of the failure groups found so far that begin with the wanted id."""
        self._before = None if wanted.older_than is None else now - wanted.older_than
        self._after = None if wanted.newer_than is None else now - wanted.newer_than
        self._q = wanted.q.strip().lower()
        self._task = wanted.task.strip().lower()
        self._job_id = wanted.job_id.strip()
        self._now = now
        expression = _expression(wanted.where)
        self._where = None if expression is None else expression.holds
        needle = needle_of(self._q) if self._q else None
        # Among the texts that every match contains, the longest one excludes most jobs.
        needles = [needle, None if expression is None else needle_of(expression.needle.lower())]
        longest = max(filter(None, needles), key=len, default=None)
        self.prefilter: Prefilter | None = None if longest is None else TextPrefilter(longest)
        # If the prefilter searches for only part of the text, a hit does not prove a match.
        self._needle = needle if needle == self._q.encode("utf-8", "surrogatepass") else None

    def __call__(self, job: Job) -> bool:
        if self._job_id and self._job_id not in job.id:
            return False
        if self._task and self._task not in (job.task_id or "").lower():
            return False
        if not self._of_age(job):
            return False
        if self._where is not None and not self._where(job, self._now):
            return False
        if self._group and not self._is_of_group(job):
            return False
        if not self._q:
            return True
        if self._needle is not None and job.record is not None and certainly_holds(job.record, self._needle):
            return True
        job = job.whole()
        escaped = searchable(job)
        if self._q in escaped:
            return True
        # If it has no escape, the unescaped text is the same.
        return "\\u" in escaped and self._q in searchable(job, escaped=False)

    def _is_of_group(self, job: Job) -> bool:
        from asyncmq_cli.services.jobs.causes import signature

        group = signature(job).id
        if not group.startswith(self._group):
            return False
        self.groups.add(group)
        return True

    def _of_age(self, job: Job) -> bool:
        """Whether the job's age matches, measured from its death if known, else from its creation. If neither
        is a number, no age matches: `--older-than` must not remove a job that may be new."""
        if self._before is None and self._after is None:
            return True
        since = job.aged_from
        if since is None or (self._before is not None and since > self._before):
            return False
        return self._after is None or since >= self._after


def _expression(text: str) -> Expression | None:
    if not text:
        return None
    from asyncmq_cli.services.jobs.where import compiled

    return compiled(text)


def searchable(job: Job, *, escaped: bool = True) -> str:
    """The job's JSON in lower case, with non-ASCII characters escaped or unescaped."""
    shown: Any = dict(job.record) if job.record is not None else {"id": job.id, "status": job.status}
    try:
        return json.dumps(shown, sort_keys=True, ensure_ascii=escaped).lower()
    except RecursionError:
        return " ".join(_leaves(shown, escaped)).lower()


def _leaves(value: Any, escaped: bool) -> Iterator[str]:
    """The keys and scalars in data that is nested too deeply for json.dumps."""
    left = [value]
    while left:
        inner = left.pop()
        if isinstance(inner, dict):
            left += [*inner.values(), *inner]
        elif isinstance(inner, list):
            left += inner
        else:
            yield json.dumps(inner, ensure_ascii=escaped)
