"""Random masks, traced in many ways and by GDAL: what is not exactly as it should be is counted."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import rasterio.features
import shapely
from vector_coverage import simplified
from vector_rasters import NODATA, Classes, land_cover, random_mask, with_holes
from vector_tables import Row, Table, Verdict
from vector_tracing import Polygons, Way, multipolygons, multiset, polygons, rings

WAYS = ((1, 1), (7, 1), (64, 1), (1, 2), (16, 2), (4096, 2), (33, 4))  # rows of a strip, threads
TOLERANCES = (0.8, 1.5, 4.0)

_CHECKS = {
    "invalid": "geoseg's polygons that are invalid",
    "raster": "masks that differ when rasterised back",
    "ways": f"masks whose ordered WKBs depend on strips or threads ({len(WAYS)} ways)",
    "four": "masks whose 4-connected polygons are not GDAL's",
    "eight": "masks whose 8-connected polygons are not make_valid of GDAL's",
    "coverage": "masks whose polygons are no valid coverage",
    "simple": f"the same after simplification by {', '.join(map(str, TOLERANCES))} pixels, or invalid, or empty",
    "simple ways": "masks whose simplified polygons depend on strips or threads",
}
_GDALS = {
    "gdal invalid": "GDAL's 8-connected polygons that are invalid",
    "gdal coverage": "masks whose polygons by GDAL are no valid coverage",
}


def exactness(masks: int, size: int) -> list[Table]:
    """One table of counts over random masks, one of a land cover raster of 10 classes (size, size)."""
    counts: Counter[str] = Counter()
    for number in range(masks):
        counts.update(_look_at(random_mask(number), None if number % 4 < 2 else 0))
    rows: list[Row] = [
        {"count": int(counts[name]), "of": int(counts[_whole(name)]), "what": text}
        for name, text in (_CHECKS | _GDALS).items()
    ]
    verdict = Verdict("no fault in geoseg's polygons", not any(counts[name] for name in _CHECKS))
    title = f"exactness: {masks} random masks (noise of 2 to 10 classes, blobs, thin noise; half with nodata)"
    return [Table(title, rows, [verdict]), _land_cover(size)]


def _whole(name: str) -> str:
    return {"invalid": "polygons", "gdal invalid": "gdal polygons"}.get(name, "masks")


def _look_at(raster: Classes, background: int | None) -> Counter[str]:
    """What is wrong with one mask, 0 where nothing is."""
    way = Way(background=background)
    values, geometry = polygons(raster, way)
    theirs_valid = raster != NODATA if background is None else (raster != NODATA) & (raster != background)
    theirs = _gdal(raster, theirs_valid, 4)
    found = Counter(
        masks=1,
        polygons=len(geometry),
        invalid=int((~shapely.is_valid(geometry)).sum()),
        raster=not np.array_equal(_burnt(values, geometry, raster.shape), np.where(theirs_valid, raster, NODATA)),
        ways=any(_ordered(raster, Way(*how, background)) != _bytes(values, geometry) for how in WAYS),
        four=multiset(values, geometry) != multiset(*theirs),
        coverage=not shapely.coverage_is_valid(geometry),
    )
    found["gdal coverage"] = not shapely.coverage_is_valid(theirs[1])
    return found + _simple(raster, background) + _eight(raster, theirs_valid, background)


def _simple(raster: Classes, background: int | None) -> Counter[str]:
    """Simplified in one strip, and for the last tolerance in other ways."""
    whole = [simplified(raster, Way(background=background), metres)[0] for metres in TOLERANCES]
    last = list(shapely.to_wkb(whole[-1]))
    others = (simplified(raster, Way(*how, background), TOLERANCES[-1])[0] for how in WAYS[1::2])
    return Counter(
        {
            "simple": any(not _sound(geometry) for geometry in whole),
            "simple ways": any(list(shapely.to_wkb(other)) != last for other in others),
        }
    )


def _eight(raster: Classes, valid: Any, background: int | None) -> Counter[str]:
    """8-connected: groups of parts that touch, against make_valid of what GDAL gives."""
    whole = rings(raster, Way(background=background, grouping="diagonal")).polygons()
    values, theirs = _gdal(raster, valid, 8)
    parts, owner = shapely.get_parts(shapely.make_valid(theirs), return_index=True)
    same = multipolygons(whole.class_id, whole.geometry, whole.group) == multipolygons(values[owner], parts, owner)
    found = Counter(eight=not same)
    found["gdal polygons"], found["gdal invalid"] = len(theirs), int((~shapely.is_valid(theirs)).sum())
    return found


def _gdal(raster: Classes, valid: Any, connectivity: int) -> tuple[np.ndarray, Polygons]:
    found = list(rasterio.features.shapes(raster, mask=valid, connectivity=connectivity))
    geometry = np.array([shapely.geometry.shape(shape) for shape, _ in found], dtype=object)
    return np.array([int(value) for _, value in found], np.int64), geometry


def _burnt(values: np.ndarray, geometry: Polygons, shape: tuple[int, int]) -> Classes:
    if not len(geometry):
        return np.full(shape, NODATA, np.uint8)
    pairs = zip(geometry, map(int, values), strict=True)
    return np.asarray(rasterio.features.rasterize(pairs, shape, fill=NODATA, dtype="uint8"))


def _bytes(values: np.ndarray, geometry: Polygons) -> list[tuple[int, bytes]]:
    return list(zip(map(int, values), shapely.to_wkb(geometry), strict=True))


def _ordered(raster: Classes, way: Way) -> list[tuple[int, bytes]]:
    return _bytes(*polygons(raster, way))


def _sound(geometry: Polygons) -> bool:
    valid = shapely.is_valid(geometry).all() and not shapely.is_empty(geometry).any()
    return bool(valid and shapely.coverage_is_valid(geometry))


def _land_cover(size: int) -> Table:
    """A raster of 10 classes, before and after."""
    raster, way = with_holes(land_cover(size)), Way(background=None)
    exact = polygons(raster, way)[1]
    rows: list[Row] = [{"outlines": "exact", **_measures(exact)}]
    rows += [
        {"outlines": f"simplified by {metres} pixels", **_measures(simplified(raster, way, metres)[0])}
        for metres in TOLERANCES
    ]
    sound = all(row["valid coverage"] and not row["invalid"] for row in rows)
    verdict = Verdict("a valid coverage before and after simplification", sound)
    return Table(f"land cover: 10 classes and nodata, {size} x {size}", rows, [verdict])


def _measures(geometry: Polygons) -> Row:
    return {
        "polygons": len(geometry),
        "vertices": int(shapely.get_num_coordinates(geometry).sum()),
        "invalid": int((~shapely.is_valid(geometry)).sum()),
        "valid coverage": bool(shapely.coverage_is_valid(geometry)),
    }
