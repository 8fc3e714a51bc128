"""Which blocks are kept for validation: as much ground and as many objects as asked, and every class on both sides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

TRIES = 256  # orders of the blocks that are tried


@dataclass(frozen=True, slots=True)
class Candidates:
    """What blocks hold: `classes` (block, class) square metres of each class, `objects` (block,) their number."""

    classes: NDArray[np.float64]
    objects: NDArray[np.float64]

    @property
    def known(self) -> NDArray[np.float64]:
        """Square metres with a class: (block,)."""
        return np.asarray(self.classes.sum(axis=1))

    @classmethod
    def joined(cls, several: Sequence[Candidates]) -> Candidates:
        """The blocks of all of them, in order."""
        return cls(np.concatenate([c.classes for c in several]), np.concatenate([c.objects for c in several]))


def choose(candidates: Candidates, share: float, rng: np.random.Generator) -> list[int]:
    """The blocks to keep, rising: at least one, and never all that hold anything.

    Of many random orders, cut off where the share of known ground is met best, the one is taken that misses the share
    of ground and of objects least and leaves no class out on either side, where there is such a one.
    """
    known = candidates.known
    usable = np.flatnonzero(known > 0)
    best, least = usable[:1], np.inf
    for _ in range(TRIES):
        order = rng.permutation(usable)
        reached = np.cumsum(known[order]) / known.sum()
        count = int(np.argmin(np.abs(reached[:-1] - share))) + 1
        penalty = _penalty(candidates, order[:count], share)
        if penalty < least:
            best, least = order[:count], penalty
    return sorted(int(i) for i in best)


def _penalty(candidates: Candidates, kept: NDArray[np.intp], share: float) -> float:
    """How far a choice is from what was asked: missing classes count most, and most of all in training."""
    total, inside = candidates.classes.sum(axis=0), candidates.classes[kept].sum(axis=0)
    occurs = total > 0
    missing = int((occurs & (inside == 0)).sum()) + 2 * int((occurs & (inside >= total * (1 - 1e-9))).sum())
    found = inside.sum() / total.sum()
    things = candidates.objects.sum()
    objects = candidates.objects[kept].sum() / things if things else share
    return float(missing + abs(found - share) / share + abs(objects - share) / share)
