"""Class rasters made anywhere, on the grid of the scene that they show."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
from numpy.testing import assert_array_equal

from geoseg.core.classes import ClassInfo, ClassSet
from geoseg.core.tiling import Span
from geoseg.errors import LabelError
from geoseg.evaluation import rasters
from geoseg.evaluation.rasters import on_grid_of
from geoseg.evaluation.strips import classes_of
from tests.evaluation.maps import HOUSES, LAND, class_raster
from tests.io.labels.support import scene_of

FOREST = ClassSet(
    classes=(
        ClassInfo(id=0, name="background", colour="#000000"),
        ClassInfo(id=1, name="forest", colour="#76b041"),
        ClassInfo(id=2, name="water", colour="#17bebb"),
    )
)


def ids_of(tmp_path: Path, classes: ClassSet, ids, **legend: int):
    """What is made of a map that calls its values so."""
    path = class_raster(tmp_path / "map.tif", ids)
    with rasterio.open(path, "r+") as file:
        listed = [{"id": i, "name": name, "colour": "#ff0000"} for name, i in legend.items()]
        file.update_tags(GEOSEG_CLASSES=json.dumps(listed))
    scene = scene_of(tmp_path)
    on_grid_of(path, scene, classes, tmp_path / "out.tif")
    return np.concatenate(list(classes_of(tmp_path / "out.tif", scene, [Span(0, 64)], Span(0, 64))))


@pytest.fixture
def ids():
    values = np.zeros((64, 64), np.uint8)
    values[5:20, 5:20], values[30:50] = 1, 2
    return values


def test_a_map_means_what_its_legend_says(tmp_path: Path, ids) -> None:
    swapped = np.array([0, 2, 1], np.uint8)[ids]
    assert_array_equal(ids_of(tmp_path, FOREST, ids, background=0, water=1, forest=2), swapped)
    assert_array_equal(ids_of(tmp_path, FOREST, ids), ids)
    with pytest.raises(LabelError, match=r"1 \(water\)"):
        ids_of(tmp_path, LAND, ids, background=0, water=1, road=2)


def test_one_class_is_the_other_whatever_they_are_called(tmp_path: Path, ids) -> None:
    for value, name in ((2, "hut"), (7, "building"), (1, "road")):
        values = np.where(ids == 2, value, 0)
        assert_array_equal(ids_of(tmp_path, HOUSES, values, Background=0, **{name: value}), ids == 2)
    with pytest.raises(LabelError, match=r"1 \(hut\).*2 \(shed\)"):
        ids_of(tmp_path, HOUSES, ids, background=0, hut=1, shed=2)


def test_objects_are_not_told_apart(tmp_path: Path, ids) -> None:
    raster = rasters._opened(class_raster(tmp_path / "map.tif", ids == 1), scene_of(tmp_path), HOUSES)
    assert raster.objects is None
    assert raster.kept is None
