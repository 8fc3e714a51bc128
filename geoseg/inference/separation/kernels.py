"""The loops of the watershed: markers, floods, and which of them are settled."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geoseg.core.classes import NODATA
from geoseg.core.compiled import compiled

WALL, THING, SEPARATOR = 0, 1, 2  # kinds of classes
# Marks of a pixel: several markers are nearest, one of those goes on below the last row, or touches the unknown; what
# is unknown is as near as any marker.
TIED, OPEN, CUT, UNKNOWN = 1, 2, 4, 8
BESIDE, SHARED = 1, 2  # what a rim says of a pixel: it lies beside the unknown; a marker that does ties for it

# What is known of a marker: its class, its pixels, the sum of their scores, and the last row of its object.
CLASS, PIXELS, SCORES, LAST_ROW = range(4)
FIELDS = 4


class Held(NamedTuple):
    """Rows that wait, each (y, x): classes, scores (or none), the objects that are settled, from 1 on, and the rim.

    Where nobody can tell what lies there `settled` is less than 0, the steps to what is unknown. The `rim`, uint8, is
    0 where nothing unknown is near; it has no rows where all is known. `above` (x,) is the row of `settled` before.
    """

    class_ids: NDArray[np.uint8]
    scores: NDArray[np.uint8]
    settled: NDArray[np.int32]
    rim: NDArray[np.uint8]
    above: NDArray[np.int32]


class Flooded(NamedTuple):
    """The markers of what is not settled (y, x), 0 for none, and the steps to them; `marks` (y, x).

    `far` (y, x) are the steps to what is unknown, 0 where none lead there; it has no rows where all is known. `queue`
    (pixel,) lists the separator's pixels that were reached, from near to far.
    """

    labels: NDArray[np.int32]
    steps: NDArray[np.int32]
    marks: NDArray[np.uint8]
    far: NDArray[np.int32]
    queue: NDArray[np.int64]


class Ends(NamedTuple):
    """Of markers (marker,): which are not settled now, and which might be others if more had been looked at."""

    open: NDArray[np.bool_]
    cut: NDArray[np.bool_]


@compiled
def _alike(held: Held, y: int, x: int, v: int, u: int) -> bool:
    """Whether a pixel (v, u), that may lie outside, is part of the marker of (y, x): settled ones are of another."""
    return v >= 0 and u >= 0 and held.class_ids[v, u] == held.class_ids[y, x] and not held.settled[v, u]


@compiled
def count(held: Held, kinds: NDArray[np.uint8]) -> tuple[int, int]:
    """How many labels the markers may take at most, and how many pixels of the separator are not settled."""
    ids, settled = held.class_ids, held.settled
    labels = separators = 0
    for y in range(ids.shape[0]):
        for x in range(ids.shape[1]):
            kind = kinds[ids[y, x]]
            if kind == WALL or settled[y, x]:
                continue
            if kind == SEPARATOR:
                separators += 1
            elif not _alike(held, y, x, y, x - 1) and not _alike(held, y, x, y - 1, x):
                labels += 1
    return labels, separators


@compiled
def find(parent: NDArray[np.int32], label: int) -> int:
    """The label that stands for another one; the path to it is halved."""
    while parent[label] != label:
        parent[label] = parent[parent[label]]
        label = int(parent[label])
    return label


@compiled
def mark(held: Held, kinds: NDArray[np.uint8], labels: NDArray[np.int32], most: int) -> int:
    """Label the markers from 1 on in the order of their first pixels; returns how many there are.

    A marker is a 4-connected part of the pixels of one class of things; `most` labels, which `count` says, are enough
    on the way. Returns -1 where they are not.
    """
    ids, settled = held.class_ids, held.settled
    parent = np.empty(most + 1, np.int32)
    used = 0
    for y in range(ids.shape[0]):
        for x in range(ids.shape[1]):
            if kinds[ids[y, x]] != THING or settled[y, x]:
                continue
            west = labels[y, x - 1] if _alike(held, y, x, y, x - 1) else 0
            north = labels[y - 1, x] if _alike(held, y, x, y - 1, x) else 0
            if west and north and west != north:
                one, other = find(parent, west), find(parent, north)
                parent[max(one, other)] = min(one, other)
            if not west and not north:
                if used == most:
                    return -1
                used += 1
                parent[used] = used
                labels[y, x] = used
            else:
                labels[y, x] = west if west else north
    markers = 0
    for label in range(1, used + 1):  # a label's parent is less than itself, and numbered already
        if parent[label] == label:
            markers += 1
            parent[label] = -markers
        else:
            root = int(parent[label])
            parent[label] = parent[root]
    for y in range(ids.shape[0]):
        for x in range(ids.shape[1]):
            if labels[y, x]:
                labels[y, x] = -parent[labels[y, x]]
    return markers


@compiled
def touching(labels: NDArray[np.int32], markers: int) -> NDArray[np.bool_]:
    """Which markers, by their labels, reach the last row."""
    found = np.zeros(markers + 1, np.bool_)
    for x in range(labels.shape[1]):
        found[labels[-1, x]] = True
    found[0] = False
    return found


@compiled
def _next_to(y: int, x: int, way: int) -> tuple[int, int]:
    """The pixel north, west, south or east of another."""
    return y + (way == 2) - (way == 0), x + (way == 3) - (way == 1)


@compiled
def flood(held: Held, kinds: NDArray[np.uint8], flooded: Flooded, ends: Ends) -> int:
    """Share the separator out among markers, whose labels are given; returns how many of its pixels were reached.

    A pixel goes to the marker with the fewest steps through the separator, of several to that with the least label.
    Steps are counted level by level, so that no order of pixels decides.
    """
    ids, settled = held.class_ids, held.settled
    labels, steps, marks, queue = flooded.labels, flooded.steps, flooded.marks, flooded.queue
    height, width = ids.shape
    entered = start = 0
    for y in range(height):
        for x in range(width):
            if settled[y, x] or kinds[ids[y, x]] != SEPARATOR:
                continue
            for way in range(4):
                v, u = _next_to(y, x, way)
                if 0 <= v < height and 0 <= u < width and labels[v, u]:
                    queue[entered] = y * width + x
                    entered += 1
                    break
    for index in range(entered):
        steps[queue[index] // width, queue[index] % width] = 1
    level = 1
    while start < entered:
        stop = entered
        for index in range(start, stop):  # what is nearest to those before decides
            y, x = queue[index] // width, queue[index] % width
            label, mark = 0, 0
            for way in range(4):
                v, u = _next_to(y, x, way)
                if not (0 <= v < height and 0 <= u < width) or not labels[v, u] or steps[v, u] != level - 1:
                    continue
                other = labels[v, u]
                mark |= marks[v, u]
                if level == 1:
                    mark |= OPEN * ends.open[other] | CUT * ends.cut[other]
                if label and label != other:
                    mark |= TIED
                label = min(label, other) if label else other
            labels[y, x] = label
            marks[y, x] = mark
        for index in range(start, stop):
            y, x = queue[index] // width, queue[index] % width
            for way in range(4):
                v, u = _next_to(y, x, way)
                if not (0 <= v < height and 0 <= u < width) or steps[v, u] or settled[v, u]:
                    continue
                if kinds[ids[v, u]] == SEPARATOR:
                    steps[v, u] = level + 1
                    queue[entered] = v * width + u
                    entered += 1
        start = stop
        level += 1
    return entered


@compiled
def at_rim(held: Held, labels: NDArray[np.int32], cut: NDArray[np.bool_]) -> None:
    """Add the markers to `cut` (marker,) that lie beside the unknown."""
    for y in range(labels.shape[0]):
        for x in range(labels.shape[1]):
            if labels[y, x] and held.rim[y, x]:
                cut[labels[y, x]] = True


@compiled
def _settled_near(held: Held, y: int, x: int) -> int:
    """The least steps to the unknown (1 and up) that are settled next to a pixel, 0 where there are none."""
    least = 0
    for way in range(4):
        v, u = _next_to(y, x, way)
        if v >= held.settled.shape[0] or not 0 <= u < held.settled.shape[1]:
            continue
        steps = -held.settled[v, u] if v >= 0 else -held.above[u]
        if steps > 0 and (least == 0 or steps < least):
            least = steps
    return least


@compiled
def sources(held: Held, kinds: NDArray[np.uint8], far: NDArray[np.int32], queue: NDArray[np.int64]) -> int:
    """The separator's pixels that lie beside the unknown, or beside one whose steps to it are settled.

    Their steps are written to `far` (y, x) and they to `queue` (pixel,), in no order; returns how many there are.
    """
    ids, entered = held.class_ids, 0
    for y in range(ids.shape[0]):
        for x in range(ids.shape[1]):
            if kinds[ids[y, x]] != SEPARATOR or held.settled[y, x]:
                continue
            near = 1 if held.rim[y, x] & BESIDE else _settled_near(held, y, x) + 1
            if near > 1 or held.rim[y, x] & BESIDE:
                far[y, x] = near
                queue[entered] = y * ids.shape[1] + x
                entered += 1
    return entered


@compiled
def wade(held: Held, kinds: NDArray[np.uint8], far: NDArray[np.int32], seeds: NDArray[np.int64]) -> None:
    """Write the steps to the unknown, through the separator, to `far` (y, x); `seeds` (pixel,) come near to far."""
    ids = held.class_ids
    height, width = ids.shape
    front, beyond = seeds[:0].copy(), seeds[:0].copy()
    taken = level = 0
    while taken < seeds.size or front.size:
        if not front.size:
            level = far[seeds[taken] // width, seeds[taken] % width]
        stop = taken
        while stop < seeds.size and far[seeds[stop] // width, seeds[stop] % width] <= level:
            stop += 1
        beyond = np.empty(4 * (front.size + stop - taken), np.int64)
        entered = 0
        for index in range(front.size + stop - taken):
            place = front[index] if index < front.size else seeds[taken + index - front.size]
            y, x = place // width, place % width
            if far[y, x] != level:  # a seed that was nearer by another way
                continue
            for way in range(4):
                v, u = _next_to(y, x, way)
                if not (0 <= v < height and 0 <= u < width) or held.settled[v, u] or kinds[ids[v, u]] != SEPARATOR:
                    continue
                if not far[v, u] or far[v, u] > level + 1:
                    far[v, u] = level + 1
                    beyond[entered] = v * width + u
                    entered += 1
        taken, front = stop, beyond[:entered]
        level += 1


@compiled
def leave_unknown(flooded: Flooded) -> None:
    """Take the pixels from their markers that are as near to the unknown: they are marked UNKNOWN."""
    labels, steps, far = flooded.labels, flooded.steps, flooded.far
    for y in range(labels.shape[0]):
        for x in range(labels.shape[1]):
            if far[y, x] and (not steps[y, x] or far[y, x] <= steps[y, x]):
                labels[y, x] = 0
                steps[y, x] = far[y, x]
                flooded.marks[y, x] = UNKNOWN


@compiled
def keep_cut(held: Held, kinds: NDArray[np.uint8], flooded: Flooded, ends: Ends, last: bool) -> None:
    """Add the markers to `ends.cut` that touch what is unknown, or tie with one that does.

    Those beside pixels of which it is not known yet whether they are go on; below the `last` row there is nothing.
    """
    labels, steps, marks = flooded.labels, flooded.steps, flooded.marks
    height, width = labels.shape
    for y in range(height):
        for x in range(width):
            label = labels[y, x]
            if not label:
                continue
            if marks[y, x] & (TIED | CUT) == TIED | CUT:
                held.rim[y, x] |= SHARED  # the other may be settled before this one is
            if held.rim[y, x]:
                ends.cut[label] = True
            for v in range(y - 1, min(y + 2, height)):  # corners too: they decide where outlines meet
                for u in range(max(0, x - 1), min(x + 2, width)):
                    if (held.above[u] if v < 0 else held.settled[v, u]) < 0:
                        ends.cut[label] = True
                    if v < 0 or held.settled[v, u] or kinds[held.class_ids[v, u]] != SEPARATOR:
                        continue
                    if marks[v, u] & UNKNOWN:
                        ends.cut[label] = True
                    if not last and (steps[v, u] <= 0 or v + steps[v, u] > height - 1):
                        ends.open[label] = True
            if not last and y == height - 1:
                ends.open[label] = True


@compiled
def settle_unknown(held: Held, flooded: Flooded, drained: tuple[int, bool]) -> None:
    """Settle the pixels that are marked UNKNOWN, as the class `drained[0]`; those that rows below may decide wait."""
    height, width = flooded.marks.shape
    for y in range(height):
        for x in range(width):
            if flooded.marks[y, x] & UNKNOWN and (drained[1] or y + flooded.far[y, x] <= height - 1):
                held.settled[y, x] = -flooded.far[y, x]
                held.class_ids[y, x] = drained[0]
                if drained[0] == NODATA and held.scores.size:
                    held.scores[y, x] = NODATA


@compiled
def keep_open(flooded: Flooded, reached: int, ends: NDArray[np.bool_]) -> None:
    """Add the markers to `ends` (marker,) whose objects may win or lose pixels by what lies below the last row.

    A pixel may be nearer to a marker by a way through rows to come, or as near, unless it is fewer steps from its own
    than from those rows. And a marker that goes on may prove to be part of one with a lesser label: that decides ties.
    """
    labels, steps, marks, queue = flooded.labels, flooded.steps, flooded.marks, flooded.queue
    height, width = labels.shape
    for index in range(reached):
        y, x = queue[index] // width, queue[index] % width
        if marks[y, x] & UNKNOWN:
            continue
        if marks[y, x] & (TIED | OPEN) == TIED | OPEN or y + steps[y, x] > height - 1:
            ends[labels[y, x]] = True


@compiled
def drain(held: Held, kinds: NDArray[np.uint8], flooded: Flooded, reached: int, drained: tuple[int, bool]) -> None:
    """Give the separator's pixels that no marker can reach the class `drained[0]`.

    Those connected with the last row wait, unless `drained[1]` says that it is the scene's.
    """
    ids, settled, scores = held.class_ids, held.settled, held.scores
    steps, queue = flooded.steps, flooded.queue
    height, width = ids.shape
    entered = start = reached
    for x in range(0 if drained[1] else width):
        if kinds[ids[-1, x]] == SEPARATOR and not settled[-1, x] and not steps[-1, x]:
            steps[-1, x] = -1
            queue[entered] = (height - 1) * width + x
            entered += 1
    while start < entered:
        y, x = queue[start] // width, queue[start] % width
        start += 1
        for way in range(4):
            v, u = _next_to(y, x, way)
            if not (0 <= v < height and 0 <= u < width) or steps[v, u] or settled[v, u]:
                continue
            if kinds[ids[v, u]] == SEPARATOR:
                steps[v, u] = -1
                queue[entered] = v * width + u
                entered += 1
    for y in range(height):
        for x in range(width):
            if kinds[ids[y, x]] == SEPARATOR and not settled[y, x] and not steps[y, x]:
                ids[y, x] = drained[0]
                if drained[0] == NODATA and scores.size:
                    scores[y, x] = NODATA
