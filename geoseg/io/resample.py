"""Pixels on another grid of the same CRS: averaged going down, bilinear otherwise."""

from __future__ import annotations

from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.vrt import WarpedVRT

from geoseg.core.tiling import Span
from geoseg.io.grid import Placement
from geoseg.io.raster import open_raster

_ANY = "EPSG:3857"  # the CRS of both sides: nothing is ever reprojected, and scenes without a CRS are like all others
_GDAL_TYPES = {
    "uint8": "Byte", "int8": "Int8", "uint16": "UInt16", "int16": "Int16", "uint32": "UInt32", "int32": "Int32",
    "uint64": "UInt64", "int64": "Int64", "float32": "Float32", "float64": "Float64",
}  # fmt: skip


def window_behind(placement: Placement, shape: tuple[int, int], y: Span, x: Span) -> tuple[Span, Span]:
    """The rows and columns of a raster of `shape` that decide the pixels of a window of the grid; both may be empty."""
    corners = [placement.affine * (left, top) for left in (x.start, x.stop) for top in (y.start, y.stop)]
    halo = 2 if _averages(placement) else int(np.ceil(max(placement.scale))) + 2
    spans = []
    for axis, size in ((1, shape[0]), (0, shape[1])):
        values = [corner[axis] for corner in corners]
        low, high = int(np.floor(min(values))) - halo, int(np.ceil(max(values))) + halo
        spans.append(Span(min(max(low, 0), size), min(max(high, 0), size)))
    return spans[0], spans[1]


def resample(
    source: NDArray[Any],
    origin: tuple[int, int],
    placement: Placement,
    at: tuple[int, int],
    out: NDArray[Any],
) -> NDArray[np.bool_]:
    """Where `out` (band, y, x) got data: (y, x); it is 0 elsewhere.

    `source` (band, y, x) begins at (y, x) `origin` of the raster that lies on the grid as `placement` says. It may have
    one band more than `out`, the last, with 1 where there is data. `out` begins at (y, x) `at` of the grid. The scale
    is explicit: left to itself, GDAL guesses it anew from each window.
    """
    alpha = len(out) + 1
    masked = len(source) == alpha
    if masked and not source[-1].any():
        out[...] = 0
        return np.zeros(out.shape[1:], dtype=bool)
    down, across = placement.scale
    with (
        _opened(source) as raster,
        WarpedVRT(
            raster, src_crs=_ANY, crs=_ANY,
            src_transform=Affine.translation(origin[1], origin[0]),
            transform=placement.affine * Affine.translation(at[1], at[0]),
            height=out.shape[1], width=out.shape[2],
            resampling=Resampling.average if _averages(placement) else Resampling.bilinear,
            src_alpha=alpha if masked else 0, dst_alpha=alpha, add_alpha=not masked,
            SRC_ALPHA_MAX="1", DST_ALPHA_MAX="1", XSCALE=repr(1 / across), YSCALE=repr(1 / down),
        ) as warped,
    ):  # fmt: skip
        warped.read(list(range(1, alpha)), out=out)
        return np.asarray(warped.read(alpha) != 0)


def _opened(pixels: NDArray[Any]) -> Any:
    """A dataset of pixels (band, y, x) in memory, which have to live as long as it does.

    rasterio's own way from an array to a dataset changes the filter of warnings, which is one for the whole process.
    """
    count, height, width = pixels.shape
    options = {
        "DATAPOINTER": pixels.ctypes.data, "PIXELS": width, "LINES": height, "BANDS": count,
        "DATATYPE": _GDAL_TYPES[pixels.dtype.name],
    }  # fmt: skip
    with rasterio.Env(GDAL_MEM_ENABLE_OPEN=True):
        return open_raster("MEM:::" + ",".join(f"{name}={value}" for name, value in options.items()))


def _averages(placement: Placement) -> bool:
    return min(placement.scale) >= 1
