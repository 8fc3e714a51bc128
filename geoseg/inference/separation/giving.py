"""The loops that measure the objects of the watershed, settle them, and give them their numbers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geoseg.core.compiled import compiled
from geoseg.inference.separation.kernels import CLASS, FIELDS, LAST_ROW, PIXELS, SCORES, THING, WALL, Held


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
    """The objects (y, x) by their final numbers, -1 for what nobody can tell, and the largest so far, before `last`.

    `numbers` (object,) are those given before, 0 for none; new ones are given in the order of first pixels. The held
    scores become the objects' (object,), where there are any.
    """
    height, width = held.settled.shape
    given = np.zeros((height, width), np.int32)
    for y in range(height):
        for x in range(width):
            place = held.settled[y, x]
            if place <= 0:
                given[y, x] = -1 if place else 0
                continue
            if not numbers[place]:
                last += 1
                numbers[place] = last
            given[y, x] = numbers[place]
            if held.scores.size:
                held.scores[y, x] = scores[place]
    return given, last
