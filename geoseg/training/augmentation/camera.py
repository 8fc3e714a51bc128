"""What lenses, sensors and files do to a picture: blur, noise, JPEG."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from geoseg.training.augmentation.draws import Draws
from geoseg.training.augmentation.spectrum import Spectrum, at

_BEST_QUALITY = 90


def blurred(image: Tensor, valid: Tensor, largest: float, draws: Draws) -> Tensor:
    """The window (band, y, x) under a Gaussian of up to `largest` pixels; what is not valid bleeds into nothing."""
    deviation = draws.uniform(min(0.3, largest), largest)
    if deviation <= 0:
        return image
    if bool(valid.all()):
        return _smoothed(image, deviation)
    weight = _smoothed(valid[None].to(image.dtype), deviation)
    return _smoothed(image * valid, deviation) / weight.clamp_min(1e-3)


def _smoothed(image: Tensor, deviation: float) -> Tensor:
    """The convolution with a Gaussian cut off at three deviations; the edge's values go on beyond it."""
    reach = min(max(1, round(3 * deviation)), min(image.shape[1:]) - 1)
    taps = [math.exp(-0.5 * (away / deviation) ** 2) for away in range(reach + 1)]
    total = 2 * sum(taps) - taps[0]
    for axis in (1, 2):
        image = summed(image, [tap / total for tap in taps], axis)
    return image


def summed(image: Tensor, taps: Sequence[float], axis: int) -> Tensor:
    """The values along an axis times `taps`, those of both sides alike; several times as fast as a convolution."""
    reach, length = len(taps) - 1, image.shape[axis]
    ends = (image.narrow(axis, 0, 1), image.narrow(axis, length - 1, 1))
    wide = torch.cat([ends[0]] * reach + [image] + [ends[1]] * reach, dim=axis)
    result = image * taps[0]
    for away in range(1, reach + 1):
        result.add_(wide.narrow(axis, reach - away, length), alpha=taps[away])
        result.add_(wide.narrow(axis, reach + away, length), alpha=taps[away])
    return result


def noisy(image: Tensor, largest: float, draws: Draws) -> Tensor:
    """The window (band, y, x) with Gaussian noise of a standard deviation up to `largest`, each pixel on its own."""
    return torch.add(image, draws.normals(image), alpha=draws.uniform(largest / 6, largest))


def squeezed(image: Tensor, lowest: int, spectrum: Spectrum, draws: Draws) -> Tensor:
    """The window (band, y, x) with red, green and blue through a JPEG of a quality between `lowest` and 90.

    The file is written and read on the host, in 8 bits; what lies beyond 0 and 1 stays as far beyond.
    """
    if not spectrum.rgb:
        return image
    quality = round(draws.uniform(min(lowest, _BEST_QUALITY), _BEST_QUALITY))
    image = image.clone()
    for triple in spectrum.rgb:
        bands = at(triple)
        held = image[bands].clamp(0, 1)
        levels = (held * 255).round().to("cpu", torch.uint8)
        beyond = image[bands] - held
        image[bands] = beyond + _through_jpeg(levels, quality).to(image.device, image.dtype) / 255
    return image


def _through_jpeg(levels: Tensor, quality: int) -> Tensor:
    """Levels (3, y, x) uint8 on the host, written to a JPEG in memory and read again."""
    from PIL import Image

    with io.BytesIO() as file:
        Image.fromarray(levels.permute(1, 2, 0).contiguous().numpy()).save(file, "JPEG", quality=quality)
        return torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1)
