"""Components that have ended, in the order in which they are given."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geoseg.vector.outlines import RingBatch, counted
from geoseg.vector.rings import Rings, interleave
from geoseg.vector.trace import CLASS, EDGE, FIRST_X, FIRST_Y, GROUP, LAST_Y, PIXELS, SCORES

UNSCORED = -1


class Keys(NamedTuple):
    """What components are ordered by, arrays of shape (component,), the last of them first.

    A pixel is y << 32 | x, so that the topmost, then leftmost of several is the least.
    """

    first: NDArray[np.int64]
    last: NDArray[np.int64]
    group_first: NDArray[np.int64]
    group_last: NDArray[np.int64]


class Closed(NamedTuple):
    """Components in order: fields (component, field), first pixel and last row of their groups, and outlines."""

    components: NDArray[np.int64]
    group_first: NDArray[np.int64]
    group_last: NDArray[np.int64]
    rings: Rings

    def merged(self, other: Closed) -> Closed:
        """The components of both in order."""
        if not len(other.components):
            return self
        if not len(self.components):
            return other
        components, group_first, group_last = (np.concatenate(both) for both in zip(self[:3], other[:3], strict=True))
        order = np.lexsort((*_own_keys(components), group_first, group_last))
        rings = interleave(self.rings, other.rings, order)
        return Closed(components[order], group_first[order], group_last[order], rings)

    def cut(self, place: int) -> tuple[Closed, Closed]:
        """The components before a place, and those from it on; they share memory."""
        return self._run(0, place), self._run(place, len(self.components))

    def _run(self, start: int, stop: int) -> Closed:
        rings, run = self.rings, slice(start, stop)
        first, last = int(rings.polygon_offsets[start]), int(rings.polygon_offsets[stop])
        points = slice(int(rings.ring_offsets[first]), int(rings.ring_offsets[last]))
        outlines = Rings(
            rings.points[points],
            rings.node[points],
            rings.beside[points],
            rings.ring_offsets[first : last + 1] - points.start,
            rings.polygon_offsets[start : stop + 1] - first,
            rings.enclosed[first:last],
        )
        return Closed(self.components[run], self.group_first[run], self.group_last[run], outlines)

    def batch(self, scored: bool) -> RingBatch:
        """The same as a batch; without scores their sum is -1."""
        fields, rings = self.components, self.rings
        return RingBatch(
            points=rings.points,
            node=rings.node,
            beside=rings.beside,
            ring_offsets=rings.ring_offsets,
            polygon_offsets=rings.polygon_offsets,
            enclosed=rings.enclosed,
            class_id=fields[:, CLASS].astype(np.int32),
            pixels=fields[:, PIXELS].copy(),
            score_sum=fields[:, SCORES].copy() if scored else np.full(len(fields), UNSCORED, np.int64),
            touches_edge=fields[:, EDGE].astype(np.bool_),
            group=counted(self.group_first),
        )


def spliced(small: Closed, large: list[Closed]) -> list[Closed]:
    """All components in order, with each of the large groups by itself."""
    runs = []
    for group in sorted(large, key=lambda closed: (closed.group_last[0], closed.group_first[0])):
        later = small.group_last > group.group_last[0]
        later |= (small.group_last == group.group_last[0]) & (small.group_first > group.group_first[0])
        before, small = small.cut(len(later) - int(later.sum()))
        runs += [before, group]
    return [*runs, small]


def group_keys(components: NDArray[np.int64]) -> Keys:
    """The keys of components (component, field), whose groups are whole."""
    first, last = _own_keys(components)
    labels, group = np.unique(components[:, GROUP], return_inverse=True)
    if len(labels) == len(group):
        return Keys(first, last, first, last)
    group_first, group_last = np.full(len(labels), np.iinfo(np.int64).max), np.full(len(labels), -1)
    np.minimum.at(group_first, group, first)
    np.maximum.at(group_last, group, last)
    return Keys(first, last, group_first[group], group_last[group])


def _own_keys(components: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return components[:, FIRST_Y] << 32 | components[:, FIRST_X], components[:, LAST_Y]
