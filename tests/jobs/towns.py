"""Towns to learn from: bright roofs on dark ground, with a file of their outlines."""

from __future__ import annotations

from pathlib import Path

import geopandas
import numpy as np
import shapely
from affine import Affine

from tests.factory import ORIGIN, make_raster

ROOF = 200
GROUND = 40
NAMED = ("red", "green", "blue")


def make_town(folder: Path, name: str, side: int = 160, away: float = 0.0, seed: int = 0) -> tuple[Path, Path]:
    """A scene of `side` pixels of a metre and its labels; `away` metres to the east of the others."""
    place = Affine(1, 0, ORIGIN[0] + away, 0, -1, ORIGIN[1])
    rng = np.random.default_rng(seed)
    pixels = rng.normal(GROUND, 6, (3, side, side))
    outlines = []
    for row in range(6, side - 16, 24):
        for column in range(6, side - 16, 24):
            height, width = rng.integers(8, 15, 2)
            pixels[:, row : row + height, column : column + width] += ROOF - GROUND
            outlines.append(shapely.box(*(place * (column, row + height)), *(place * (column + width, row))))
    image = make_raster(
        folder / f"{name}.tif", data=pixels.clip(1, 255).astype("uint8"), transform=place, colorinterp=NAMED
    )
    labels = folder / f"{name}.geojson"
    geopandas.GeoDataFrame(geometry=outlines, crs="EPSG:32633").to_crs(4326).to_file(labels)
    return image, labels
