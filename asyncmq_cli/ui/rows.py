"""Rows that are read from Redis as they come into sight."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Generic, TypeVar

from asyncmq_cli.errors import AdminError

if TYPE_CHECKING:
    from asyncmq_cli.cli.session import Session
    from asyncmq_cli.ui.lanes import Lane, Lanes

T = TypeVar("T")

PAGE = 100
"""Rows read at a time."""
_PAGES_HELD = 30
MOST_STREAMED = 20_000
"""Rows of a list without an order that are held in memory."""


@dataclass(frozen=True, slots=True)
class Fetched(Generic[T]):
    """One page, the size of the whole list, and the time of the server."""

    rows: Sequence[T]
    total: int
    now: float


Fetch = Callable[["Session", int, int], Fetched[T]]
"""Reads one page; it counts from 1, and its second number is the size."""


class _Asked(Generic[T]):
    """What the two kinds have in common: one read at a time, for what is wanted last."""

    def __init__(self, drawn: Callable[[], None], failed: Callable[[AdminError], None]) -> None:
        self.now = 0.0
        self._drawn = drawn
        self._failed = failed
        self._task: asyncio.Task[None] | None = None
        self._is_closed = False

    def _wake(self, read: Callable[[], Awaitable[None]]) -> None:
        if self._task is None and not self._is_closed:
            self._task = asyncio.get_running_loop().create_task(self._run(read))

    async def _run(self, read: Callable[[], Awaitable[None]]) -> None:
        try:
            await read()
        except AdminError as exc:
            if not self._is_closed:
                self._is_closed = True
                self._failed(exc)
        finally:
            self._task = None
        if not self._is_closed:
            self._drawn()

    def close(self) -> None:
        """Read no more."""
        self._is_closed = True


class PagedRows(_Asked[T]):
    """A list that Redis keeps in order: any page of it costs as much as that page."""

    def __init__(
        self, lanes: Lanes, fetch: Fetch[T], drawn: Callable[[], None], failed: Callable[[AdminError], None]
    ) -> None:
        super().__init__(drawn, failed)
        self.total = 0
        self._lanes = lanes
        self._fetch = fetch
        self._pages: OrderedDict[int, Sequence[T]] = OrderedDict()
        self._wanted = 0

    async def start(self) -> None:
        """Read the first page. Raises AdminError."""
        await self._read()

    def row(self, at: int) -> T | None:
        number, place = divmod(at, PAGE)
        page = self._pages.get(number)
        if page is None:
            self._wanted = number
            self._wake(self._read)
            return None
        return page[place] if place < len(page) else None

    async def _read(self) -> None:
        number = self._wanted
        found = await self._lanes.call(lambda session: self._fetch(session, number + 1, PAGE))
        self.total, self.now = found.total, found.now
        self._pages[number] = found.rows
        self._pages.move_to_end(number)
        while len(self._pages) > _PAGES_HELD:
            self._pages.popitem(last=False)


class StreamedRows(_Asked[T]):
    """A list that has to be searched from its beginning: matches are read on as one scrolls down. It has a
    lane of its own, because its search is open between two reads."""

    def __init__(
        self,
        lane: Lane,
        opened: Callable[[Session], Iterator[T]],
        drawn: Callable[[], None],
        failed: Callable[[AdminError], None],
    ) -> None:
        super().__init__(drawn, failed)
        self.is_done = False
        self._lane = lane
        self._opened = opened
        self._rows: list[T] = []
        self._source: Iterator[T] | None = None

    @property
    def total(self) -> int:
        """The rows that are known, and one for those that may follow."""
        return len(self._rows) + (not self.is_done)

    @property
    def found(self) -> int:
        """How many rows were read so far."""
        return len(self._rows)

    async def start(self) -> None:
        """Read the first rows. Raises AdminError."""
        await self._read()

    def row(self, at: int) -> T | None:
        if at < len(self._rows):
            return self._rows[at]
        if not self.is_done:
            self._wake(self._read)
        return None

    async def _read(self) -> None:
        def some(session: Session) -> tuple[list[T], float]:
            if self._source is None:
                self._source = self._opened(session)
            return list(islice(self._source, PAGE)), session.now()

        rows, self.now = await self._lane.call(some)
        self._rows += rows
        self.is_done = len(rows) < PAGE or len(self._rows) >= MOST_STREAMED

    def close(self) -> None:
        super().close()
        self._lane.close()
