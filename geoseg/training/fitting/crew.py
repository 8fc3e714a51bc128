"""The processes that train one network together, one for each device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

_APART = 1 << 40  # batch numbers between two processes: they never meet


@dataclass(frozen=True, slots=True)
class Crew:
    """The number of this process, and how many there are. The first one validates, writes and tells.

    `stop` is an event that ends all of them after their step, None where there is but one.
    """

    rank: int = 0
    size: int = 1
    stop: Any = None

    @property
    def leads(self) -> bool:
        """Whether it is the first process."""
        return self.rank == 0

    def number(self, batch: int) -> int:
        """The number of this process's batch: no two processes draw the same."""
        return batch + self.rank * _APART

    @property
    def stopped(self) -> bool:
        """Whether they are to end."""
        return self.stop is not None and bool(self.stop.is_set())

    def agree(self, value: Any) -> Any:
        """The first process's value, in all of them."""
        if self.size == 1:
            return value
        held = [value]
        torch.distributed.broadcast_object_list(held, src=0)
        return held[0]
