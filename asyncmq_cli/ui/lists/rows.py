"""Rows that are read from Redis when they become visible."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Generic, TypeVar

from msgspec import Struct

from asyncmq_cli.errors import AdminError, Halted

if TYPE_CHECKING:
    from asyncmq_cli.cli.session import Session
    from asyncmq_cli.ui.lanes import Lane, Lanes

T = TypeVar("T")

PAGE = 100
"""The number of rows that are read at a time."""
_PAGES_HELD = 30
MOST_STREAMED = 20_000
"""At most this many rows of a list without an order are kept in memory."""


class Fetched(Struct, Generic[T], frozen=True):
    """One page of rows, the size of the whole list, and the server's time."""

    rows: Sequence[T]
    total: int
    now: float


Fetch = Callable[["Session", int, int], Fetched[T]]
"""Reads one page. Its arguments are the session, the page number from 1, and the page size."""


class RowsInSight(Generic[T]):
    """The base class of both kinds of rows. There is one read at a time, for the most recent request. `drawn`
    is called when rows have arrived. `failed` is called with an error, after which nothing more is read."""

    def __init__(self, drawn: Callable[[], None], failed: Callable[[AdminError], None]) -> None:
        self.now = 0.0
        self._drawn = drawn
        self._failed = failed
        self._task: asyncio.Task[None] | None = None
        self._is_closed = False

    @property
    def total(self) -> int:
        """The number of rows, as far as it is known."""
        raise NotImplementedError

    def row(self, at: int) -> T | None:
        """The row at position `at`; None if it is being read."""
        raise NotImplementedError

    async def read(self) -> None:
        """Read the requested rows. Raises AdminError."""
        raise NotImplementedError

    @property
    def is_reading(self) -> bool:
        """Whether rows are being read."""
        return self._task is not None

    def wake(self) -> None:
        """Read in the background, unless a read is already running."""
        if self._task is None and not self._is_closed:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        try:
            await self.read()
        except AdminError as exc:
            if not self._is_closed:
                self._is_closed = True
                self._failed(exc)
        finally:
            self._task = None
        if not self._is_closed:
            self._drawn()

    def close(self) -> None:
        """Stop reading."""
        self._is_closed = True


class PagedRows(RowsInSight[T]):
    """The rows of a list that is sorted in Redis, so that only the requested page must be read."""

    def __init__(
        self, lanes: Lanes, fetch: Fetch[T], drawn: Callable[[], None], failed: Callable[[AdminError], None]
    ) -> None:
        super().__init__(drawn, failed)
        self._total = 0
        self._lanes = lanes
        self._fetch = fetch
        self._pages: OrderedDict[int, Sequence[T]] = OrderedDict()
        self._wanted = 0

    @property
    def total(self) -> int:
        return self._total

    @property
    def pages_held(self) -> list[int]:
        """The numbers of the pages in memory, from 0, in the order in which they were read."""
        return list(self._pages)

    def row(self, at: int) -> T | None:
        number, place = divmod(at, PAGE)
        page = self._pages.get(number)
        if page is None:
            self._wanted = number
            self.wake()
            return None
        return page[place] if place < len(page) else None

    async def read(self) -> None:
        number = self._wanted
        found = await self._lanes.call(lambda session: self._fetch(session, number + 1, PAGE))
        self._total, self.now = found.total, found.now
        self._pages[number] = found.rows
        self._pages.move_to_end(number)
        while len(self._pages) > _PAGES_HELD:
            self._pages.popitem(last=False)


class StreamedRows(RowsInSight[T]):
    """The rows of a list that must be searched from its beginning. More matches are read as the user scrolls
    down. It has its own lane, because the search stays open between two reads."""

    def __init__(
        self,
        lane: Lane,
        opened: Callable[[Session], Iterator[T]],
        drawn: Callable[[], None],
        failed: Callable[[AdminError], None],
    ) -> None:
        super().__init__(drawn, failed)
        self.is_done = False
        self.is_halted = False
        self.is_cut = False
        """Whether there are more rows, which are not kept."""
        self._lane = lane
        self._opened = opened
        self._rows: list[T] = []
        self._source: Iterator[T] | None = None

    @property
    def total(self) -> int:
        """The number of known rows, plus one if more may follow."""
        return len(self._rows) + (not self.is_done)

    @property
    def found(self) -> int:
        """The number of rows that were found so far."""
        return len(self._rows)

    @property
    def searched(self) -> int:
        """The number of jobs that the search has read."""
        return self._lane.jobs_read

    def row(self, at: int) -> T | None:
        if at < len(self._rows):
            return self._rows[at]
        if not self.is_done:
            self.wake()
        return None

    async def read(self) -> None:
        some: list[T] = []

        def more(session: Session) -> float:
            if self._source is None:
                self._source = self._opened(session)
            some.extend(islice(self._source, PAGE))
            return session.now()

        try:
            self.now = await self._lane.call(more)
            self.is_done = len(some) < PAGE
        except Halted:
            self.is_done = self.is_halted = True
        self._rows += some
        self.is_cut = not self.is_done and len(self._rows) >= MOST_STREAMED
        self.is_done = self.is_done or self.is_cut

    def halt(self) -> None:
        """End the search. The rows that were found stay."""
        self._lane.halt()

    def close(self) -> None:
        super().close()
        self._lane.halt()
        self._lane.close()
