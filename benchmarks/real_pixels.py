"""Real imagery for benchmarks: a scene of any size, put together from the scenes of a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from synthetic import RESOLUTION

ORIGIN = (500_000.0, 3_000_000.0)


def scenes_of(folder: Path) -> list[Path]:
    """The rasters of a folder that have three bands of bytes, by name."""
    found = []
    for path in sorted(folder.glob("*.tif")):
        with rasterio.open(path) as raster:
            if raster.count >= 3 and raster.dtypes[0] == "uint8":
                found.append(path)
    return found


def mosaic(scenes: list[Path], side: int, cell: int = 512) -> NDArray[Any]:
    """Pixels (band, y, x) of side x side: cells cut from the scenes in turn, mirrored each time round."""
    pixels = np.zeros((3, side, side), np.uint8)
    cut = [piece for path in scenes for piece in _cells(path, cell)]
    places = [(y, x) for y in range(0, side, cell) for x in range(0, side, cell)]
    for number, (y, x) in enumerate(places):
        piece = cut[number % len(cut)]
        piece = piece[:, ::-1] if number // len(cut) % 2 else piece
        height, width = min(cell, side - y), min(cell, side - x)
        pixels[:, y : y + height, x : x + width] = piece[:, :height, :width]
    return pixels


def _cells(path: Path, cell: int) -> list[NDArray[Any]]:
    with rasterio.open(path) as raster:
        whole = raster.read([1, 2, 3])
    rows, columns = whole.shape[1] // cell, whole.shape[2] // cell
    return [
        whole[:, cell * r : cell * r + cell, cell * c : cell * c + cell] for r in range(rows) for c in range(columns)
    ]


def write_mosaic(path: Path, pixels: NDArray[Any]) -> Path:
    """Write pixels (band, y, x) as a tiled GeoTIFF of the benchmarks' resolution."""
    profile = {
        "driver": "GTiff",
        "count": 3,
        "height": pixels.shape[1],
        "width": pixels.shape[2],
        "dtype": "uint8",
        "crs": "EPSG:32645",
        "transform": Affine(RESOLUTION, 0, ORIGIN[0], 0, -RESOLUTION, ORIGIN[1]),
        "tiled": True,
        "blockxsize": 512,
        "blockysize": 512,
        "compress": "deflate",
        "photometric": "RGB",
    }
    with rasterio.open(path, "w", **profile) as raster:
        raster.write(pixels)
    return path
