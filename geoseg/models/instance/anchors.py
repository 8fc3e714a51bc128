"""Anchors fitted to the sizes of the objects that a network is to find."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geoseg.errors import ModelError

Values = NDArray[np.float64]

MATCH = 0.5  # intersection over union from which an anchor stands for an object
_FINEST = 4  # pixels between the anchors of the finest level; each coarser one doubles it
_RATIOS = 3
_SAMPLE = 1000  # objects that are looked at
_PLACES = 16  # of each object over the grids of anchors
_SHIFTS = np.exp2(np.arange(-4, 5) / 4)  # what a size is multiplied with, to see whether more objects match
_ROUNDS = 8
_SMALLEST = 4.0
_LADDERS = 4 * np.exp2(np.arange(9) / 2)  # sizes of the finest level; torchvision's is 32
_USUAL_RATIOS = (0.5, 1.0, 2.0)


@dataclass(frozen=True, slots=True)
class Anchors:
    """Sizes (pixels, one a level, finest first) and ratios (heights over widths) of anchors.

    `share` is the share of the objects, each at several places, that some anchor matches: with an intersection over
    union of at least one half.
    """

    sizes: tuple[float, ...]
    ratios: tuple[float, ...]
    share: float

    @property
    def options(self) -> dict[str, tuple[float, ...]]:
        """The same as options of mask-rcnn and panoptic-fpn."""
        return {"anchor_sizes": self.sizes, "anchor_ratios": self.ratios}


def fit_anchors(sizes: ArrayLike, levels: int = 5) -> Anchors:
    """Anchors for objects of `sizes` (object, 2), heights and widths in the pixels that the network sees.

    Sizes start from the centres of groups of the objects (k-means over the logarithms of sizes) or from a ladder of
    doubling sizes, whichever matches more, and are then moved level by level while still more match: a coarse level's
    anchors lie far apart, and small objects fall between them. Equal objects give equal anchors, which never match less
    than torchvision's. Raises ModelError unless there is an object and all sizes are positive.
    """
    objects = _checked(sizes)
    best = max(_starts(objects, levels), key=lambda anchors: anchors.share)
    for _ in range(_ROUNDS):
        before = best.share
        for level in range(levels):
            best = max([best, *_moves(objects, best, level)], key=lambda anchors: anchors.share)
        if best.share == before:
            break
    return best


def _starts(objects: Values, levels: int) -> list[Anchors]:
    own = np.exp(_centres(np.log(objects[:, 0] / objects[:, 1]), _RATIOS)).round(3)
    grouped = np.exp(_centres(np.log(objects.prod(1)) / 2, levels))
    ladders = [size * np.exp2(np.arange(levels)) for size in _LADDERS]
    return [_judged(objects, sizes, ratios) for ratios in (own, _USUAL_RATIOS) for sizes in (grouped, *ladders)]


def _moves(objects: Values, anchors: Anchors, level: int) -> list[Anchors]:
    moves = []
    for shift in _SHIFTS:
        sizes = np.array(anchors.sizes)
        sizes[level] *= shift
        moves.append(_judged(objects, sizes, anchors.ratios))
    return moves


def _judged(objects: Values, sizes: Values, ratios: Sequence[float] | Values) -> Anchors:
    rounded = np.clip(sizes, _SMALLEST, None).round(1)
    return Anchors(
        tuple(rounded.tolist()), tuple(float(r) for r in ratios), round(matched(objects, rounded, ratios), 4)
    )


def matched(sizes: ArrayLike, anchor_sizes: Sequence[float] | Values, anchor_ratios: Sequence[float] | Values) -> float:
    """The share of objects of `sizes` (object, 2), height and width, that some anchor matches, as in Anchors."""
    objects = _checked(sizes)
    found = np.zeros((len(objects), _PLACES), bool)
    for level, size in enumerate(anchor_sizes):
        stride = _FINEST * 2**level
        aside = np.abs((_places() * _FINEST * 2 ** (len(anchor_sizes) - 1) + stride / 2) % stride - stride / 2)
        for ratio in anchor_ratios:
            found |= _overlap(objects, size * np.array([ratio**0.5, ratio**-0.5]), aside) >= MATCH
    return float(found.mean())


def _overlap(objects: Values, anchor: Values, aside: Values) -> Values:
    """Intersection over union (object, place) of objects and one anchor whose centres are `aside` (place, 2) apart."""
    near = np.minimum(objects, anchor)[:, None]
    shared = np.clip((objects + anchor)[:, None] / 2 - aside, 0, near).prod(2)
    return np.asarray(shared / (objects.prod(1)[:, None] + anchor.prod() - shared))


def _places() -> Values:
    """Points (place, 2) spread evenly over the unit square: the sequence of the plastic number."""
    number = 1.32471795724474602596
    return np.asarray((0.5 + np.arange(1, _PLACES + 1)[:, None] / np.array([number, number**2])) % 1)


def _checked(sizes: ArrayLike) -> Values:
    """At most so many of the objects, evenly chosen by size."""
    objects = np.asarray(sizes, np.float64)
    if (
        objects.ndim != 2
        or objects.shape[1] != 2
        or not len(objects)
        or not (np.isfinite(objects) & (objects > 0)).all()
    ):
        raise ModelError(
            f"found sizes of objects of shape {objects.shape}; expected (object, 2): positive heights and widths in "
            "pixels, of at least one object: check that labels and imagery overlap"
        )
    order = np.lexsort((objects[:, 1], objects[:, 0], objects.prod(1)))
    chosen = np.linspace(0, len(order) - 1, min(len(order), _SAMPLE)).round().astype(np.int64)
    return np.asarray(objects[order[chosen]])


def _centres(values: Values, count: int) -> Values:
    """The centres of `count` groups of `values` (object,), rising: k-means that starts from evenly chosen quantiles."""
    centres = np.quantile(values, (np.arange(count) + 0.5) / count)
    for _ in range(100):
        nearest = np.abs(values[:, None] - centres).argmin(1)
        sums, counts = np.bincount(nearest, values, count), np.bincount(nearest, minlength=count)
        moved = np.where(counts > 0, sums / np.maximum(counts, 1), centres)
        if np.allclose(moved, centres):
            break
        centres = moved
    return np.sort(centres)
