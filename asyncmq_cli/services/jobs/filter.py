"""Decide which jobs match a filter. Source: `job_matches_inspection_filters` in asyncmq.core.inspection.

A search looks in the output of `json.dumps` for the whole job, in lower case, escaped or not. The stored text
differs from it in the order and spacing of members, in the form of numbers and escapes, and by the values
that are stored outside the record. A needle is a run of characters that cannot be part of structure, numbers
or literals, so it must be inside a string. If the stored text has only escapes that `json.dumps` would also
write, it contains that string in the same form. So most jobs that do not match are dropped undecoded, by
their bytes; the others pass the prefilter, and are decoded.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import orjson

from asyncmq_cli.errors import AmbiguousGroup, FormerGroup, GroupNotFound, nearest
from asyncmq_cli.models.values import JOB_STATES
from asyncmq_cli.services.jobs.lookup import holding, in_each

if TYPE_CHECKING:
    from asyncmq_cli.models.jobs import Job, JobFilter, QueueScope
    from asyncmq_cli.services.jobs.where import Expression
    from asyncmq_cli.storage.read.pieces import Piece, Prefilter
    from asyncmq_cli.storage.store import Store

# Printable ASCII characters that JSON does not escape and that are not part of its structure.
_RUN = re.compile(r"[!#-+\-.0-9;-Z^-z|~]+")
_NUMBER = re.compile(r"[0-9.+\-e]+")
_LITERALS = ("true", "false", "null", "nan", "infinity", "-infinity")
# Texts that a job's JSON may contain although its stored texts do not.
_PUT_IN = ("id", "status", "result", "active_since", "unknown", *JOB_STATES)
_SHORTEST = 3
_MOST = 0.9
_REST = 10
"""For this many pieces, the prefilter is skipped after nearly all jobs of a piece have passed."""

# An escape below U+0100 may stand for a letter that `json.dumps` does not escape.
_ESCAPED_LOW = b"\\u00"
# Non-ASCII letters whose lower case is, or starts with, an ASCII letter.
_FOLDED = {b"k": b"\\u212a", b"i": b"\\u0130"}

_MOST_COMPARED = 10_000
"""At most this many ids of failure groups are compared with one that no job has."""


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


def of_known_group(
    store: Store, scope: QueueScope, wanted: JobFilter, matches: Matcher, jobs: Iterable[Job]
) -> Iterator[Job]:
    """Yield the jobs of a scope that match a filter with a failure group. If there are none, search the
    dead-letter queues for the group: raises GroupNotFound with the nearest ids if it does not exist, or
    FormerGroup if it is an id of an older release. Raises AmbiguousGroup if jobs of two groups match."""
    group = wanted.group.strip().lower()
    found = False
    for job in filter(matches, jobs):
        if len(matches.groups) > 1:
            break
        found = True
        yield job
    if len(matches.groups) > 1:
        raise AmbiguousGroup(scope.queue, group, sorted(matches.groups))
    if found:
        return
    from asyncmq_cli.services.jobs.causes import former_id, signature

    ids: set[str] = set()
    is_former = False
    queues = holding(store, scope, "dlq")
    for job in in_each(store, scope, queues, store.jobs.dead_causes):
        if len(ids) >= _MOST_COMPARED:
            return
        ids.add(signature(job).id)
        is_former = is_former or former_id(job).startswith(group)
    if any(each.startswith(group) for each in ids):
        return
    raise (
        FormerGroup(scope.queue, group)
        if is_former
        else GroupNotFound(scope.queue, group, _nearest(group, sorted(ids)))
    )


def _nearest(group: str, ids: list[str]) -> list[str]:
    """The nearest ids, at most three. Prefixes are compared, because `group` may be a prefix."""
    by_start: dict[str, list[str]] = {}
    for each in ids:
        by_start.setdefault(each[: len(group)], []).append(each)
    return [each for start in nearest(group, by_start) for each in by_start[start]][:3]


def needle_of(text: str) -> bytes | None:
    """The longest part of a search text (in lower case) that can be a needle; None if there is none."""
    runs = [run for run in _RUN.findall(text) if len(run) >= _SHORTEST and _in_strings_only(run)]
    return max(runs, key=len).encode() if runs else None


def _in_strings_only(run: str) -> bool:
    return not _NUMBER.fullmatch(run) and not any(run in word for word in (*_LITERALS, *_PUT_IN))


def certainly_holds(record: Mapping[str, Any], needle: bytes) -> bool:
    """Whether a string in the record certainly contains the needle."""
    try:
        # The output of orjson differs from that of `json.dumps` only in numbers, spacing and non-ASCII
        # escapes.
        return needle in orjson.dumps(record).lower()
    except orjson.JSONEncodeError:
        return False


class TextPrefilter:
    """Passes jobs whose JSON may contain a needle, which is a result of `needle_of`."""

    def __init__(self, needle: bytes) -> None:
        self._needle = needle
        self._folded = [escape for letter, escape in _FOLDED.items() if letter in needle]
        self._idle_for = 0

    def passing(self, piece: Piece) -> list[int]:
        """The positions of jobs that may match, judged by these texts without their payload parts."""
        everyone = list(range(len(piece.ids)))
        if self._idle_for:
            self._idle_for -= 1
            return everyone
        if not self._are_without(filter(None, set(piece.states))):
            return everyone
        # Usually, one search of all texts together is enough.
        if not self._may_match(piece, everyone):
            return []
        found = [i for i in everyone if self._may_match(piece, [i])]
        if len(found) > len(everyone) * _MOST:
            # If nearly all jobs pass, the search costs more than it saves.
            self._idle_for = _REST
        return found

    def _may_match(self, piece: Piece, positions: Sequence[int]) -> bool:
        texts: list[bytes] = []
        for i in positions:
            bodies = piece.bodies(i)
            if not any(b'"' in body for body in bodies):
                # A text that is not a job is printed in a different form from the stored one.
                return True
            texts += bodies
        texts += [result for i in positions if (result := piece.results.get(i)) is not None]
        return not (self._are_without(texts) and self._are_plain_ids([piece.ids[i] for i in positions]))

    def _are_without(self, texts: Iterable[bytes]) -> bool:
        joined = b"\n".join(texts).lower()
        return (
            self._needle not in joined
            and joined.isascii()
            and b"\x7f" not in joined
            and _ESCAPED_LOW not in joined
            and not any(escape in joined for escape in self._folded)
        )

    def _are_plain_ids(self, ids: Iterable[bytes]) -> bool:
        """Whether no id contains the needle, and JSON would escape none of them."""
        joined = b" ".join(ids)
        plain = joined.isascii() and joined.decode("ascii").isprintable()
        return plain and b'"' not in joined and b"\\" not in joined and self._needle not in joined.lower()
