"""Batches drawn ahead by threads, in order, and how long somebody waited for them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

from geoseg.training.batch import Batch

AHEAD = 2  # batches that are ready, or nearly so, beside those that the threads work on


class Feeder:
    """The batches of steps `first` to below `last`, in order, as `draw` makes them, drawn ahead by `readers` threads.

    How many threads there are changes no batch. What `draw` raises comes out where its batch would have come. Leaving
    the `with` block, or `close`, ends the threads.
    """

    def __init__(self, draw: Callable[[int], Batch], first: int, last: int, readers: int) -> None:
        """Begin to draw at once."""
        self._draw, self._next, self._last = draw, first, last
        self._depth = readers + AHEAD
        self._pool = ThreadPoolExecutor(readers, thread_name_prefix="geoseg-draw")
        self._waiting: deque[Future[Batch]] = deque()
        self._begun: float | None = None
        self._ended = 0.0
        self.waited = 0.0
        self._fill()

    @property
    def share_waited(self) -> float:
        """The share of the time, from the first batch that was asked for to the last that came, spent waiting."""
        passed = 0.0 if self._begun is None else self._ended - self._begun
        return self.waited / passed if passed > 0 else 0.0

    def __iter__(self) -> Iterator[Batch]:
        """The batches that are left."""
        return self

    def __next__(self) -> Batch:
        """The next batch; raises what drawing it raised."""
        if not self._waiting:
            self.close()
            raise StopIteration
        asked = time.monotonic()
        self._begun = asked if self._begun is None else self._begun
        future = self._waiting.popleft()
        try:
            batch = future.result()
        except BaseException:
            self.close()
            raise
        self._ended = time.monotonic()
        self.waited += self._ended - asked
        self._fill()
        return batch

    def _fill(self) -> None:
        while self._next < self._last and len(self._waiting) < self._depth:
            self._waiting.append(self._pool.submit(self._draw, self._next))
            self._next += 1

    def close(self) -> None:
        """End the threads, once each has finished what it is at; safe to call twice."""
        self._next = self._last
        for future in self._waiting:
            future.cancel()
        self._waiting.clear()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def __enter__(self) -> Self:
        """The feeder itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the threads."""
        self.close()
