"""Real rasters for tests: every raster that a test reads comes from here or from GEOSEG_DATA."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.control import GroundControlPoint
from rasterio.enums import ColorInterp
from rasterio.errors import NotGeoreferencedWarning

ORIGIN = (500_000.0, 5_000_000.0)  # on the central meridian of a UTM zone, where the scale is known
SOUTH_UP = Affine(1, 0, ORIGIN[0], 0, 1, ORIGIN[1] - 64)
ROTATED = Affine.translation(*ORIGIN) * Affine.rotation(30) * Affine.scale(1, -1)


def pixel_values(bands: int, shape: tuple[int, int], dtype: str = "uint8") -> NDArray[Any]:
    """Pixels (band, y, x) that tell every place and band apart, none of them 0: wrong offsets and swapped axes show."""
    band, y, x = np.ogrid[:bands, : shape[0], : shape[1]]
    values = 1 + (band * 83 + y * 7 + x * 3 + (y // 8) * (x // 8) * 5) % 250
    return values.astype(dtype)


def make_raster(
    path: str | Path,
    *,
    crs: Any = "EPSG:32633",
    dtype: str = "uint8",
    nodata: float | None = None,
    bands: int = 3,
    shape: tuple[int, int] = (64, 64),
    transform: Affine | None = None,
    data: NDArray[Any] | None = None,
    mask: NDArray[Any] | None = None,
    alpha: NDArray[Any] | None = None,
    descriptions: Sequence[str | None] = (),
    colorinterp: Sequence[str] = (),
    gcps: Sequence[GroundControlPoint] = (),
    overviews: Sequence[int] = (),
    **profile: Any,
) -> Path:
    """Path of a new raster: a GeoTIFF unless `driver` says otherwise, of 1 m pixels unless `transform` does.

    `data` (band, y, x) decides bands, shape and dtype; without it the values are `pixel_values`. `mask` (y, x) is
    written into the file, or beside it under `GDAL_TIFF_INTERNAL_MASK=NO`; `alpha` (y, x) becomes one more band.
    `transform` and `crs` do not count where `gcps` are given. `profile` holds creation options.
    """
    pixels = pixel_values(bands, shape, dtype) if data is None else np.asarray(data)
    if alpha is not None:
        pixels = np.concatenate([pixels, alpha[None].astype(pixels.dtype)])
    place = {} if gcps else {"crs": crs, "transform": transform or Affine(1, 0, ORIGIN[0], 0, -1, ORIGIN[1])}
    size = dict(zip(("count", "height", "width"), pixels.shape, strict=True))
    options = {"driver": "GTiff", "dtype": pixels.dtype, "nodata": nodata, **size, **place, **profile}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        raster = rasterio.open(path, "w", **options)
    with raster:
        if gcps:
            raster.gcps = (list(gcps), crs)
        names = list(colorinterp) or [c.name.replace("alpha", "undefined") for c in raster.colorinterp]
        if alpha is not None:
            names[-1] = "alpha"
        raster.colorinterp = [ColorInterp[name] for name in names]
        raster.write(pixels)
        for index, text in enumerate(descriptions, 1):
            raster.set_band_description(index, text or "")
        if mask is not None:
            raster.write_mask(mask)
    if overviews:
        with rasterio.open(path, "r+") as raster:
            raster.build_overviews(list(overviews), rasterio.enums.Resampling.average)
    return Path(path)
