"""Scenes are decoded once, as they are, and never left half done."""

from __future__ import annotations

import dataclasses
import shutil
from collections import namedtuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from affine import Affine

from geoseg.core.tiling import Span
from geoseg.core.values import Stretch
from geoseg.errors import LabelError, ReadError, ResolutionError, ResourceError
from geoseg.io.labels import LabelSource, read_labels
from geoseg.io.region import RegionMask
from geoseg.io.scene import Scene, open_scene
from geoseg.training.data import Role, prepare, preparing
from tests.factory import ORIGIN, make_raster, pixel_values
from tests.toy import toy_card, toy_classes
from tests.training.data.scenes import Painted, asked_for, make_ground, squares


def arrays(folder: Path) -> list[str]:
    """What stands in a run's folder, but locks."""
    return sorted(p.name for p in folder.iterdir() if not p.name.endswith(".lock"))


def test_a_scene_of_fitting_resolution_is_kept_as_it_is(tmp_path: Path) -> None:
    ground = make_ground(tmp_path, shape=(600, 70))
    classes, objects = squares((600, 70))
    assert np.array_equal(ground.images, pixel_values(3, (600, 70)))
    assert ground.images.dtype == np.uint8
    assert ground.valid.all()
    assert np.array_equal(ground.classes, classes)
    assert np.array_equal(ground.objects, objects)
    assert ground.resolution == pytest.approx(1.0, rel=1e-3)
    assert ground.known.counts == {0: int((classes == 0).sum()), 1: int((classes == 1).sum())}
    assert ground.known.objects == len(np.unique(objects)) - 1


def test_what_holds_no_data_is_unknown(tmp_path: Path) -> None:
    data = pixel_values(3, (64, 64))
    data[:, 10:20, 5:30] = 0
    ground = make_ground(tmp_path, shape=(64, 64), data=data, nodata=0)
    hole = (data == 0).all(axis=0)
    assert np.array_equal(ground.valid, ~hole)
    assert (ground.classes[hole] == 255).all()
    assert not ground.objects[hole].any()
    assert not (ground.classes[~hole] == 255).any()


@pytest.mark.parametrize("dtype", ["uint16", "int16", "float32"])
def test_other_types_keep_their_values_and_nan_is_no_data(tmp_path: Path, dtype: str) -> None:
    data = pixel_values(4, (64, 64)).astype(dtype) * 100
    if dtype == "float32":
        data[0, 3, 4] = np.nan
    asked = asked_for(tmp_path, card=toy_card(classes=3, bands=("red", "green", "blue", "nir")))
    names = ("red", "green", "blue", "nir")
    ground = make_ground(tmp_path, shape=(64, 64), data=data, asked=asked, descriptions=names)
    assert ground.images.dtype == np.dtype(dtype)
    assert np.array_equal(ground.images[:, ground.valid], data[:, ground.valid])
    assert np.count_nonzero(~ground.valid) == (dtype == "float32")
    assert np.isfinite(ground.images).all()


def test_a_scene_finer_than_anything_drawn_is_averaged_once(tmp_path: Path) -> None:
    data = pixel_values(3, (128, 128))
    ground = make_ground(tmp_path, shape=(128, 128), pixel=0.175, data=data)
    assert ground.shape == (32, 32)
    assert ground.resolution == pytest.approx(0.7, rel=1e-3)
    means = data.reshape(3, 32, 4, 32, 4).mean(axis=(2, 4))
    assert np.abs(ground.images - means).max() <= 1


def test_arrays_are_used_again_and_not_read_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = make_ground(tmp_path)
    before = arrays(tmp_path / "run")

    def refuse(*_: Any, **__: Any) -> None:
        raise ReadError("read again")

    scene = open_scene(tmp_path / "scene.tif")
    labels = Painted(scene.grid, *squares((256, 256)), toy_classes(3))
    with monkeypatch.context() as patch:
        patch.setattr(Scene, "reader", refuse)
        again = prepare(scene, labels, asked_for(tmp_path))
        assert np.array_equal(again.classes, first.classes)
        assert again.known == first.known
        other = dataclasses.replace(labels, class_map=1 - labels.class_map)
        with pytest.raises(ReadError):
            prepare(scene, other, asked_for(tmp_path))
        with pytest.raises(ReadError):
            prepare(scene, labels, asked_for(tmp_path), Role(blank=("white",)))
    assert arrays(tmp_path / "run") == before


def test_strips_of_any_height_make_the_same_arrays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = make_ground(tmp_path, pixel=0.3, shape=(500, 300))
    monkeypatch.setattr(preparing, "ROWS", (7, 7))
    strips = make_ground(tmp_path, pixel=0.3, shape=(500, 300), asked=asked_for(tmp_path / "strips"))
    for name in ("images", "valid", "classes", "objects"):
        assert np.array_equal(getattr(whole, name), getattr(strips, name))
    assert whole.known == strips.known


@pytest.mark.parametrize("pixel", [1.0, 0.3])
@pytest.mark.parametrize("rows", [1, 6])
def test_holes_do_not_depend_on_where_strips_are_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int, pixel: float
) -> None:
    rng = np.random.default_rng(2)
    data = np.full((3, 130, 90), 90, np.uint8)
    for y, x, height, width in rng.integers((0, 0, 2, 2), (120, 80, 24, 24), (30, 4)).tolist():
        data[:, y : y + height, x : x + width] = 255  # roofs too thin for a hole, and holes
    scene = {"shape": (130, 90), "data": data, "pixel": pixel, "role": Role(blank=("white",))}
    whole = make_ground(tmp_path, **scene)
    assert 0.1 < whole.valid.mean() < (whole.classes != 255).mean() + 0.2 < 1
    monkeypatch.setattr(preparing, "ROWS", (rows, rows))
    strips = make_ground(tmp_path, asked=asked_for(tmp_path / "strips"), **scene)
    for name in ("images", "valid", "classes"):
        assert np.array_equal(getattr(whole, name), getattr(strips, name))


def test_what_values_mean_and_which_band_holds_them_tells_arrays_apart(tmp_path: Path) -> None:
    scene = open_scene(make_raster(tmp_path / "scene.tif", shape=(64, 64)))
    values = np.kron(np.array([[1, 2], [0, 1]]), np.ones((32, 32))).astype(np.uint8)
    path = str(make_raster(tmp_path / "labels.tif", data=np.stack([values, values[::-1, ::-1]])))
    means = {"1": "class-1", "2": "class-2"}, {"1": "class-2", "2": "class-1"}
    for source in (
        LabelSource(path, values=means[0]),
        LabelSource(path, values=means[1]),
        LabelSource(path, values=means[0], bidx=2),
    ):
        labels = read_labels(source, scene, toy_classes(3))
        ground = prepare(scene, labels, asked_for(tmp_path))
        assert np.array_equal(ground.classes, labels.window(scene.grid, Span(0, 64), Span(0, 64)).class_ids)
    assert len(arrays(tmp_path / "run")) == 3


def test_a_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    class Broken(Painted):
        def window(self, grid: Any, y: Any, x: Any) -> Any:
            if y.start:
                raise LabelError("broken")
            return super().window(grid, y, x)

    make_raster(tmp_path / "scene.tif", shape=(600, 64))
    scene = open_scene(tmp_path / "scene.tif")
    with pytest.raises(LabelError, match="broken"):
        prepare(scene, Broken(scene.grid, *squares((600, 64)), toy_classes(3)), asked_for(tmp_path))
    assert arrays(tmp_path / "run") == []


def test_what_a_killed_process_left_is_replaced(tmp_path: Path) -> None:
    ground = make_ground(tmp_path)
    staged = ground.folder.with_name(f".geoseg-{ground.folder.name}")
    ground.folder.rename(staged)
    (staged / "classes.npy").write_bytes(b"half")
    again = make_ground(tmp_path)
    assert np.array_equal(again.classes, squares((256, 256))[0])
    assert arrays(tmp_path / "run") == [ground.folder.name]


def test_only_the_labelled_area_and_a_window_around_it_are_kept(tmp_path: Path) -> None:
    make_raster(tmp_path / "scene.tif", shape=(400, 300))
    scene = open_scene(tmp_path / "scene.tif")
    west, north = ORIGIN
    area = RegionMask(np.array([shapely.box(west + 100, north - 220, west + 150, north - 200)]))
    labels = Painted(scene.grid, *squares((400, 300)), toy_classes(3), area=area)
    ground = prepare(scene, labels, asked_for(tmp_path))
    margin = round(north - 200 - (ground.grid.affine * (0, ground.shape[0]))[1]) - 20
    assert margin == 45  # 32 pixels of 1.4 m
    assert ground.shape == (20 + 2 * margin, 50 + 2 * margin)
    assert np.array_equal(ground.images, pixel_values(3, (400, 300))[:, 155:265, 55:195])


def test_a_full_disk_is_told_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = namedtuple("disk", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: disk(10**6, 10**6 - 1000, 1000))
    with pytest.raises(ResourceError, match=r"scene\.tif: training decodes it into 589\.8 kB"):
        make_ground(tmp_path)
    assert arrays(tmp_path / "run") == []


def test_a_class_that_the_model_does_not_know_is_named(tmp_path: Path) -> None:
    with pytest.raises(LabelError, match=r"class-2.*id 2.*0 background, 1 class-1"):
        make_ground(tmp_path, asked=asked_for(tmp_path, classes=2))


def test_scenes_of_no_use_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ResolutionError, match=r"3 m per pixel.*0\.7 to 1\.4 m"):
        make_ground(tmp_path, pixel=3.0)
    make_raster(tmp_path / "nowhere.tif", crs=None)
    with pytest.raises(ResolutionError, match="no CRS"):
        prepare(open_scene(tmp_path / "nowhere.tif"), None, asked_for(tmp_path))


def test_a_scene_without_labels_knows_nothing(tmp_path: Path) -> None:
    ground = make_ground(tmp_path, labelled=False)
    assert (ground.classes == 255).all()
    assert ground.known.pixels == 0
    assert ground.valid.all()
    assert not ground.labelled


def test_pure_white_is_unknown_and_a_hole_of_it_is_no_imagery(tmp_path: Path) -> None:
    data = np.minimum(pixel_values(3, (64, 64)), 200)
    data[:, 10:30, 10:40] = 255
    data[:, 50, 50:53] = 255
    white = (data == 255).all(axis=0)
    ground = make_ground(tmp_path, shape=(64, 64), data=data, role=Role(blank=("white",)))
    assert np.array_equal(ground.classes == 255, white)
    hole = np.zeros_like(white)
    hole[10:30, 10:40] = True
    assert np.array_equal(~ground.valid, hole)
    assert not ground.images[:, hole].any()
    assert make_ground(tmp_path, "plain", shape=(64, 64), data=data).valid.all()


def test_values_become_shares_of_the_range_or_of_the_stretch(tmp_path: Path) -> None:
    pixels = np.array([[[0.0, 51.0, 255.0]]] * 3, np.float32)
    plain = make_ground(tmp_path)
    shown = pixels.copy()
    plain.values.apply(shown)
    assert shown[0, 0] == pytest.approx([0, 0.2, 1])
    stretch = Stretch((51.0,) * 3, (102.0,) * 3, "test")
    stretched = make_ground(tmp_path, stretch=stretch)
    assert stretched.folder == plain.folder
    shown = pixels.copy()
    stretched.values.apply(shown)
    assert shown[0, 0] == pytest.approx([0, 0, 1])


def test_degrees_are_measured_on_the_ground(tmp_path: Path) -> None:
    transform = Affine(1e-5, 0, 85.5, 0, -1e-5, 27.6)
    ground = make_ground(tmp_path, crs="EPSG:4326", transform=transform)
    assert ground.shape[0] / ground.shape[1] == pytest.approx(1 / np.cos(np.radians(27.6)), rel=0.02)
    assert 0.9 < ground.resolution < 1.1
