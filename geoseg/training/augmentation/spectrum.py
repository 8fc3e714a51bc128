"""What light the bands see: where colour means something, and how far haze and the blue sky reach."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from geoseg.core.bands import undated

_MICROMETRES = {
    "coastal": 0.44, "blue": 0.48, "green": 0.56, "yellow": 0.6, "red": 0.66, "rededge": 0.72, "rededge071": 0.705,
    "rededge075": 0.74, "rededge078": 0.78, "nir": 0.84, "nir08": 0.865, "nir09": 0.945, "cirrus": 1.375,
    "swir16": 1.61, "swir22": 2.2, "pan": 0.6,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Spectrum:
    """The bands of a model. `light` are those that see reflected sunlight, `micrometres` the wavelength of each.

    Heat, radar, indices and heights see neither colour nor haze. `rgb` are the places of red, green and blue, of each
    date.
    """

    bands: int
    light: tuple[int, ...]
    micrometres: tuple[float, ...]
    rgb: tuple[tuple[int, int, int], ...]

    @classmethod
    def of(cls, bands: Sequence[str]) -> Spectrum:
        """The spectrum of bands by their common names; those of unknown names may be anything: they are no light."""
        light = tuple(i for i, band in enumerate(bands) if undated(band) in _MICROMETRES)
        places = {band: i for i, band in enumerate(bands)}
        rgb = []
        for band in bands:
            date = band.removeprefix("red")
            if undated(band) == "red" and f"green{date}" in places and f"blue{date}" in places:
                rgb.append((places[band], places[f"green{date}"], places[f"blue{date}"]))
        micrometres = tuple(_MICROMETRES[undated(bands[i])] for i in light)
        return cls(len(bands), light, micrometres, tuple(rgb))


def at(places: Sequence[int]) -> slice | list[int]:
    """An index of those bands: a slice, which copies nothing, where one follows the other."""
    first, count = places[0], len(places)
    return slice(first, first + count) if list(places) == list(range(first, first + count)) else list(places)
