"""Long edges cut into short ones, the same from either end."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def densified(
    points: NDArray[np.float64], offsets: NDArray[np.int64], longest: float
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Points (point, 2) and offsets of lines or rings with more points, so that no edge is longer than `longest`.

    Line i is `points[offsets[i] : offsets[i + 1]]`. An edge gets the same points in both directions, so that what two
    polygons share, they share still.
    """
    if len(points) <= 1:
        return points, offsets
    start, stop = points[:-1], points[1:]
    within = np.ones(len(start), np.bool_)
    within[offsets[1:-1] - 1] = False  # from one line to the next
    lengths = np.hypot(*(stop - start).T)
    count = np.where(within, np.maximum(1, np.ceil(lengths / longest)), 1).astype(np.int64)
    if (count == 1).all():
        return points, offsets
    edge = np.repeat(np.arange(len(start)), count)
    place = np.arange(len(edge)) - np.repeat(np.cumsum(count) - count, count)
    turned = (start[edge, 0] > stop[edge, 0]) | ((start[edge, 0] == stop[edge, 0]) & (start[edge, 1] > stop[edge, 1]))
    first, last = np.where(turned[:, None], stop[edge], start[edge]), np.where(turned[:, None], start[edge], stop[edge])
    share = (np.where(turned, count[edge] - place, place) / count[edge])[:, None]
    inner = first + share * (last - first)
    inner[place == 0] = start[edge[place == 0]]
    before = np.concatenate([[0], np.cumsum(count)])
    return np.vstack([inner, points[-1:]]), np.append(before[offsets[:-1]], len(edge) + 1)
