"""How far a job is."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

STAGES: Mapping[str, str] = {"tiles": "predicting", "steps": "training", "scenes": "comparing"}  # by what is counted
OF_TRAINING = ("preparing", "finding the learning rate", "training", "validating")  # the others come after it


@dataclass(slots=True)
class Tally:
    """What is done and what there is to do, and the pace of it. Seconds count from the plan's arrival.

    What is counted are tiles, the steps of a training, or the scenes of a comparison (`unit`); `tiles_total` is 0 where
    nobody knows how many there will be. What a job says of itself is kept in `notes`: its own time left counts before
    the one from the pace. A tally is changed in place, under the lock of the progress that owns it.
    """

    clock: Callable[[], float] = time.monotonic
    tiles: int = 0
    pixels: int = 0
    tiles_total: int = 0
    started: float | None = field(default=None)
    unit: str = "tiles"
    notes: dict[str, Any] = field(default_factory=dict)
    _first: int = 0
    _noted: float = 0.0
    _counting: bool = True

    def begin(self, plan: Mapping[str, Any]) -> None:
        """Take the total from a plan's description, and start the clock; a training may go on from a later step."""
        training = plan.get("kind") == "train" or not plan.keys().isdisjoint(("steps", "minutes"))
        self.unit = "steps" if training else "scenes" if plan.get("kind") == "evaluate" else "tiles"
        self.tiles = self._first = int(plan.get("step", 0))
        self.pixels = 0
        self.tiles_total = int((plan.get("steps") if training else plan["tiles"]["planned"]) or 0)
        self.notes, self._noted, self._counting = {}, 0.0, True
        self.started = self.clock()

    def enter(self, stage: str) -> None:
        """Begin a stage: what is done in those that come after a training is none of its steps."""
        self._counting = self.unit != "steps" or stage in OF_TRAINING

    def add(self, tiles: int, pixels: int) -> None:
        """Count what was done since the last call."""
        if self._counting:
            self.tiles += tiles
            self.pixels += pixels

    def note(self, values: Mapping[str, Any]) -> None:
        """Keep what the job says of itself."""
        self.notes.update(values)
        if "seconds_left" in values:
            self._noted = self.clock()

    @property
    def stage(self) -> str:
        """The stage that a plan begins."""
        return STAGES[self.unit]

    @property
    def seconds(self) -> float:
        """Since the plan."""
        return 0.0 if self.started is None else self.clock() - self.started

    @property
    def fraction(self) -> float:
        """Share that is done, 0 to 1: of the tiles, or of the time where nobody knows how many there will be."""
        if self.tiles_total:
            return min(1.0, self.tiles / self.tiles_total)
        left = self._told_left
        return 0.0 if left is None else self.seconds / max(self.seconds + left, 1e-9)

    @property
    def mpx_per_s(self) -> float | None:
        """Pace in millions of pixels a second, or None before there is one."""
        return self.pixels / self.seconds / 1e6 if self.pixels and self.seconds > 0 else None

    @property
    def seconds_left(self) -> float | None:
        """What the job says, or at the pace so far; None before there is one."""
        if self._told_left is not None:
            return self._told_left
        done = self.tiles - self._first
        return self.seconds * max(0, self.tiles_total - self.tiles) / done if done and self.tiles_total else None

    @property
    def _told_left(self) -> float | None:
        told = self.notes.get("seconds_left")
        return None if told is None else max(0.0, float(told) - (self.clock() - self._noted))
