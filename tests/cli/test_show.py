from __future__ import annotations

import json
import re

import numpy as np
import pytest

from geoseg_cli.show_result import show_result
from tests.factory import make_raster
from tests.toy import write_toy_bundle

SUMMARY = {
    "outputs": {"vector": "o.gpkg"},
    "polygons": {"building": 1234},
    "area_m2": {"building": 25_000.0},
    "bad_blocks": [],
    "tiles": {"skipped_empty": 0},
    "seconds": 8.13,
    "mpx_per_second": 3.25,
    "stretch": None,
    "attribution": "",
}


@pytest.fixture
def words(tmp_path, monkeypatch) -> tuple[str, ...]:
    monkeypatch.chdir(tmp_path)
    make_raster("scene.tif", data=np.full((3, 100, 160), 200, dtype=np.uint8))
    write_toy_bundle("toy.safetensors", kind="threshold", tile_size=64, overlap=16)
    return ("predict", "scene.tif", "-m", "toy.safetensors", "--batch-size", "2", "--threads", "1", "--device", "cpu")


def rows(out: str) -> dict[str, str]:
    """First word of each line, and the rest."""
    return {line.partition(" ")[0]: line.partition(" ")[2].strip() for line in out.splitlines()}


def test_a_plan_is_told_in_words(geoseg, words):
    told = rows(geoseg(*words, "--dry-run", "-o", "o.gpkg", "--min-area", "3").out)
    assert told["tiles"] == "6 of 64 pixels, overlap 16"
    assert told["grid"].startswith("the scene's own, 160 × 100 pixels")
    assert told["bands"] == "red from band 1, green from band 2, blue from band 3"
    assert told["computing"].startswith("cpu, ")
    assert "1 thread, 2 tiles at a time" in told["computing"]
    assert told["polygons"] == "below 3 m² dropped, along the pixels' edges"
    assert told["vector"].endswith("o.gpkg")
    assert told["values"] == "as they are"


def test_an_area_and_a_stretch_are_told(geoseg, words):
    bounds = "500010 4999950 500030 4999990"
    told = rows(geoseg(*words, "--dry-run", "--bounds", bounds, "--clip", "--limits", "0,255").out)
    assert told["area"] == "cut at the edge of the area of interest"
    assert "outside the area are skipped" in told["tiles"]
    assert told["values"] == "stretched from 0..255, 0..255, 0..255 (given)"


def test_a_dry_run_writes_nothing_and_its_json_is_the_plan(geoseg, words, tmp_path):
    before = sorted(tmp_path.iterdir())
    plan = json.loads(geoseg(*words, "--dry-run", "-o", "o.gpkg", "--json").out)
    assert plan["tiles"]["planned"] == 6
    assert sorted(tmp_path.iterdir()) == before


def test_a_run_tells_what_it_found(geoseg, words):
    answer = geoseg(*words, "-o", "o.gpkg")
    assert answer.code == 0
    lines = answer.out.splitlines()
    assert lines[0].split() == ["class", "polygons", "area"]
    assert lines[1].split()[:2] == ["class-1", "1"]
    assert rows(answer.out)["vector"].endswith("o.gpkg")


def test_an_existing_output_is_refused_before_anything_runs(geoseg, words, tmp_path):
    (tmp_path / "o.gpkg").write_text("mine")
    answer = geoseg(*words, "-o", "o.gpkg")
    assert answer.code == 2
    assert "--overwrite" in answer.err
    assert (tmp_path / "o.gpkg").read_text() == "mine"


def test_blocks_that_could_not_be_read_are_listed_up_to_ten(capsys):
    bad = [{"path": "a.tif", "rows": [i, i + 1], "columns": [0, 9], "reason": "x"} for i in range(12)]
    show_result({**SUMMARY, "bad_blocks": bad})
    out = capsys.readouterr().out
    assert "a.tif: rows 9 to 10, columns 0 to 9" in out
    assert "rows 10 to 11" not in out
    assert "and 2 more; --json lists all" in out


def test_tiles_without_data_are_told(capsys):
    show_result(SUMMARY)
    assert "skipped" not in capsys.readouterr().out
    show_result({**SUMMARY, "tiles": {"skipped_empty": 1}})
    assert "skipped  1 tile without a valid pixel" in capsys.readouterr().out


def test_nothing_found_is_said(capsys):
    show_result({**SUMMARY, "polygons": {}, "area_m2": {}})
    assert "none found" in capsys.readouterr().out
    show_result({**SUMMARY, "polygons": None, "area_m2": None})
    assert "polygons" not in capsys.readouterr().out


def test_info_tells_the_scene_and_the_tasks(geoseg, words):
    out = geoseg("info", "scene.tif").out
    told = rows(out)
    assert told["size"] == "160 × 100 pixels, uint8"
    assert told["bands"] == "1 red, 2 green, 3 blue"
    assert told["CRS"].endswith("EPSG:32633") or told["CRS"].endswith("(EPSG:32633)")
    assert told["resolution"] == "1 m per pixel on the ground"
    assert re.search(r"^no +buildings: ", out, re.M)
    assert "its model is not on this machine" in out


def test_a_stretch_is_told(capsys):
    show_result({**SUMMARY, "stretch": {"low": [1.0], "high": [9.0], "origin": "percentiles 2 and 98 of an overview"}})
    assert "stretched: percentiles 2 and 98 of an overview" in capsys.readouterr().out
