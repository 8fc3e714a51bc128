"""Squared buildings compared with true footprints, beside plain simplification and the package buildingregulariser.

    python benchmarks/squaring.py FOLDER|LABELS.geojson [...] [--json figures.json]

Beside each NAME.geojson lies its scene NAME.tif. Footprints are rasterised on the scene's grid, each with a number of
its own, on pixels of 0.3 m where the scene's are smaller; the rasters are polygonized and squared. The simplification
of Douglas and Peucker, polygon by polygon, gets the tolerance at which it needs as many vertices; buildingregulariser
gets a few, of which the best counts, where its environment is installed (benchmarks/vectors.py --peers does that).

A wall is what two exact polygons share over 1 m or more; it is opened when they share nothing afterwards.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import rasterio
import rasterio.features
import shapely
from affine import Affine
from children import HERE, measure
from numpy.typing import NDArray
from peers.environment import VECTORS, installed

from geoseg.vector.ground import Ground
from geoseg.vector.outlines import RingBatch, join
from geoseg.vector.squaring.foreground import ForegroundMap
from geoseg.vector.squaring.regularize import SquareSettings, square
from geoseg.vector.tracing.polygonize import Polygonizer

PIXEL = 0.3  # metres, of finer scenes
WALL = 1.0  # metres
TOLERANCE = 0.3  # metres: footprints that were rasterised are right to a pixel
_RIGHT = 1.0  # degrees
_NOTHING = 1e-6  # pixels and square pixels


@dataclass(frozen=True, slots=True)
class Town:
    """A scene's footprints (in pixels), the outlines and pixels of the raster made of them, and the grid.

    `pixel` is in metres.
    """

    name: str
    footprints: NDArray[Any]
    outlines: RingBatch
    foreground: ForegroundMap
    transform: Affine
    crs: Any
    pixel: float

    @classmethod
    def read(cls, labels: Path) -> Town:
        """Rasterise and polygonize the footprints of one file."""
        footprints = gpd.read_file(labels)
        with rasterio.open(labels.with_suffix(".tif")) as scene:
            transform, crs, shape = scene.transform, scene.crs, scene.shape
        latitude = footprints.to_crs("EPSG:4326").total_bounds[[1, 3]].mean()
        pixel = transform.a * (math.cos(math.radians(latitude)) if crs.to_epsg() == 3857 else 1)
        if pixel < PIXEL * 0.9:
            transform, shape = transform * Affine.scale(PIXEL / pixel), tuple(int(n * pixel / PIXEL) for n in shape)
            pixel = PIXEL
        inverse = ~transform
        pixels = shapely.transform(
            footprints.to_crs(crs).geometry.to_numpy(), lambda points: np.column_stack(inverse * points.T)
        )
        numbered = [(footprint, number) for number, footprint in enumerate(pixels, 1)]
        raster = rasterio.features.rasterize(numbered, out_shape=shape, dtype="int32")
        return cls(labels.stem, pixels, _outlines(raster), _foreground(raster), transform, crs, pixel)

    @property
    def truth(self) -> NDArray[Any]:
        """The footprint of each polygon."""
        return self.footprints[self.outlines.class_id - 1]


def _outlines(raster: NDArray[np.int32]) -> RingBatch:
    height, width = raster.shape
    polygonizer = Polygonizer(width, height, background=0, nodata=-1, grouping="adjoining")
    return join([*polygonizer.feed(raster), *polygonizer.finish()])


def _foreground(raster: NDArray[np.int32]) -> ForegroundMap:
    height, width = raster.shape
    foreground = ForegroundMap((height, width), background=0, nodata=-1, ahead=height)
    foreground.feed(raster)
    return foreground


def squaring(labels: Path | list[Path]) -> list[dict[str, Any]]:
    """Rows, one for each file and system, from label files or the folder they lie in."""
    files = sorted(labels.glob("*.geojson")) if isinstance(labels, Path) else labels
    if files:
        _square(Town.read(files[0]))  # compiles what is not compiled yet
    return [row for file in files for row in compare(Town.read(file))]


def compare(town: Town) -> list[dict[str, Any]]:
    """Rows of the systems on one town."""
    exact = town.outlines.polygons().geometry
    started = time.perf_counter()
    squared = _square(town)
    seconds = time.perf_counter() - started
    rows = [judge(town, "exact outlines", exact), judge(town, "geoseg", squared, seconds)]
    rows.append(judge(town, "Douglas-Peucker", *simplified(exact, vertices(squared))))
    if installed(VECTORS):
        rows.append(_buildingregulariser(town, exact))
    return rows


def _square(town: Town) -> NDArray[Any]:
    ground = Ground.of(town.transform, town.crs)
    return square(town.outlines, ground, SquareSettings(tolerance_m=TOLERANCE), town.foreground).geometry


def simplified(exact: NDArray[Any], most: int) -> tuple[NDArray[Any], float]:
    """Polygons simplified one by one to so many vertices, not fewer than that where it can be helped, and seconds."""
    low, high = 0.0, 16.0
    for _ in range(24):
        middle = (low + high) / 2
        low, high = (low, middle) if vertices(shapely.simplify(exact, middle)) < most else (middle, high)
    started = time.perf_counter()
    return shapely.simplify(exact, low), time.perf_counter() - started


def vertices(polygons: NDArray[Any]) -> int:
    """How many there are, the first of a ring counted once."""
    return int(shapely.get_num_coordinates(polygons).sum() - len(shapely.get_rings(polygons)))


def judge(town: Town, system: str, polygons: NDArray[Any], seconds: float | None = None) -> dict[str, Any]:
    """A row: what polygons are worth, in the outlines' order."""
    exact = town.outlines.polygons().geometry
    opened, walls = _opened(exact, polygons, WALL / town.pixel)
    inside, between, pairs = _overlaps(polygons, town.outlines.group)
    return {
        "scene": town.name,
        "system": system,
        "pixel_m": round(town.pixel, 3),
        "buildings": len(polygons),
        "iou": round(float(_iou(polygons, town.truth).mean()), 4),
        "vertices": round(vertices(polygons) / max(1, len(polygons)), 2),
        "right": round(_right_angles(polygons), 3),
        "walls": walls,
        "opened": opened,
        "overlap_inside_m2": round(inside * town.pixel**2, 6),
        "overlap_between_m2": round(between * town.pixel**2, 6),
        "blocks_overlapping": pairs,
        "invalid": int((~shapely.is_valid(polygons)).sum()),
        "seconds": seconds,
    }


def _iou(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.float64]:
    a = shapely.make_valid(a)
    common = shapely.area(shapely.intersection(a, b))
    return common / (shapely.area(a) + shapely.area(b) - common)


def _neighbours(polygons: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs of polygons that touch, each once."""
    a, b = shapely.STRtree(polygons).query(polygons, predicate="intersects")
    return a[a < b], b[a < b]


def _opened(exact: NDArray[Any], polygons: NDArray[Any], least: float) -> tuple[int, int]:
    """How many walls are opened, of how many; `least` in pixels."""
    a, b = _neighbours(exact)
    wall = _shared(exact[a], exact[b]) >= least
    left = _shared(polygons[a[wall]], polygons[b[wall]])
    return int((left <= _NOTHING).sum()), int(wall.sum())


def _shared(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.float64]:
    lengths: NDArray[np.float64] = shapely.length(shapely.intersection(shapely.boundary(a), shapely.boundary(b)))
    return lengths


def _overlaps(polygons: NDArray[Any], group: NDArray[np.int64]) -> tuple[float, float, int]:
    """Square pixels that polygons of a block share, those that polygons of different blocks share, and how many do."""
    valid = shapely.make_valid(polygons)
    a, b = _neighbours(valid)
    areas = shapely.area(shapely.intersection(valid[a], valid[b]))
    same = group[a] == group[b]
    return float(areas[same].sum()), float(areas[~same].sum()), int((areas[~same] > _NOTHING).sum())


def _right_angles(polygons: NDArray[Any]) -> float:
    """The share of corners, of those that turn by more than a degree, that are right within one."""
    turns = []
    for ring in shapely.get_rings(polygons):
        sides = np.diff(shapely.get_coordinates(ring), axis=0)
        angles = np.degrees(np.arctan2(sides[:, 1], sides[:, 0]))
        turns.append(np.abs((angles - np.roll(angles, 1) + 180) % 360 - 180))
    every = np.concatenate(turns)
    return float(np.mean(np.abs(every[every > _RIGHT] - 90) < _RIGHT))


def _buildingregulariser(town: Town, exact: NDArray[Any]) -> dict[str, Any]:
    """Its best row; polygons that it dropped or split are matched by number, the largest part counts."""
    scaled = shapely.transform(exact, lambda points: points * town.pixel)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "polygons.gpkg"
        gpd.GeoDataFrame({"number": np.arange(len(exact))}, geometry=scaled, crs="EPSG:32645").to_file(path)
        program = HERE / "peers" / "buildingregulariser_run.py"
        seconds = measure([VECTORS.python, program, path, folder, str(town.pixel)])
        rows = []
        for number, (name, taken) in enumerate(seconds.items()):
            found = gpd.read_file(Path(folder) / f"{number}.gpkg").explode(ignore_index=True)
            found = found.iloc[np.argsort(found.area.to_numpy(), kind="stable")]
            polygons = np.full(len(exact), shapely.Polygon(), dtype=object)
            polygons[found["number"].to_numpy()] = shapely.transform(
                found.geometry.to_numpy(), lambda points: points / town.pixel
            )
            rows.append(judge(town, f"buildingregulariser ({name})", polygons, taken))
    return max(rows, key=lambda row: row["iou"])


def main() -> None:
    """Compare, print, keep."""
    from vector_tables import Table

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("labels", nargs="+", type=Path)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    files = [file for path in asked.labels for file in (sorted(path.glob("*.geojson")) if path.is_dir() else [path])]
    rows = squaring(files)
    Table("squaring", rows).show()
    if asked.json:
        asked.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
