from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


def chunked(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of `size` items, the last one shorter (`itertools.batched` is Python 3.12's)."""
    rest = iter(items)
    while piece := list(islice(rest, size)):
        yield piece
