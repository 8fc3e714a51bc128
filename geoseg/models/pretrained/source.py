"""What pretrained weights eat, and whose they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from geoseg.core.bands import undated

if TYPE_CHECKING:
    from torch import Tensor

Dtype = Literal["uint8", "uint16", "int16", "float32"]

RGB = ("red", "green", "blue")
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class EncoderSource:
    """Where an encoder's weights come from, and the values that they learned from.

    `bands` has our name of each band, None where nothing names it. Values lie in `value_range`, are mapped to 0..1 and
    normalised by `mean` and `std` (an entry a band), as in a model's card. `licence` is an SPDX expression where there
    is one, `limits` what a card should warn of.
    """

    reference: str
    bands: tuple[str | None, ...]
    dtype: Dtype
    value_range: tuple[float, float]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    licence: str = UNKNOWN
    attribution: str = ""
    source: str = ""
    limits: str = ""

    def facts(self, bands: Sequence[str] | None = None) -> dict[str, Any]:
        """The card's bands, dtype, value_range, mean and std for a network of these weights that eats `bands`.

        Bands that the weights do not know take the average over those that they know. Without `bands`, the weights' own
        ones are meant.
        """
        wanted: tuple[str | None, ...] = self.bands if bands is None else tuple(bands)
        indices = [band_index(name, self.bands) for name in wanted] if bands is not None else range(len(wanted))
        return {
            "bands": tuple(name or f"band-{i}" for i, name in enumerate(wanted, 1)),
            "dtype": self.dtype,
            "value_range": self.value_range,
            "mean": tuple(_of(self.mean, i) for i in indices),
            "std": tuple(_of(self.std, i) for i in indices),
        }


@dataclass(frozen=True, slots=True, eq=False)
class Pretrained:
    """Weights that can be had: what they eat, and a function that gets the tensors by their names.

    `ordered` says that the tensors stand in the order of their network.
    """

    source: EncoderSource
    obtain: Callable[[], dict[str, Tensor]]
    ordered: bool = False


def band_index(name: str | None, known: Sequence[str | None]) -> int | None:
    """The place of a band among the `known` ones: by its whole name, else whatever the date; None without one."""
    if name is None:
        return None
    if name in known:
        return list(known).index(name)
    plain = [other and undated(other) for other in known]
    return plain.index(undated(name)) if undated(name) in plain else None


def _of(values: tuple[float, ...], index: int | None) -> float:
    return sum(values) / len(values) if index is None else values[index]
