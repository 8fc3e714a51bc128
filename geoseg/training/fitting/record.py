"""What a run remembers besides tensors."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Self

Row = dict[str, float]


@dataclass(slots=True)
class Record:
    """Plain values of a run, as they stand between two steps; a checkpoint holds them.

    `rate` is the learning rate that was asked for or found. `checked` is the step of the last validation, `checking`
    the seconds that it took, `misses` how many validations in a row brought nothing better than `best`. `sums` add up
    the terms of the loss over `summed` steps since the last row of `history`; `skipped` counts steps in a row that
    could not be made, `lost` all of them.
    """

    rate: float
    step: int = 0
    seconds: float = 0.0
    waited: float = 0.0
    checked: int = 0
    checking: float = 0.0
    misses: int = 0
    best: Row = field(default_factory=dict)
    history: list[Row] = field(default_factory=list)
    sums: Row = field(default_factory=dict)
    summed: int = 0
    rowed: tuple[float, float] = (0.0, 0.0)  # seconds and waited at the last row
    skipped: int = 0
    lost: int = 0
    done: bool = False

    def add(self, terms: Row) -> None:
        """Take in the terms of one more step."""
        for name, value in terms.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
        self.summed += 1

    def row(self) -> Row:
        """The next row of the history, from what was added since the last one."""
        means = {name: total / max(self.summed, 1) for name, total in self.sums.items()}
        passed, idle = self.seconds - self.rowed[0], self.waited - self.rowed[1]
        self.sums, self.summed, self.rowed = {}, 0, (self.seconds, self.waited)
        head = {"step": self.step, "seconds": round(self.seconds, 3), "waited": round(idle / max(passed, 1e-9), 4)}
        return {**head, "loss": sum(means.values()), **means}

    def values(self) -> dict[str, Any]:
        """The same as values that a checkpoint holds."""
        return asdict(self)

    @classmethod
    def of(cls, values: dict[str, Any]) -> Self:
        """The record that a checkpoint holds."""
        return cls(**values)
