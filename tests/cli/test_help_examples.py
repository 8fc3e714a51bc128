from __future__ import annotations

import importlib
import io
import itertools
import json
import shlex
import shutil
import sys
from pathlib import Path

import geopandas
import numpy as np
import pytest
import shapely
from affine import Affine

from geoseg.models import export_mlm
from geoseg_cli.main import main
from tests.cli.commands import all_commands
from tests.factory import ORIGIN, make_raster
from tests.toy import write_toy_bundle

PIXEL = 0.3


def example_lines() -> list[str]:
    """Every example of every command's help, continued lines joined."""
    lines = []
    for command in all_commands().values():
        _, found, text = (command.help or "").partition("Examples:\n")
        lines += [line.strip() for line in text.replace("\\\n", " ").splitlines() if found and line.strip()]
    return lines


def place(column: int) -> Affine:
    return Affine(PIXEL, 0, ORIGIN[0] + column * PIXEL, 0, -PIXEL, ORIGIN[1])


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Path:
    """A folder with everything that the examples name."""
    folder = tmp_path_factory.mktemp("examples")
    pixels = np.full((3, 96, 96), 40, dtype=np.uint8)
    pixels[:, 30:60, 30:70] = 200
    make_raster(folder / "scene.tif", data=pixels, transform=place(0))
    make_raster(folder / "west.tif", data=pixels, transform=place(0))
    make_raster(folder / "east.tif", data=pixels, transform=place(96))
    for name, band in zip("rgb", pixels, strict=True):
        make_raster(folder / f"{name}.tif", data=band[None], transform=place(0))
    make_rasters_to_vectorize(folder)
    write_toy_bundle(folder / "town.safetensors", kind="threshold")
    export_mlm(folder / "town.safetensors", folder / "item.json")
    (folder / "weights").mkdir()
    write_toy_bundle(
        folder / "weights" / "buildings.safetensors",
        kind="threshold",
        name="buildings",
        task="buildings",
        arguments={"shape": "linear"},
        activation="softmax",
    )
    district = shapely.box(ORIGIN[0] + 5, ORIGIN[1] - 20, ORIGIN[0] + 15, ORIGIN[1] - 5)
    geopandas.GeoDataFrame(geometry=[district], crs="EPSG:32633").to_file(folder / "district.gpkg")
    job = {"scene": {"paths": ["scene.tif"]}, "model": "town.safetensors", "output": {"vector": "from_job.gpkg"}}
    (folder / "job.json").write_text(json.dumps(job))
    make_labelled_scenes(folder)
    return folder


def make_labelled_scenes(folder: Path) -> None:
    side = 400
    pixels = np.full((3, side, side), 40, dtype=np.uint8)
    roofs = [(row, column) for row in range(20, side, 60) for column in range(20, side, 60)]
    for row, column in roofs:
        pixels[:, row : row + 30, column : column + 30] = 200
    for name, labels, away in (("town", "buildings", 0), ("other", "other", 1000)):
        origin = place(away)
        shapes = [shapely.box(*(origin * (c, r + 30)), *(origin * (c + 30, r))) for r, c in roofs]
        make_raster(folder / f"{name}.tif", data=pixels, transform=place(away))
        frame = geopandas.GeoDataFrame(geometry=shapes, crs="EPSG:32633")
        frame.to_file(folder / f"{labels}.shp")
        frame.to_file(folder / "buildings.gpkg")
    recipe = """
        output = "by_recipe.safetensors"
        [model]
        base = "buildings"
        [loop]
        steps = 2
        [[scenes]]
        scene = "${DATA:-.}/town.tif"
        labels = "${DATA:-.}/buildings.shp"
    """
    (folder / "recipe.toml").write_text(recipe)


def make_rasters_to_vectorize(folder: Path) -> None:
    mask = np.zeros((1, 96, 96), dtype=np.uint8)
    mask[:, 30:60, 30:70] = 1
    road = np.zeros_like(mask)
    road[:, :, 44:58] = 1
    make_raster(folder / "mask.tif", data=mask, transform=place(0))
    make_raster(folder / "roads.tif", data=np.repeat(road, 4, axis=1), transform=place(0))
    make_raster(folder / "landcover.tif", data=mask + 2 * road, transform=place(0))
    make_raster(folder / "ids.tif", data=mask.astype(np.int32) * 70_000, transform=place(0))
    make_raster(folder / "probability.tif", data=mask.astype(np.float32) * 0.8, transform=place(0))


@pytest.fixture
def quick_models(prepared, monkeypatch):
    """A toy model in place of the packaged one, whose answers take seconds."""
    monkeypatch.setattr(importlib.import_module("geoseg.models.packaged"), "WEIGHTS", prepared / "weights")


def quickly(part: str) -> list[str]:
    """What is added to an example that would train for hours."""
    quick = ["--steps", "2", "--batch-size", "1", "--crop-size", "32", "--device", "cpu"]
    return quick if part.strip().startswith("geoseg train") else []


def run_line(line: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> str:
    """Run one line as a shell would, as far as the examples need it: `|` and `> FILE`. Returns what it printed."""
    line, _, target = line.partition(" > ")
    out = ""
    for part in line.split(" | "):
        program, *words = shlex.split(part) + quickly(part)
        assert program == "geoseg"
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(out.encode()), encoding="utf-8"))
        code = main(words)
        out, err = capsys.readouterr()
        assert code == 0, f"{part}: {err}"
    if target:
        Path(target).write_text(out)
    return out


def outputs_named(line: str) -> list[str]:
    """The files that a line says it writes."""
    if "--dry-run" in line:
        return []
    _, _, target = line.partition(" > ")
    words = shlex.split(line.partition(" > ")[0])
    flags = {"-o", "--raster", "--scores", "--preview", "--report", "--figures"}
    asked = [after for word, after in itertools.pairwise(words) if word in flags]
    return [target] if target else asked


@pytest.mark.parametrize("line", list(dict.fromkeys(example_lines())))
def test_examples_of_the_help_run(line, prepared, quick_models, tmp_path, capsys, monkeypatch):
    shutil.copytree(prepared, tmp_path, dirs_exist_ok=True)
    for name in outputs_named(line):  # what one example writes is there for another that reads it
        (tmp_path / name).unlink(missing_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GEOSEG_CACHE", str(tmp_path / "cache"))
    out = run_line(line, capsys, monkeypatch)
    for name in outputs_named(line):
        assert (tmp_path / name).stat().st_size > 0, f"{name} was not written"
    assert out or outputs_named(line), "nothing was printed and nothing written"


def test_every_command_has_an_example():
    lines = example_lines()
    for words in all_commands():
        assert any(line.startswith(" ".join(["geoseg", *words])) for line in lines), words
