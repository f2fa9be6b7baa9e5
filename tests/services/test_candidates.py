"""An incomplete answer to TAB is never inserted as if it were the only one."""

from __future__ import annotations

import pytest

from asyncmq_cli.models.program import Candidate
from asyncmq_cli.services.candidates import without_insertion


@pytest.mark.parametrize(
    ("prefix", "found", "offered"),
    [
        ("em", ["emails"], []),
        ("em", ["emails", "emails-bulk"], []),
        ("em", ["emails", "empty"], ["emails", "empty"]),
        ("", ["emails", "reports"], ["emails", "reports"]),
        ("emails", ["emails", "emails-bulk"], ["emails", "emails-bulk"]),
        ("", ["emails"], []),
        ("", [], []),
    ],
)
def test_partial_candidates_share_no_longer_prefix_than_the_typed_one(
    prefix: str, found: list[str], offered: list[str]
) -> None:
    partial = [Candidate(value, "") for value in found]
    assert [each.value for each in without_insertion(partial, prefix)] == offered
