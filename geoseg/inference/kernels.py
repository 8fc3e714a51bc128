"""The hot loops of a pass on the CPU, compiled by numba: raw pixels to network input, scores to classes.

All of them release the GIL, and none starts threads of its own.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from geoseg.core.compiled import compiled


@compiled
def normalise_chip(pixels: Any, start: int, norm: Any, out: Any) -> None:
    """Write one chip's network input.

    `pixels` (band, y, x) holds a row of tiles, of which the chip begins at column `start`; `norm` (4, band) float32
    holds low, high, scale and offset; `out` (y, x, band) float32 is one chip of a channels-last batch.
    """
    bands, height, width = pixels.shape[0], out.shape[0], out.shape[1]
    for y in range(height):
        for band in range(bands):
            low, high, scale, offset = norm[0, band], norm[1, band], norm[2, band], norm[3, band]
            for x in range(width):
                value = np.float32(pixels[band, y, start + x])
                value = min(max(value, low), high)
                out[y, x, band] = value * scale + offset


@compiled
def clear_invalid(valid: Any, start: int, out: Any) -> None:
    """Set the network input to 0 where `valid` (y, x) is False; `out` (y, x, band) begins at column `start`."""
    for y in range(out.shape[0]):
        for x in range(out.shape[1]):
            if not valid[y, start + x]:
                for band in range(out.shape[2]):
                    out[y, x, band] = np.float32(0)


@compiled
def blend_and_decide(
    scores: Any, wy: Any, wx: Any, place: Any, ring: Any, carried: Any, ids: Any, rule: Any, classes: Any, best: Any
) -> int:
    """Blend one tile's scores into the ring, and decide the pixels that no later tile can change.

    scores (channel, y, x) float32; wy (y,), wx (x,) blend weights; place (6,) int64: the tile's first column, columns
    shared with the tile to its left, rows shared with the tile row above, final rows, final columns, and 1 when scores
    are wanted.
    ring (channel, overlap, width) holds the sums of the tile row above, and takes those of this one: a column is read
    for the last time before it is written. carried (channel, y, overlap) holds the sums of the columns shared with the
    tile to the left, and takes those shared with the tile to the right.
    ids (channel,) uint8; rule (3,) float32: the threshold (negative for argmax), the background's id, and the channel
    that the score raster shows (negative for the winner's). classes, best (y, width) uint8 take the decision.
    Returns how many of the scores are not numbers.

    Arrays are indexed element by element: a slice of a row costs more than the arithmetic on it.
    """
    channels, height, width = scores.shape
    start, rows, columns = place[0], place[3], place[4]
    total = np.empty(width, np.float32)
    high = np.empty(width, np.float32)
    shown = np.empty(width, np.float32)
    winner = np.empty(width, np.int32)
    threshold, background, show = rule[0], np.int64(rule[1]), np.int64(rule[2])
    undecided = 0
    for y in range(height):
        for x in range(columns):
            high[x] = np.float32(-np.inf)
            winner[x] = -1
        for channel in range(channels):
            _sum_row(scores, wy, wx, place, ring, carried, channel, y, total)
            if y >= rows:
                for x in range(columns):
                    ring[channel, y - rows, start + x] = total[x]
                continue
            for x in range(columns):
                undecided += total[x] != total[x]
            if show == channel:
                for x in range(columns):
                    shown[x] = total[x]
            if threshold >= 0 and ids[channel] == background:
                continue
            for x in range(columns):
                better = total[x] > high[x]
                high[x] = total[x] if better else high[x]
                winner[x] = np.int32(channel) if better else winner[x]
        if y < rows:
            _settle(high, winner, ids, rule, place, y, classes)
            if place[5]:
                _quantise(shown if show >= 0 else high, place, y, best)
    return undecided


@compiled
def _sum_row(
    scores: Any, wy: Any, wx: Any, place: Any, ring: Any, carried: Any, channel: int, y: int, total: Any
) -> None:
    """One row of one channel: what the tiles before left there, plus weight times score, in the global tile order."""
    start, left, top, columns = place[0], place[1], place[2], place[4]
    weight, width = wy[y], total.shape[0]
    if y < top:
        for x in range(width):
            total[x] = ring[channel, y, start + x] + (weight * wx[x]) * scores[channel, y, x]
    else:
        for x in range(width):
            total[x] = (weight * wx[x]) * scores[channel, y, x]
    for x in range(left):
        total[x] = carried[channel, y, x] + (weight * wx[x]) * scores[channel, y, x]
    for x in range(width - columns):
        carried[channel, y, x] = total[columns + x]


@compiled
def _settle(high: Any, winner: Any, ids: Any, rule: Any, place: Any, y: int, classes: Any) -> None:
    """Write one row of classes."""
    start = place[0]
    for x in range(place[4]):
        chosen = ids[winner[x]] if winner[x] >= 0 else np.uint8(255)
        if rule[0] >= 0 and high[x] < rule[0]:
            chosen = np.uint8(rule[1])
        classes[y, start + x] = chosen


@compiled
def _quantise(source: Any, place: Any, y: int, best: Any) -> None:
    """Write one row of scores as round(254 * score), scores below 0 and above 1 clipped."""
    start = place[0]
    for x in range(place[4]):
        score = min(max(source[x], np.float32(0)), np.float32(1))
        best[y, start + x] = np.uint8(score * np.float32(254) + np.float32(0.5))
