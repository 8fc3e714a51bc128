from __future__ import annotations

import json

import pytest
from affine import Affine

from geoseg.errors import SceneError, SpecError
from geoseg.jobs.info import scene_info
from geoseg.jobs.parts import SceneSpec
from geoseg.jobs.plan import plan
from geoseg.jobs.spec import PredictJob
from tests.factory import ORIGIN, make_raster

FINE = Affine(0.3, 0, ORIGIN[0], 0, -0.3, ORIGIN[1])


def buildings(found: dict) -> dict:
    return next(task for task in found["tasks"] if task["task"] == "buildings")


def test_a_scene_that_fits_comes_with_the_cost_of_its_plan(tmp_path):
    path = make_raster(tmp_path / "scene.tif", shape=(40, 90), transform=FINE)
    found = scene_info(path)
    job = PredictJob(scene=SceneSpec(paths=(str(path),)), task="buildings")
    described = plan(job).describe()
    assert json.loads(json.dumps(found)) == found
    assert found["name"] == "scene.tif"
    assert (found["scene"]["width"], found["scene"]["height"]) == (90, 40)
    assert found["scene"]["resolution"] == pytest.approx(0.3, rel=0.01)
    assert buildings(found)["fits"] is True
    assert {key: buildings(found)[key] for key in ("grid", "tiles")} == {
        key: described[key] for key in ("grid", "tiles")
    }
    assert buildings(found)["memory_bytes"] > 0
    assert buildings(found)["seconds"] > 0


def test_a_scene_that_does_not_fit_comes_with_the_reason(tmp_path):
    coarse = make_raster(tmp_path / "coarse.tif", transform=Affine(30, 0, ORIGIN[0], 0, -30, ORIGIN[1]))
    found = buildings(scene_info(coarse))
    assert found["fits"] is False
    assert "found 30 m per pixel" in found["reason"]
    unnamed = make_raster(tmp_path / "unnamed.tif", bands=4, dtype="uint16", transform=FINE)
    assert "--bidx" in buildings(scene_info(unnamed))["reason"]


def test_fields_of_a_scene_may_be_given(tmp_path):
    path = make_raster(tmp_path / "scene.tif", bands=4, dtype="uint16", transform=FINE)
    assert buildings(scene_info({"paths": (str(path),), "bidx": (3, 2, 1)}))["fits"] is True


def test_what_is_no_scene_is_refused(tmp_path):
    with pytest.raises(SceneError, match=r"missing\.tif"):
        scene_info(tmp_path / "missing.tif")
    with pytest.raises(SpecError, match="colour"):
        scene_info({"paths": ("a.tif",), "colour": 1})
