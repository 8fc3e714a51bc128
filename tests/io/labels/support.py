"""Scenes and label files of a few pixels."""

from __future__ import annotations

import geopandas as gpd
import shapely

from geoseg.core.classes import ClassInfo, ClassSet
from geoseg.core.tiling import Span
from geoseg.io.labels import LabelSource, read_labels
from geoseg.io.scene import open_scene
from tests.factory import make_raster

LAND = ClassSet(
    classes=(
        ClassInfo(id=0, name="background", colour="#000000"),
        ClassInfo(id=1, name="Building", colour="#e4572e", kind="thing"),
        ClassInfo(id=2, name="road", colour="#17bebb"),
    )
)
HOUSES = ClassSet(
    classes=(
        ClassInfo(id=0, name="background", colour="#000000"),
        ClassInfo(id=1, name="building", colour="#e4572e", kind="thing"),
        ClassInfo(id=2, name="edge", colour="#ffc914"),
    ),
    separator=2,
)


def scene_of(folder, name="scene.tif", **options):
    return open_scene(make_raster(folder / name, **options))


def on_grid(scene, left, top, right, bottom):
    """A rectangle of pixels of the scene's grid, in its CRS."""
    corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
    return shapely.Polygon([scene.grid.affine * corner for corner in corners])


def write(folder, shapes, crs="EPSG:32633", name="labels.gpkg", **columns):
    path = folder / name
    frame = gpd.GeoDataFrame(columns, geometry=list(shapes), crs=crs)
    frame.to_parquet(path) if name.endswith("parquet") else frame.to_file(path)
    return str(path)


def labels_of(scene, path, classes=None, **how):
    return read_labels(LabelSource(path, **how), scene, classes)


def whole(labels, scene):
    """The labels of all of the scene."""
    return labels.window(scene.grid, Span(0, scene.grid.shape[0]), Span(0, scene.grid.shape[1]))
