"""Single things in other colours, so that a model does not learn the roofs of one town."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from geoseg.training.augmentation.air import bright
from geoseg.training.augmentation.draws import Draws
from geoseg.training.augmentation.spectrum import Spectrum
from geoseg.training.neighbourhoods import numbered

# lowest and highest hue (of a turn), saturation and brightness of each kind of surface
_SURFACES = torch.tensor(
    [
        [[0.00, 0.00, 0.35], [1.00, 0.08, 1.00]],  # concrete, sheet metal, white paint
        [[0.00, 0.00, 0.12], [1.00, 0.10, 0.35]],  # bitumen, slate
        [[0.00, 0.30, 0.35], [0.06, 0.65, 0.80]],  # tiles
        [[0.06, 0.15, 0.35], [0.13, 0.50, 0.85]],  # rust, straw, clay
        [[0.53, 0.20, 0.40], [0.64, 0.70, 0.85]],  # blue sheet
        [[0.30, 0.15, 0.30], [0.47, 0.50, 0.75]],  # green sheet
    ]
)


def tinted(image: Tensor, objects: Tensor, spectrum: Spectrum, draws: Draws) -> Tensor:
    """The window (band, y, x) with a random share of its objects (y, x) in another colour, texture and shading kept.

    Only red, green and blue change. Edges are soft, as they are in pictures.
    """
    ids, count = numbered(objects)
    if not count or not spectrum.rgb:
        return image
    chosen = torch.cat([torch.zeros(1, dtype=torch.bool), draws.uniforms(0, 1, count) < draws.uniform(0.1, 0.9)])
    colours = _colours(count + 1, draws)
    cover = softened(chosen.to(image.device)[ids].to(image.dtype))
    white = bright(image, ids >= 0, spectrum)
    image = image.clone()
    for triple in spectrum.rgb:
        bands = list(triple)
        repainted = _repainted(image[bands], ids, (colours * white).to(image.device))
        image[bands] = torch.lerp(image[bands], repainted, cover)
    return image


def softened(cover: Tensor) -> Tensor:
    """A mask (y, x) with edges two pixels wide."""
    return functional.avg_pool2d(cover[None, None], 3, 1, 1, count_include_pad=False)[0, 0]


def _repainted(picture: Tensor, ids: Tensor, colours: Tensor) -> Tensor:
    """The picture (3, y, x) with object i in `colours[i]` (object, 3): lit like before, colour's own texture halved."""
    grey = picture.mean(0)
    flat = ids.flatten()
    sizes = torch.bincount(flat, minlength=len(colours)).clamp_min(1)
    means = torch.stack([torch.bincount(flat, band.flatten(), len(colours)) / sizes for band in picture])  # (3, object)
    brightness = means.mean(0).clamp_min(0.02)
    lit = (grey / brightness[ids]).clamp(0.2, 2.5)
    hues = means - means.mean(0)
    rows = [colours[:, i][ids] * lit + 0.5 * ((picture[i] - grey) - hues[i][ids]) for i in range(3)]
    return torch.stack(rows).clamp(0, 1)


def _colours(count: int, draws: Draws) -> Tensor:
    """`count` colours (count, 3) of surfaces, red, green and blue between 0 and 1."""
    kinds = (draws.uniforms(0, len(_SURFACES), count)).long().clamp_max(len(_SURFACES) - 1)
    low, high = _SURFACES[kinds, 0], _SURFACES[kinds, 1]
    hue, saturation, value = (low + (high - low) * draws.uniforms(0, 1, count * 3).reshape(count, 3)).T
    turns = (hue[:, None] * 6 + torch.tensor([5.0, 3.0, 1.0])) % 6
    dip = torch.minimum(turns, 4 - turns).clamp(0, 1)
    return value[:, None] * (1 - saturation[:, None] * dip)
