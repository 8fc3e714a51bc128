"""Free ends without their hooks: the skeleton of a blunt road often runs on into one of the corners at its end."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geoseg.core.compiled import compiled
from geoseg.vector.linegraph import NONE, Graph, Walk
from geoseg.vector.linenet import Net, mean_width

_DIAGONAL = 2**0.5  # towards a right-angled corner, a skeleton runs so much farther than it comes nearer to the sides


def blunt(graph: Graph, net: Net, sizes: NDArray[np.float64], walk: Walk) -> tuple[Graph, Net]:
    """The graph and the net with hooks cut off: free ends lie, half a width before the road's end, in its middle.

    How long the way into a corner is follows from how much nearer to the outside the free end is than half the line's
    mean width. `sizes` (y, 2) are metres per pixel along x and y in the raster's rows.
    """
    half = mean_width(graph.sums) / 2
    cuts, point, radius = _cuts(graph, net, half, sizes, walk)
    lengths = np.diff(graph.offsets)
    within = np.arange(len(graph.steps)) - np.repeat(graph.offsets[:-1], lengths)
    kept = (within >= np.repeat(cuts[:, 0], lengths)) & (within < np.repeat(lengths - cuts[:, 1], lengths))
    offsets = np.append(0, np.cumsum(lengths - cuts.sum(axis=1)))
    way = np.append(0, np.cumsum(walk.neighbour[graph.steps]))
    first = graph.first + way[graph.offsets[:-1] + cuts[:, 0]] - way[graph.offsets[:-1]]
    return (
        graph._replace(first=first, offsets=offsets, steps=graph.steps[kept]),
        net._replace(point=point, radius=radius),
    )


@compiled
def _cuts(
    graph: Graph, net: Net, half: NDArray[np.float64], sizes: NDArray[np.float64], walk: Walk
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """How many pixels go at both ends of each edge (edge, 2), and where its nodes then are, and their radius."""
    cuts = np.zeros((half.size, 2), np.int64)
    point, radius = net.point.copy(), net.radius.copy()
    for end in range(2 * half.size):
        node, edge = net.node[end], end // 2
        if node == NONE or not net.alive[edge] or net.degree[node] != 1 or net.at_edge[node]:
            continue
        hook = min(_DIAGONAL * (half[edge] - radius[node]), net.length[end] / 3)
        first, stop = graph.offsets[edge], graph.offsets[edge + 1]
        key = graph.first[edge] if end % 2 == 0 else graph.last[edge]
        y, x = key // walk.columns, key % walk.columns
        gone, count = 0.0, 0
        while gone < hook and count < (stop - first) // 2:
            step = graph.steps[first + count] if end % 2 == 0 else (graph.steps[stop - 1 - count] + 4) % 8
            gone += np.hypot(walk.step_x[step] * sizes[y, 0], walk.step_y[step] * sizes[y, 1])
            x += walk.step_x[step]
            y += walk.step_y[step]
            count += 1
        if count:
            cuts[edge, end % 2] = count
            point[node, 0], point[node, 1] = x + 0.5, y + 0.5
            radius[node] += gone / _DIAGONAL
    return cuts, point, radius
