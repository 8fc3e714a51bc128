from __future__ import annotations

from pathlib import Path

import pytest

from geoseg.errors import SpecError
from geoseg.jobs.spreading import spread, with_stem


@pytest.fixture
def tiles(tmp_path) -> Path:
    folder = tmp_path / "[2024] tiles"
    folder.mkdir()
    for name in ("b_1.tif", "a_1.tif", "a_1_mask.tif", "b_1_mask.tif", "c_1.tif", "a_1.txt"):
        (folder / name).touch()
    return folder


def entry(folder: Path, pattern: str, labels: str, **more) -> dict:
    return {"scene": {"paths": [str(folder / pattern)]}, "labels": {"path": str(folder / labels)}, **more}


def names(entries: list[dict]) -> list[tuple[str, str]]:
    return [(Path(e["scene"]["paths"][0]).name, Path(e["labels"]["path"]).name) for e in entries]


def test_a_star_stands_for_every_file_by_name_with_its_labels(tiles):
    found = spread([entry(tiles, "*.tif", "{stem}.geojson", weight=2.0)], "r.toml")
    assert names(found)[:2] == [("a_1.tif", "a_1.geojson"), ("a_1_mask.tif", "a_1_mask.geojson")]
    assert len(found) == 5
    assert all(e["weight"] == 2.0 for e in found)


def test_a_file_of_labels_is_no_scene(tiles):
    found = names(spread([entry(tiles, "*.tif", "{stem}_mask.tif")], "r.toml"))
    assert found == [("a_1.tif", "a_1_mask.tif"), ("b_1.tif", "b_1_mask.tif"), ("c_1.tif", "c_1_mask.tif")]


def test_names_can_be_left_out(tiles):
    found = spread([entry(tiles, "*.tif", "{stem}_mask.tif", without=["b_*", "c_*"])], "r.toml")
    assert names(found) == [("a_1.tif", "a_1_mask.tif")]
    assert "without" not in found[0]


def test_without_a_star_an_entry_stays_as_it_is(tiles):
    one = entry(tiles, "a_1.tif", "{stem}.shp")
    remote = {"scene": {"paths": ["https://host/*.tif"]}, "labels": {"path": "a.shp"}}
    assert spread([one, remote, {"scene": 3}], "r.toml") == [one, remote, {"scene": 3}]


@pytest.mark.parametrize(("pattern", "without"), [("*.jp2", []), ("*.tif", ["*"])])
def test_no_file_is_an_error_that_names_the_entry(tiles, pattern, without):
    with pytest.raises(SpecError, match=r"r\.toml: scenes\.1: found \d files for .*expected at least one"):
        spread([{}, entry(tiles, pattern, "x.shp", without=without)], "r.toml")


def test_the_name_of_a_scene_of_bands_is_that_of_its_first_file():
    assert with_stem("{stem}.gpkg", {"bands": {"red": "in/B04.tif", "green": "B03.tif"}}) == "B04.gpkg"
