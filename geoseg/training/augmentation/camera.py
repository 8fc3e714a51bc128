"""What lenses, sensors and files do to a picture: blur, noise, JPEG."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from geoseg.training.augmentation.draws import Draws
from geoseg.training.augmentation.spectrum import Spectrum

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
    away = torch.arange(-reach, reach + 1, device=image.device, dtype=image.dtype)
    kernel = torch.exp(-0.5 * (away / deviation) ** 2)
    kernel = kernel / kernel.sum()
    padded = functional.pad(image[:, None], (reach, reach, reach, reach), mode="replicate")
    tall = functional.conv2d(padded, kernel.view(1, 1, 1, -1))
    return functional.conv2d(tall, kernel.view(1, 1, -1, 1))[:, 0]


def noisy(image: Tensor, largest: float, draws: Draws) -> Tensor:
    """The window (band, y, x) with Gaussian noise of a standard deviation up to `largest`, each pixel on its own."""
    return torch.add(image, draws.normals(image), alpha=draws.uniform(largest / 6, largest))


def squeezed(image: Tensor, lowest: int, spectrum: Spectrum, draws: Draws) -> Tensor:
    """The window (band, y, x) with red, green and blue through a JPEG of a quality between `lowest` and 90.

    The file is written and read on the host, in 8 bits.
    """
    from torchvision.io import ImageReadMode, decode_jpeg, encode_jpeg

    if not spectrum.rgb:
        return image
    quality = round(draws.uniform(min(lowest, _BEST_QUALITY), _BEST_QUALITY))
    image = image.clone()
    for triple in spectrum.rgb:
        bands = list(triple)
        levels = (image[bands].clamp(0, 1) * 255).round().to("cpu", torch.uint8)
        read = decode_jpeg(encode_jpeg(levels.contiguous(), quality), mode=ImageReadMode.RGB)
        image[bands] = read.to(image.device, image.dtype) / 255
    return image
