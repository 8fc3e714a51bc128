"""Objects that a separator tells apart, from a scene to polygons: tiles and areas of interest change none of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

import geoseg
from geoseg.core.card import ModelCard
from geoseg.core.classes import ClassInfo, ClassSet
from geoseg.inference.separation import separate as watershed
from geoseg.models import LoadedModel
from tests.factory import make_raster

CLASSES = (
    ClassInfo(id=0, name="ground", colour="#c8b88a"),
    ClassInfo(id=1, name="field", colour="#00ff00", kind="thing"),
    ClassInfo(id=2, name="boundary", colour="#ff0000"),
)
SIDE = 112
LEFT, TOP = 500_000, 5_000_000

UNSCOPED = [HealthCheck.function_scoped_fixture]


class Shown(nn.Module):
    """The classes are the values of the first band."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, chips):
        raw = (chips * 255).round().long()[:, 0].clamp(0, 2)
        return nn.functional.one_hot(raw, 3).permute(0, 3, 1, 2).float() * 6


def model() -> LoadedModel:
    card = ModelCard(
        name="shown-fields",
        version="1.0.0",
        task="any",
        description="For tests.",
        architecture="known",
        bands=("red", "green"),
        resolution=1.0,
        resolution_range=(0.1, 10.0),
        mean=(0.0, 0.0),
        std=(1.0, 1.0),
        classes=ClassSet(classes=CLASSES, separator=2),
        tile_size=SIDE,
        overlap=0,
        divisor=1,
        license="CC0-1.0",
    )
    return LoadedModel(card, Shown().eval(), Path("known.safetensors"), "0" * 64)


def fields(random: np.random.Generator) -> np.ndarray:
    """Cells with borders of some width, on ground that cuts some of them; or markers that lie about in a sea."""
    y, x = np.mgrid[:SIDE, :SIDE]
    if random.random() < 0.6:
        points = random.uniform(0, SIDE, (random.integers(10, 60), 2))
        far = np.sort(np.hypot(y[..., None] - points[:, 0], x[..., None] - points[:, 1]), axis=2)
        ids = np.where(far[..., 1] - far[..., 0] < random.integers(2, 8), 2, 1).astype(np.uint8)
    else:
        ids = np.full((SIDE, SIDE), 2, np.uint8)
        for _ in range(random.integers(6, 40)):
            top, left = random.integers(0, SIDE - 6, 2)
            ids[top : top + random.integers(1, 6), left : left + random.integers(1, 6)] = 1
    ids[random.random(ids.shape) < 0.01] = 0
    for _ in range(4):
        top, left = random.integers(0, SIDE, 2)
        ids[top : top + 1, max(0, left - 25) : left + 25] = 0
    return ids


def found(scene: Path, folder: Path, name: str, tile: int = 48, **options):
    output = {"vector": str(folder / f"{name}.gpkg"), "raster": str(folder / f"{name}.tif"), "overwrite": True}
    inference = {"tile_size": tile, "overlap": 0, "precision": "fp32", "device": "cpu"}
    with geoseg.predict(scene, model(), output=output, options={"inference": inference, **options}) as result:
        polygons = result.polygons()
    with rasterio.open(output["raster"]) as raster:
        return polygons, raster.read()


def scene_of(folder: Path, ids: np.ndarray) -> Path:
    return make_raster(folder / "scene.tif", data=np.stack([ids, ids * 0]), descriptions=("red", "green"))


def test_tiles_and_chunks_change_nothing(tmp_path, monkeypatch):
    scene = scene_of(tmp_path, fields(np.random.default_rng(3)))
    whole, raster = found(scene, tmp_path, "whole", SIDE)
    assert len(whole) > 10
    for chunk, tile in ((1, 16), (1, 48), (2000, 32)):
        monkeypatch.setattr(watershed, "CHUNK_PIXELS", chunk)
        tiled, other = found(scene, tmp_path, "tiled", tile)
        np.testing.assert_array_equal(raster, other)
        assert shapely.to_wkb(tiled.geometry.to_numpy()).tolist() == shapely.to_wkb(whole.geometry.to_numpy()).tolist()
        assert tiled.drop(columns="geometry").equals(whole.drop(columns="geometry"))


@pytest.mark.slow
def test_a_scene_of_more_than_one_chunk_is_that_of_one(tmp_path, monkeypatch):
    y, x = np.mgrid[:1100, :1100]
    ids = np.where((y % 50 == 0) | (x % 50 == 0), 2, 1).astype(np.uint8)
    ids[:, 25:27] = 1
    scene = scene_of(tmp_path, ids)
    chunks, raster = found(scene, tmp_path, "chunks", 256)
    monkeypatch.setattr(watershed, "CHUNK_PIXELS", 1 << 30)
    whole, other = found(scene, tmp_path, "whole", 256)
    np.testing.assert_array_equal(raster, other)
    assert chunks.equals(whole)


@settings(max_examples=12, derandomize=True, deadline=None, suppress_health_check=UNSCOPED)
@given(st.integers(0, 10**6), st.sampled_from(["exact", "simplify", "square"]), st.sampled_from([0.0, 20.0]))
def test_objects_of_an_area_are_those_of_the_whole_scene(tmp_path, seed, outline, least):
    compare(tmp_path, seed, {"outline": outline, "min_area_m2": least})


@pytest.mark.slow
@pytest.mark.parametrize("outline", ["exact", "simplify", "smooth", "square"])
@settings(max_examples=40, derandomize=True, deadline=None, suppress_health_check=UNSCOPED)
@given(st.integers(0, 10**6), st.sampled_from([0.0, 20.0]))
def test_objects_of_many_areas_are_those_of_the_whole_scene(tmp_path, outline, seed, least):
    compare(tmp_path, seed, {"outline": outline, "min_area_m2": least})


def compare(folder: Path, seed: int, postprocess: dict[str, object]) -> None:
    """The polygons that meet random areas, and the pixels in them, against those of the whole scene."""
    random = np.random.default_rng(seed)
    scene = scene_of(folder, fields(random))
    whole, raster = found(scene, folder, "whole", postprocess=postprocess)
    for _ in range(2):
        (top, left), (height, width) = random.integers(0, SIDE - 20, 2), random.integers(3, 20, 2)
        box = shapely.box(LEFT + left, TOP - top - height, LEFT + left + width, TOP - top)
        part, pixels = found(scene, folder, "part", postprocess=postprocess, region={"bounds": box.bounds})
        expected = whole[whole.intersects(box)]
        assert described(part) == described(expected)
        classes, numbers = raster[:, top : top + height, left : left + width]
        np.testing.assert_array_equal(pixels[0], classes)
        pairs = np.unique(np.stack([pixels[1].ravel(), numbers.ravel()]), axis=1)
        assert len(set(pairs[0])) == len(set(pairs[1])) == len(pairs[0])


def described(frame) -> list[object]:
    """What a frame says of each object, its number aside; measures are sums, whose order is another's.

    Points on a straight side are left out: they tell where neighbours meet, of which not all have to be certain.
    """
    rows = frame.drop(columns=["instance_id", "geometry"]).round(6).itertuples(index=False)
    shapes = shapely.normalize(shapely.simplify(shapely.normalize(frame.geometry.to_numpy()), 0))
    return sorted(zip(shapely.to_wkb(shapes), map(str, rows), strict=True))


def test_a_raster_alone_is_looked_at_too(tmp_path):
    ids = np.full((SIDE, SIDE), 2, np.uint8)
    ids[50, 108] = ids[100, 3] = 1
    scene = scene_of(tmp_path, ids)
    rasters = []
    for name, region in (("whole", {}), ("part", {"bounds": (LEFT + 30, TOP - 60, LEFT + 40, TOP - 50)})):
        path = tmp_path / f"{name}.tif"
        inference = {"tile_size": 16, "overlap": 0, "precision": "fp32", "device": "cpu"}
        options = {"inference": inference, **({"region": region} if region else {})}
        geoseg.predict(scene, model(), output={"raster": str(path)}, options=options).close()
        with rasterio.open(path) as raster:
            rasters.append(raster.read())
    np.testing.assert_array_equal(rasters[1][0], rasters[0][0][50:60, 30:40])
