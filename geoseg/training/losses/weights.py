"""How much classes count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from geoseg.core.classes import ClassSet
from geoseg.errors import UnknownNameError
from geoseg.training.options import LossOptions

_HIGHEST = 10.0  # a class of a handful of pixels shall not shout the others down


def class_weights(
    options: LossOptions, classes: ClassSet, channel_ids: Sequence[int], pixels: Mapping[int, int]
) -> Tensor | None:
    """The weight of each channel's class (channel,) float32, or None where all count alike.

    `pixels` are the labels' pixels of each class id. "balanced" is the square root of the mean class's pixels over the
    class's own, at most 10; classes without pixels (a separator's, which are made later) count once. Classes that
    the options do not name count once. Raises UnknownNameError for a name that is no class's.
    """
    wanted = options.class_weights
    if wanted == "none":
        return None
    if wanted == "balanced":
        seen = [pixels.get(i, 0) for i in channel_ids]
        mean = sum(seen) / max(1, sum(n > 0 for n in seen))
        return torch.tensor([min(_HIGHEST, (mean / n) ** 0.5) if n else 1.0 for n in seen])
    names = {c.name: c.id for c in classes.classes}
    for name in wanted:
        if name not in names:
            raise UnknownNameError("class in class_weights", name, names)
    by_id = {names[name]: weight for name, weight in wanted.items()}
    return torch.tensor([float(by_id.get(i, 1.0)) for i in channel_ids])
