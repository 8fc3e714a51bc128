"""Objects drawn at random: connected, touching, of every shape."""

import numpy as np
from hypothesis import strategies as st
from scipy import ndimage

EIGHT = np.ones((3, 3))


def scene(shape, seed, count):
    """Numbered objects (y, x): discs, rings, snakes, combs, bars, single pixels; each in one piece (corners count)."""
    rng = np.random.default_rng(seed)
    pixels = np.zeros(shape, np.int64)
    for _ in range(count):
        mask = SHAPES[rng.integers(len(SHAPES))](shape, rng)
        pixels[mask] = pixels.max() + 1
    return pieces(pixels)


def pieces(pixels):
    """The same, each piece with a number of its own."""
    out, total = np.zeros(pixels.shape, np.int64), 0
    for number in range(1, pixels.max() + 1):
        labels, found = ndimage.label(pixels == number, EIGHT)
        out[labels > 0] = labels[labels > 0] + total
        total += found
    return out


def _disc(shape, rng):
    y, x = np.ogrid[: shape[0], : shape[1]]
    radius = rng.integers(1, max(shape) + 1)
    return (y - rng.integers(shape[0])) ** 2 + (x - rng.integers(shape[1])) ** 2 <= radius**2 / 4


def _ring(shape, rng):
    y, x = np.ogrid[: shape[0], : shape[1]]
    distance = np.hypot(y - rng.integers(shape[0]), x - rng.integers(shape[1]))
    radius = rng.integers(2, max(shape) + 2)
    return (distance <= radius) & (distance > radius - 1.5)


def _snake(shape, rng):
    mask = np.zeros(shape, bool)
    y, x = rng.integers(shape[0]), rng.integers(shape[1])
    for _ in range(rng.integers(1, 12)):
        step = [(0, 1), (1, 0), (0, -1), (-1, 0), (1, 1), (1, -1)][rng.integers(6)]
        for _ in range(rng.integers(1, max(shape) + 1)):
            mask[y, x] = True
            y, x = np.clip(y + step[0], 0, shape[0] - 1), np.clip(x + step[1], 0, shape[1] - 1)
    return mask


def _comb(shape, rng):
    mask = np.zeros(shape, bool)
    mask[:, :: rng.integers(2, 5)] = True
    mask[rng.integers(shape[0])] = True
    return mask if rng.random() < 0.5 or shape[0] != shape[1] else mask.T


def _bar(shape, rng):
    mask = np.zeros(shape, bool)
    y, x = rng.integers(shape[0]), rng.integers(shape[1])
    mask[y : y + rng.integers(1, shape[0] + 1), x : x + rng.integers(1, shape[1] + 1)] = True
    return mask


def _pixel(shape, rng):
    mask = np.zeros(shape, bool)
    mask[rng.integers(shape[0]), rng.integers(shape[1])] = True
    return mask


SHAPES = (_disc, _ring, _snake, _comb, _bar, _pixel)

shapes = st.tuples(st.integers(1, 48), st.integers(1, 48))
tilings = st.integers(2, 14).flatmap(lambda tile: st.tuples(st.just(tile), st.integers(1, tile // 2)))
