"""Components that have ended, in the order in which they are given."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geoseg.core.compiled import compiled
from geoseg.vector.outlines import RingBatch, counted
from geoseg.vector.tracing.rings import NOWHERE, Rings, interleave
from geoseg.vector.tracing.trace import CLASS, EDGE, FIRST_X, FIRST_Y, GROUP, LAST_Y, PIXELS, SCORES

UNSCORED = -1
_INT64 = np.iinfo(np.int64)


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
        order = merge(self._keys(), other._keys())
        return Closed(
            np.concatenate([self.components, other.components])[order],
            np.concatenate([self.group_first, other.group_first])[order],
            np.concatenate([self.group_last, other.group_last])[order],
            interleave(self.rings, other.rings, order),
        )

    def _keys(self) -> Keys:
        return Keys(*_own_keys(self.components), self.group_first, self.group_last)

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


def in_order(components: NDArray[np.int64]) -> tuple[NDArray[np.int64], Keys]:
    """The order of components (component, field), whose groups are whole, and their keys in that order.

    It is found fastest where they stand in the order of their first pixels, each in a group of its own.
    """
    first, last = _own_keys(components)
    group_first, group_last = group_keys(components, first)
    if np.array_equal(first, group_first) and np.array_equal(last, group_last) and (first[1:] > first[:-1]).all():
        order = _by_row(last)
    else:
        order = np.lexsort((first, last, group_first, group_last))
    return order, Keys(first[order], last[order], group_first[order], group_last[order])


def _by_row(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """The order of rows, those that are equal as they stand."""
    near = rows - rows.min(initial=_INT64.max)
    # sixteen bits are sorted by their digits, more of them by comparing
    return np.argsort(near.astype(np.uint16) if near.max(initial=0) < 1 << 16 else near, kind="stable")


@compiled
def group_keys(components: NDArray[np.int64], first: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First pixels and last rows of the groups of components, by component."""
    count = 0
    for component in range(first.size):
        count = max(count, components[component, GROUP] + 1)
    least, most = np.full(count, NOWHERE), np.full(count, -NOWHERE)
    for component in range(first.size):
        group = components[component, GROUP]
        least[group] = min(least[group], first[component])
        most[group] = max(most[group], components[component, LAST_Y])
    return least[components[:, GROUP]], most[components[:, GROUP]]


@compiled
def merge(one: Keys, other: Keys) -> NDArray[np.int64]:
    """The order of components of two lists that are in order, those of the second counted on from the first's."""
    order = np.empty(one.first.size + other.first.size, np.int64)
    left = right = 0
    for place in range(order.size):
        if right == other.first.size or (left < one.first.size and _before(one, left, other, right)):
            order[place] = left
            left += 1
        else:
            order[place] = one.first.size + right
            right += 1
    return order


@compiled
def _before(one: Keys, left: int, other: Keys, right: int) -> bool:
    if one.group_last[left] != other.group_last[right]:
        return bool(one.group_last[left] < other.group_last[right])
    return bool(one.group_first[left] < other.group_first[right])  # no two groups share their first pixel


def _own_keys(components: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return components[:, FIRST_Y] << 32 | components[:, FIRST_X], components[:, LAST_Y].copy()
