"""The hot loops over the masks of objects, compiled by numba.

Masks lie one after another in one array (pixel,) uint8, those of view i from `offsets[i]` on, row by row inside
`boxes[i]` (left, top, right, bottom; right and bottom exclusive). All kernels release the GIL; none starts threads.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from geoseg.core.compiled import compiled

SEEN, WANTED = 1, 2  # bits of a pixel that a network calls the object's: SEEN always, WANTED where a class is asked for
OPEN, WAITING, KEPT, DROPPED = 0, 1, 2, 3  # states of a group


@compiled
def tighten(boxes: Any, masks: Any, offsets: Any, shape: Any, tight: Any) -> None:
    """Write the smallest box of each mask's pixels inside `shape` (height, width) to `tight`; zeros where none is."""
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
def crop(boxes: Any, masks: Any, offsets: Any, tight: Any, starts: Any, wanted: Any, out: Any) -> None:
    """Write the bits of each mask inside its tight box, from `starts[i]` of `out` on.

    `wanted` (y, x) covers the tile; its first axis is empty when every pixel is wanted.
    """
    everything = wanted.shape[0] == 0
    for i in range(boxes.shape[0]):
        width = boxes[i, 2] - boxes[i, 0]
        to = starts[i]
        for y in range(tight[i, 1], tight[i, 3]):
            row = offsets[i] + (y - boxes[i, 1]) * width - boxes[i, 0]
            for x in range(tight[i, 0], tight[i, 2]):
                if masks[row + x]:
                    out[to] = SEEN | WANTED if everything or wanted[y, x] else SEEN
                to += 1


@compiled
def copy_masks(masks: Any, offsets: Any, index: Any, starts: Any, out: Any) -> None:
    """Copy the masks of the views `index` to `out`, from `starts` on."""
    for i in range(index.shape[0]):
        first = offsets[index[i]]
        for p in range(offsets[index[i] + 1] - first):
            out[starts[i] + p] = masks[first + p]


@compiled
def shared_pixels(pairs: Any, boxes: Any, offsets: Any, masks: Any) -> Any:
    """How many pixels the two masks of each pair (pair, 2) have in common: (pair,) int64."""
    shared = np.zeros(pairs.shape[0], np.int64)
    for k in range(pairs.shape[0]):
        a, b = pairs[k, 0], pairs[k, 1]
        left, right = max(boxes[a, 0], boxes[b, 0]), min(boxes[a, 2], boxes[b, 2])
        count = 0
        for y in range(max(boxes[a, 1], boxes[b, 1]), min(boxes[a, 3], boxes[b, 3])):
            row_a, row_b = _row(boxes, offsets, a, y), _row(boxes, offsets, b, y)
            for x in range(left, right):
                count += (masks[row_a + x] != 0) & (masks[row_b + x] != 0)
        shared[k] = count
    return shared


@compiled
def _row(boxes: Any, offsets: Any, i: int, y: int) -> int:
    """Where column 0 of row `y` of a view's mask would be."""
    place: int = offsets[i] + (y - boxes[i, 1]) * (boxes[i, 2] - boxes[i, 0]) - boxes[i, 0]
    return place


@compiled
def touching(pairs: Any, boxes: Any, offsets: Any, masks: Any) -> Any:
    """Whether a pixel of the one mask of each pair is one of the other's, or beside it, or across a corner: (pair,)."""
    touch = np.zeros(pairs.shape[0], np.bool_)
    for k in range(pairs.shape[0]):
        a, b = pairs[k, 0], pairs[k, 1]
        for y in range(max(boxes[a, 1], boxes[b, 1] - 1), min(boxes[a, 3], boxes[b, 3] + 1)):
            row_a = _row(boxes, offsets, a, y)
            for x in range(max(boxes[a, 0], boxes[b, 0] - 1), min(boxes[a, 2], boxes[b, 2] + 1)):
                if masks[row_a + x] and _beside(boxes, offsets, masks, b, y, x):
                    touch[k] = True
                    break
            if touch[k]:
                break
    return touch


@compiled
def _beside(boxes: Any, offsets: Any, masks: Any, b: int, y: int, x: int) -> bool:
    for near_y in range(max(boxes[b, 1], y - 1), min(boxes[b, 3], y + 2)):
        row = _row(boxes, offsets, b, near_y)
        for near_x in range(max(boxes[b, 0], x - 1), min(boxes[b, 2], x + 2)):
            if masks[row + near_x]:
                return True
    return False


@compiled
def within(pairs: Any, boxes: Any, offsets: Any, masks: Any, tiles: Any, grid: Any, areas: Any, cut: Any) -> None:
    """Measure the first view of each pair inside the second one's tile.

    `tiles` (view, 2) holds row and column; `grid` (6,) stride and size of tiles, and how many pixels count as their
    border, along y, then x. `areas` (pair,) takes the number of pixels, `cut` (pair,) whether one of them lies at a
    border of the view's own tile in there.
    """
    for k in range(pairs.shape[0]):
        a, b = pairs[k, 0], pairs[k, 1]
        own_y, own_x = tiles[a, 0] * grid[0], tiles[a, 1] * grid[3]
        other_y, other_x = tiles[b, 0] * grid[0], tiles[b, 1] * grid[3]
        low_y = own_y + grid[2] if other_y < own_y else own_y
        high_y = own_y + grid[1] - grid[2] if other_y > own_y else own_y + grid[1]
        low_x = own_x + grid[5] if other_x < own_x else own_x
        high_x = own_x + grid[4] - grid[5] if other_x > own_x else own_x + grid[4]
        area, at_border = 0, False
        for y in range(max(boxes[a, 1], other_y), min(boxes[a, 3], other_y + grid[1])):
            row, outside = _row(boxes, offsets, a, y), y < low_y or y >= high_y
            for x in range(max(boxes[a, 0], other_x), min(boxes[a, 2], other_x + grid[4])):
                if masks[row + x]:
                    area += 1
                    at_border |= outside or x < low_x or x >= high_x
        areas[k], cut[k] = area, at_border


@compiled
def settle(order: Any, bounds: Any, keys: Any, views: Any, grid: Any, weights: Any, measures: Any) -> None:
    """Leave each view of closed groups the wanted pixels that it decides, as ones.

    `order` (member,) holds views by group, tile, view; those of group g lie from `bounds[g]` to `bounds[g + 1]`; `keys`
    (member,) are row x columns + column of their tiles. `views` is (boxes, offsets, masks), `grid` (6,): stride and
    size along y and x, then rows and columns of tiles; `weights` is (y, x), each (4, tile): of a tile in the middle,
    the first, the last, and the only one. `measures` (member, 2) takes how many pixels are left, and the first one as
    y << 32 | x.
    """
    boxes, offsets, masks = views
    columns = grid[5]
    for g in range(bounds.shape[0] - 1):
        first, last = bounds[g], bounds[g + 1]
        for m in range(first, last):
            row, column = keys[m] // columns, keys[m] % columns
            for other_row in range(row - 1, row + 2):
                for other_column in range(max(0, column - 1), min(columns, column + 2)):
                    key = other_row * columns + other_column
                    if key != keys[m] and _holds(keys, first, last, key):
                        _give_way(boxes, offsets, masks, order[m], keys[m], key, grid, weights)
            for p in range(offsets[order[m]], offsets[order[m] + 1]):
                masks[p] = masks[p] >> 1
            before = m - 1
            while before >= first and keys[before] == keys[m]:
                clear(boxes, offsets, masks, order[m], order[before])
                before -= 1
            measures[m, 0], measures[m, 1] = _measure(boxes, offsets, masks, order[m])


@compiled
def _holds(keys: Any, first: int, last: int, key: int) -> bool:
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
def _give_way(boxes: Any, offsets: Any, masks: Any, v: int, own: int, other: int, grid: Any, weights: Any) -> None:
    """Clear a view where another tile weighs more, or as much and comes first."""
    wy, wx = weights
    own_row, own_column, other_row, other_column = own // grid[5], own % grid[5], other // grid[5], other % grid[5]
    own_wy, other_wy = wy[_place(own_row, grid[4])], wy[_place(other_row, grid[4])]
    own_wx, other_wx = wx[_place(own_column, grid[5])], wx[_place(other_column, grid[5])]
    own_y, other_y = own_row * grid[0], other_row * grid[0]
    own_x, other_x = own_column * grid[2], other_column * grid[2]
    for y in range(max(boxes[v, 1], other_y), min(boxes[v, 3], other_y + grid[1])):
        row = _row(boxes, offsets, v, y)
        for x in range(max(boxes[v, 0], other_x), min(boxes[v, 2], other_x + grid[3])):
            mine = own_wy[y - own_y] * own_wx[x - own_x]
            theirs = other_wy[y - other_y] * other_wx[x - other_x]
            if theirs > mine or (theirs == mine and other < own):
                masks[row + x] = 0


@compiled
def _place(index: int, count: int) -> int:
    return (1 if index == 0 else 0) + (2 if index == count - 1 else 0)


@compiled
def clear(boxes: Any, offsets: Any, masks: Any, v: int, other: int) -> None:
    """Clear a view's pixels that are another's too."""
    left, right = max(boxes[v, 0], boxes[other, 0]), min(boxes[v, 2], boxes[other, 2])
    for y in range(max(boxes[v, 1], boxes[other, 1]), min(boxes[v, 3], boxes[other, 3])):
        row, other_row = _row(boxes, offsets, v, y), _row(boxes, offsets, other, y)
        for x in range(left, right):
            if masks[other_row + x]:
                masks[row + x] = 0


@compiled
def _measure(boxes: Any, offsets: Any, masks: Any, v: int) -> tuple[int, int]:
    """The number of a view's pixels, and the first one as y << 32 | x."""
    width, count, first = boxes[v, 2] - boxes[v, 0], 0, -1
    for p in range(offsets[v], offsets[v + 1]):
        if masks[p]:
            if first < 0:
                place = p - offsets[v]
                first = (boxes[v, 1] + place // width) << 32 | (boxes[v, 0] + place % width)
            count += 1
    return count, first


@compiled
def resolve(order: Any, rank: Any, states: Any, areas: Any, members: Any, edges: Any, views: Any) -> None:
    """Decide the waiting groups whose overlaps are known, best first; `states` (group,) takes KEPT or DROPPED.

    `order` holds the waiting groups by falling priority and `rank` (group,) their places in it. `members` is (view's
    group, views by group, bounds of each group's), `edges` (views overlapping, bounds of each view's), `views` (boxes,
    offsets, masks). A group waits while one that is open, or waits itself with a higher priority, overlaps it. Pixels
    go to the higher priority; who keeps less than half of `areas` is dropped and gives its pixels back.
    """
    group_of, by_group, bounds = members
    boxes, offsets, masks = views
    neighbours, edge_bounds = edges
    for g in order:
        waits = False
        for m in range(bounds[g], bounds[g + 1]):
            for e in range(edge_bounds[by_group[m]], edge_bounds[by_group[m] + 1]):
                h = group_of[neighbours[e]]
                waits |= states[h] == OPEN or (states[h] == WAITING and rank[h] < rank[g])
        if waits:
            continue
        left = 0
        for m in range(bounds[g], bounds[g + 1]):
            v = by_group[m]
            for e in range(edge_bounds[v], edge_bounds[v + 1]):
                if group_of[neighbours[e]] != g and states[group_of[neighbours[e]]] == KEPT:
                    clear(boxes, offsets, masks, v, neighbours[e])
            for p in range(offsets[v], offsets[v + 1]):
                left += masks[p]
        states[g] = KEPT if 2 * left >= areas[g] and left else DROPPED


@compiled
def extents(index: Any, views: Any, window: Any, out: Any) -> None:
    """Find the first pixel (y, x) and the last row of the views `index` inside a window, into `out` (view, 3).

    `window` (4,) is left, top, right, bottom. The last row is -1 where no pixel lies inside.
    """
    boxes, offsets, masks = views
    for i in range(index.shape[0]):
        v = index[i]
        out[i, 2] = -1
        for y in range(max(boxes[v, 1], window[1]), min(boxes[v, 3], window[3])):
            row = _row(boxes, offsets, v, y)
            for x in range(max(boxes[v, 0], window[0]), min(boxes[v, 2], window[2])):
                if masks[row + x]:
                    if out[i, 2] < 0:
                        out[i, 0], out[i, 1] = y, x
                    out[i, 2] = y


@compiled
def paint(index: Any, views: Any, values: Any, window: Any, strip: Any) -> None:
    """Draw the views `index` into a strip whose pixels lie in `window` (left, top, right, bottom).

    `values` is (class ids, scores, numbers), each (view,) for the views of `index`; `strip` the three rasters (y, x).
    """
    boxes, offsets, masks = views
    class_ids, scores, numbers = values
    classes, best, instances = strip
    for i in range(index.shape[0]):
        v = index[i]
        for y in range(max(boxes[v, 1], window[1]), min(boxes[v, 3], window[3])):
            row = _row(boxes, offsets, v, y)
            for x in range(max(boxes[v, 0], window[0]), min(boxes[v, 2], window[2])):
                if masks[row + x]:
                    to_y, to_x = y - window[1], x - window[0]
                    classes[to_y, to_x], instances[to_y, to_x] = class_ids[i], numbers[i]
                    best[to_y, to_x] = scores[i]
