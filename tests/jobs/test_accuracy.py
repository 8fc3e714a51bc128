"""The packaged model on ground that it never saw."""

from __future__ import annotations

import pytest

import geoseg


@pytest.mark.data
def test_buildings_are_found_in_northern_banepa(data_dir):
    place = data_dir / "fair_buildings" / "banepa_north_053m"
    scene, labels = place.with_suffix(".tif"), place.with_suffix(".geojson")
    found = geoseg.evaluate(scene, labels, "buildings", options={"resamples": 0})
    building = next(one for one in found.total.classes if one.name == "building")
    assert building.pixels["iou"].value >= 0.70
