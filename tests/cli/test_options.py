from __future__ import annotations

import pytest

from asyncmq_cli.cli.options import with_values


@pytest.mark.parametrize(
    "text", ["90s", "1h30m", "5min", "5 min", "2 Hours", "1y", "500ms", "1.5h", "1M", "2 months"]
)
def test_a_duration_behind_wait_is_its_value(text: str) -> None:
    """Also one that is refused later: as an id it would be retried, or called unknown."""
    assert with_values(["dlq", "retry", "--wait", text, "mail"]) == ["dlq", "retry", "--wait", text, "mail"]


@pytest.mark.parametrize("word", ["7f3a9c52", "m5", "5", "5x", "3M0", "--yes"])
def test_a_word_after_wait_that_is_no_duration_is_an_argument(word: str) -> None:
    assert with_values(["jobs", "retry", "--wait", word]) == ["jobs", "retry", "--wait=10m", word]
