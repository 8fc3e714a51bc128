"""Seconds from a building mask to polygons: geoseg, rasterio, GDAL in C, OpenCV; and whether they are the same."""

from __future__ import annotations

import gc
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import rasterio.features
import shapely
from children import HERE, measure
from peers.gdal_polygonize import Gdal, GdalMissingError, Polygonize
from vector_rasters import Classes, building_mask
from vector_tables import Row, Table, Verdict
from vector_tracing import Polygons, Way, multiset, polygons

FULL_SIZE = 8192
FASTER_THAN_RASTERIO, FASTER_THAN_GDAL = 7.0, 2.5
RASTERIO, GDAL = "rasterio.features.shapes, shapely", "GDALPolygonize in C, features left alone"

Found = tuple[np.ndarray, Polygons]  # classes and polygons
Run = tuple[float, Found]


def speed(size: int, repetitions: int, peer_python: Path | None) -> list[Table]:
    """One table. The systems take turns, so that a slow minute of the machine hits all of them."""
    mask = building_mask((size, size))
    systems, missing = _systems(mask)
    expected = multiset(*systems[RASTERIO](True)[1])  # a run before those that count
    rows: dict[str, Row] = {}
    for name, run in systems.items():
        values, geometry = run(True)[1]
        rows[name] = {"system": name, "polygons": len(geometry), "identical": multiset(values, geometry) == expected}
        rows[name]["invalid"] = int((~shapely.is_valid(geometry)).sum())
    seconds: dict[str, list[float]] = {name: [] for name in systems}
    for _ in range(repetitions):
        for name, run in systems.items():
            gc.collect()
            seconds[name].append(run(False)[0])
    best = min(statistics.median(times) for name, times in seconds.items() if name.startswith("geoseg"))
    for name, times in seconds.items():
        rows[name] |= _timing(times, best)
    contours, more = _contours(mask, len(expected), repetitions, best, peer_python)
    title = f"speed: {size} x {size} building mask, {len(expected):,} polygons, median of {repetitions} in turn"
    ratios = {name: float(row["geoseg is x faster"]) for name, row in rows.items()}
    identical = all(row["identical"] for row in rows.values())
    return [Table(title, [*rows.values(), *contours], _verdicts(size, ratios, identical), missing + more)]


def _verdicts(size: int, ratios: dict[str, float], identical: bool) -> list[Verdict]:
    if size < FULL_SIZE:  # the start weighs too much
        return [Verdict("identical polygons", identical)]
    return [
        Verdict(f"at least {FASTER_THAN_RASTERIO} x faster than rasterio", ratios[RASTERIO] >= FASTER_THAN_RASTERIO),
        Verdict(
            f"at least {FASTER_THAN_GDAL} x faster than GDAL in C",
            ratios[GDAL] >= FASTER_THAN_GDAL if GDAL in ratios else None,
        ),
        Verdict("identical polygons", identical),
    ]


def _systems(mask: Classes) -> tuple[dict[str, Callable[[bool], Run]], list[str]]:
    """What can be timed, and notes on what cannot. Each gives its seconds and, where asked, its polygons."""
    systems: dict[str, Callable[[bool], Run]] = {}
    for threads in (1, 2):
        label = f"geoseg, {threads} thread{'s' * (threads > 1)}, shapely"
        systems[label] = partial(_geoseg, mask, Way(threads=threads))
    systems[RASTERIO] = partial(_rasterio, mask)
    try:
        gdal = Gdal()
    except GdalMissingError as error:
        return systems, [f"{GDAL}: {error}"]
    systems[GDAL] = partial(_gdal, gdal, mask)
    return systems, []


def _geoseg(mask: Classes, way: Way, _: bool) -> Run:
    started = time.perf_counter()
    found = polygons(mask, way)
    return time.perf_counter() - started, found


def _rasterio(mask: Classes, _: bool) -> Run:
    started = time.perf_counter()
    shapes = rasterio.features.shapes(mask, mask=mask != 0, connectivity=4)
    pairs = [(value, shapely.geometry.shape(shape)) for shape, value in shapes]
    seconds = time.perf_counter() - started
    return seconds, (np.array([v for v, _ in pairs]), np.array([geometry for _, geometry in pairs], dtype=object))


def _gdal(gdal: Gdal, mask: Classes, read: bool) -> Run:
    """The seconds of GDALPolygonize alone."""
    with Polygonize(gdal, mask, mask) as run:
        started = time.perf_counter()
        run.run()
        seconds = time.perf_counter() - started
        return seconds, run.features() if read else (np.empty(0), np.empty(0, object))


def _timing(times: list[float], best: float) -> Row:
    middle = statistics.median(times)
    return {
        "seconds": middle,
        "range": f"{min(times):.3f} - {max(times):.3f}",
        "geoseg is x faster": middle / best,
    }


def _contours(
    mask: Classes, objects: int, repetitions: int, best: float, python: Path | None
) -> tuple[list[Row], list[str]]:
    """OpenCV, in the peers' environment: fast, and not the same. Its row, or a note that there is none."""
    name = "OpenCV findContours, contours left alone"
    if python is None:
        return [], [f"{name}: not installed (see --peers)"]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mask.npy"
        np.save(path, mask)
        found: dict[str, Any] = measure([python, HERE / "peers" / "contours.py", path, str(repetitions)])
    row = {"system": name, "polygons": found["polygons"], "identical": False, "invalid": found["invalid"]}
    row |= _timing(found["seconds"], best)
    row["area error"], row["missing"] = f"{found['area'] / int(mask.sum()) - 1:+.1%}", objects - found["polygons"]
    return [row], []
