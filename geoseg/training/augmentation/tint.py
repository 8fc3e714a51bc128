"""Single things in other colours, so that a model does not learn the roofs of one town."""

from __future__ import annotations

import torch
from torch import Tensor

from geoseg.training.augmentation.air import bright
from geoseg.training.augmentation.camera import summed
from geoseg.training.augmentation.draws import Draws
from geoseg.training.augmentation.spectrum import Spectrum, at
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
    colours = _colours(count + 1, draws) * bright(image, None, spectrum)
    mask = chosen.to(image.device)[ids]
    places = mask.flatten().nonzero()[:, 0]
    own, cover = ids.flatten().index_select(0, places), softened(mask.to(image.dtype))
    image = image.clone()
    for triple in spectrum.rgb:
        picture = image[at(triple)]
        pixels = picture.flatten(1).index_select(1, places)
        new = _repainted(pixels, own, colours.to(image.device))
        painted = picture.flatten(1).index_copy(1, places, new).view_as(picture)
        image[at(triple)] = picture.lerp(painted, cover)
    return image


def softened(cover: Tensor) -> Tensor:
    """A mask (y, x) with edges two pixels wide."""
    third = (1 / 3, 1 / 3)
    return summed(summed(cover, third, 0), third, 1)


def _repainted(pixels: Tensor, ids: Tensor, colours: Tensor) -> Tensor:
    """Pixels (3, pixel) of objects `ids` (pixel,) in `colours` (object, 3): lit like before, own texture halved."""
    sizes = torch.bincount(ids, minlength=len(colours)).clamp_min(1)
    means = torch.stack([torch.bincount(ids, band, len(colours)) / sizes for band in pixels]).to(pixels.dtype)
    grey = pixels.mean(0)
    lit = (grey / means.mean(0).clamp_min(0.02).index_select(0, ids)).clamp(0.2, 2.5)
    texture = (pixels - grey) - (means - means.mean(0)).index_select(1, ids)
    return torch.addcmul(0.5 * texture, colours.T.contiguous().index_select(1, ids), lit).clamp(0, 1)


def _colours(count: int, draws: Draws) -> Tensor:
    """`count` colours (count, 3) of surfaces, red, green and blue between 0 and 1."""
    kinds = (draws.uniforms(0, len(_SURFACES), count)).long().clamp_max(len(_SURFACES) - 1)
    low, high = _SURFACES[kinds, 0], _SURFACES[kinds, 1]
    hue, saturation, value = (low + (high - low) * draws.uniforms(0, 1, count * 3).reshape(count, 3)).T
    turns = (hue[:, None] * 6 + torch.tensor([5.0, 3.0, 1.0])) % 6
    dip = torch.minimum(turns, 4 - turns).clamp(0, 1)
    colours: Tensor = value[:, None] * (1 - saturation[:, None] * dip)
    return colours
