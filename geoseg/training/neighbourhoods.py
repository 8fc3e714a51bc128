"""What lies around each pixel of a window: extremes within a distance, the distance to edges, objects in order."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

UNKNOWN = 255
_FAR = torch.iinfo(torch.int32).max
_LISTED = 1 << 22  # numbers of objects up to here are looked up in a table, larger ones sorted


def numbered(objects: Tensor) -> tuple[Tensor, int]:
    """The objects (y, x) of one window numbered from 1 without gaps, int64 and in the same order, and how many.

    Pixels of no object (0, or less) stay 0.
    """
    ids = objects.long().clamp_min(0)
    highest = int(ids.max()) if ids.numel() else 0
    if highest > _LISTED:
        found, places = torch.unique(ids, return_inverse=True)
        shift = 0 if int(found[0]) == 0 else 1
        return places + shift, len(found) - 1 + shift
    present = torch.zeros(highest + 1, dtype=torch.int64, device=ids.device)
    present[ids.flatten()] = 1
    present[0] = 0
    numbers = present.cumsum(0)
    numbers[0] = 0
    return numbers[ids], int(numbers[-1])


def highest_within(values: Tensor, distance: float) -> Tensor:
    """The largest of `values` (y, x) int32 within a distance in pixels of each pixel's centre, itself included."""
    return _extreme(values, distance, torch.maximum, -_FAR)


def lowest_within(values: Tensor, distance: float) -> Tensor:
    """The smallest of `values` (y, x) int32 within a distance in pixels of each pixel's centre, itself included."""
    return _extreme(values, distance, torch.minimum, _FAR)


def _extreme(values: Tensor, distance: float, better: Callable[..., Tensor], worst: int) -> Tensor:
    """The better of the values in a disk around each pixel: rows of growing width, laid upon each other."""
    height, width = values.shape
    reach = int(distance)
    tall = torch.full((height + 2 * reach, width + 2 * reach), worst, dtype=values.dtype, device=values.device)
    tall[reach : reach + height, reach : reach + width] = values
    row = tall[:, reach : reach + width].clone()
    best = values.clone()
    for half in range(reach + 1):
        if half:
            better(row, tall[:, reach - half : reach - half + width], out=row)
            better(row, tall[:, reach + half : reach + half + width], out=row)
        for dy in range(-reach, reach + 1):
            if int(max(distance**2 - dy**2, 0) ** 0.5) == half:
                better(best, row[reach + dy : reach + dy + height], out=best)
    return best


def distances(sites: Tensor, farthest: float) -> Tensor:
    """How far each pixel's centre is from the nearest site's, in pixels, float32; infinite beyond `farthest`.

    `sites` (y, x) bool. Euclidean and exact: first along columns, then along rows.
    """
    height, width = sites.shape
    reach = int(farthest)
    beyond = float((reach + 1) ** 2)
    column = torch.full((height + 2 * reach, width), beyond, device=sites.device)
    column[reach : reach + height][sites] = 0
    squares = column[reach : reach + height].clone()
    for step in range(1, reach + 1):
        nearer = torch.minimum(column[reach - step :][:height], column[reach + step :][:height])
        torch.minimum(squares, nearer.add_(step**2), out=squares)
    rows = torch.full((height, width + 2 * reach), beyond, device=sites.device)
    rows[:, reach : reach + width] = squares
    for step in range(1, reach + 1):
        nearer = torch.minimum(rows[:, reach - step :][:, :width], rows[:, reach + step :][:, :width])
        torch.minimum(squares, nearer.add_(step**2), out=squares)
    away = squares.sqrt_()
    return away.masked_fill_(away > farthest, torch.inf)


def edge_sites(classes: Tensor, objects: Tensor) -> Tensor:
    """Pixels (y, x) bool beside one of another class or another object; where either is unknown there is no edge."""
    known = classes != UNKNOWN
    sites = torch.zeros_like(known)
    for axis in (0, 1):
        count = classes.shape[axis] - 1
        first, second = ((v.narrow(axis, 0, count), v.narrow(axis, 1, count)) for v in (classes, objects))
        ends = known.narrow(axis, 0, count) & known.narrow(axis, 1, count)
        differ = ((first[0] != first[1]) | (second[0] != second[1])) & ends
        sites.narrow(axis, 0, count).logical_or_(differ)
        sites.narrow(axis, 1, count).logical_or_(differ)
    return sites
