"""Seconds and memory of a piece of work inside this process.

Memory comes from Linux's /proc. `rss` counts every page that is mapped and present, also those of files, which the
system may drop at any time; `anonymous` counts only what the process allocated. The peak of `rss` is the kernel's own,
exact; that of `anonymous` is sampled every few milliseconds. Needs the standard library only: peers use it, too.
"""

from __future__ import annotations

import gc
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

_STATUS = Path("/proc/self/status")
_RESET_PEAK = "5"  # written to clear_refs: VmHWM starts again from what is mapped now
_EVERY = 0.005  # seconds between samples


def memory() -> dict[str, int]:
    """Bytes by name: `rss` and `anonymous` of now, and `peak_rss` since the process began or `Gauge` was entered."""
    names = {"VmRSS:": "rss", "RssAnon:": "anonymous", "VmHWM:": "peak_rss"}
    lines = (line.split() for line in _STATUS.read_text().splitlines())
    return {names[words[0]]: int(words[1]) * 1024 for words in lines if words and words[0] in names}


class Gauge:
    """Measures what happens inside its `with` block; `report()` afterwards."""

    def __enter__(self) -> Self:
        """Begin: garbage is collected first, the kernel's peak is reset."""
        gc.collect()
        Path("/proc/self/clear_refs").write_text(_RESET_PEAK)
        self._before = memory()
        self._peak_anonymous = self._before["anonymous"]
        self._stop = threading.Event()
        self._sampler = threading.Thread(target=self._sample, daemon=True)
        self._sampler.start()
        self._started = time.perf_counter(), time.process_time()
        return self

    def _sample(self) -> None:
        while not self._stop.wait(_EVERY):
            self._peak_anonymous = max(self._peak_anonymous, memory()["anonymous"])

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End."""
        self._seconds = time.perf_counter() - self._started[0]
        self._cpu_seconds = time.process_time() - self._started[1]
        self._stop.set()
        self._sampler.join()
        self._peak_rss = memory()["peak_rss"]

    def report(self) -> dict[str, float]:
        """Seconds, also those of all cores together; bytes present at the start, and the most that came on top."""
        return {
            "seconds": self._seconds,
            "cpu_seconds": self._cpu_seconds,
            "start_rss": self._before["rss"],
            "start_anonymous": self._before["anonymous"],
            "added_rss": self._peak_rss - self._before["rss"],
            "added_anonymous": self._peak_anonymous - self._before["anonymous"],
        }
