"""Free ends without their hooks: the skeleton of a blunt road often runs on into one of the corners at its end."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geoseg.core.compiled import compiled
from geoseg.vector.lines.graph import NONE, Graph, Walk
from geoseg.vector.lines.net import Net
from geoseg.vector.lines.pieces import PIXELS, WIDTH
from geoseg.vector.lines.skeleton import MICRO

_DIAGONAL = 2**0.5  # towards a right-angled corner, a skeleton runs so much farther than it comes nearer to the sides


def blunt(graph: Graph, net: Net, sizes: NDArray[np.float64], walk: Walk) -> tuple[Graph, Net]:
    """The graph and the net with hooks cut off: free ends lie in the middle of their road.

    How long the way into a corner is follows from how much nearer to the outside the free end is than half the line's
    mean width; half as much again goes, as thinned ends bend before. A free end's radius then leads to where the road
    ends. `sizes` (y, 2) are metres per pixel along x and y in the raster's rows.
    """
    net = Net._make(field.copy() for field in net)
    cuts = _cuts(graph, net, sizes, walk)
    lengths = np.diff(graph.offsets)
    within = np.arange(len(graph.steps)) - np.repeat(graph.offsets[:-1], lengths)
    kept = (within >= np.repeat(cuts[:, 0], lengths)) & (within < np.repeat(lengths - cuts[:, 1], lengths))
    way = np.append(0, np.cumsum(walk.neighbour[graph.steps]))
    return graph._replace(
        first=graph.first + way[graph.offsets[:-1] + cuts[:, 0]] - way[graph.offsets[:-1]],
        last=graph.last - way[graph.offsets[1:]] + way[graph.offsets[1:] - cuts[:, 1]],
        offsets=np.append(0, np.cumsum(lengths - cuts.sum(axis=1))),
        steps=graph.steps[kept],
    ), net


@compiled
def _half(graph: Graph, net: Net, end: int) -> float:
    """Half the mean width, in metres, of the line that begins at an end."""
    pixels = width = 0
    while end != NONE:
        pixels += graph.sums[end // 2, PIXELS]
        width += graph.sums[end // 2, WIDTH]
        end = net.onward[end ^ 1]
    return width / pixels / 2 * MICRO


@compiled
def _without_first(net: Net, end: int) -> int:
    """The end at which a line begins once the edge that it began with is taken out."""
    following: int = net.onward[end ^ 1]
    far = net.mate[end]
    net.alive[end // 2] = False
    net.onward[following] = NONE
    net.mate[following], net.mate[far] = far, following
    net.length[following] = net.length[far] = net.length[end]
    net.degree[net.node[end]] -= 1
    net.degree[net.node[following]] += 1
    return following


@compiled
def _along(
    graph: Graph, end: int, way: tuple[float, float, float], sizes: NDArray[np.float64], walk: Walk
) -> tuple[int, float, float, float]:
    """How many steps of an edge, from an end, lead so many metres on, or all; how far that is; and x and y there.

    `way` is where one comes from, x and y, and how many metres are to go.
    """
    edge = end // 2
    first, stop = graph.offsets[edge], graph.offsets[edge + 1]
    key = graph.first[edge] if end % 2 == 0 else graph.last[edge]
    y, x = key // walk.columns, key % walk.columns
    gone, count = np.hypot((x + 0.5 - way[0]) * sizes[y, 0], (y + 0.5 - way[1]) * sizes[y, 1]), 0
    while gone < way[2] and count < stop - first:
        step = graph.steps[first + count] if end % 2 == 0 else (graph.steps[stop - 1 - count] + 4) % 8
        gone += np.hypot(walk.step_x[step] * sizes[y, 0], walk.step_y[step] * sizes[y, 1])
        x += walk.step_x[step]
        y += walk.step_y[step]
        count += 1
    return count, gone, x + 0.5, y + 0.5


@compiled
def _cuts(graph: Graph, net: Net, sizes: NDArray[np.float64], walk: Walk) -> NDArray[np.int64]:
    """How many pixels go at both ends of each edge (edge, 2); the net's free nodes are moved, in place."""
    cuts = np.zeros((net.alive.size, 2), np.int64)
    done = np.zeros(net.degree.size, np.bool_)
    for start in range(2 * net.alive.size):
        node, end = net.node[start], start
        if node == NONE or not net.alive[end // 2] or net.onward[end] != NONE:
            continue
        if done[node] or net.degree[node] != 1 or net.at_edge[node]:
            continue
        radius, half = net.radius[node], _half(graph, net, end)
        nearer = max(0.0, half - radius)
        hook = min(_DIAGONAL * nearer + half / 2 + sizes[0].max(), net.length[end] / 3)
        total = 0.0
        x, y = net.point[node, 0], net.point[node, 1]
        while True:
            count, gone, x, y = _along(graph, end, (x, y, hook - total), sizes, walk)
            total += gone
            if total >= hook or net.onward[end ^ 1] == NONE:
                break
            end = _without_first(net, end)
        node = net.node[end]
        done[node] = True
        cuts[end // 2, end % 2] = count
        net.point[node, 0], net.point[node, 1] = x, y
        net.radius[node] = radius + total - (_DIAGONAL - 1) * min(nearer, total / _DIAGONAL)
    return cuts
