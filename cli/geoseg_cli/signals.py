"""A process that is told to end cleans up first."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType

ENDING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name))
PATIENCE = 10.0  # seconds that cleaning up may take before another signal interrupts it


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """A context in which the signals that end a process raise KeyboardInterrupt.

    Those that follow within PATIENCE are ignored: the process is cleaning up. After the context they are ignored too
    where one has come, since the process is about to end. A signal that is ignored (SIGHUP under nohup) stays ignored.
    An interruption may strike inside a library that makes another error of it, or none: an error that comes after a
    signal is the interruption, and `heed` raises what was lost. Outside the main thread nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    interruption = _Interruption()
    before = {number: signal.getsignal(number) for number in ENDING}
    changed = [number for number in ENDING if before[number] is not signal.SIG_IGN]
    for number in changed:
        signal.signal(number, interruption)
    _standing.append(interruption)
    try:
        yield
    except Exception as error:
        if interruption.came:
            raise KeyboardInterrupt(interruption.name) from error
        raise
    finally:
        _standing.remove(interruption)
        for number in changed:
            signal.signal(number, signal.SIG_IGN if interruption.came else before[number] or signal.SIG_DFL)


def interrupted() -> bool:
    """Whether a signal has come that ends the process."""
    return bool(_standing) and _standing[-1].came


def heed() -> None:
    """Raise KeyboardInterrupt in the main thread where a signal has come: whoever caught the first one went on."""
    if interrupted() and threading.current_thread() is threading.main_thread():
        raise KeyboardInterrupt(_standing[-1].name)


class _Interruption:
    """A signal handler that raises KeyboardInterrupt, and not again for a while."""

    def __init__(self) -> None:
        self._last: float | None = None
        self.name = ""

    @property
    def came(self) -> bool:
        return self._last is not None

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._last is None or now - self._last > PATIENCE:
            self._last, self.name = now, signal.Signals(number).name
            raise KeyboardInterrupt(self.name)


_standing: list[_Interruption] = []  # of the contexts that are open, the innermost last
