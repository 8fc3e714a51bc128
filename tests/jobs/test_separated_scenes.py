"""Objects that a separator tells apart, from a scene to polygons: tiles change none of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely
import torch
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
