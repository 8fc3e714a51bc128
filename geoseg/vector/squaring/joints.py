"""Where straight walls meet: segments of an outline become lines, and lines meet in vertices."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geoseg.core.compiled import compiled
from geoseg.vector.squaring.chains import SNAP, Chain
from geoseg.vector.squaring.net import FIXED, Net, know, settle
from geoseg.vector.squaring.segments import FREE, PARALLEL, Known, Outline, best_normal, scatter
from geoseg.vector.squaring.walls import NOWHERE

_SHIFT = 0.8  # pixels by which a line may move to pass through a node
_ANCHOR = 0.03  # how much a vertex between lines of their own directions keeps to the corner it comes from
_ON_LINE = 1e-9
_ROUNDS = 4


class Course(NamedTuple):
    """A chain made straight: the corner and the vertex (x, y) at each break, and the line of each edge between."""

    breaks: NDArray[np.int64]
    vertices: NDArray[np.float64]
    lines: NDArray[np.float64]


@compiled
def snap_to_nodes(chain: Chain, breaks: NDArray[np.int64]) -> None:
    """Move breaks to the nearest node close by, in place."""
    for k in range(1, breaks.size - 1):
        if chain.node[breaks[k]] != NOWHERE:
            continue
        nearest, place = SNAP, -1
        for step in (-1, 1):
            i = breaks[k] + step
            while breaks[k - 1] < i < breaks[k + 1]:
                distance = np.hypot(chain.x[i] - chain.x[breaks[k]], chain.y[i] - chain.y[breaks[k]])
                if distance > 2 * SNAP:
                    break
                if chain.node[i] != NOWHERE and distance < nearest:
                    nearest, place = distance, i
                i += step
        if place >= 0:
            breaks[k] = place


@compiled
def lines_of(
    outline: Outline, breaks: NDArray[np.int64], types: NDArray[np.int64], known: Known
) -> NDArray[np.float64]:
    """The line of each segment: a known one, or the best in its direction or in any."""
    lines = np.empty((types.size, 3))
    for k in range(types.size):
        _, mx, my, xx, xy, yy = scatter(outline.sums, breaks[k], breaks[k + 1])
        if types[k] >= len(known.normals):
            lines[k] = known.lines[types[k] - len(known.normals)]
            continue
        if types[k] == FREE:
            nx, ny, _ = best_normal(xx, xy, yy)
        else:
            nx, ny = known.normals[types[k]]
        lines[k] = nx, ny, nx * mx + ny * my
    return lines


@compiled
def meet(
    chain: Chain,
    net: Net,
    breaks: NDArray[np.int64],
    lines: NDArray[np.float64],
    types: NDArray[np.int64],
    stray: NDArray[np.float64],
) -> Course:
    """The vertices at the breaks; lines move a little to pass through nodes whose places are known.

    A vertex lies no farther than `stray` (corner,) from its corner.
    """
    last = breaks.size - 1
    hard = types != FREE
    vertices = np.empty((last + 1, 2))
    if not chain.closed:
        for end, k in ((0, 0), (last, last - 1)):
            vertices[end] = _attach(chain, net, breaks[end], lines[k], stray[breaks[end]])
            off = lines[k, 0] * vertices[end, 0] + lines[k, 1] * vertices[end, 1] - lines[k, 2]
            if hard[k] and abs(off) <= _SHIFT:
                lines[k, 2] += off
    for k in range(0 if chain.closed else 1, last):
        i = breaks[k]
        vertices[k] = _joint(lines[k - 1], hard[k - 1], lines[k], hard[k], chain.x[i], chain.y[i], stray[i])
    if chain.closed:
        vertices[last] = vertices[0]
    return Course(breaks, vertices, _through(vertices, lines))


@compiled
def _through(vertices: NDArray[np.float64], lines: NDArray[np.float64]) -> NDArray[np.float64]:
    """The lines, those that had to give way replaced by lines through their vertices."""
    for k in range(len(lines)):
        x0, y0 = vertices[k]
        x1, y1 = vertices[k + 1]
        length = np.hypot(x1 - x0, y1 - y0)
        if length > 0 and max(_off(lines[k], x0, y0), _off(lines[k], x1, y1)) > _ON_LINE:
            lines[k] = (y0 - y1) / length, (x1 - x0) / length, (x1 * y0 - x0 * y1) / length
    return lines


@compiled
def untangled(chain: Chain, course: Course, corners: NDArray[np.int64]) -> Course:
    """The course with edges that cross others laid along the outline, through its `corners`."""
    plain = np.zeros(len(course.lines), np.bool_)
    for _ in range(_ROUNDS):
        crossing = _crossing(course.vertices, chain.closed) & ~plain
        if not crossing.any():
            break
        course, plain = _along_outline(chain, course, corners, crossing | plain)
    return course


@compiled
def _along_outline(
    chain: Chain, course: Course, corners: NDArray[np.int64], plain: NDArray[np.bool_]
) -> tuple[Course, NDArray[np.bool_]]:
    """The course with the edges of a mask cut at all `corners` between, ends of the chain in their places."""
    breaks, lines = course.breaks, course.lines
    count = lines.shape[0]
    most = corners.size + breaks.size
    places, vertices = np.empty(most, np.int64), np.empty((most, 2))
    edges, kept, used = np.empty((most, 3)), np.zeros(most, np.bool_), 0
    for k in range(count + 1):
        i = breaks[k]
        touched = (k > 0 and plain[k - 1]) or (k < count and plain[k])
        if chain.closed and k in (0, count):
            touched = plain[0] or plain[count - 1]
        elif k in (0, count):
            touched = False
        places[used] = i
        vertices[used] = course.vertices[k]
        if touched:
            vertices[used] = chain.x[i], chain.y[i]
        if k < count:
            edges[used], kept[used] = lines[k], plain[k]
            used += 1
            if plain[k]:
                for c in corners:
                    if breaks[k] < c < breaks[k + 1]:
                        places[used], edges[used], kept[used] = c, lines[k], True
                        vertices[used] = chain.x[c], chain.y[c]
                        used += 1
    vertices = vertices[: used + 1].copy()
    return Course(places[: used + 1].copy(), vertices, _through(vertices, edges[:used].copy())), kept[:used].copy()


@compiled
def _crossing(vertices: NDArray[np.float64], closed: bool) -> NDArray[np.bool_]:
    """Which edges of a course cross another one that is not next to it."""
    count = vertices.shape[0] - 1
    found = np.zeros(count, np.bool_)
    for i in range(count):
        ax, ay = vertices[i]
        bx, by = vertices[i + 1]
        for j in range(i + 2, count - 1 if closed and i == 0 else count):
            cx, cy = vertices[j]
            dx, dy = vertices[j + 1]
            if max(ax, bx) < min(cx, dx) or max(cx, dx) < min(ax, bx):
                continue
            if max(ay, by) < min(cy, dy) or max(cy, dy) < min(ay, by):
                continue
            one = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
            other = (bx - ax) * (dy - ay) - (by - ay) * (dx - ax)
            third = (dx - cx) * (ay - cy) - (dy - cy) * (ax - cx)
            fourth = (dx - cx) * (by - cy) - (dy - cy) * (bx - cx)
            if one * other < 0 and third * fourth < 0:
                found[i] = found[j] = True
    return found


@compiled
def _cross(a: NDArray[np.float64], b: NDArray[np.float64]) -> tuple[float, float]:
    """Where two lines meet, to the same bits in either order."""
    if (a[0], a[1], a[2]) > (b[0], b[1], b[2]):
        a, b = b, a
    sine = a[0] * b[1] - a[1] * b[0]
    return (a[2] * b[1] - b[2] * a[1]) / sine, (a[0] * b[2] - b[0] * a[2]) / sine


@compiled
def _joint(
    a: NDArray[np.float64], a_hard: bool, b: NDArray[np.float64], b_hard: bool, x: float, y: float, stray: float
) -> tuple[float, float]:
    """The vertex between two lines near a corner (x, y): on those whose directions are not their own."""
    sine = a[0] * b[1] - a[1] * b[0]
    px, py = x, y
    if a_hard and b_hard and abs(sine) > PARALLEL:
        px, py = _cross(a, b)
    elif a_hard != b_hard:
        if b_hard:
            a, b = b, a
        off = a[0] * x + a[1] * y - a[2]
        px, py = x - off * a[0], y - off * a[1]
        rest, slope = b[0] * px + b[1] * py - b[2], a[0] * b[1] - a[1] * b[0]
        along = -slope * rest / (slope * slope + _ANCHOR)
        px, py = px - a[1] * along, py + a[0] * along
    else:
        ra, rb = a[0] * x + a[1] * y - a[2], b[0] * x + b[1] * y - b[2]
        xx = a[0] * a[0] + b[0] * b[0] + _ANCHOR
        xy = a[0] * a[1] + b[0] * b[1]
        yy = a[1] * a[1] + b[1] * b[1] + _ANCHOR
        gx, gy = a[0] * ra + b[0] * rb, a[1] * ra + b[1] * rb
        determinant = xx * yy - xy * xy
        px, py = x - (yy * gx - xy * gy) / determinant, y - (xx * gy - xy * gx) / determinant
    if np.hypot(px - x, py - y) > stray:
        return x, y
    return px, py


@compiled
def _attach(chain: Chain, net: Net, corner: int, line: NDArray[np.float64], stray: float) -> tuple[float, float]:
    """The place of the node where a chain ends: that which it has, or the best on the edge it lies on."""
    node = chain.node[corner]
    x, y = chain.x[corner], chain.y[corner]
    if net.state[node] != FIXED:
        host = net.lines[node, 0]
        if abs(host[0] * line[1] - host[1] * line[0]) > PARALLEL:
            px, py = _cross(host, line)
            if np.hypot(px - x, py - y) <= stray:
                x, y = px, py
        settle(net, node, x, y)
    know(net, node, line)
    return net.xy[node, 0], net.xy[node, 1]


@compiled
def _off(line: NDArray[np.float64], x: float, y: float) -> float:
    return float(abs(line[0] * x + line[1] * y - line[2]))
