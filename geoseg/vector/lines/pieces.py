"""Skeletons as chains: runs of pixels between nodes, in parts that end where the rows at hand do."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geoseg.core.compiled import compiled
from geoseg.vector.lines.skeleton import Skeleton
from geoseg.vector.lines.thinning import IN_SQUARE, LINK_COUNT, LINKS, STEP_X, STEP_Y

AHEAD = 8  # a link is told by a pixel's key times this, plus the neighbour's number


class Nodes(NamedTuple):
    """Pixels where lines end or meet, arrays (node,): `key` is row times width plus column, `radius` micrometres."""

    key: NDArray[np.int64]
    radius: NDArray[np.int64]
    edge: NDArray[np.bool_]


class Pieces(NamedTuple):
    """Runs of skeleton pixels that are linked with two others each, arrays (piece,) but for `steps`.

    `first` and `last` are the keys of a run's ends, `before` and `after` the numbers of the neighbours that it goes on
    with. From each pixel the next one is neighbour `steps[i]`, those of a piece being `offsets[i]` to
    `offsets[i + 1]`, one fewer than its pixels. `sums` (piece, SUMS) adds up what is known of the pixels.
    """

    first: NDArray[np.int64]
    last: NDArray[np.int64]
    before: NDArray[np.uint8]
    after: NDArray[np.uint8]
    offsets: NDArray[np.int64]
    steps: NDArray[np.uint8]
    sums: NDArray[np.int64]


PIXELS, WIDTH, CLEAR_PIXELS, CLEAR_WIDTH, SCORE, EDGE = range(6)
SUMS = 6


def cut(
    skeleton: Skeleton, scores: NDArray[np.uint8] | None, rows: tuple[int, int], columns: int
) -> tuple[Nodes, Pieces]:
    """The nodes and the pieces in some rows of a raster `columns` wide; `skeleton` shows a row more on both sides."""
    values = np.zeros(len(skeleton.y), np.uint8) if scores is None else scores
    bounds = np.searchsorted(skeleton.y, np.arange(rows[0] - 1, rows[1] + 2))
    links = _links(skeleton.x, bounds, LINKS, LINK_COUNT, IN_SQUARE)
    inner = slice(bounds[1], bounds[-2])
    key = skeleton.y.astype(np.int64) * columns + skeleton.x
    node = np.zeros(len(key), np.bool_)
    node[inner] = links.node[inner]
    path = np.zeros(len(key), np.bool_)
    path[inner] = ~links.node[inner]
    pixels = np.column_stack(
        [
            np.ones(len(key), np.int64),
            skeleton.width,
            skeleton.clear,
            skeleton.width * skeleton.clear,
            values,
            skeleton.edge,
        ]
    )
    nodes = Nodes(key[node], skeleton.radius[node], skeleton.edge[node])
    return nodes, _walk(key, path, links.to, links.number, pixels)


def joined(parts: list[tuple[Nodes, Pieces]]) -> tuple[Nodes, Pieces]:
    """All nodes and pieces, in order; there is at least one part."""
    nodes = Nodes(*(np.concatenate(fields) for fields in zip(*(part[0] for part in parts), strict=True)))
    pieces = [part[1] for part in parts]
    starts = np.cumsum([0, *(len(piece.steps) for piece in pieces)])
    offsets = [piece.offsets[:-1] + start for piece, start in zip(pieces, starts[:-1], strict=True)]
    whole = {name: np.concatenate([getattr(p, name) for p in pieces]) for name in Pieces._fields if name != "offsets"}
    return nodes, Pieces(offsets=np.concatenate([*offsets, starts[-1:]]), **whole)


def nothing() -> tuple[Nodes, Pieces]:
    """No nodes and no pieces."""
    keys, numbers = np.empty(0, np.int64), np.empty(0, np.uint8)
    offsets, sums = np.zeros(1, np.int64), np.empty((0, SUMS), np.int64)
    return Nodes(keys, keys, np.empty(0, np.bool_)), Pieces(keys, keys, numbers, numbers, offsets, numbers, sums)


class Links(NamedTuple):
    """Whether a pixel is a node (pixel,), and the places and numbers of the first two linked with it (pixel, 2)."""

    node: NDArray[np.bool_]
    to: NDArray[np.int64]
    number: NDArray[np.uint8]


@compiled
def _links(
    x: NDArray[np.int32],
    bounds: NDArray[np.int64],
    linked: NDArray[np.uint8],
    link_count: NDArray[np.uint8],
    square: NDArray[np.bool_],
) -> Links:
    """Links of the pixels in all rows but the first and last; row i is `bounds[i]` to `bounds[i + 1]`."""
    node = np.zeros(x.size, np.bool_)
    to = np.full((x.size, 2), -1, np.int64)
    number = np.zeros((x.size, 2), np.uint8)
    places = np.empty(8, np.int64)
    for row in range(1, bounds.size - 2):
        for place in range(bounds[row], bounds[row + 1]):
            around = 0
            for bit in range(8):
                other = row + STEP_Y[bit]
                column = x[place] + STEP_X[bit]
                found = bounds[other] + np.searchsorted(x[bounds[other] : bounds[other + 1]], column)
                if found < bounds[other + 1] and x[found] == column:
                    around |= 1 << bit
                    places[bit] = found
            node[place] = link_count[around] != 2 or square[around]
            count = 0
            for bit in range(8):
                if linked[around] >> bit & 1 and count < 2:
                    to[place, count] = places[bit]
                    number[place, count] = bit
                    count += 1
    return Links(node, to, number)


@compiled
def _walk(
    key: NDArray[np.int64],
    path: NDArray[np.bool_],
    to: NDArray[np.int64],
    number: NDArray[np.uint8],
    pixels: NDArray[np.int64],
) -> Pieces:
    """The runs of pixels in `path` (pixel,); `pixels` (pixel, SUMS) are added up."""
    total = 0
    for place in range(key.size):
        total += path[place]
    first, last = np.empty(total, np.int64), np.empty(total, np.int64)
    before, after = np.empty(total, np.uint8), np.empty(total, np.uint8)
    offsets = np.zeros(total + 1, np.int64)
    steps = np.empty(total, np.uint8)
    sums = np.zeros((total, SUMS), np.int64)
    seen = np.zeros(key.size, np.bool_)
    count = stepped = 0
    for closed in (False, True):  # first the runs that have ends, then those that close
        for start in range(key.size):
            if not path[start] or seen[start]:
                continue
            if path[to[start, 0]] and path[to[start, 1]] and not closed:
                continue
            back = 1 if path[to[start, 0]] and not path[to[start, 1]] else 0
            first[count], before[count] = key[start], number[start, back]
            place, came = start, to[start, back]
            while True:
                seen[place] = True
                for field in range(SUMS):
                    sums[count, field] += pixels[place, field]
                on = 1 if (place == start and back == 0) or (place != start and to[place, 0] == came) else 0
                following = to[place, on]
                if not path[following] or seen[following]:
                    last[count], after[count] = key[place], number[place, on]
                    break
                steps[stepped] = number[place, on]
                stepped += 1
                came, place = place, following
            count += 1
            offsets[count] = stepped
    return Pieces(
        first[:count].copy(),
        last[:count].copy(),
        before[:count].copy(),
        after[:count].copy(),
        offsets[: count + 1].copy(),
        steps[:stepped].copy(),
        sums[:count].copy(),
    )
