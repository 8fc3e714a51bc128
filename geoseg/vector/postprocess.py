"""Closed components tidied before they are drawn: small ones dropped, holes filled."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoseg.vector.ground import Ground
from geoseg.vector.outlines import RingBatch, summed


@dataclass(frozen=True, slots=True)
class TidySettings:
    """What is too small to be kept, in square metres on the ground; 0 switches a step off.

    With `whole_groups` a group is one object, and is measured as a whole; else each of its polygons is.
    """

    min_area_m2: float = 0.0
    fill_holes_m2: float = 0.0
    whole_groups: bool = False


def tidy(batch: RingBatch, ground: Ground, settings: TidySettings) -> RingBatch:
    """The batch without objects that are too small and without holes that are, in the order given.

    An object's result depends on nothing but itself, and its size is that of its pixels.
    """
    return _fill_holes(_drop_small(batch, ground, settings), ground, settings)


def centres(batch: RingBatch) -> NDArray[np.float64]:
    """The middle of each component's extent, shape (component, 2); a batch is not empty."""
    starts = batch.ring_offsets[batch.polygon_offsets[:-1]]
    return (np.minimum.reduceat(batch.points, starts) + np.maximum.reduceat(batch.points, starts)) / 2


def _drop_small(batch: RingBatch, ground: Ground, settings: TidySettings) -> RingBatch:
    if settings.min_area_m2 <= 0 or not len(batch):
        return batch
    areas = batch.pixels * ground.pixel_areas(centres(batch))
    if settings.whole_groups:
        areas = summed(areas, batch.group, len(batch))[batch.group]
    return batch.take(~(areas < settings.min_area_m2))  # what has no measure stays


def _fill_holes(batch: RingBatch, ground: Ground, settings: TidySettings) -> RingBatch:
    """The batch without small holes, but for those that may hold an object which is kept.

    What is not background in a hole is smaller than the minimum area, then so is each object in it: none is kept.
    """
    if settings.fill_holes_m2 <= 0 or not len(batch):
        return batch
    pixel = np.repeat(ground.pixel_areas(centres(batch)), np.diff(batch.polygon_offsets))
    small = batch.ring_areas() * pixel <= settings.fill_holes_m2
    vacant = (batch.enclosed == 0) | (batch.enclosed * pixel < settings.min_area_m2)
    hole = np.ones(len(small), np.bool_)
    hole[batch.polygon_offsets[:-1]] = False
    return batch.without_rings(hole & small & vacant)
