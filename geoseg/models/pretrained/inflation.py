"""A first convolution for other bands than it was trained on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor

from geoseg.errors import ModelError
from geoseg.models.pretrained.source import band_index


def inflate(weight: Tensor, known: Sequence[str | None], wanted: Sequence[str | None]) -> Tensor:
    """The filters (out, wanted, y, x) made of `weight` (out, known, y, x), whose bands are `known`.

    A wanted band takes the filters of the known band of that name, the date left aside; dates share them in equal
    parts, so that equal dates get the answer of one. Other bands take the average over the known bands. All are then
    scaled by one factor, known bands over bands in use, so that the expected answer keeps its size: filters stay as
    they are where the bands are the same in any order, and the sum over bands stays where no name is known (as timm
    adapts RGB weights). Raises ModelError for grouped filters or a wrong number of names.
    """
    if weight.ndim != 4 or weight.shape[1] != len(known):
        raise ModelError(
            f"found a first convolution of shape {list(weight.shape)} for weights of {len(known)} bands; expected "
            f"(channels, {len(known)}, y, x): grouped filters and filters of several bands at once cannot be adapted"
        )
    indices = [band_index(name, known) for name in wanted]
    shares = Counter(i for i in indices if i is not None)
    in_use = len(shares) + indices.count(None)
    mean = weight.mean(dim=1)
    filters = [mean if i is None else weight[:, i] / shares[i] for i in indices]
    return torch.stack(filters, dim=1) * (len(known) / in_use)
