"""The hot loops over the masks of objects, compiled by numba.

Masks lie one after another in one array (pixel,) uint8, those of view i from `offsets[i]` on, row by row inside
`boxes[i]` (left, top, right, bottom; right and bottom exclusive). All kernels release the GIL; none starts threads.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geoseg.core.compiled import compiled

# Bits of a pixel that a network calls the object's: SEEN always, WANTED where a class is asked for; BEYOND where one
# would have been if more of the scene had been looked at.
SEEN, WANTED, BEYOND = 1, 2, 4
OPEN, WAITING, KEPT, DROPPED = 0, 1, 2, 3  # states of a group

Ints = NDArray[np.int64]


class Raster(NamedTuple):
    """The boxes (view, 4), offsets (view + 1,) and masks (pixel,) of views."""

    boxes: Ints
    offsets: Ints
    masks: NDArray[np.uint8]


class Side(NamedTuple):
    """Tiles along one axis: their stride, size and number, and how many pixels count as their border.

    `weights` (4, tile) are those of a tile in the middle, the first, the last, and the only one.
    """

    stride: int
    tile: int
    number: int
    border: int
    weights: NDArray[np.float32]


class Grid(NamedTuple):
    """Tiles along both axes."""

    y: Side
    x: Side


class Closed(NamedTuple):
    """Closed groups: `order` (member,) holds views by group, tile, view; group g's from `bounds[g]` to `bounds[g + 1]`.

    `keys` (member,) are row x columns + column of the members' tiles.
    """

    order: Ints
    bounds: Ints
    keys: Ints


class Edges(NamedTuple):
    """The partners of each view: those of view i lie in `partners` from `bounds[i]` to `bounds[i + 1]`."""

    partners: Ints
    bounds: Ints


class Members(NamedTuple):
    """Which views belong to which group: `group_of` (view,), and `views` by group, from `bounds[g]` on."""

    group_of: Ints
    views: Ints
    bounds: Ints


class Contest(NamedTuple):
    """Who contends for pixels: `order` lists the waiting groups by falling priority, `rank` (group,) is their place.

    `states` (group,) and `areas` (group,) are known of each. `beyond` (group,) marks those that would be others if more
    of the scene had been looked at. `cut` (view,) marks views of groups that such a group bears upon, `cut_groups`
    (group,) takes the same of groups as they are decided.
    """

    order: Ints
    rank: Ints
    states: Ints
    areas: Ints
    beyond: NDArray[np.bool_]
    cut: NDArray[np.bool_]
    cut_groups: NDArray[np.bool_]


@compiled
def tighten(found: Raster, shape: Ints, tight: Ints) -> None:
    """Write the smallest box of each mask's pixels inside `shape` (height, width) to `tight`; zeros where none is."""
    boxes, offsets, masks = found
    for i in range(boxes.shape[0]):
        left, top, width = boxes[i, 0], boxes[i, 1], boxes[i, 2] - boxes[i, 0]
        low_x, low_y, high_x, high_y = shape[1], shape[0], 0, 0
        for y in range(top, min(boxes[i, 3], shape[0])):
            row = offsets[i] + (y - top) * width - left
            for x in range(left, min(boxes[i, 2], shape[1])):
                if masks[row + x]:
                    low_x, high_x = min(low_x, x), max(high_x, x + 1)
                    low_y, high_y = min(low_y, y), y + 1
        if high_y:
            tight[i, 0], tight[i, 1], tight[i, 2], tight[i, 3] = low_x, low_y, high_x, high_y


@compiled
def crop(found: Raster, tight: Raster, bits: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Write each mask inside its tight box, as SEEN and WANTED; whether one of its pixels is BEYOND comes back (view,).

    `bits` (y, x) of the tile's pixels; its first axis is empty when every pixel is wanted.
    """
    everything = bits.shape[0] == 0
    beyond = np.zeros(found.boxes.shape[0], np.bool_)
    for i in range(found.boxes.shape[0]):
        to = tight.offsets[i]
        for y in range(tight.boxes[i, 1], tight.boxes[i, 3]):
            row = first_of_row(found, i, y)
            for x in range(tight.boxes[i, 0], tight.boxes[i, 2]):
                if found.masks[row + x]:
                    value = SEEN | WANTED if everything else bits[y, x]
                    tight.masks[to] = value & (SEEN | WANTED)
                    beyond[i] |= (value & BEYOND) != 0
                to += 1
    return beyond


@compiled
def copy_masks(views: Raster, index: Ints, starts: Ints, out: NDArray[np.uint8]) -> None:
    """Copy the masks of the views `index` to `out`, from `starts` (index,) on."""
    for i in range(index.shape[0]):
        first = views.offsets[index[i]]
        for p in range(views.offsets[index[i] + 1] - first):
            out[starts[i] + p] = views.masks[first + p]


@compiled
def shared_pixels(pairs: Ints, views: Raster) -> Ints:
    """How many pixels the two masks of each pair (pair, 2) have in common: (pair,) int64."""
    boxes, masks = views.boxes, views.masks
    shared = np.zeros(pairs.shape[0], np.int64)
    for k in range(pairs.shape[0]):
        a, b = pairs[k, 0], pairs[k, 1]
        left, right = max(boxes[a, 0], boxes[b, 0]), min(boxes[a, 2], boxes[b, 2])
        count = 0
        for y in range(max(boxes[a, 1], boxes[b, 1]), min(boxes[a, 3], boxes[b, 3])):
            row_a, row_b = first_of_row(views, a, y), first_of_row(views, b, y)
            for x in range(left, right):
                count += (masks[row_a + x] != 0) & (masks[row_b + x] != 0)
        shared[k] = count
    return shared


@compiled
def first_of_row(views: Raster, i: int, y: int) -> int:
    """Where column 0 of row `y` of a view's mask would be."""
    boxes = views.boxes
    place: int = views.offsets[i] + (y - boxes[i, 1]) * (boxes[i, 2] - boxes[i, 0]) - boxes[i, 0]
    return place


@compiled
def touching(pairs: Ints, views: Raster) -> NDArray[np.bool_]:
    """Whether a pixel of the one mask of each pair is one of the other's, or beside it, or across a corner: (pair,)."""
    boxes = views.boxes
    touch = np.zeros(pairs.shape[0], np.bool_)
    for k in range(pairs.shape[0]):
        a, b = pairs[k, 0], pairs[k, 1]
        for y in range(max(boxes[a, 1], boxes[b, 1] - 1), min(boxes[a, 3], boxes[b, 3] + 1)):
            row_a = first_of_row(views, a, y)
            for x in range(max(boxes[a, 0], boxes[b, 0] - 1), min(boxes[a, 2], boxes[b, 2] + 1)):
                if views.masks[row_a + x] and _beside(views, b, y, x):
                    touch[k] = True
                    break
            if touch[k]:
                break
    return touch


@compiled
def _beside(views: Raster, b: int, y: int, x: int) -> bool:
    boxes = views.boxes
    for near_y in range(max(boxes[b, 1], y - 1), min(boxes[b, 3], y + 2)):
        row = first_of_row(views, b, near_y)
        for near_x in range(max(boxes[b, 0], x - 1), min(boxes[b, 2], x + 2)):
            if views.masks[row + near_x]:
                return True
    return False


@compiled
def within(pairs: Ints, views: Raster, tiles: Ints, grid: Grid) -> tuple[Ints, NDArray[np.bool_]]:
    """The pixels of the first view of each pair inside the second one's tile, and whether one is at a border, (pair,).

    `tiles` (view, 2) holds row and column. The border is that of the first view's own tile, inside the other one.
    """
    boxes, size_y, size_x = views.boxes, grid.y.tile, grid.x.tile
    areas, cut = np.zeros(pairs.shape[0], np.int64), np.zeros(pairs.shape[0], np.bool_)
    for k in range(pairs.shape[0]):
        a, b = pairs[k, 0], pairs[k, 1]
        own_y, own_x = tiles[a, 0] * grid.y.stride, tiles[a, 1] * grid.x.stride
        other_y, other_x = tiles[b, 0] * grid.y.stride, tiles[b, 1] * grid.x.stride
        low_y = own_y + grid.y.border if other_y < own_y else own_y
        high_y = own_y + size_y - grid.y.border if other_y > own_y else own_y + size_y
        low_x = own_x + grid.x.border if other_x < own_x else own_x
        high_x = own_x + size_x - grid.x.border if other_x > own_x else own_x + size_x
        area, at_border = 0, False
        for y in range(max(boxes[a, 1], other_y), min(boxes[a, 3], other_y + size_y)):
            row, outside = first_of_row(views, a, y), y < low_y or y >= high_y
            for x in range(max(boxes[a, 0], other_x), min(boxes[a, 2], other_x + size_x)):
                if views.masks[row + x]:
                    area += 1
                    at_border |= outside or x < low_x or x >= high_x
        areas[k], cut[k] = area, at_border
    return areas, cut


@compiled
def settle(closed: Closed, views: Raster, grid: Grid) -> Ints:
    """Leave each view of closed groups the wanted pixels that it decides, as ones.

    What comes back (member, 2) is how many pixels are left, and the first one as y << 32 | x.
    """
    order, bounds, keys = closed
    columns = grid.x.number
    measures = np.zeros((order.shape[0], 2), np.int64)
    for g in range(bounds.shape[0] - 1):
        first, last = bounds[g], bounds[g + 1]
        for m in range(first, last):
            row, column = keys[m] // columns, keys[m] % columns
            for other_row in range(row - 1, row + 2):
                for other_column in range(max(0, column - 1), min(columns, column + 2)):
                    key = other_row * columns + other_column
                    if key != keys[m] and _holds(keys, first, last, key):
                        _give_way(views, order[m], keys[m], key, grid)
            for p in range(views.offsets[order[m]], views.offsets[order[m] + 1]):
                views.masks[p] = views.masks[p] >> 1
            before = m - 1
            while before >= first and keys[before] == keys[m]:
                clear(views, order[m], order[before])
                before -= 1
            measures[m, 0], measures[m, 1] = _measure(views, order[m])
    return measures


@compiled
def _holds(keys: Ints, first: int, last: int, key: int) -> bool:
    """Whether the sorted `keys` from `first` to `last` hold `key`."""
    while first < last:
        middle = (first + last) // 2
        if keys[middle] == key:
            return True
        if keys[middle] < key:
            first = middle + 1
        else:
            last = middle
    return False


@compiled
def _give_way(views: Raster, v: int, own: int, other: int, grid: Grid) -> None:
    """Clear a view where another tile weighs more, or as much and comes first."""
    boxes, columns = views.boxes, grid.x.number
    own_row, own_column, other_row, other_column = own // columns, own % columns, other // columns, other % columns
    own_wy = grid.y.weights[_place(own_row, grid.y.number)]
    other_wy = grid.y.weights[_place(other_row, grid.y.number)]
    own_wx = grid.x.weights[_place(own_column, columns)]
    other_wx = grid.x.weights[_place(other_column, columns)]
    own_y, other_y = own_row * grid.y.stride, other_row * grid.y.stride
    own_x, other_x = own_column * grid.x.stride, other_column * grid.x.stride
    for y in range(max(boxes[v, 1], other_y), min(boxes[v, 3], other_y + grid.y.tile)):
        row = first_of_row(views, v, y)
        for x in range(max(boxes[v, 0], other_x), min(boxes[v, 2], other_x + grid.x.tile)):
            mine = own_wy[y - own_y] * own_wx[x - own_x]
            theirs = other_wy[y - other_y] * other_wx[x - other_x]
            if theirs > mine or (theirs == mine and other < own):
                views.masks[row + x] = 0


@compiled
def _place(index: int, count: int) -> int:
    return (1 if index == 0 else 0) + (2 if index == count - 1 else 0)


@compiled
def clear(views: Raster, v: int, other: int) -> None:
    """Clear a view's pixels that are another's too."""
    boxes = views.boxes
    left, right = max(boxes[v, 0], boxes[other, 0]), min(boxes[v, 2], boxes[other, 2])
    for y in range(max(boxes[v, 1], boxes[other, 1]), min(boxes[v, 3], boxes[other, 3])):
        row, other_row = first_of_row(views, v, y), first_of_row(views, other, y)
        for x in range(left, right):
            if views.masks[other_row + x]:
                views.masks[row + x] = 0


@compiled
def _measure(views: Raster, v: int) -> tuple[int, int]:
    """The number of a view's pixels, and the first one as y << 32 | x."""
    boxes, offsets = views.boxes, views.offsets
    width, count, first = boxes[v, 2] - boxes[v, 0], 0, -1
    for p in range(offsets[v], offsets[v + 1]):
        if views.masks[p]:
            if first < 0:
                place = p - offsets[v]
                first = (boxes[v, 1] + place // width) << 32 | (boxes[v, 0] + place % width)
            count += 1
    return count, first


@compiled
def resolve(contest: Contest, members: Members, edges: Edges, views: Raster) -> None:
    """Decide the waiting groups whose overlaps are known, best first; states take KEPT or DROPPED.

    `edges` join views that share pixels. A group waits while one that is open, or waits itself with a higher priority,
    overlaps it. Pixels go to the higher priority; who keeps less than half of its area is dropped and gives its pixels
    back. A group is cut that overlaps one from beyond, whose priority nobody knows, or a cut one of a higher priority.
    """
    states, rank = contest.states, contest.rank
    for g in contest.order:
        waits, cut = False, contest.beyond[g]
        for m in range(members.bounds[g], members.bounds[g + 1]):
            v = members.views[m]
            cut |= contest.cut[v]
            for e in range(edges.bounds[v], edges.bounds[v + 1]):
                h = members.group_of[edges.partners[e]]
                waits |= states[h] == OPEN or (states[h] == WAITING and rank[h] < rank[g])
                cut |= contest.beyond[h]
        if waits:
            continue
        left = 0
        for m in range(members.bounds[g], members.bounds[g + 1]):
            v = members.views[m]
            for e in range(edges.bounds[v], edges.bounds[v + 1]):
                h = members.group_of[edges.partners[e]]
                if h != g and states[h] == KEPT:
                    clear(views, v, edges.partners[e])
                if h != g and cut:
                    contest.cut[edges.partners[e]] = True
            for p in range(views.offsets[v], views.offsets[v + 1]):
                left += views.masks[p]
        states[g] = KEPT if 2 * left >= contest.areas[g] and left else DROPPED
        contest.cut_groups[g] = cut


@compiled
def extents(index: Ints, views: Raster, window: Ints) -> Ints:
    """The first pixel (y, x) and the last row of the views `index` inside a window: (index, 3).

    `window` (4,) is left, top, right, bottom. The last row is -1 where no pixel lies inside.
    """
    boxes = views.boxes
    out = np.zeros((index.shape[0], 3), np.int64)
    for i in range(index.shape[0]):
        v = index[i]
        out[i, 2] = -1
        for y in range(max(boxes[v, 1], window[1]), min(boxes[v, 3], window[3])):
            row = first_of_row(views, v, y)
            for x in range(max(boxes[v, 0], window[0]), min(boxes[v, 2], window[2])):
                if views.masks[row + x]:
                    if out[i, 2] < 0:
                        out[i, 0], out[i, 1] = y, x
                    out[i, 2] = y
    return out
