"""Data that applications can store with AsyncMQ and Python's `json`."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import strategies as st

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=30)
"""Lone surrogates too: a JSON escape can make them."""

_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**80), 2**80)
    | st.floats()
    | ANY_TEXT
    | st.sampled_from([2**63, 2**64, -(2**63) - 1, 2**70, -0.0, 1e-9, 1e300, "\u2028", "\x7f", "Größe"])
)


def _containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(inner, max_size=4) | st.dictionaries(ANY_TEXT, inner, max_size=4)


JSON_VALUES = st.recursive(_SCALARS, _containers, max_leaves=15)


def same(left: Any, right: Any) -> bool:
    """Whether two values are equal in value, type and order. NaN equals NaN; 0.0 equals neither -0.0 nor
    0."""
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        return list(left) == list(right) and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, float):
        return (math.isnan(left) and math.isnan(right)) or repr(left) == repr(right)
    return bool(left == right)
