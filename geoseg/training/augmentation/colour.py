"""Brightness, contrast and colours: the light of another day, another camera, another hand at the sliders."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from geoseg.training.augmentation.draws import Draws
from geoseg.training.augmentation.spectrum import Spectrum, at
from geoseg.training.options import AugmentationOptions


def coloured(image: Tensor, valid: Tensor, options: AugmentationOptions, spectrum: Spectrum, draws: Draws) -> Tensor:
    """The window (band, y, x) with its bands of light changed: gamma first, then all that is linear in one product.

    Gamma, contrast and shift are the same for all bands, so that what they say of each other stays; each band has a
    gain of its own, as sensors have. Saturation, hue and grey act on red, green and blue alone.
    """
    colour, grey = draws.happens(options.colour), draws.happens(options.grey)
    if not (colour or grey) or not spectrum.light:
        return image
    seen, change, shift = image, torch.eye(spectrum.bands), torch.zeros(spectrum.bands)
    if colour:
        seen = image.clamp(min=0) ** math.exp(draws.uniform(-options.gamma, options.gamma))
        contrast = math.exp(draws.uniform(-options.contrast, options.contrast))
        gains = torch.exp(draws.uniforms(-options.gain, options.gain, spectrum.bands))
        change = gains[:, None] * contrast * _linear(options, spectrum, draws)
        shift = gains * (1 - contrast) * _middle(seen, valid, spectrum) + draws.uniform(-options.shift, options.shift)
    if grey:
        change, shift = _grey(spectrum) @ change, _grey(spectrum) @ shift
    return _applied(image, seen, change, shift, spectrum)


def _applied(image: Tensor, seen: Tensor, change: Tensor, shift: Tensor, spectrum: Spectrum) -> Tensor:
    """`change` (band, band) and `shift` (band,) on the bands of light of `seen`; the others as they are in `image`."""
    light = list(spectrum.light)
    bands = seen[at(light)].flatten(1)
    product = torch.addmm(shift[light, None].to(image.device), change[light][:, light].to(image.device), bands).reshape(
        -1, *image.shape[1:]
    )
    if len(light) == spectrum.bands:
        return product
    image = image.clone()
    image[light] = product
    return image


def _linear(options: AugmentationOptions, spectrum: Spectrum, draws: Draws) -> Tensor:
    """Mixing of bands, hue and saturation as one matrix (band, band) that keeps grey grey."""
    change = torch.eye(spectrum.bands)
    if options.mix and len(spectrum.light) > 1:
        change = _mixed(draws.uniforms(0, options.mix, spectrum.bands), spectrum)
    if spectrum.rgb:
        angle = math.radians(draws.uniform(-options.hue, options.hue)) if options.hue else 0.0
        factor = math.exp(draws.uniform(-options.saturation, options.saturation))
        grey = _grey(spectrum)
        colours = torch.eye(spectrum.bands) - grey
        change = (grey + factor * _turn(angle, spectrum) @ colours) @ change
    return change


def _grey(spectrum: Spectrum) -> Tensor:
    """A matrix (band, band) that makes red, green and blue their mean and leaves all other bands alone."""
    grey = torch.eye(spectrum.bands)
    for triple in spectrum.rgb:
        for row in triple:
            grey[row] = 0
            grey[row, list(triple)] = 1 / 3
    return grey


def _turn(angle: float, spectrum: Spectrum) -> Tensor:
    """A matrix (band, band) that turns red, green and blue about the grey axis by `angle` radians."""
    turn = torch.eye(spectrum.bands)
    cross = math.sin(angle) / math.sqrt(3)
    side = (1 - math.cos(angle)) / 3
    for red, green, blue in spectrum.rgb:
        for first, second, third in ((red, green, blue), (green, blue, red), (blue, red, green)):
            turn[first, first] = math.cos(angle) + side
            turn[first, second] = side - cross
            turn[first, third] = side + cross
    return turn


def _mixed(shares: Tensor, spectrum: Spectrum) -> Tensor:
    """A matrix (band, band) that puts a share of the mean of the other bands of light into each of them."""
    change = torch.eye(spectrum.bands)
    others = len(spectrum.light) - 1
    for row in spectrum.light:
        share = float(shares[row])
        change[row, list(spectrum.light)] = share / others
        change[row, row] = 1 - share
    return change


def _middle(image: Tensor, valid: Tensor, spectrum: Spectrum) -> float:
    """The mean of the bands of light over valid pixels."""
    known = int(valid.sum())
    light = image[at(spectrum.light)].mean(0)
    return float((light * valid).sum()) / max(known, 1)
