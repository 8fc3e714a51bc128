"""How far scores are probabilities, and which threshold is best.

Guo, Pleiss, Sun, Weinberger, "On Calibration of Modern Neural Networks" (ICML 2017), for two classes: the score of the
foreground beside its share.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geoseg.core.values import SCORE_UNIT
from geoseg.evaluation.figures import Calibration
from geoseg.evaluation.pixels import ratio

BINS = 15


def calibration(counts: NDArray[np.int64], used: float) -> Calibration | None:
    """What counts (2, 255) of pixels by truth and stored score say of the scores; None without foreground in the truth.

    `used` is the threshold that the model decides by.
    """
    if not counts[1].any():
        return None
    values = np.arange(counts.shape[1]) / SCORE_UNIT
    bins = _bins(counts, values)
    pixels = int(counts.sum())
    hit = counts[1, ::-1].cumsum()[::-1]
    taken = counts.sum(axis=0)[::-1].cumsum()[::-1]
    precision, recall = ratio(hit, taken), ratio(hit, counts[1].sum())
    f1 = ratio(2 * hit, taken + counts[1].sum())
    used_at = int(np.clip(np.ceil(used * SCORE_UNIT - 1e-9), 0, SCORE_UNIT))
    inner = np.arange(1, SCORE_UNIT)  # a threshold lies between 0 and 1
    top = inner[f1[inner] == f1[inner].max()]
    best = int(top[np.abs(top - used_at).argmin()])
    curve = [
        (float(values[i]), float(np.nan_to_num(precision[i], nan=1.0)), float(recall[i]), float(f1[i])) for i in inner
    ]
    return Calibration(
        ece=float(sum(abs(mean - share) * n for mean, share, n in bins) / pixels),
        bins=tuple(bins),
        curve=tuple(curve),
        threshold=float(values[best]),
        f1=float(f1[best]),
        used=used,
        f1_used=float(f1[used_at]),
    )


def _bins(counts: NDArray[np.int64], values: NDArray[np.float64]) -> list[tuple[float, float, int]]:
    """Mean score, share of the foreground, and pixels of each bin of equal width that holds any."""
    which = np.minimum((values * BINS).astype(int), BINS - 1)
    pixels = np.bincount(which, weights=counts.sum(axis=0), minlength=BINS)
    scores = ratio(np.bincount(which, weights=counts.sum(axis=0) * values, minlength=BINS), pixels)
    shares = ratio(np.bincount(which, weights=counts[1], minlength=BINS), pixels)
    return [(float(scores[i]), float(shares[i]), int(pixels[i])) for i in np.flatnonzero(pixels)]
