"""Arrow batches handed to a writer that works in a thread of its own."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator

import pyarrow as pa

_DEPTH = 2  # batches that may wait for the writer


class BatchStream:
    """A writer in a thread: `put` returns at once while the queue has room, and raises what the writer raised.

    The thread begins with the first batch, so that few features never meet a second thread before their end.
    """

    def __init__(self, write: Callable[[Iterator[pa.RecordBatch]], None], name: str) -> None:
        """`write` takes all batches, in order, and returns when its file is written."""
        self._write = write
        self._queue: queue.Queue[pa.RecordBatch | None] = queue.Queue(_DEPTH)
        self._error: BaseException | None = None
        self._ended = self._stopped = False
        self._thread = threading.Thread(target=self._work, name=f"geoseg-{name}", daemon=True)

    def put(self, batch: pa.RecordBatch) -> None:
        """Hand over the next batch. Raises what the writer raised."""
        self._raise()
        self._start()
        self._queue.put(batch)

    def end(self) -> None:
        """Wait until the file is written. Raises what the writer raised."""
        self._start()
        self._join()
        self._raise()

    def abort(self) -> None:
        """Make the writer give up, and wait until it has; safe to call at any time, and after `end`."""
        self._stopped = True
        self._join()

    def _start(self) -> None:
        if self._thread.ident is None:
            self._thread.start()

    def _join(self) -> None:
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        try:
            self._write(self._batches())
        except BaseException as error:  # noqa: BLE001 - raised again by put or end, in the caller's thread
            self._error = error
        while not self._ended:  # nobody waits for room in the queue of a writer that gave up
            self._ended = self._queue.get() is None

    def _batches(self) -> Iterator[pa.RecordBatch]:
        while (batch := self._queue.get()) is not None:
            self._go_on()
            yield batch
        self._ended = True
        self._go_on()

    def _go_on(self) -> None:
        if self._stopped:
            raise InterruptedError("the file is not wanted any more")
