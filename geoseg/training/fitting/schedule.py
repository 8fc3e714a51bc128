"""How far a run has come, and the learning rate there."""

from __future__ import annotations

import math
from dataclasses import dataclass

from geoseg.training.options import LoopOptions


@dataclass(frozen=True, slots=True)
class Moment:
    """A point of a run: steps done, seconds used, and seconds that the last validation took."""

    step: int
    seconds: float
    checking: float = 0.0


@dataclass(frozen=True, slots=True)
class Schedule:
    """What follows from a run's length, in steps or by the clock."""

    loop: LoopOptions

    @property
    def by_clock(self) -> bool:
        """Whether the run lasts for minutes rather than steps."""
        return self.loop.minutes is not None

    def share(self, moment: Moment) -> float:
        """The share of the run that is over in the middle of the next step, between 0 and 1, never quite either."""
        if self.loop.minutes is None:
            return min(1.0, (moment.step + 0.5) / self.loop.steps)
        return min(1.0, max(moment.seconds, 1e-3) / self._seconds(moment))

    def over(self, moment: Moment) -> bool:
        """Whether no step is left. By the clock, time for a last validation is kept; at least one step is done."""
        if self.loop.minutes is None:
            return moment.step >= self.loop.steps
        return moment.step > 0 and moment.seconds >= self._seconds(moment)

    def _seconds(self, moment: Moment) -> float:
        whole = 60 * (self.loop.minutes or 0)
        return max(whole - moment.checking, whole / 2)

    def factor(self, share: float) -> float:
        """What the learning rate is multiplied with: rises in a line over the warm-up, then falls as half a cosine.

        It falls to `floor`, so that an average over many steps has something to average.
        Loshchilov and Hutter 2017, arXiv:1608.03983.
        """
        warm = self.loop.warmup
        if share < warm:
            return share / warm
        fallen = 0.5 * (1 + math.cos(math.pi * (share - warm) / max(1 - warm, 1e-9)))
        return self.loop.floor + (1 - self.loop.floor) * fallen

    def frozen(self, share: float) -> bool:
        """Whether the encoder keeps still."""
        return share < self.loop.frozen

    def validates(self, moment: Moment) -> bool:
        """Whether the step just done is followed by a validation."""
        return moment.step > 0 and (moment.step % self.loop.validate_every == 0 or self.over(moment))

    def seconds_left(self, moment: Moment, pace: float) -> float:
        """Seconds to the end, from `pace` seconds a step."""
        if self.loop.minutes is None:
            return max(0, self.loop.steps - moment.step) * pace
        return max(0.0, 60 * self.loop.minutes - moment.seconds)
