"""Junctions where their roads would cross: a skeleton leans towards the side that a road leaves to."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geoseg.core.compiled import compiled
from geoseg.vector.lines.graph import NONE, Graph, Walk
from geoseg.vector.lines.net import CROSSING, Net

_ARM = 3.0  # radii of a junction, from its middle, up to which a road tells where it leads to
_LEAST = 3  # pixels of a road that tell where it leads to, at least
_HELD = 0.02  # how much a junction stays where the skeleton has it, beside one road that leads past it


def aligned(graph: Graph, net: Net, sizes: NDArray[np.float64], walk: Walk, most: float = 1.0) -> Net:
    """The net with its junctions moved, by `most` radii, to where the roads around lead to; farther ones stay.

    That is where the sum of squared distances from the roads' straight continuations is least. `sizes` (y, 2) are
    metres per pixel along x and y in the raster's rows.
    """
    return net._replace(point=_aligned(graph, net, sizes, walk, most))


@compiled
def _arm(
    graph: Graph,
    end: int,
    within: tuple[float, float, float, float, float],
    walk: Walk,
) -> tuple[int, float, float, float, float]:
    """How many pixels of an edge, from an end on, lie in a ring, where their middle is, and the way through them.

    `within` is the ring's middle x and y, metres per pixel along both, and the inner radius; middle and way are metres
    from there.
    """
    middle_x, middle_y, size_x, size_y, radius = within
    edge = end // 2
    key = graph.first[edge] if end % 2 == 0 else graph.last[edge]
    first, stop = graph.offsets[edge], graph.offsets[edge + 1]
    y, x = key // walk.columns, key % walk.columns
    count = 0
    sum_x = sum_y = first_x = first_y = here_x = here_y = 0.0
    for place in range(stop - first + 1):
        there_x, there_y = (x + 0.5 - middle_x) * size_x, (y + 0.5 - middle_y) * size_y
        distance = np.hypot(there_x, there_y)
        if distance > _ARM * radius + _LEAST * max(size_x, size_y):
            break
        if distance > radius:
            here_x, here_y = there_x, there_y
            if not count:
                first_x, first_y = here_x, here_y
            count += 1
            sum_x += here_x
            sum_y += here_y
        if place < stop - first:
            step = graph.steps[first + place] if end % 2 == 0 else (graph.steps[stop - 1 - place] + 4) % 8
            x += walk.step_x[step]
            y += walk.step_y[step]
    if count:
        sum_x, sum_y = sum_x / count, sum_y / count
    return count, sum_x, sum_y, here_x - first_x, here_y - first_y


@compiled
def _aligned(
    graph: Graph,
    net: Net,
    sizes: NDArray[np.float64],
    walk: Walk,
    most: float,
) -> NDArray[np.float64]:
    """The places of all nodes (node, 2)."""
    point = net.point.copy()
    for node in range(len(point)):
        if net.degree[node] < 3:
            continue
        row = sizes[min(len(sizes) - 1, max(0, int(point[node, 1])))]
        radius = net.radius[node]
        ring = (point[node, 0], point[node, 1], row[0], row[1], radius)
        xx, xy, yy, x, y = _HELD, 0.0, _HELD, 0.0, 0.0
        for place in range(net.at_node[node], net.at_node[node + 1]):
            end = net.of_node[place]
            if not net.alive[end // 2] or net.onward[end] != NONE:
                continue
            if net.degree[net.node[net.mate[end]]] > 2 and net.length[end] <= CROSSING * radius:
                continue  # between two halves of one crossing
            count, middle_x, middle_y, way_x, way_y = _arm(graph, end, ring, walk)
            long = np.hypot(way_x, way_y)
            if count < _LEAST or long == 0:
                continue
            across_x, across_y = -way_y / long, way_x / long
            off = middle_x * across_x + middle_y * across_y
            xx += across_x * across_x
            xy += across_x * across_y
            yy += across_y * across_y
            x += off * across_x
            y += off * across_y
        spread = xx * yy - xy * xy
        move_x, move_y = (yy * x - xy * y) / spread, (xx * y - xy * x) / spread
        if np.hypot(move_x, move_y) <= most * radius:
            point[node, 0] += move_x / row[0]
            point[node, 1] += move_y / row[1]
    return point
