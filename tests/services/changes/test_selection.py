"""Which of the matching jobs a change takes: the oldest first, as many as the share says."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncmq_cli.models.jobs import Job
from asyncmq_cli.services.changes.selection import Share, select


def job(job_id: str, *, created: float = 0.0, died: float | None = None, status: str = "waiting") -> Job:
    return Job("mail", job_id, status, {"created_at": created}, dead_at=died)


@pytest.mark.parametrize(
    ("share", "total", "expected"),
    [
        (Share(), 7, 7),
        (Share(), 0, 0),
        (Share(limit=3), 7, 3),
        (Share(limit=9), 7, 7),
        (Share(percent=50), 7, 4),
        (Share(percent=0.1), 7, 1),
        (Share(percent=100), 7, 7),
        (Share(percent=10), 0, 0),
        (Share(limit=2, percent=50), 7, 2),
        (Share(limit=5, percent=50), 7, 4),
    ],
)
def test_a_share_is_rounded_up_and_never_above_its_limit(share: Share, total: int, expected: int) -> None:
    assert share.of(total) == expected


@pytest.mark.parametrize(
    ("jobs", "expected"),
    [
        ([job("b", created=2.0), job("a", created=1.0)], ["a", "b"]),
        ([job("b"), job("a")], ["a", "b"]),
        ([job("b", created=1.0, died=9.0), job("a", created=5.0, died=8.0)], ["a", "b"]),
        ([job("b", created=1.0), job("a", created=0.0, died=2.0)], ["b", "a"]),
    ],
    ids=["by creation", "equal times by id", "the dead by their death", "a death beside a creation"],
)
def test_the_oldest_come_first(jobs: Iterable[Job], expected: list[str]) -> None:
    assert select(jobs, Share()).job_ids == expected


@given(
    st.lists(st.tuples(st.text("abc", min_size=1, max_size=3), st.floats(0, 9)), max_size=20),
    st.builds(Share, st.none() | st.integers(1, 25), st.none() | st.floats(0.1, 100)),
)
def test_a_bounded_selection_is_the_beginning_of_the_whole(
    found: list[tuple[str, float]], share: Share
) -> None:
    jobs = [job(job_id, created=created) for job_id, created in found]
    whole, part = select(jobs, Share()), select(jobs, share)
    assert part.job_ids == whole.job_ids[: share.of(len(jobs))]
    assert part.total == whole.total == len(jobs)


def test_states_are_counted_only_for_selected_jobs() -> None:
    jobs = [job("a", status="failed"), job("b", status="expired", created=1.0), job("c", created=2.0)]
    selected = select(jobs, Share(limit=2))
    assert (selected.states, selected.total) == ({"failed": 1, "expired": 1}, 3)


def test_a_job_without_an_id_is_counted_and_not_hit() -> None:
    selected = select([job(""), job("a")], Share())
    assert (selected.job_ids, selected.total, selected.nameless) == (["a"], 1, 1)
