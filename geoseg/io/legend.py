"""What a class raster says of its values: names and colours."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from rasterio.errors import RasterioError

from geoseg.errors import SceneError
from geoseg.io.raster import open_raster, reason, session

INSTANCES = "instance"  # what geoseg calls a band of numbers of objects
CLASSES_TAG = "GEOSEG_CLASSES"  # JSON: a list of {"id", "name", "colour"}
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_PALETTE = (
    "#e4572e", "#17bebb", "#ffc914", "#76b041", "#6c5b7b", "#2e86ab", "#f18f01", "#a23b72", "#3b7a57", "#c9ada7",
    "#5f0f40", "#9a8c98",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Legend:
    """Names and colours (`#rrggbb`) of a raster's values, as far as they are known; `scale` makes scores of values.

    `numbers` says that the values are no classes, but the numbers of objects, as geoseg writes them.
    """

    names: Mapping[int, str] = field(default_factory=dict)
    colours: Mapping[int, str] = field(default_factory=dict)
    scale: float = 1.0
    numbers: bool = False

    def name(self, value: int) -> str:
        """What the value is called."""
        return self.names.get(value, f"class {value}")

    def colour(self, value: int) -> str:
        """The value's colour: the raster's, or one of a palette."""
        return self.colours.get(value, _PALETTE[value % len(_PALETTE)])


def read_legend(path: str, bidx: int = 1) -> Legend:
    """The legend of one band (counted from 1): from the classes that geoseg writes, else from the colour table.

    Raises SceneError for a raster that cannot be opened.
    """
    try:
        with session(), open_raster(path) as raster:
            scale = float(raster.scales[bidx - 1])
            listed = raster.tags().get(CLASSES_TAG)
            described = raster.descriptions[bidx - 1]
            table = raster.colormap(bidx) if raster.colorinterp[bidx - 1].name == "palette" else {}
    except (RasterioError, ValueError, IndexError) as error:
        raise SceneError(f"{path}: the legend of band {bidx} cannot be read: {reason(error)}") from error
    if listed is not None and described == INSTANCES:
        return Legend(scale=scale, numbers=True)
    if listed is not None:
        return _told(listed, scale)
    return Legend({}, {value: "#{:02x}{:02x}{:02x}".format(*colour[:3]) for value, colour in table.items()}, scale)


def _told(listed: str, scale: float) -> Legend:
    """The legend in the tag; an empty one where somebody else wrote something else there."""
    try:
        classes = json.loads(listed)
        names = {int(one["id"]): str(one["name"]) for one in classes}
        colours = {int(one["id"]): str(one["colour"]) for one in classes}
        return Legend(names, {value: text for value, text in colours.items() if _COLOUR.fullmatch(text)}, scale)
    except (ValueError, KeyError, TypeError):
        return Legend(scale=scale)
