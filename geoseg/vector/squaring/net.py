"""What has been built of a batch of outlines: vertices of walls, and nodes in their places."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geoseg.core.compiled import compiled
from geoseg.vector.squaring.walls import NOWHERE, Walls

UNKNOWN, ON_EDGE, FIXED = range(3)  # what is known of a node
VERTICES, EDGES, LISTED = range(3)  # what is counted
NODE_LINES = 4
_TOUCH = 0.35  # pixels between vertices that are taken for one


class Net(NamedTuple):
    """What has been built: vertices of walls, and where their nodes are.

    For each wall: `side`, the side along which its vertices run (NOWHERE as long as there are none), and its vertices,
    `vertices[spans[wall, 0] : spans[wall, 1]]`, without its nodes. For each node: its `state`, its place `xy` (that in
    the exact outline while it is on an edge), the `lines` through it or near it, that of its edge first; `on`, its edge
    and its place in `node_list`; `share`, how far along the edge it is. For each edge: `ends` (x, y, x, y), and
    `edge_nodes`, the part of `node_list` that holds its nodes in order. `counts` says how much is in use.
    """

    side: NDArray[np.int64]
    spans: NDArray[np.int64]
    vertices: NDArray[np.float64]
    state: NDArray[np.int8]
    xy: NDArray[np.float64]
    lines: NDArray[np.float64]
    line_count: NDArray[np.int64]
    on: NDArray[np.int64]
    ends: NDArray[np.float64]
    edge_nodes: NDArray[np.int64]
    node_list: NDArray[np.int64]
    share: NDArray[np.float64]
    counts: NDArray[np.int64]


def new_net(walls: Walls, points: int) -> Net:
    """Nothing built yet."""
    count = len(walls.beside)
    return Net(
        side=np.full(count, NOWHERE),
        spans=np.zeros((count, 2), np.int64),
        vertices=np.empty((points, 2)),
        state=np.zeros(walls.nodes, np.int8),
        xy=np.zeros((walls.nodes, 2)),
        lines=np.zeros((walls.nodes, NODE_LINES, 3)),
        line_count=np.zeros(walls.nodes, np.int64),
        on=np.full((walls.nodes, 2), NOWHERE),
        ends=np.empty((points, 4)),
        edge_nodes=np.zeros((points, 2), np.int64),
        node_list=np.empty(walls.nodes, np.int64),
        share=np.zeros(walls.nodes),
        counts=np.zeros(3, np.int64),
    )


@compiled
def settle(net: Net, node: int, x: float, y: float) -> None:
    """Fix a node on its edge, as close to (x, y) as the nodes before and after it allow."""
    edge = net.on[node, 0]
    x0, y0, x1, y1 = net.ends[edge]
    dx, dy = x1 - x0, y1 - y0
    squared = dx * dx + dy * dy
    low, high = 0.0, 1.0
    for place in range(net.edge_nodes[edge, 0], net.edge_nodes[edge, 1]):
        other = net.node_list[place]
        if net.state[other] == FIXED:
            if place < net.on[node, 1]:
                low = max(low, net.share[other])
            elif place > net.on[node, 1]:
                high = min(high, net.share[other])
    share = ((x - x0) * dx + (y - y0) * dy) / squared if squared > 0 else 0.0
    share = min(max(share, low), high)
    length = np.sqrt(squared)
    if (share - low) * length < _TOUCH:
        share = low
    elif (high - share) * length < _TOUCH:
        share = high
    net.share[node] = share
    if share == 0.0:
        fix(net, node, x0, y0)
    elif share == 1.0:
        fix(net, node, x1, y1)
    else:
        fix(net, node, x0 + share * dx, y0 + share * dy)


@compiled
def fix(net: Net, node: int, x: float, y: float) -> None:
    """Put a node in its place for good."""
    net.state[node] = FIXED
    net.xy[node] = x, y


@compiled
def add_vertex(net: Net, x: float, y: float) -> None:
    """Append a vertex."""
    net.vertices[net.counts[VERTICES]] = x, y
    net.counts[VERTICES] += 1


@compiled
def know(net: Net, node: int, line: NDArray[np.float64]) -> None:
    """Remember a line at a node, the line of the edge it lies on first."""
    if net.line_count[node] < NODE_LINES:
        net.lines[node, net.line_count[node]] = line
        net.line_count[node] += 1
