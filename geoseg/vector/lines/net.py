"""A graph of lines made clean: spurs pruned, crossings drawn together, what then runs through a node joined."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geoseg.core.compiled import compiled
from geoseg.vector.lines.graph import NONE, Graph, Walk
from geoseg.vector.lines.pieces import CLEAR_PIXELS, CLEAR_WIDTH, PIXELS, WIDTH
from geoseg.vector.lines.skeleton import MICRO

CROSSING = 4.0  # radii of a junction, at most, from which on another one is not half of the same crossing
_LOOP = 4.0  # a way round and back to a node that is no longer than so many radii of it is no road round a block


class Net(NamedTuple):
    """A clean graph. Edge i has the ends 2 * i and 2 * i + 1; arrays over ends are (end,), over nodes (node,).

    `node` is where an end lies; `alive` (edge,) whether an edge is left; `onward` the end with which an end goes on,
    NONE where a line ends; `mate` and `length` (metres) are, for an end where a line ends, its other end and how long
    it is. `point` (node, 2) is x and y, `radius` metres, `degree` counts the lines that end there; `at_edge` is true
    where a line is cut.
    """

    node: NDArray[np.int64]
    alive: NDArray[np.bool_]
    onward: NDArray[np.int64]
    mate: NDArray[np.int64]
    length: NDArray[np.float64]
    point: NDArray[np.float64]
    radius: NDArray[np.float64]
    degree: NDArray[np.int64]
    at_edge: NDArray[np.bool_]
    at_node: NDArray[np.int64]
    of_node: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Limits:
    """Metres: free ends up to `spur` are pruned, lines wider than `width` are none."""

    spur: float
    width: float


def clean(graph: Graph, sizes: NDArray[np.float64], walk: Walk, limits: Limits) -> Net:
    """The clean net of a raster's graph; `sizes` (y, 2) are metres per pixel along x and y in its rows.

    Nothing depends on anything but the graph: spurs are pruned one after the other, the shortest first, of equal ones
    that with the lower number.
    """
    length = _lengths(graph, sizes, walk)
    width = mean_width(graph.sums)
    radius = (graph.radius * MICRO).astype(np.float64, copy=False)
    node = graph.ends.ravel()
    looped = (graph.ends[:, 0] == graph.ends[:, 1]) & (graph.ends[:, 0] != NONE)
    small = looped & (length <= _LOOP * radius[graph.ends[:, 0]]) if len(radius) else looped
    alive = ~small & ~((width > limits.width) & (length > width))
    of_node = np.argsort(node, kind="stable")
    net = Net(
        node=node.copy(),
        alive=alive,
        onward=np.full(len(node), NONE, np.int64),
        mate=np.arange(len(node)) ^ 1,
        length=np.repeat(length, 2),
        point=graph.point.copy(),
        radius=radius,
        degree=np.bincount(node[(node != NONE) & np.repeat(alive, 2)], minlength=len(radius)),
        at_edge=graph.at_edge,
        at_node=np.searchsorted(node[of_node], np.arange(len(radius) + 1)),
        of_node=of_node,
    )
    _join_all(net)
    _prune(net, limits.spur)
    return net


def contracted(net: Net, crossing: NDArray[np.float64], sizes: NDArray[np.float64]) -> Net:
    """The net with junctions drawn together that are one: an oblique crossing's skeleton has two.

    `crossing` (node, 2) is where the roads around a junction lead to.
    """
    return _moved(net, _contract(net, crossing, sizes), sizes)


def mean_width(sums: NDArray[np.int64]) -> NDArray[np.float64]:
    """Metres across, shape (line,): the mean of the pixels away from junctions, of all where there are none such."""
    clear = sums[:, CLEAR_PIXELS] > 0
    width = np.where(clear, sums[:, CLEAR_WIDTH], sums[:, WIDTH])
    return width / np.where(clear, sums[:, CLEAR_PIXELS], np.maximum(sums[:, PIXELS], 1)) * MICRO


@compiled
def _lengths(graph: Graph, sizes: NDArray[np.float64], walk: Walk) -> NDArray[np.float64]:
    """Metres from pixel to pixel along each edge, and to the nodes at its ends, shape (edge,)."""
    length = np.zeros(graph.first.size)
    for edge in range(graph.first.size):
        y, x = graph.first[edge] // walk.columns, graph.first[edge] % walk.columns
        total = 0.0
        if graph.ends[edge, 0] != NONE:
            start = graph.point[graph.ends[edge, 0]]
            total += np.hypot((x + 0.5 - start[0]) * sizes[y, 0], (y + 0.5 - start[1]) * sizes[y, 1])
        for place in range(graph.offsets[edge], graph.offsets[edge + 1]):
            step = graph.steps[place]
            total += np.hypot(walk.step_x[step] * sizes[y, 0], walk.step_y[step] * sizes[y, 1])
            x += walk.step_x[step]
            y += walk.step_y[step]
        if graph.ends[edge, 1] != NONE:
            end = graph.point[graph.ends[edge, 1]]
            total += np.hypot((x + 0.5 - end[0]) * sizes[y, 0], (y + 0.5 - end[1]) * sizes[y, 1])
        length[edge] = total
    return length


@compiled
def join(net: Net, one: int, other: int) -> None:
    """Let two ends of lines go on with each other: one line of two, or a ring."""
    net.onward[one], net.onward[other] = other, one
    if net.mate[one] == other:
        return
    far_one, far_other = net.mate[one], net.mate[other]
    net.mate[far_one], net.mate[far_other] = far_other, far_one
    total = net.length[one] + net.length[other]
    net.length[far_one] = net.length[far_other] = total


@compiled
def _join_at(net: Net, node: int) -> int:
    """Join the two lines left at a node; one of the ends of the line that comes of it, NONE where that is a ring."""
    one = other = NONE
    for place in range(net.at_node[node], net.at_node[node + 1]):
        end = net.of_node[place]
        if net.alive[end // 2] and net.onward[end] == NONE:
            one, other = other, end
    far = net.mate[other]
    join(net, one, other)
    net.degree[node] = 0
    return NONE if far == one else far


@compiled
def _join_all(net: Net) -> None:
    for node in range(net.degree.size):
        if net.degree[node] == 2:
            _join_at(net, node)


@compiled
def _kill(net: Net, end: int) -> None:
    """Take out the line that ends there."""
    net.degree[net.node[end]] -= 1
    net.degree[net.node[net.mate[end]]] -= 1
    while end != NONE:
        net.alive[end // 2] = False
        end = net.onward[end ^ 1]


@compiled
def _too_short(net: Net, tip: int, spur: float) -> bool:
    """Whether a line ends free at a tip, and in a junction at its other end, and is no longer than it must be."""
    foot = net.node[net.mate[tip]]
    if not _ends_at(net, tip) or net.degree[net.node[tip]] != 1 or net.degree[foot] < 3:
        return False
    least: float = 2 * net.radius[foot]
    if not net.at_edge[net.node[tip]]:
        least = max(least, spur)
    return bool(net.length[tip] < least)


@compiled
def _ends_at(net: Net, end: int) -> bool:
    """Whether a line that is left ends at that end of an edge."""
    return bool(net.alive[end // 2] and net.onward[end] == NONE and net.node[end] != NONE)


@compiled
def _is_stub(net: Net, end: int) -> bool:
    """Whether a line does not leave the node at that end by more than the width there, and ends free."""
    tip, foot = net.node[net.mate[end]], net.node[end]
    free = _ends_at(net, end) and net.degree[tip] == 1 and not net.at_edge[tip]
    return bool(free and net.length[end] < 2 * net.radius[foot])


@compiled
def _cut(net: Net, tip: int) -> None:
    """Take out a spur, or the whole fork that it is part of.

    A road's blunt end may fork into its corners: were one left, the line would bend into it.
    """
    foot = net.node[net.mate[tip]]
    stubs = 0
    for place in range(net.at_node[foot], net.at_node[foot + 1]):
        stubs += _is_stub(net, net.of_node[place])
    if stubs < net.degree[foot] - 1 or stubs == net.degree[foot]:
        _kill(net, net.mate[tip])
        return
    for place in range(net.at_node[foot], net.at_node[foot + 1]):
        if _is_stub(net, net.of_node[place]):
            _kill(net, net.of_node[place])


@compiled
def _prune(net: Net, spur: float) -> None:
    """Take out free ends that are too short, the shortest first, and join what then runs through a node."""
    heap = [(net.length[tip], tip) for tip in range(net.node.size) if _too_short(net, tip, spur)]
    heapq.heapify(heap)
    while heap:
        length, tip = heapq.heappop(heap)
        if length != net.length[tip] or not _too_short(net, tip, spur):
            continue
        foot = net.node[net.mate[tip]]
        _cut(net, tip)
        if net.degree[foot] == 2:
            end = _join_at(net, foot)
            if end == NONE:
                continue
            for free in (end, net.mate[end]):
                if _too_short(net, free, spur):
                    heapq.heappush(heap, (net.length[free], free))
        elif net.degree[foot] == 1:
            for place in range(net.at_node[foot], net.at_node[foot + 1]):
                if _too_short(net, net.of_node[place], spur):
                    heapq.heappush(heap, (net.length[net.of_node[place]], net.of_node[place]))


@compiled
def _is_crossing(net: Net, end: int, crossing: NDArray[np.float64], sizes: NDArray[np.float64]) -> bool:
    """Whether a line, told once, leads from one junction to another that is no farther than the roads are wide.

    They may be somewhat farther apart where the roads around both lead to the same place.
    """
    if not _ends_at(net, end) or net.mate[end] < end:
        return False
    one, other = net.node[end], net.node[net.mate[end]]
    if one == other or min(net.degree[one], net.degree[other]) < 3:
        return False
    radius = max(net.radius[one], net.radius[other])
    if net.length[end] <= radius:
        return True
    size = sizes[min(len(sizes) - 1, max(0, int(net.point[one, 1])))]
    way = (crossing[one] - crossing[other]) * size
    apart = np.hypot(way[0], way[1])
    return bool(apart <= radius and net.length[end] <= CROSSING * radius)


@compiled
def _contract(net: Net, crossing: NDArray[np.float64], sizes: NDArray[np.float64]) -> NDArray[np.int64]:
    """The node that each node became: junctions within each other's width become one, and what joined them goes."""
    root = np.arange(net.degree.size)
    short = [(net.length[end], end) for end in range(net.node.size) if _is_crossing(net, end, crossing, sizes)]
    heapq.heapify(short)
    while short:
        _, end = heapq.heappop(short)
        one, other = net.node[end], net.node[net.mate[end]]
        while root[one] != one:
            one = root[one]
        while root[other] != other:
            other = root[other]
        if one != other:
            root[max(one, other)] = min(one, other)
            _kill(net, end)
    for node in range(root.size):
        root[node] = root[root[node]]
    return root


def _moved(net: Net, root: NDArray[np.int64], sizes: NDArray[np.float64]) -> Net:
    """The net with nodes drawn together to the middle of those that became one, with a radius that holds theirs."""
    count = np.bincount(root, minlength=len(root))
    merged = count[root] > 1
    if not merged.any():
        return net
    middle = np.column_stack([np.bincount(root, net.point[:, axis], len(root)) for axis in (0, 1)])
    point = np.where(merged[:, None], (middle / np.maximum(count, 1)[:, None])[root], net.point)
    radius = net.radius.copy()
    size = sizes[np.clip(point[:, 1].astype(np.int64), 0, len(sizes) - 1)]
    np.maximum.at(radius, root, net.radius + np.hypot(*((net.point - point) * size).T))
    node = np.where(net.node == NONE, NONE, root[net.node])
    degree = np.bincount(root, net.degree, len(root)).astype(np.int64)
    at_edge = net.at_edge.copy()
    np.logical_or.at(at_edge, root, net.at_edge)
    of_node = np.argsort(node, kind="stable")
    at_node = np.searchsorted(node[of_node], np.arange(len(root) + 1))
    return net._replace(
        node=node, point=point, radius=radius, degree=degree, at_edge=at_edge, at_node=at_node, of_node=of_node
    )
