"""Work done ahead of its consumer, in a thread, through a bounded queue."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")
_POLL = 0.1  # seconds between looks at whether the consumer is still there


@dataclass(frozen=True, slots=True)
class _Failed:
    error: BaseException


class _Done:
    pass


def ahead(items: Iterable[T], depth: int, name: str) -> Generator[T, None, None]:
    """The same items, produced by a thread called `name` that runs at most `depth` items ahead.

    An exception in the producer is raised where its item would have come. Closing the generator stops the thread, and
    waits for it, so that files and generators used there are closed.
    """
    handed: queue.Queue[T | _Failed | _Done] = queue.Queue(depth)
    stop = threading.Event()
    thread = threading.Thread(target=_produce, args=(items, handed, stop), name=f"geoseg-{name}", daemon=True)
    thread.start()
    try:
        while True:
            item = handed.get()
            if isinstance(item, _Done):
                return
            if isinstance(item, _Failed):
                raise item.error
            yield item
    finally:
        stop.set()
        thread.join()


def _produce(items: Iterable[T], handed: queue.Queue[T | _Failed | _Done], stop: threading.Event) -> None:
    iterator: Iterator[T] = iter(items)
    last: _Failed | _Done = _Done()
    try:
        for item in iterator:
            if not _put(handed, item, stop):
                break
    except BaseException as error:  # noqa: BLE001 - handed to the consumer, which raises it
        last = _Failed(error)
    finally:
        if isinstance(iterator, Generator):
            iterator.close()
        _put(handed, last, stop)


def _put(handed: queue.Queue[T | _Failed | _Done], item: T | _Failed | _Done, stop: threading.Event) -> bool:
    while not stop.is_set():
        try:
            handed.put(item, timeout=_POLL)
        except queue.Full:
            continue
        return True
    return False
