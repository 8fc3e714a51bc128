"""Sinks that work in threads of their own, behind bounded queues."""

from __future__ import annotations

import queue
import threading
from types import TracebackType
from typing import Self

from geoseg.core.protocols import Sink, Strip

_DEPTH = 2  # strips that may wait for a sink


class Outlet:
    """A sink in a thread: `put` returns at once while the queue has room, and raises what the sink raised."""

    def __init__(self, sink: Sink, name: str) -> None:
        """Start the thread."""
        self._sink = sink
        self._strips: queue.Queue[Strip | None] = queue.Queue(_DEPTH)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name=f"geoseg-{name}", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        while (strip := self._strips.get()) is not None:
            if self._error is None:
                try:
                    self._sink.write(strip)
                except BaseException as error:  # noqa: BLE001 - raised again by put or commit, in the job's thread
                    self._error = error

    def put(self, strip: Strip) -> None:
        """Hand the next strip to the sink."""
        self._raise()
        self._strips.put(strip)

    def drain(self) -> None:
        """Wait until the sink has taken every strip."""
        self._end()
        self._raise()

    def commit(self) -> None:
        """Wait for the sink, then let it finish its file."""
        self.drain()
        self._sink.commit()

    def abort(self) -> None:
        """Wait for the sink, then let it remove what it wrote; safe after `commit`."""
        self._error = self._error or InterruptedError("aborted")
        self._end()
        self._sink.abort()

    def _end(self) -> None:
        if self._thread.is_alive():
            self._strips.put(None)
            self._thread.join()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error


class Outlets:
    """All outlets of a job: strips go to each; leaving the `with` block aborts those that were not committed."""

    def __init__(self) -> None:
        """Begin without any."""
        self._outlets: list[Outlet] = []

    def add(self, sink: Sink, name: str) -> None:
        """One more sink."""
        self._outlets.append(Outlet(sink, name))

    def put(self, strip: Strip) -> None:
        """Hand a strip to every sink."""
        for outlet in self._outlets:
            outlet.put(strip)

    def commit(self) -> None:
        """Finish every file; none is finished before every sink has taken its last strip."""
        for outlet in self._outlets:
            outlet.drain()
        for outlet in self._outlets:
            outlet.commit()

    def __enter__(self) -> Self:
        """The outlets themselves."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Abort; sinks that were committed have nothing left to remove."""
        for outlet in self._outlets:
            outlet.abort()
