"""Parts of a class raster traced by several threads at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue

from geoseg.vector.tracing.parts import Part, Rows, Tracer


class Workers:
    """Traces parts in threads of their own, and hands the results out in order."""

    def __init__(self, threads: int, tracer: Callable[[], Tracer]) -> None:
        """Give each thread a tracer of its own; one thread is the caller's."""
        self.threads = threads
        self._idle: SimpleQueue[Tracer] = SimpleQueue()
        for _ in range(threads):
            self._idle.put(tracer())
        self._pool = ThreadPoolExecutor(threads, "polygons") if threads > 1 else None

    def trace(self, parts: list[Rows]) -> Iterator[Part]:
        """The parts, traced; at most one more than there are threads wait to be taken."""
        if self._pool is None or len(parts) < 2:
            yield from map(self._trace, parts)
            return
        running: deque[Future[Part]] = deque()
        for rows in parts:
            running.append(self._pool.submit(self._trace, rows))
            if len(running) > self.threads:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()

    def close(self) -> None:
        """Let the threads end."""
        if self._pool is not None:
            self._pool.shutdown()

    def _trace(self, rows: Rows) -> Part:
        tracer = self._idle.get()
        try:
            return tracer.trace(rows)
        finally:
            self._idle.put(tracer)
