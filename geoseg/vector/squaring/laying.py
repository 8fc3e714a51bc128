"""Walls laid one after the other: each once, from what is known at its ends, for both polygons beside it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geoseg.core.compiled import compiled
from geoseg.vector.squaring.chains import (
    TOLERANCE,
    Chain,
    Places,
    closed_chain,
    is_known,
    open_chain,
    rotated,
    side_after,
)
from geoseg.vector.squaring.directions import FRAMES, ring_corners
from geoseg.vector.squaring.joints import Course, lines_of, meet, snap_to_nodes, untangled
from geoseg.vector.squaring.net import (
    EDGES,
    LISTED,
    NODE_LINES,
    ON_EDGE,
    UNKNOWN,
    VERTICES,
    Net,
    add_vertex,
    fix,
    know,
    settle,
)
from geoseg.vector.squaring.segments import FREE, SKEW, Known, Outline, cut, prices_for, sums_along, thin_out, turns
from geoseg.vector.squaring.walls import NOWHERE, Walls

_NEAR = 3.0  # pixels from a corner within which a node knows both of its lines
_STRAY = 1.0  # pixels by which a vertex may be farther from its corner than a segment from its outline
_TIGHT = 1.0  # pixels of room below which a vertex may be no farther from its corner than that
_HELD = 0.5  # pixels of room below which no corner is left out
_TRIANGLE = 3


@compiled
def build(walls: Walls, places: Places, net: Net, order: NDArray[np.int64]) -> None:
    """Build the walls of polygons in that order, and put every node in its place."""
    for polygon in order:
        normals = _normals(places.angles[polygon])
        for ring in range(places.polygon_offsets[polygon], places.polygon_offsets[polygon + 1]):
            first, stop = walls.ring_sides[ring], walls.ring_sides[ring + 1]
            begun = False
            for side in range(first, stop):
                before = side - 1 if side > first else stop - 1
                if net.side[walls.wall[side]] != NOWHERE:
                    begun = True
                elif net.side[walls.wall[before]] != NOWHERE or is_known(walls, net, side):
                    begun = True
                    _lay(open_chain(walls, places, net, ring, side), places.ring[ring], walls, net, normals)
            if not begun:
                _lay(closed_chain(walls, places, ring), places.ring[ring], walls, net, normals)
    for node in range(net.state.size):
        if net.state[node] == ON_EDGE:
            settle(net, node, net.xy[node, 0], net.xy[node, 1])


@compiled
def freeze(walls: Walls, places: Places, net: Net, frozen: NDArray[np.bool_], thin: float) -> None:
    """Build the walls of a mask as they are, but for corners within `thin` pixels of their neighbours' chord."""
    for ring in range(places.ring_offsets.size - 1):
        start, stop = places.ring_offsets[ring], places.ring_offsets[ring + 1]
        for side in range(walls.ring_sides[ring], walls.ring_sides[ring + 1]):
            wall = walls.wall[side]
            if not frozen[wall] or net.side[wall] != NOWHERE:
                continue
            x, y = ring_corners(places.points, start, stop, walls.first[side] - start, places.ring[ring])
            x, y = x[: walls.length[side] + 1], y[: walls.length[side] + 1]
            net.side[wall] = side
            net.spans[wall, 0] = net.counts[VERTICES]
            left = thin_out(x, y, np.zeros(x.size, np.bool_), thin)
            noded = walls.node[side] != NOWHERE
            for corner in left[1 if noded else 0 : -1]:
                add_vertex(net, x[corner], y[corner])
            net.spans[wall, 1] = net.counts[VERTICES]
            if noded:
                fix(net, walls.node[side], x[0], y[0])
                fix(net, walls.node[side_after(walls, ring, side)], x[-1], y[-1])


@compiled
def _normals(angles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Unit normals (direction, 2) of a polygon's main directions."""
    normals = np.empty((2 * FRAMES, 2))
    count = 0
    for angle in angles:
        if not np.isnan(angle):
            normals[count] = np.cos(angle), np.sin(angle)
            normals[count + 1] = -np.sin(angle), np.cos(angle)
            count += 2
    return normals[:count]


@compiled
def _lines_at_ends(chain: Chain, net: Net) -> NDArray[np.float64]:
    """The lines through both ends of a chain, none twice."""
    lines = np.empty((2 * NODE_LINES, 3))
    count = 0
    if not chain.closed:
        for node in (chain.node[0], chain.node[-1]):
            for k in range(net.line_count[node]):
                line = net.lines[node, k]
                new = True
                for other in range(count):
                    new = new and not (lines[other] == line).all()
                if new:
                    lines[count] = line
                    count += 1
    return lines[:count]


@compiled
def _outline(chain: Chain, place: NDArray[np.float64], reach: float) -> Outline:
    """The chain with its sums; `place` as `ring_corners` takes it, `reach` how far lines may be from it at the most."""
    sums = sums_along(chain.x, chain.y, (place[2], place[3]))
    return Outline(chain.x, chain.y, sums, chain.node != NOWHERE, np.minimum(chain.room, reach))


@compiled
def _held(outline: Outline) -> NDArray[np.bool_]:
    """Corners that are candidates for a cut in any case: nodes, and those that may hardly move."""
    return outline.node | (outline.room < _HELD)


@compiled
def _lay(chain: Chain, place: NDArray[np.float64], walls: Walls, net: Net, normals: NDArray[np.float64]) -> None:
    """Cut a chain into segments, make them lines and vertices, and enter its walls, edges and nodes."""
    known = Known(normals, _lines_at_ends(chain, net))
    prices = prices_for(place[TOLERANCE])
    chain = _well_begun(chain, place, known)
    outline = _outline(chain, place, prices.reach)
    corners = thin_out(chain.x, chain.y, _held(outline), prices.thin)
    breaks, types = cut(outline, corners, known, prices)
    snap_to_nodes(chain, breaks)
    if chain.closed and types.size < _TRIANGLE:  # too small for segments: it stays as it is
        breaks, types = np.arange(chain.x.size), np.full(chain.x.size - 1, FREE)
        lines = lines_of(outline, breaks, types, known)
        course = Course(breaks, np.column_stack((chain.x, chain.y)), lines)
    else:
        lines = lines_of(outline, breaks, types, known)
        course = meet(
            chain, net, breaks, lines, types, np.where(outline.room < _TIGHT, outline.room, outline.room + _STRAY)
        )
        course = untangled(chain, course, corners)
    _enter_vertices(chain, walls, net, course)
    _enter_edges(chain, net, course)


@compiled
def _well_begun(chain: Chain, place: NDArray[np.float64], known: Known) -> Chain:
    """The chain; a closed one that begins amidst a straight wall begins at its sharpest corner instead."""
    if not chain.closed:
        return chain
    prices = prices_for(place[TOLERANCE])
    outline = _outline(chain, place, prices.reach)
    breaks, types = cut(outline, thin_out(chain.x, chain.y, _held(outline), prices.thin), known, prices)
    lines = lines_of(outline, breaks, types, known)
    if turns(lines[-1], lines[0], SKEW):
        return chain
    sharpest, first = 0.0, 0
    for k in range(1, types.size):
        before, after = breaks[k] - breaks[k - 1], breaks[k + 1] - breaks[k]
        turn = abs(lines[k - 1, 0] * lines[k, 1] - lines[k - 1, 1] * lines[k, 0]) * min(before, after)
        if turn > sharpest:
            sharpest, first = turn, breaks[k]
    return rotated(chain, first)


@compiled
def _enter_vertices(  # noqa: C901 - one pass
    chain: Chain, walls: Walls, net: Net, course: Course
) -> None:
    """Give each wall of the chain its vertices, and nodes at breaks their places."""
    breaks, vertices = course.breaks, course.vertices
    count = chain.x.size - 1
    first = 0
    while chain.side[first] == NOWHERE:
        first += 1
    k = 0
    while breaks[k] < first:
        k += 1
    if chain.closed and k == breaks.size - 1:
        k = 0
    loose = chain.node[first] == NOWHERE  # a ring without nodes: its first corner is a vertex like all others
    wall = NOWHERE
    for step in range(count):
        i = (first + step) % count
        if chain.side[i] != NOWHERE:
            if wall != NOWHERE:
                net.spans[wall, 1] = net.counts[VERTICES]
            wall = walls.wall[chain.side[i]]
            net.side[wall] = chain.side[i]
            net.spans[wall, 0] = net.counts[VERTICES]
        if k < breaks.size - 1 and breaks[k] == i:
            node = chain.node[i]
            if node == NOWHERE or loose:
                add_vertex(net, vertices[k, 0], vertices[k, 1])
            elif net.state[node] == UNKNOWN:
                fix(net, node, vertices[k, 0], vertices[k, 1])
            k += 1
        if k == breaks.size - 1 and chain.closed:
            k = 0
    net.spans[wall, 1] = net.counts[VERTICES]


@compiled
def _enter_edges(chain: Chain, net: Net, course: Course) -> None:
    """Enter the edges between vertices; nodes on them wait for what meets there."""
    breaks, vertices, lines = course.breaks, course.vertices, course.lines
    segments = breaks.size - 1
    for k in range(segments):
        edge = net.counts[EDGES]
        net.counts[EDGES] += 1
        net.ends[edge, :2], net.ends[edge, 2:] = vertices[k], vertices[k + 1]
        net.edge_nodes[edge, 0] = net.counts[LISTED]
        for i in range(breaks[k], breaks[k + 1]):
            node = chain.node[i]
            if node == NOWHERE or (i == 0 and not chain.closed):
                continue
            before = k - 1 if k or not chain.closed else segments - 1
            after = k + 1 if k + 1 < segments or not chain.closed else 0
            if i > breaks[k]:
                net.state[node] = ON_EDGE
                net.xy[node] = chain.x[i], chain.y[i]
                net.on[node] = edge, net.counts[LISTED]
                net.node_list[net.counts[LISTED]] = node
                net.counts[LISTED] += 1
            know(net, node, lines[k])
            if before >= 0 and np.hypot(chain.x[i] - vertices[k, 0], chain.y[i] - vertices[k, 1]) < _NEAR:
                know(net, node, lines[before])
            if after < segments and np.hypot(chain.x[i] - vertices[k + 1, 0], chain.y[i] - vertices[k + 1, 1]) < _NEAR:
                know(net, node, lines[after])
        net.edge_nodes[edge, 1] = net.counts[LISTED]
