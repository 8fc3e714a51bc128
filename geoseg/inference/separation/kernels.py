"""The loops of the watershed: markers, floods, and which of them are settled."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geoseg.core.classes import NODATA
from geoseg.core.compiled import compiled

WALL, THING, SEPARATOR = 0, 1, 2  # kinds of classes
TIED, OPEN = 1, 2  # marks of a pixel: several markers are nearest, and one of those goes on below the last row

# What is known of a marker: its class, its pixels, the sum of their scores, and the last row of its object.
CLASS, PIXELS, SCORES, LAST_ROW = range(4)
FIELDS = 4


class Held(NamedTuple):
    """Rows that wait, each (y, x): classes, scores (or (0, 0)), and the objects that are settled, from 1 on."""

    class_ids: NDArray[np.uint8]
    scores: NDArray[np.uint8]
    settled: NDArray[np.int32]


class Flooded(NamedTuple):
    """The markers of what is not settled (y, x), 0 for none, and the steps to them; `marks` (y, x) are TIED and OPEN.

    `queue` (pixel,) lists the separator's pixels that were reached, from near to far.
    """

    labels: NDArray[np.int32]
    steps: NDArray[np.int32]
    marks: NDArray[np.uint8]
    queue: NDArray[np.int64]


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
def flood(held: Held, kinds: NDArray[np.uint8], flooded: Flooded, ends: NDArray[np.bool_]) -> int:
    """Share the separator out among markers, whose labels are given; returns how many of its pixels were reached.

    A pixel goes to the marker with the fewest steps through the separator, of several to that with the least label.
    Steps are counted level by level, so that no order of pixels decides. `ends` (marker,) go on below the last row.
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
                if level == 1 and ends[other]:
                    mark |= OPEN
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
def keep_open(flooded: Flooded, reached: int, ends: NDArray[np.bool_]) -> None:
    """Add the markers to `ends` (marker,) whose objects may win or lose pixels by what lies below the last row.

    A pixel may be nearer to a marker by a way through rows to come, or as near, unless it is fewer steps from its own
    than from those rows. And a marker that goes on may prove to be part of one with a lesser label: that decides ties.
    """
    labels, steps, marks, queue = flooded.labels, flooded.steps, flooded.marks, flooded.queue
    height, width = labels.shape
    for index in range(reached):
        y, x = queue[index] // width, queue[index] % width
        if marks[y, x] == TIED | OPEN or y + steps[y, x] > height - 1:
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


@compiled
def measure(held: Held, kinds: NDArray[np.uint8], labels: NDArray[np.int32], markers: int) -> NDArray[np.int64]:
    """What is known of markers (marker, field); rows are counted from the first that is held."""
    found = np.zeros((markers + 1, FIELDS), np.int64)
    for y in range(labels.shape[0]):
        for x in range(labels.shape[1]):
            label = labels[y, x]
            if not label:
                continue
            found[label, LAST_ROW] = y
            if kinds[held.class_ids[y, x]] == THING:
                found[label, CLASS] = held.class_ids[y, x]
                found[label, PIXELS] += 1
                if held.scores.size:
                    found[label, SCORES] += held.scores[y, x]
    return found


@compiled
def settle(
    held: Held, kinds: NDArray[np.uint8], labels: NDArray[np.int32], number: NDArray[np.int32], found: NDArray[np.int64]
) -> int:
    """Settle the objects that have a number (marker,) other than 0; returns the first row that is not settled."""
    first = labels.shape[0]
    for y in range(labels.shape[0]):
        for x in range(labels.shape[1]):
            label = labels[y, x]
            if number[label]:
                held.settled[y, x] = number[label]
                held.class_ids[y, x] = found[label, CLASS]
            elif kinds[held.class_ids[y, x]] != WALL and not held.settled[y, x]:
                first = min(first, y)
    return int(first)


@compiled
def give(held: Held, scores: NDArray[np.uint8], numbers: NDArray[np.int32], last: int) -> tuple[NDArray[np.int32], int]:
    """The objects (y, x) by their final numbers, and the largest so far; it was `last` before.

    `numbers` (object,) are those given before, 0 for none; new ones are given in the order of first pixels. The held
    scores become the objects' (object,), where there are any.
    """
    height, width = held.settled.shape
    given = np.zeros((height, width), np.int32)
    for y in range(height):
        for x in range(width):
            place = held.settled[y, x]
            if not place:
                continue
            if not numbers[place]:
                last += 1
                numbers[place] = last
            given[y, x] = numbers[place]
            if held.scores.size:
                held.scores[y, x] = scores[place]
    return given, last
