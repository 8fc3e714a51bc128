"""From the small masks of regions to the pixels of a chip."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

_MOST_PIXELS = 2**22  # of boxes that are pasted at a time


@dataclass(frozen=True, slots=True, eq=False)
class Pasted:
    """Masks on a chip: `boxes` (object, 4) int64, `masks` (y, x) bool inside them, `kept` the objects that have any.

    `kept` (object,) int64 are positions in what was pasted, rising.
    """

    boxes: Tensor
    masks: Sequence[Tensor]
    kept: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class _Pixels:
    """All pixels of the boxes, one box after another, row by row: whose they are and where they lie."""

    owner: Tensor
    x: Tensor
    y: Tensor


def paste(masks: Tensor, boxes: Tensor, size: tuple[int, int]) -> Pasted:
    """The pixels of a chip of `size` (height, width) whose centres have at least half in a mask.

    `masks` (object, side, side) float hold 0..1 on a grid over `boxes` (object, 4) float: left, top, right, bottom.
    Values between the grid's points are bilinear, and 0 lies around it. Nothing larger than the boxes is made.
    """
    places = _pixel_boxes(boxes, size)
    spans = list(_spans(places))
    parts = [_paste(masks[span], boxes[span], places[span]) for span in spans]
    none = torch.zeros(0, dtype=torch.int64, device=boxes.device)
    return Pasted(
        boxes=torch.cat([places[:0], *(part.boxes for part in parts)]),
        masks=[mask for part in parts for mask in part.masks],
        kept=torch.cat([none, *(part.kept + span.start for part, span in zip(parts, spans, strict=True))]),
    )


def _pixel_boxes(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """The whole pixels that `boxes` touch, inside the chip, at least one each."""
    height, width = size
    limit = torch.tensor([width, height], device=boxes.device)
    start = boxes[:, :2].floor().long().clamp(min=0).minimum(limit - 1)
    stop = boxes[:, 2:].ceil().long().minimum(limit).maximum(start + 1)
    return torch.cat([start, stop], dim=1)


def _spans(places: Tensor) -> Iterator[slice]:
    """Runs of objects whose boxes hold no more than so many pixels together, or one object each."""
    areas = ((places[:, 2] - places[:, 0]) * (places[:, 3] - places[:, 1])).tolist()
    first, total = 0, 0
    for index, area in enumerate(areas):
        if total and total + area > _MOST_PIXELS:
            yield slice(first, index)
            first, total = index, 0
        total += area
    if areas:
        yield slice(first, len(areas))


def _paste(masks: Tensor, boxes: Tensor, places: Tensor) -> Pasted:
    pixels = _pixels(places)
    inside = _values(masks, boxes.float(), pixels) >= 0.5
    tight = _tightened(pixels, inside, places)
    kept = torch.nonzero(tight[:, 2] > tight[:, 0])[:, 0]
    sizes = (places[:, 2:] - places[:, :2]).tolist()
    held = torch.split(inside, [width * height for width, height in sizes])
    cut = (tight - places[:, :2].repeat(1, 2)).tolist()
    found = []
    for index in kept.tolist():
        (width, height), (left, top, right, bottom) = sizes[index], cut[index]
        found.append(held[index].view(height, width)[top:bottom, left:right])
    return Pasted(tight[kept], found, kept)


def _pixels(places: Tensor) -> _Pixels:
    widths, heights = (places[:, 2:] - places[:, :2]).unbind(1)
    areas = widths * heights
    owner = torch.repeat_interleave(torch.arange(len(places), device=places.device), areas)
    nth = torch.arange(len(owner), device=places.device) - (areas.cumsum(0) - areas)[owner]
    return _Pixels(owner, places[owner, 0] + nth % widths[owner], places[owner, 1] + nth // widths[owner])


def _values(masks: Tensor, boxes: Tensor, pixels: _Pixels) -> Tensor:
    """The masks at the centres of the pixels, bilinear."""
    side = masks.shape[-1]
    framed = torch.nn.functional.pad(masks.float(), (1, 1, 1, 1))
    sizes = (boxes[:, 2:] - boxes[:, :2]).clamp(min=1e-3)
    scale, start = side / sizes, boxes[:, :2]
    corners, weights = [], []
    for axis, place in ((1, pixels.y), (0, pixels.x)):
        at = (place + 0.5 - start[pixels.owner, axis]) * scale[pixels.owner, axis] + 0.5
        at = at.clamp(0, side + 1)
        low = at.floor().clamp(max=side)
        corners.append(low.long())
        weights.append(at - low)
    (row, column), (down, right) = corners, weights
    flat, base = framed.flatten(), (pixels.owner * (side + 2) + row) * (side + 2) + column
    above = flat[base] * (1 - right) + flat[base + 1] * right
    below = flat[base + side + 2] * (1 - right) + flat[base + side + 3] * right
    return above * (1 - down) + below * down


def _tightened(pixels: _Pixels, inside: Tensor, places: Tensor) -> Tensor:
    """The boxes (object, 4) of the pixels that are inside; empty (right before left) where none is."""
    owner = pixels.owner[inside]
    sides = []
    for places_of, how, outside in (
        (pixels.x[inside], "amin", places[:, 2]),
        (pixels.y[inside], "amin", places[:, 3]),
        (pixels.x[inside] + 1, "amax", places[:, 0]),
        (pixels.y[inside] + 1, "amax", places[:, 1]),
    ):
        sides.append(outside.scatter_reduce(0, owner, places_of, how))
    return torch.stack(sides, dim=1)
