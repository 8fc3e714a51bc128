"""Where what is computed ends, though the scene goes on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoseg.core.protocols import Within
from geoseg.core.tiling import Block, Span


@dataclass(frozen=True, slots=True)
class KnownRim:
    """The rim of what is known of a scene of `shape` (y, x): the part of `block` in `region` (None: all of it)."""

    shape: tuple[int, int]
    block: Block
    region: Within | None = None

    def __call__(self, y: Span) -> NDArray[np.bool_]:
        """Which pixels (y, x) of the block's rows have a neighbour, of four, that is not known.

        What lies outside the scene counts as known: there is nothing.
        """
        rows, columns = _wider(y), _wider(self.block.x)
        unknown = ~(_inside(rows, self.block.y)[:, None] & _inside(columns, self.block.x))
        if self.region is not None:
            unknown |= ~self.region.mask(rows, columns)
        unknown &= _inside(rows, Span(0, self.shape[0]))[:, None] & _inside(columns, Span(0, self.shape[1]))
        beside = unknown[:-2, 1:-1] | unknown[2:, 1:-1] | unknown[1:-1, :-2] | unknown[1:-1, 2:]
        return np.asarray(beside, np.bool_)


def _wider(span: Span) -> Span:
    return Span(span.start - 1, span.stop + 1)


def _inside(span: Span, other: Span) -> NDArray[np.bool_]:
    """Which places of a span lie in another one."""
    places = np.arange(span.start, span.stop)
    return np.asarray((places >= other.start) & (places < other.stop), np.bool_)
