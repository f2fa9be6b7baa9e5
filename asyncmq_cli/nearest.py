"""The names most similar to an unknown one, for every "did you mean"."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def nearest(word: str, known: Iterable[str], *, most: int = 3, cutoff: float = 0.6) -> list[str]:
    """At most `most` of the known names, the nearest first, ignoring case.

    `cutoff` is the least similarity, between 0 and 1.
    """
    from difflib import get_close_matches

    by_lower = {name.lower(): name for name in known}
    return [by_lower[found] for found in get_close_matches(word.lower(), by_lower, n=most, cutoff=cutoff)]


def did_you_mean(near: Sequence[str]) -> str | None:
    """The hint that suggests these names, or None if there are none."""
    return f"did you mean {' or '.join(near)}?" if near else None
