"""Class rasters for tests, ways to cut them into strips, and plain answers to compare with."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import rasterio.features
import shapely
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from geoseg.vector.outlines import RawPolygons, RingBatch, join
from geoseg.vector.tracing.polygonize import Polygonizer

BACKGROUND, NODATA = 0, 255

unhurried = settings(deadline=None)  # the first call of a kernel compiles it


@st.composite
def class_rasters(draw: st.DrawFn, values: tuple[int, ...] = (0, 1, 2, 255)) -> NDArray[np.uint8]:
    """Noise of a few values, often enlarged to blocks, so that rows hold long runs as well as single pixels."""
    shape = draw(st.tuples(st.integers(1, 9), st.integers(1, 9)))
    noise = draw(arrays(np.uint8, shape, elements=st.sampled_from(values)))
    block = np.ones(draw(st.tuples(st.integers(1, 3), st.integers(1, 12))), np.uint8)
    raster = np.kron(noise, block)
    for y, x in draw(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 40)), max_size=6)):
        raster[y % raster.shape[0], x % raster.shape[1]] = draw(st.sampled_from(values))
    return raster


def trace(
    raster: NDArray[np.uint8],
    cuts: tuple[int, ...] = (),
    *,
    scores: NDArray[np.uint8] | None = None,
    background: int | None = BACKGROUND,
    **settings: Any,
) -> RingBatch:
    """All components of a raster fed in strips that end at the rows `cuts`; `settings` are those of Polygonizer."""
    height, width = raster.shape
    polygonizer = Polygonizer(width, height, background=background, **settings)
    rows = sorted({0, height, *(cut % height for cut in cuts)})
    parts = [polygonizer.feed(raster[a:b], None if scores is None else scores[a:b]) for a, b in pairwise(rows)]
    return join([batch for part in [*parts, polygonizer.finish()] for batch in part])


def components(raster: NDArray[np.uint8], polygons: RawPolygons) -> NDArray[np.int32]:
    """Which polygon each pixel (y, x) is in, -1 where in none. Raises AssertionError where two claim a pixel."""
    numbers = np.full(raster.shape, -1, np.int32)
    claims = np.zeros(raster.shape, np.int32)
    for number, polygon in enumerate(polygons.geometry):
        inside = rasterio.features.rasterize([polygon], out_shape=raster.shape) == 1
        numbers[inside] = number
        claims += inside
    assert claims.max(initial=0) <= 1
    return numbers


def wkbs(polygons: RawPolygons) -> list[bytes]:
    """The polygons' exact bytes, in order."""
    return list(shapely.to_wkb(polygons.geometry))


def as_multiset(class_ids: NDArray[np.int32] | list[int], geometry: NDArray[np.object_]) -> list[tuple[int, bytes]]:
    """Classes and polygons without regard to order, starting points and directions."""
    return sorted(zip(map(int, class_ids), shapely.to_wkb(shapely.normalize(geometry)), strict=True))


def gdal_polygons(raster: NDArray[np.uint8], background: int | None) -> list[tuple[int, bytes]]:
    """What GDAL's Polygonize finds in a raster, as `as_multiset` gives it."""
    mask = raster != NODATA
    if background is not None:
        mask &= raster != background
    found = list(rasterio.features.shapes(raster, mask=mask, connectivity=4))
    geometry = np.array([shapely.geometry.shape(shape) for shape, _ in found], dtype=object)
    return as_multiset([int(value) for _, value in found], without_collinear(geometry))


def without_collinear(geometry: NDArray[np.object_]) -> NDArray[np.object_]:
    """The same outlines with a point at every turn only."""
    simple: NDArray[np.object_] = shapely.simplify(geometry, 0)
    return simple
