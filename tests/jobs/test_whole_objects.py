"""Objects over the corners of tiles, from a scene to polygons: one each, equal to those of a run without tiles."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely
import torch
from torch import Tensor, nn

import geoseg
from geoseg.core.card import ModelCard
from geoseg.core.classes import ClassInfo, ClassSet
from geoseg.errors import SpecError
from geoseg.models import LoadedModel
from geoseg.models.answers import Answer, Objects
from tests.factory import make_raster

CLASSES = (
    ClassInfo(id=0, name="ground", colour="#c8b88a"),
    ClassInfo(id=1, name="roof", colour="#e4572e", kind="thing"),
    ClassInfo(id=2, name="water", colour="#2e86e4"),
)
SIDE = 160


class Known(nn.Module):
    """Objects are the values of the first band from 1 on, stuff is water where the second band says so."""

    def __init__(self, panoptic: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self._panoptic = panoptic

    def forward(self, chips: Tensor) -> Answer:
        raw = (chips * 255).round().long()
        water = (raw[:, 1] > 0).float()
        scores = torch.stack([1 - water, water], 1) if self._panoptic else None
        return Answer([self._objects(chip[0]) for chip in raw], scores)

    def _objects(self, ids: Tensor) -> Objects:
        boxes, masks = [], []
        values = ids.unique()
        for value in values[values > 0].flip(0):
            y, x = torch.nonzero(ids == value, as_tuple=True)
            box = (int(x.min()), int(y.min()), int(x.max()) + 1, int(y.max()) + 1)
            boxes.append(box)
            masks.append(ids[box[1] : box[3], box[0] : box[2]] == value)
        labels = torch.zeros(len(boxes), dtype=torch.int64)
        return Objects(torch.tensor(boxes).reshape(-1, 4), labels, torch.full((len(boxes),), 0.75), masks)


class Boxes(nn.Module):
    """Boxes (left, top, right, bottom, score) over one another; the bands are each pixel's column and row, from 1."""

    def __init__(self, boxes: list[tuple[int, int, int, int, float]]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self._boxes = boxes

    def forward(self, chips: Tensor) -> Answer:
        return Answer([self._objects(chip) for chip in (chips * 255).round().long()])

    def _objects(self, places: Tensor) -> Objects:
        x, y = places[0] - 1, places[1] - 1
        boxes, masks, scores = [], [], []
        for left, top, right, bottom, score in self._boxes:
            rows, columns = torch.nonzero((x >= left) & (x < right) & (y >= top) & (y < bottom), as_tuple=True)
            if len(rows):
                box = (int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1)
                boxes.append(box)
                masks.append(torch.ones(box[3] - box[1], box[2] - box[0], dtype=torch.bool))
                scores.append(score)
        labels = torch.zeros(len(boxes), dtype=torch.int64)
        return Objects(torch.tensor(boxes, dtype=torch.int64).reshape(-1, 4), labels, torch.tensor(scores), masks)


def model(panoptic: bool) -> LoadedModel:
    card = ModelCard(
        name="known-objects",
        version="1.0.0",
        kind="panoptic" if panoptic else "instance",
        task="any",
        description="For tests.",
        architecture="known",
        bands=("red", "green"),
        resolution=1.0,
        resolution_range=(0.1, 10.0),
        mean=(0.0, 0.0),
        std=(1.0, 1.0),
        classes=ClassSet(classes=CLASSES if panoptic else CLASSES[:2]),
        tile_size=SIDE,
        overlap=0,
        divisor=1,
        license="CC0-1.0",
    )
    return LoadedModel(card, Known(panoptic).eval(), Path("known.safetensors"), "0" * 64)


def town(seed: int) -> np.ndarray:
    """Ids of objects (y, x): over corners and edges of tiles, touching, ringed, and longer than many tiles."""
    random = np.random.default_rng(seed)
    ids = np.zeros((SIDE, SIDE), np.uint8)
    ids[4:156, 120:124] = 1
    ids[60:64, 4:120] = 1
    ids[70:110, 60:100] = 2
    ids[80:100, 70:90] = 0
    for number in range(3, 120):
        y, x = random.integers(0, SIDE - 4, 2)
        height, width = random.integers(1, 30, 2)
        place = ids[y : y + height, x : x + width]
        if not place.any():
            place[...] = number
    return ids


def found(scene: Path, loaded: LoadedModel, folder: Path, tile: int, overlap: int, **asked):
    options = {"inference": {"tile_size": tile, "overlap": overlap, "precision": "fp32", "device": "cpu"}, **asked}
    output = {"raster": str(folder / f"{tile}-{overlap}.tif")}
    with geoseg.predict(
        scene, loaded, output={**output, "vector": str(folder / f"{tile}-{overlap}.gpkg")}, options=options
    ) as result:
        polygons = result.polygons()
    with rasterio.open(output["raster"]) as raster:
        return polygons, raster.read()


@pytest.mark.parametrize("panoptic", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_tiles_change_nothing(tmp_path, panoptic, seed):
    ids = town(seed)
    water = np.zeros_like(ids)
    water[100:, :50] = 1
    scene = make_raster(tmp_path / "scene.tif", data=np.stack([ids, water]), descriptions=("red", "green"))
    loaded = model(panoptic)
    whole, whole_raster = found(scene, loaded, tmp_path, SIDE, 16)
    roofs = whole[whole["class"] == "roof"]
    assert sorted(roofs["instance_id"]) == list(range(1, len(np.unique(ids[ids > 0])) + 1))
    assert set(whole["class"]) == ({"roof", "water"} if panoptic else {"roof"})
    for tile, overlap in ((64, 16), (48, 24), (32, 1)):
        tiled, raster = found(scene, loaded, tmp_path, tile, overlap)
        np.testing.assert_array_equal(raster, whole_raster)
        assert shapely.to_wkb(tiled.geometry.to_numpy()).tolist() == shapely.to_wkb(whole.geometry.to_numpy()).tolist()
        assert tiled.drop(columns="geometry").equals(whole.drop(columns="geometry"))


@pytest.mark.parametrize("seed", range(6))
def test_an_area_changes_no_object_even_where_they_overlap(tmp_path, seed):
    random = np.random.default_rng(seed)
    boxes = [(10, 20, 40, 40, 0.6), (30, 20, 110, 40, 0.7), (80, 0, 158, 60, 0.9)] if seed == 0 else []
    while len(boxes) < 12 and seed:
        left, top = random.integers(0, SIDE - 10, 2)
        width, height = random.integers(4, 70, 2)
        boxes.append((left, top, min(SIDE, left + width), min(SIDE, top + height), 0.55 + len(boxes) * 7 % 12 / 30))
    y, x = np.mgrid[:SIDE, :SIDE] + 1
    scene = make_raster(tmp_path / "scene.tif", data=np.stack([x, y]).astype(np.uint8), descriptions=("red", "green"))
    loaded = replace(model(False), module=Boxes(boxes).eval())
    whole, (classes, _) = found(scene, loaded, tmp_path, 32, 8)
    left, top = (5, 15) if seed == 0 else random.integers(0, SIDE - 40, 2)
    with rasterio.open(scene) as raster:
        west, north = raster.transform * (left, top)
        east, south = raster.transform * (left + 31, top + 30)
    area = shapely.box(west, south, east, north)
    (tmp_path / "area").mkdir()
    part, (shown, _) = found(scene, loaded, tmp_path / "area", 32, 8, region={"bounds": area.bounds})
    np.testing.assert_array_equal(shown, classes[top : top + 30, left : left + 31])
    meeting = whole[whole.intersects(area)]
    assert sorted(shapely.to_wkt(shapely.normalize(part.geometry.to_numpy()))) == sorted(
        shapely.to_wkt(shapely.normalize(meeting.geometry.to_numpy()))
    )
    assert sorted(part["confidence"]) == sorted(meeting["confidence"])


def test_the_raster_shows_the_objects_that_were_drawn(tmp_path):
    ids = town(7)
    scene = make_raster(tmp_path / "scene.tif", data=np.stack([ids, ids * 0]), descriptions=("red", "green"))
    _, (classes, instances) = found(scene, model(False), tmp_path, 48, 16)
    np.testing.assert_array_equal(classes, ids > 0)
    pairs = np.unique(np.stack([ids.ravel(), instances.ravel()]), axis=1)
    assert len(pairs[0]) == len(set(pairs[0])) == len(set(pairs[1]))


def test_the_band_of_numbers_is_vectorized_as_instances(tmp_path):
    scene = make_raster(tmp_path / "scene.tif", data=np.stack([town(1)] * 2), descriptions=("red", "green"))
    drawn, _ = found(scene, model(False), tmp_path, 64, 16)
    with pytest.raises(SpecError, match=r"band 2 holds the numbers of objects, found no --instances"):
        geoseg.vectorize(tmp_path / "64-16.tif", tmp_path / "o.gpkg", options={"mask": {"bidx": 2}})
    mask = {"bidx": 2, "instances": True}
    with geoseg.vectorize(tmp_path / "64-16.tif", tmp_path / "o.gpkg", options={"mask": mask}) as result:
        again = result.polygons()
    assert sorted(again["instance_id"]) == sorted(drawn["instance_id"])
    assert again["area_m2"].sum() == pytest.approx(drawn["area_m2"].sum())


def test_one_tile_needs_no_overlap_and_says_what_ran_it(tmp_path):
    scene = make_raster(tmp_path / "scene.tif", data=np.stack([town(1)] * 2), descriptions=("red", "green"))
    whole, _ = found(scene, model(False), tmp_path, SIDE, 0)
    assert len(whole)
    with rasterio.open(tmp_path / f"{SIDE}-0.tif") as raster:
        assert json.loads(raster.tags()["GEOSEG_COMPUTE"])["backend"] == "torch"


def test_tiles_that_do_not_overlap_are_refused(tmp_path):
    scene = make_raster(tmp_path / "scene.tif", data=np.zeros((2, 80, 80), np.uint8), descriptions=("red", "green"))
    with pytest.raises(SpecError, match=r"overlap 0: model known-objects finds objects.*--overlap at least 4"):
        found(scene, model(False), tmp_path, 32, 0)


@pytest.mark.parametrize(("inference", "said"), [({"tta": "flips"}, "--tta"), ({"scales": (0.5, 1.0)}, "--scales")])
def test_what_averages_pixels_is_refused(tmp_path, inference, said):
    scene = make_raster(tmp_path / "scene.tif", data=np.zeros((2, 80, 80), np.uint8), descriptions=("red", "green"))
    with pytest.raises(SpecError, match=said):
        geoseg.predict(scene, model(True), options={"inference": {"overlap": 16, **inference}})
    assert [p.name for p in tmp_path.iterdir()] == ["scene.tif"]
