"""Parts of one window in another: whole things (copy-paste), or a rectangle with all that is in it (cutmix)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from geoseg.training.augmentation.draws import Draws
from geoseg.training.augmentation.tint import softened
from geoseg.training.batch import Batch
from geoseg.training.neighbourhoods import UNKNOWN, numbered

_ALIKE = 1.4  # how many times as fine the other window may be, or as coarse


@dataclass(frozen=True, slots=True, eq=False)
class _Window:
    """One window of a batch: views of its tensors (band, y, x) and (y, x)."""

    image: Tensor
    valid: Tensor
    classes: Tensor
    objects: Tensor


def pasted(batch: Batch, probability: float, draws: Draws) -> Batch:
    """The batch with whole things of other windows of like resolution laid on free, known ground; new tensors.

    After Ghiasi et al. 2021, arXiv:2012.07177, but no thing is covered by another, for houses do not stand on houses.
    Pasted things keep their classes, take numbers that are free, and are lit like the window that they come into.
    """
    return _mixed(batch, probability, draws, _paste)


def cut_and_mixed(batch: Batch, probability: float, draws: Draws) -> Batch:
    """The batch with a rectangle of another window of like resolution in its place; new tensors.

    After Yun et al. 2019, arXiv:1905.04899, with the labels of each pixel instead of their mixture. Objects that the
    rectangle cuts are two.
    """
    return _mixed(batch, probability, draws, _cut_in)


def _mixed(batch: Batch, probability: float, draws: Draws, mix: Callable[[_Window, _Window, Draws], None]) -> Batch:
    """The batch in which `mix` has changed windows, each by another one of like resolution."""
    if not probability or len(batch) < 2:
        return batch
    result = _copied(batch)
    for index in range(len(batch)):
        other = _partner(batch, index, draws) if draws.happens(probability) else None
        if other is not None:
            mix(_window(result, index), _window(batch, other), draws)
    return result


def _copied(batch: Batch) -> Batch:
    return replace(
        batch,
        images=batch.images.clone(),
        valid=batch.valid.clone(),
        classes=batch.classes.clone(),
        objects=batch.objects.clone(),
    )


def _window(batch: Batch, index: int) -> _Window:
    return _Window(batch.images[index], batch.valid[index], batch.classes[index], batch.objects[index])


def _partner(batch: Batch, index: int, draws: Draws) -> int | None:
    """Another window of like resolution, any of them; None when there is none."""
    resolutions = batch.resolution.tolist()
    own = resolutions[index]
    alike = [i for i, r in enumerate(resolutions) if i != index and 1 / _ALIKE <= r / own <= _ALIKE]
    return alike[draws.integer(len(alike))] if alike else None


def _paste(window: _Window, source: _Window, draws: Draws) -> None:
    """Lay a random share of the source's whole things on free ground of the window, all shifted alike."""
    height, width = source.objects.shape
    down = round(draws.uniform(-0.5, 0.5) * height)
    right = round(draws.uniform(-0.5, 0.5) * width)
    ids, count = numbered(source.objects)
    if not count:
        return
    known = source.valid & (source.classes != UNKNOWN)
    kept = torch.cat([torch.zeros(1, dtype=torch.bool), draws.uniforms(0, 1, count) < draws.uniform(0.2, 1)])
    kept = kept.to(ids.device)
    moved = _shifted(ids, down, right)
    kept &= torch.bincount(moved.flatten(), minlength=count + 1) == torch.bincount(ids.flatten(), minlength=count + 1)
    for strip in (ids[0], ids[-1], ids[:, 0], ids[:, -1]):
        kept[strip] = False  # cut by the edge
    free = window.valid & (window.classes != UNKNOWN) & (window.objects <= 0)
    for unfit in (ids * ~known, moved * ~free):
        kept &= torch.bincount(unfit.flatten(), minlength=count + 1) == 0
    kept[0] = False
    mask = kept[moved]
    if bool(mask.any()):
        _lay(window, source, mask, (down, right))
        numbers = (window.objects.max() + moved).to(window.objects.dtype)
        window.objects.copy_(torch.where(mask, numbers, window.objects))


def _lay(window: _Window, source: _Window, mask: Tensor, shift: tuple[int, int]) -> None:
    """Put the source's pixels and classes where the mask (y, x) is, lit like the window."""
    light = _mean(window) / _mean(source).clamp_min(1e-3)
    pixels = _shifted(source.image, *shift) * light.clamp(0.6, 1.6)[:, None, None]
    cover = softened(mask.to(pixels.dtype)) * _shifted(source.valid, *shift) * window.valid
    window.image.lerp_(pixels, cover)
    window.classes.copy_(torch.where(mask, _shifted(source.classes, *shift), window.classes))


def _mean(window: _Window) -> Tensor:
    """The mean of each band over valid pixels, (band,)."""
    return (window.image * window.valid).flatten(1).sum(1) / window.valid.sum().clamp_min(1)


def _shifted(values: Tensor, down: int, right: int) -> Tensor:
    """The values (..., y, x) moved by whole pixels; zeros come in."""
    height, width = values.shape[-2:]
    moved = torch.zeros_like(values)
    rows, columns = height - abs(down), width - abs(right)
    y, x = max(down, 0), max(right, 0)
    top, left = max(-down, 0), max(-right, 0)
    moved[..., y : y + rows, x : x + columns] = values[..., top : top + rows, left : left + columns]
    return moved


def _cut_in(window: _Window, source: _Window, draws: Draws) -> None:
    """Replace a rectangle of a twentieth to a half of the window by the same place of the source."""
    height, width = window.valid.shape
    share, slim = draws.uniform(0.05, 0.5), draws.uniform(-0.5, 0.5)
    rows = min(height, max(1, round(height * (share * 2**slim) ** 0.5)))
    columns = min(width, max(1, round(width * (share / 2**slim) ** 0.5)))
    top, left = draws.integer(height - rows + 1), draws.integer(width - columns + 1)
    place = (..., slice(top, top + rows), slice(left, left + columns))
    numbers = source.objects[place]
    window.image[place] = source.image[place]
    window.valid[place] = source.valid[place]
    window.classes[place] = source.classes[place]
    taken = window.objects.max().clamp_min(0)
    window.objects[place] = torch.where(numbers > 0, numbers + taken, numbers)
