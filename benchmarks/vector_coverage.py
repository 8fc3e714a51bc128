"""Simplified land cover: geoseg's arcs, shapely.coverage_simplify, and shapely.simplify one polygon at a time."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np
import shapely
from affine import Affine
from vector_rasters import NODATA, Classes, land_cover
from vector_tables import Row, Table, Verdict
from vector_tracing import Polygons, Way, polygons, streamed

from geoseg.vector.arcs.corners import CornerMap
from geoseg.vector.arcs.simplify import simplify
from geoseg.vector.ground import Ground

TOLERANCE = 1.5  # pixels
METRES = Ground(Affine.identity(), None, 1.0)  # a pixel is a metre wide
_HALVINGS = 12  # steps of the search for the tolerance that leaves as many vertices


def simplified(raster: Classes, way: Way, tolerance: float) -> tuple[Polygons, float]:
    """Polygons simplified as they come, in the polygonizer's order; and the seconds of that, of corners too."""
    height, width = raster.shape
    corners = CornerMap(width, height, background=way.background, nodata=NODATA)
    found, seconds = [np.empty(0, object)], 0.0
    for strip, given in streamed(raster, way):
        started = time.perf_counter()
        corners.feed(strip)
        if not len(strip):
            corners.finish()
        thinned = [simplify(batch, corners, METRES, tolerance) for batch in given]
        seconds += time.perf_counter() - started
        found += [batch.polygons().geometry for batch in thinned]
    return np.concatenate(found), seconds


def coverage(size: int, repetitions: int) -> list[Table]:
    """One table. Peers get the tolerance that leaves them as many vertices as geoseg."""
    raster, way = land_cover(size), Way(background=None)
    exact = polygons(raster, way)[1]
    runs = [simplified(raster, way, TOLERANCE) for _ in range(repetitions + 1)][1:]
    ours = runs[0][0]
    seconds = statistics.median(run[1] for run in runs)
    wanted = _vertices(ours)
    rows: list[Row] = [{"system": "exact outlines"} | _measures(exact, exact)]
    rows.append({"system": f"geoseg, {TOLERANCE} pixels"} | _measures(exact, ours) | {"seconds": seconds})
    rows[-1]["change with the order"] = _changed(lambda _: _other_ways(raster), ours)
    for name, work in {
        "shapely.coverage_simplify": shapely.coverage_simplify,
        "shapely.simplify, each by itself": shapely.simplify,
    }.items():
        rows.append({"system": name} | _peer(work, exact, wanted, repetitions))
    title = f"simplification: 10 classes, {size} x {size}, peers with as many vertices, median of {repetitions}"
    return [Table(title, rows, _verdicts(rows[1]))]


def _verdicts(row: Row) -> list[Verdict]:
    return [
        Verdict("a valid coverage", row["valid coverage"] and row["invalid"] == 0),
        Verdict("no vertex further than the tolerance", row["max deviation"] <= TOLERANCE + 1e-9),
        Verdict("the same in any order", row["change with the order"] == 0),
    ]


def _peer(work: Callable[[Polygons, float], Polygons], exact: Polygons, wanted: int, repetitions: int) -> Row:
    """What a peer does with the polygons, and what it does with them in another order."""
    low, high = 0.0, 50.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if _vertices(work(exact, middle)) > wanted else (low, middle)
    seconds = []
    for _ in range(repetitions):
        started = time.perf_counter()
        found = work(exact, high)
        seconds.append(time.perf_counter() - started)
    changed = _changed(lambda order: work(exact[order], high)[np.argsort(order)], found)
    return _measures(exact, found) | {"seconds": statistics.median(seconds), "change with the order": changed}


def _other_ways(raster: Classes) -> Polygons:
    return simplified(raster, Way(strip=37, threads=2, background=None), TOLERANCE)[0]


def _changed(again: Callable[[np.ndarray], Polygons], before: Polygons) -> int:
    """Polygons that differ once the input comes in another order (for geoseg: in other strips, by more threads)."""
    after = again(np.random.default_rng(0).permutation(len(before)))
    same = zip(shapely.to_wkb(shapely.normalize(before)), shapely.to_wkb(shapely.normalize(after)), strict=True)
    return sum(a != b for a, b in same)


def _vertices(geometry: Polygons) -> int:
    return int(shapely.get_num_coordinates(geometry).sum())


def _measures(exact: Polygons, found: Polygons) -> Row:
    lines = shapely.boundary(exact), shapely.boundary(found)
    return {
        "vertices": _vertices(found),
        "kept": f"{_vertices(found) / _vertices(exact):.1%}",
        "max deviation": float(np.nanmax(shapely.hausdorff_distance(*lines))),
        "invalid": int((~shapely.is_valid(found)).sum()),
        "valid coverage": bool(shapely.coverage_is_valid(found)),
        "torn edges": torn_edges(found),
    }


def torn_edges(geometry: Polygons) -> int:
    """Edges that only one polygon has, in a coverage without holes: beside each a gap or an overlap has opened."""
    points, ring = shapely.get_coordinates(shapely.get_rings(geometry), return_index=True)
    edges = np.hstack([points[:-1], points[1:]])[ring[:-1] == ring[1:]]
    turned = (edges[:, 0] > edges[:, 2]) | ((edges[:, 0] == edges[:, 2]) & (edges[:, 1] > edges[:, 3]))
    edges[turned] = edges[turned][:, [2, 3, 0, 1]]
    alone, count = np.unique(edges, axis=0, return_counts=True)
    alone = alone[count == 1]
    low, high = points.min(axis=0), points.max(axis=0)
    ends = alone.reshape(-1, 2, 2)
    framed = ((ends == low) | (ends == high)).any(axis=2).all(axis=1)  # along the raster's frame, or across its corner
    return int((~framed).sum())
