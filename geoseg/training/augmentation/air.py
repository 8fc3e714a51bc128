"""Haze and shadows, as they are in each band."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from geoseg.training.augmentation.draws import Draws
from geoseg.training.augmentation.spectrum import Spectrum, at

_BLUE = 0.48  # micrometres: haze is as thick there as is said


def hazed(image: Tensor, valid: Tensor, largest: float, spectrum: Spectrum, draws: Draws) -> Tensor:
    """The window (band, y, x) behind haze of a share up to `largest`, lit as bright as the window's bright places.

    Haze thins with wavelength to a power between 0 (fog) and 1.5 (fine dust): near and shortwave infrared see through.
    """
    share = draws.uniform(largest / 8, largest)
    power = draws.uniform(0, 1.5)
    light = bright(image, valid, spectrum) * draws.uniform(0.75, 1.0)
    shares = torch.zeros(spectrum.bands)
    for place, wavelength in zip(spectrum.light, spectrum.micrometres, strict=True):
        shares[place] = min(share * (_BLUE / wavelength) ** power, share)
    shares = shares[:, None, None].to(image.device)
    return image + shares * (light - image)


def bright(image: Tensor, valid: Tensor | None, spectrum: Spectrum) -> float:
    """How bright a bright place of the window is: two standard deviations above the mean of valid light, at most 1.

    All pixels are valid where `valid` is None.
    """
    if not spectrum.light:
        return 1.0
    light = image[at(spectrum.light)].mean(0)
    known = light.numel() if valid is None else int(valid.sum())
    if valid is not None:
        light = light * valid
    mean = float(light.sum()) / max(known, 1)
    variance = float((light * light).sum()) / max(known, 1) - mean**2
    return min(1.0, max(mean + 2 * max(variance, 0.0) ** 0.5, 0.05)) if known else 1.0


def shaded(image: Tensor, spectrum: Spectrum, draws: Draws) -> Tensor:
    """The window (band, y, x) with one to three dark polygons: only light of the sky, which is blue, reaches them."""
    height, width = image.shape[1:]
    rows = torch.arange(height, device=image.device, dtype=image.dtype)[:, None]
    columns = torch.arange(width, device=image.device, dtype=image.dtype)[None]
    for _ in range(1 + draws.integer(3)):
        depth = draws.uniform(0.3, 0.7)
        cover = _polygon(rows, columns, draws)
        dark = torch.zeros(spectrum.bands)
        for place, wavelength in zip(spectrum.light, spectrum.micrometres, strict=True):
            dark[place] = min(depth * (wavelength / _BLUE) ** 0.3, 0.9)
        image = image * (1 - dark[:, None, None].to(image.device) * cover)
    return image


def _polygon(rows: Tensor, columns: Tensor, draws: Draws) -> Tensor:
    """How far each pixel (y, x) lies in a convex polygon: 1 inside, 0 outside, soft over the width of its penumbra."""
    height, width = len(rows), columns.shape[1]
    y, x = draws.uniform(0, height), draws.uniform(0, width)
    side = min(height, width)
    inside: Tensor | None = None
    start = draws.uniform(0, 2 * math.pi)
    count = 3 + draws.integer(3)
    for corner in range(count):
        angle = start + 2 * math.pi * (corner + draws.uniform(-0.3, 0.3)) / count
        reach = draws.uniform(0.03, 0.25) * side
        away = (rows - y) * math.sin(angle) + (columns - x) * math.cos(angle)
        depth = reach - away
        inside = depth if inside is None else torch.minimum(inside, depth)
    softness = draws.uniform(1, 4)
    return (inside / softness + 0.5).clamp(0, 1) if inside is not None else torch.zeros_like(rows * columns)
