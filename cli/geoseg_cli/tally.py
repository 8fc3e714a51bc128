"""How far a job is."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Tally:
    """What is done and what there is to do, and the pace of it. Seconds count from the plan's arrival.

    It is changed in place, under the lock of the progress that owns it.
    """

    clock: Callable[[], float] = time.monotonic
    tiles: int = 0
    pixels: int = 0
    tiles_total: int = 0
    started: float | None = field(default=None)

    def begin(self, plan: Mapping[str, Any]) -> None:
        """Take the total from a plan's description, and start the clock."""
        self.tiles = self.pixels = 0
        self.tiles_total = int(plan["tiles"]["planned"])
        self.started = self.clock()

    def add(self, tiles: int, pixels: int) -> None:
        """Count what was done since the last call."""
        self.tiles += tiles
        self.pixels += pixels

    @property
    def seconds(self) -> float:
        """Since the plan."""
        return 0.0 if self.started is None else self.clock() - self.started

    @property
    def fraction(self) -> float:
        """Share of the tiles that is done, 0 to 1."""
        return min(1.0, self.tiles / self.tiles_total) if self.tiles_total else 0.0

    @property
    def mpx_per_s(self) -> float | None:
        """Pace in millions of pixels a second, or None before there is one."""
        return self.pixels / self.seconds / 1e6 if self.pixels and self.seconds > 0 else None

    @property
    def seconds_left(self) -> float | None:
        """At the pace so far, or None before there is one."""
        return self.seconds * (1 - self.fraction) / self.fraction if self.tiles else None
