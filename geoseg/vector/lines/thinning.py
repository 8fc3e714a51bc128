"""Areas to lines one pixel wide, by steps that see no further than a pixel's eight neighbours."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geoseg.core.compiled import compiled

# Neighbours clockwise from north: a neighbourhood is a byte, bit i set where neighbour i is.
STEP_X = np.array([0, 1, 1, 1, 0, -1, -1, -1], np.int64)
STEP_Y = np.array([-1, -1, 0, 1, 1, 1, 0, -1], np.int64)


def _removable(neighbourhood: int, half: int) -> bool:
    """Whether a pixel with these neighbours goes in that half of an iteration (conditions a, b and c of the paper)."""
    n, ne, e, se, s, sw, w, nw = (bool(neighbourhood >> bit & 1) for bit in range(8))
    runs = (not n and (ne or e)) + (not e and (se or s)) + (not s and (sw or w)) + (not w and (nw or n))
    pairs = min((nw or n) + (ne or e) + (se or s) + (sw or w), (n or ne) + (e or se) + (s or sw) + (w or nw))
    blocked = ((n or ne or not se) and e) if half == 0 else ((s or sw or not nw) and w)
    return runs == 1 and 2 <= pairs <= 3 and not blocked


def _linked(neighbourhood: int) -> int:
    """The neighbours that a skeleton pixel is linked with: a diagonal one only where no side leads there."""
    links = 0
    for bit in range(8):
        round_the_corner = 1 << (bit + 1) % 8 | 1 << (bit + 7) % 8
        if neighbourhood >> bit & 1 and (bit % 2 == 0 or not neighbourhood & round_the_corner):
            links |= 1 << bit
    return links


REMOVABLE = np.array([[_removable(code, half) for code in range(256)] for half in (0, 1)])
LINKS = np.array([_linked(code) for code in range(256)], np.uint8)
LINK_COUNT = np.array([_linked(code).bit_count() for code in range(256)], np.uint8)
# A pixel of a full square of four is not part of a line yet.
IN_SQUARE = np.array(
    [
        any(code & (square := 7 << bit | 7 >> 8 - bit) & 255 == square & 255 for bit in (0, 2, 4, 6))
        for code in range(256)
    ]
)


@compiled
def neighbourhood(mask: NDArray[np.uint8], y: int, x: int) -> int:
    """The neighbours of a pixel that are set, a bit each, clockwise from north; the pixel is not on the rim."""
    around: int = (
        (mask[y - 1, x] != 0)
        | (mask[y - 1, x + 1] != 0) << 1
        | (mask[y, x + 1] != 0) << 2
        | (mask[y + 1, x + 1] != 0) << 3
        | (mask[y + 1, x] != 0) << 4
        | (mask[y + 1, x - 1] != 0) << 5
        | (mask[y, x - 1] != 0) << 6
        | (mask[y - 1, x - 1] != 0) << 7
    )
    return around


@compiled
def thin(mask: NDArray[np.uint8], iterations: int, removable: NDArray[np.bool_]) -> None:  # noqa: C901 - two sweeps
    """Thin a mask (y, x) in place; the rim, one pixel wide, is empty.

    Guo and Hall, "Parallel thinning with two-subiteration algorithms" (1989), algorithm A1; `removable` is REMOVABLE.
    What becomes of a pixel depends on those at most `2 * iterations` away: to stop when nothing changes any more
    is the same as to go on.
    """
    height, width = mask.shape
    count = 0
    for y in range(1, height - 1):
        for x in range(1, width - 1):
            count += mask[y, x] != 0
    places = np.empty((count, 2), np.int32)
    count = 0
    for y in range(1, height - 1):
        for x in range(1, width - 1):
            if mask[y, x]:
                places[count, 0], places[count, 1] = y, x
                count += 1
    gone = np.empty(count, np.int64)
    quiet = 0
    for half in range(2 * iterations):
        removed = 0
        for place in range(count):
            if removable[half % 2, neighbourhood(mask, places[place, 0], places[place, 1])]:
                gone[removed] = place
                removed += 1
        for number in range(removed):
            mask[places[gone[number], 0], places[gone[number], 1]] = 0
        quiet = 0 if removed else quiet + 1
        if quiet == 2:
            break
        if removed:
            kept = gone[0]
            for place in range(gone[0], count):
                if mask[places[place, 0], places[place, 1]]:
                    places[kept] = places[place]
                    kept += 1
            count = kept
