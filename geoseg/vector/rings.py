"""Rings as the tracer leaves them, and in the order in which they go on."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geoseg.core.compiled import compiled


class Rings(NamedTuple):
    """Rings of ended components, in no order: ring i is `points[offsets[i] : offsets[i + 1]]`, (x, y), not closed.

    `node` and `beside` (point,) are those of RingBatch. `first` is the place of the topmost, then leftmost point;
    `owner` counts the components as they were given.
    """

    points: NDArray[np.int32]
    node: NDArray[np.bool_]
    beside: NDArray[np.int32]
    offsets: NDArray[np.int64]
    first: NDArray[np.int64]
    owner: NDArray[np.int64]
    content: NDArray[np.int64]


@compiled
def arrange(
    rings: Rings, order: NDArray[np.int64]
) -> tuple[NDArray[np.int32], NDArray[np.bool_], NDArray[np.int32], NDArray[np.int64]]:
    """Points (x, y), nodes, values beside and offsets of the rings in that order.

    Each ring goes from its first point round to it again.
    """
    offsets = np.zeros(order.size + 1, np.int64)
    for place in range(order.size):
        ring = order[place]
        offsets[place + 1] = offsets[place] + rings.offsets[ring + 1] - rings.offsets[ring] + 1
    points = np.empty((offsets[-1], 2), np.int32)
    node = np.empty(offsets[-1], np.bool_)
    beside = np.empty(offsets[-1], np.int32)
    for place in range(order.size):
        start, stop = rings.offsets[order[place]], rings.offsets[order[place] + 1]
        source = rings.first[order[place]]
        for target in range(offsets[place], offsets[place + 1]):
            points[target, 0], points[target, 1] = rings.points[source, 0], rings.points[source, 1]
            node[target] = rings.node[source]
            beside[target] = rings.beside[source]
            source = source + 1 if source + 1 < stop else start
    return points, node, beside, offsets
