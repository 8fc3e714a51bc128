"""All changes of a batch, in the order in which they come about: ground, light, air, lens, sensor, file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from geoseg.training.augmentation.air import hazed, shaded
from geoseg.training.augmentation.camera import blurred, noisy, squeezed
from geoseg.training.augmentation.colour import coloured
from geoseg.training.augmentation.draws import Draws
from geoseg.training.augmentation.mixing import cut_and_mixed, pasted
from geoseg.training.augmentation.spectrum import Spectrum
from geoseg.training.augmentation.tint import tinted
from geoseg.training.augmentation.turning import turned
from geoseg.training.batch import Batch
from geoseg.training.options import AugmentationOptions


def augment(batch: Batch, options: AugmentationOptions, bands: Sequence[str], generator: torch.Generator) -> Batch:
    """The batch with its windows changed, each in its own way, on the batch's device; the batch given stays as it is.

    Everything drawn follows from the generator (of any device; one of the CPU needs no waiting for a GPU). Pixels,
    validity, classes and objects move together; pixels that are not valid stay 0. Objects' numbers may change.
    """
    draws = Draws(generator)
    changed = turned(batch, options, draws)
    changed = pasted(changed, options.copy_paste, draws)
    changed = cut_and_mixed(changed, options.cutmix, draws)
    spectrum = Spectrum.of(bands)
    images = [
        _seen(_tinted(image, objects * valid, options, spectrum, draws), valid, options, spectrum, draws)
        for image, valid, objects in zip(changed.images, changed.valid, changed.objects, strict=True)
    ]
    return replace(changed, images=torch.stack(images)) if images else changed


def _tinted(image: Tensor, objects: Tensor, options: AugmentationOptions, spectrum: Spectrum, draws: Draws) -> Tensor:
    return tinted(image, objects, spectrum, draws) if draws.happens(options.tint) else image


def _seen(image: Tensor, valid: Tensor, options: AugmentationOptions, spectrum: Spectrum, draws: Draws) -> Tensor:
    """One window (band, y, x) as another camera might have seen it on another day; `valid` (y, x) bool.

    What is changed is cut off at 0 and 1, or where the band itself ended: predictions see values beyond as they are.
    """
    before = image
    if draws.happens(options.shadow):
        image = shaded(image, spectrum, draws)
    if draws.happens(options.haze[0]):
        image = hazed(image, valid, options.haze[1], spectrum, draws)
    if draws.happens(options.blur[0]):
        image = blurred(image, valid, options.blur[1], draws)
    if draws.happens(options.noise[0]):
        image = noisy(image, options.noise[1], draws)
    image = coloured(image, valid, options, spectrum, draws)
    if draws.happens(options.jpeg[0]):
        image = squeezed(image, options.jpeg[1], spectrum, draws)
    if image is before:
        return image
    low, high = (end[:, None, None] for end in before.flatten(1).aminmax(dim=1))
    return image.clamp_(low.clamp(max=0), high.clamp(min=1)).mul_(valid)  # no longer the batch's own
