"""Which jobs are on a page of a filtered list, and how many there are in all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from asyncmq_cli.models.jobs import Job
from asyncmq_cli.services.jobs.lists import SMALL, Page, QueueKey, page_of

JOBS = [("c", 1.0), ("a", 3.0), ("b", 3.0), ("e", 0.0), ("d", 2.0)]
"""Ids and creation times, in the order of the place."""


def jobs(found: list[tuple[str, float]]) -> list[Job]:
    return [Job("mail", job_id, "waiting", {"created_at": created}) for job_id, created in found]


def ids_on(page: Page, found: list[tuple[str, float]] = JOBS) -> tuple[str, int]:
    on_page, total = page_of(jobs(found), lambda job: job.sort_time, page, lambda keys: iter(()))
    return "".join(job.id for job in on_page), total


@pytest.mark.parametrize(
    ("sort", "page", "expected"),
    [
        ("newest", 1, "ba"),
        ("newest", 2, "dc"),
        ("newest", 3, "e"),
        ("newest", 4, ""),
        ("oldest", 1, "ec"),
        ("oldest", 2, "da"),
        ("oldest", 3, "b"),
        ("queue", 1, "ca"),
        ("queue", 3, "d"),
        ("queue", 4, ""),
    ],
)
def test_a_page_has_its_jobs_and_the_true_total(sort: str, page: int, expected: str) -> None:
    assert ids_on(Page(sort, page, 2)) == (expected, 5)


@given(
    st.lists(st.tuples(st.text("abcdef", min_size=1, max_size=3), st.integers(0, 3).map(float))),
    st.sampled_from(["newest", "oldest", "queue"]),
    st.integers(1, 4),
)
def test_the_pages_of_a_list_are_the_list(found: list[tuple[str, float]], sort: str, size: int) -> None:
    whole, total = ids_on(Page(sort, 1, len(found) + 1), found)
    pages = [ids_on(Page(sort, number, size), found)[0] for number in range(1, total // size + 2)]
    assert "".join(pages) == whole


@pytest.mark.parametrize("sort", ["newest", "queue"])
def test_large_jobs_of_a_page_are_not_kept_but_read_again(sort: str) -> None:
    found = [replace(job, size=SMALL if job.id == "b" else 0) for job in jobs(JOBS)]
    asked: list[QueueKey] = []

    def read_again(keys: Iterable[QueueKey]) -> Iterator[Job]:
        asked.extend(keys)
        return iter(found)

    on_page, total = page_of(found, lambda job: job.sort_time, Page(sort, 1, 3), read_again)
    assert (list(on_page), total) == (found, 5)
    assert [key.key.id for key in asked] == (["b", "a", "d"] if sort == "newest" else ["c", "a", "b"])
