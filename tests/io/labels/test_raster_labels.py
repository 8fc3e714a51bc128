from __future__ import annotations

import json

import numpy as np
import pytest
import rasterio
from affine import Affine
from numpy.testing import assert_array_equal

from geoseg.core.classes import NODATA
from geoseg.core.tiling import Span
from geoseg.errors import LabelError
from geoseg.io.grid import crop, resized
from geoseg.io.labels import LabelSource, raster, read_labels
from geoseg.io.scene import open_scene
from tests.factory import ORIGIN, ROTATED, make_raster
from tests.io.labels.support import HOUSES, LAND, labels_of, scene_of, whole


@pytest.fixture
def truth():
    ids = np.zeros((64, 64), np.uint8)
    ids[4:20, 4:20], ids[30:50, 10:60], ids[4:20, 30:40] = 1, 2, 1
    return ids


def mask_of(folder, ids, name="mask.tif", **options):
    return str(make_raster(folder / name, data=ids[None], **options))


def test_classes_and_objects_on_the_scenes_grid(tmp_path, truth):
    scene = scene_of(tmp_path)
    labels = labels_of(scene, mask_of(tmp_path, truth), LAND)
    found = whole(labels, scene)
    assert labels.is_raster
    assert len(labels.polygons) == 0
    assert_array_equal(found.class_ids, truth)
    assert_array_equal(np.unique(found.object_ids[4:20, 4:20]), [1])
    assert_array_equal(np.unique(found.object_ids[4:20, 30:40]), [2])
    assert not found.object_ids[truth != 1].any()  # roads are stuff
    assert labels.facts["pixels"] == {"background": 64 * 64 - 1416, "Building": 416, "road": 1000}
    assert labels.facts["objects"] == labels.object_count == 2
    assert len(labels.objects().polygons) == 0


@pytest.mark.parametrize("kept", [64 * 64, 64 * 64 - 1])
@pytest.mark.parametrize("transform", [None, ROTATED])
def test_any_grid_takes_the_class_at_the_centre(tmp_path, truth, kept, transform, monkeypatch):
    monkeypatch.setattr(raster, "KEPT", kept)
    monkeypatch.setattr(raster, "_STRIP", 1000)
    scene = scene_of(tmp_path, transform=transform)
    labels = labels_of(scene, mask_of(tmp_path, truth, transform=transform), LAND)
    assert (labels.raster.kept is None) == (kept < 64 * 64)
    assert labels.object_count == (0 if labels.raster.kept is None else 2)
    assert_array_equal(whole(labels, scene).class_ids, truth)
    fine = resized(scene.grid, (192, 192))
    found = labels.window(fine, Span(5, 190), Span(7, 192))
    assert_array_equal(found.class_ids, np.kron(truth, np.ones((3, 3), np.uint8))[5:190, 7:])
    coarse = resized(scene.grid, (16, 16))
    assert_array_equal(labels.window(coarse, Span(0, 16), Span(0, 16)).class_ids, truth[2::4, 2::4])
    turned = crop(scene.grid, Span(-3, 70), Span(-3, 70))
    wide = labels.window(turned, Span(0, 73), Span(0, 73)).class_ids
    assert_array_equal(wide[3:67, 3:67], truth)
    assert (wide == NODATA).sum() == 73 * 73 - 64 * 64


def test_objects_are_told_apart_in_rasters_of_any_type_up_to_so_many_pixels(tmp_path, truth, monkeypatch):
    scene = scene_of(tmp_path)
    path = mask_of(tmp_path, truth.astype("float64"))
    monkeypatch.setattr(raster, "KEPT", 64 * 64)
    labels = labels_of(scene, path, LAND)
    labels.check_objects()
    assert labels.object_count == 2
    monkeypatch.setattr(raster, "KEPT", 64 * 64 - 1)
    with pytest.raises(LabelError, match=r"mask\.tif.*objects apart.*vectorize"):
        labels_of(scene, path, LAND).check_objects()
    labels_of(scene, path).check_objects()  # stuff has none


def test_nothing_is_kept_where_nobody_asks_for_it(tmp_path, truth):
    scene = scene_of(tmp_path)
    found, _, facts = raster.open_classes(LabelSource(mask_of(tmp_path, truth)), scene, LAND, keep=False)
    assert found.kept is None
    assert found.objects is None
    assert facts["objects"] is None
    assert_array_equal(found.window(scene.grid, Span(0, 64), Span(0, 64))[0], truth)


def legend(**names):
    """What geoseg notes in class rasters."""
    return json.dumps([{"id": i, "name": name, "colour": "#ff0000"} for name, i in names.items()])


def with_legend(path, **names):
    with rasterio.open(path, "r+") as file:
        file.update_tags(GEOSEG_CLASSES=legend(**names))
    return path


def test_what_a_raster_says_of_its_values_counts_before_their_ids(tmp_path, truth):
    scene = scene_of(tmp_path)
    path = with_legend(mask_of(tmp_path, truth), ground=0, ROAD=1, building=2, hedge=9)
    swapped = np.array([0, 2, 1], np.uint8)[truth]
    assert_array_equal(whole(labels_of(scene, path, LAND), scene).class_ids, swapped)
    told = labels_of(scene, path, LAND, values={"1": "building"})
    assert_array_equal(whole(told, scene).class_ids, truth > 0)
    first = labels_of(scene, with_legend(mask_of(tmp_path, truth, "b.tif"), building=1, road=2))
    second = labels_of(scene, path, first.classes)  # two label rasters, each with ids of its own
    assert_array_equal(whole(second, scene).class_ids, swapped)
    hedge = with_legend(mask_of(tmp_path, truth, "c.tif"), hedge=1, road=2)
    with pytest.raises(LabelError, match=r"no class: '1 \(hedge\)'; found the classes 0=background, 1=Building"):
        labels_of(scene, hedge, LAND)
    some = with_legend(mask_of(tmp_path, truth, "d.tif"), unknown=1, road=2)
    assert_array_equal(whole(labels_of(scene, some, LAND), scene).class_ids, np.where(truth == 1, NODATA, truth))


def test_rasters_with_pixels_of_their_own(tmp_path, truth):
    scene = scene_of(tmp_path, transform=Affine(1, 0, ORIGIN[0] + 10, 0, -1, ORIGIN[1] - 10), shape=(30, 30))
    double = np.kron(truth, np.ones((2, 2), np.uint8))
    labels = labels_of(scene, mask_of(tmp_path, double, transform=Affine(0.5, 0, ORIGIN[0], 0, -0.5, ORIGIN[1])), LAND)
    assert_array_equal(whole(labels, scene).class_ids, truth[10:40, 10:40])
    assert labels.raster.kept.shape < double.shape  # only what lies under the scene
    part = scene_of(tmp_path, "wide.tif", transform=Affine(1, 0, ORIGIN[0] - 32, 0, -1, ORIGIN[1]))
    found = whole(labels_of(part, mask_of(tmp_path, truth, "m.tif"), LAND), part).class_ids
    assert_array_equal(found[:, 32:], truth[:, :32])
    assert (found[:, :32] == NODATA).all()


@pytest.mark.parametrize("dtype", ["uint16", "int16", "float32"])
def test_values_of_any_type_and_nodata(tmp_path, truth, dtype):
    scene = scene_of(tmp_path)
    values = truth.astype(dtype) * 7
    values[0, :9] = 99
    path = mask_of(tmp_path, values, nodata=99)
    labels = labels_of(scene, path, LAND, values={"7": "building", "14": "road"})
    expected = truth.copy()
    expected[0, :9] = NODATA
    assert_array_equal(whole(labels, scene).class_ids, expected)
    seen = labels_of(scene, path, LAND, values={"7": "building", "14": "road", "99": "road"})
    assert (whole(seen, scene).class_ids[0, :9] == 2).all()


def test_255_is_unknown_unless_it_is_told(tmp_path, truth):
    scene = scene_of(tmp_path)
    binary = np.where(truth == 1, 255, 0).astype(np.uint8)
    path = mask_of(tmp_path, binary)
    with pytest.raises(LabelError, match="255=NAME"):
        labels_of(scene, path, HOUSES)
    labels = labels_of(scene, path, HOUSES, values={"255": "building"})
    assert_array_equal(whole(labels, scene).class_ids, truth == 1)
    truth[0, 0] = 255
    assert whole(labels_of(scene, mask_of(tmp_path, truth, "b.tif"), LAND), scene).class_ids[0, 0] == NODATA


def test_255_is_a_value_like_others_where_there_are_larger_ones(tmp_path, truth):
    scene = scene_of(tmp_path)
    path = mask_of(tmp_path, truth.astype("uint16") * 255)
    found = labels_of(scene, path, LAND, values={"255": "building", "510": "road"})
    assert_array_equal(whole(found, scene).class_ids, truth)
    with pytest.raises(LabelError, match="no class: '255'"):
        labels_of(scene, path, LAND, values={"510": "road"})
    assert_array_equal(whole(labels_of(scene, path), scene).class_ids, truth)


def test_nodata_of_zero_leaves_no_background_unless_it_is_told(tmp_path, truth):
    scene = scene_of(tmp_path)
    houses = mask_of(tmp_path, (truth == 1).astype(np.uint8), nodata=0)
    with pytest.raises(LabelError, match="0=background"):
        labels_of(scene, houses, HOUSES)
    labels = labels_of(scene, houses, HOUSES, values={"0": "background"})
    assert_array_equal(whole(labels, scene).class_ids, truth == 1)
    both = labels_of(scene, mask_of(tmp_path, truth, "both.tif", nodata=0), LAND)
    assert_array_equal(whole(both, scene).class_ids, np.where(truth == 0, NODATA, truth))


def test_classes_made_of_values(tmp_path, truth):
    scene = scene_of(tmp_path)
    labels = labels_of(scene, mask_of(tmp_path, truth * 3), values={"3": "hut"})
    assert [(c.id, c.name, c.kind) for c in labels.classes.foreground] == [(3, "hut", "stuff"), (6, "class 6", "stuff")]
    assert not whole(labels, scene).object_ids.any()
    together = labels_of(scene, mask_of(tmp_path, truth, "b.tif"), values={"1": "any", "2": "any"})
    assert_array_equal(whole(together, scene).class_ids, truth > 0)
    large = labels_of(scene, mask_of(tmp_path, truth.astype("uint16") * 1000, "c.tif"), values={"0": "ground"})
    assert [(c.id, c.name) for c in large.classes.foreground] == [(1, "ground"), (2, "class 1000"), (3, "class 2000")]
    assert_array_equal(whole(large, scene).class_ids, truth + 1)


def test_values_that_are_no_class_are_listed(tmp_path, truth):
    scene = scene_of(tmp_path)
    truth[0, 0] = 9
    with pytest.raises(LabelError, match="band 1 holds values that are no class: '9'"):
        labels_of(scene, mask_of(tmp_path, truth), LAND)
    noise = np.random.default_rng(0).uniform(0, 1, (64, 64)).astype("float32")
    path = mask_of(tmp_path, noise, "noise.tif")
    with pytest.raises(LabelError, match="expected whole numbers"):
        labels_of(scene, mask_of(tmp_path, np.round(noise, 1), "few.tif"))
    wide = scene_of(tmp_path, "wide.tif", shape=(128, 128))
    path = mask_of(tmp_path, np.random.default_rng(0).uniform(0, 1, (128, 128)), "noise2.tif")
    with pytest.raises(LabelError, match="more than 4096"):
        labels_of(wide, path, LAND)
    with pytest.raises(LabelError, match="there is no band 2; found 1"):
        labels_of(scene, mask_of(tmp_path, truth, "d.tif"), LAND, bidx=2)
    with pytest.raises(LabelError, match="only nodata"):
        labels_of(scene, mask_of(tmp_path, np.zeros_like(truth), "e.tif", nodata=0), LAND)


def test_another_band_holds_the_classes(tmp_path, truth):
    scene = scene_of(tmp_path)
    path = str(make_raster(tmp_path / "two.tif", data=np.stack([truth * 0 + 77, truth])))
    assert_array_equal(whole(labels_of(scene, path, LAND, bidx=2), scene).class_ids, truth)


@pytest.mark.parametrize("name", ["mask.png", "mask.tif"])
@pytest.mark.parametrize("crs", [None, "EPSG:32633"])
def test_a_mask_of_the_scenes_size_without_any_place(tmp_path, truth, name, crs):
    place = {"crs": crs} if crs else {"crs": None, "transform": Affine.identity()}
    scene = scene_of(tmp_path, **place)
    driver = {"driver": "PNG"} if name.endswith("png") else {}
    path = mask_of(tmp_path, truth, name, crs=None, transform=Affine.identity(), **driver)
    assert_array_equal(whole(labels_of(scene, path, LAND), scene).class_ids, truth)
    other = mask_of(tmp_path, truth[:60], "o" + name, crs=None, transform=Affine.identity(), **driver)
    with pytest.raises(LabelError, match=r"64 x 60 pixels where the scene scene\.tif has 64 x 64"):
        labels_of(scene, other, LAND)


def test_rasters_elsewhere_are_refused(tmp_path, truth):
    scene = scene_of(tmp_path)
    other = mask_of(tmp_path, truth, crs="EPSG:32634")
    with pytest.raises(LabelError, match=r"gdalwarp -t_srs EPSG:32633 -r near"):
        labels_of(scene, other, LAND)
    far = mask_of(tmp_path, truth, "far.tif", transform=Affine(1, 0, 510_000, 0, -1, 5_000_000))
    with pytest.raises(LabelError, match=r"misses the scene.*510000, 4999936.*500000, 4999936, 500064, 5000000"):
        labels_of(scene, far, LAND)
    with pytest.raises(LabelError, match="has no CRS"):
        labels_of(scene, mask_of(tmp_path, truth, "bare.tif", crs=None), LAND)
    with pytest.raises(LabelError, match=r"the scene none\.tif has no CRS"):
        labels_of(scene_of(tmp_path, "none.tif", crs=None), mask_of(tmp_path, truth, "placed.tif"), LAND)


def test_real_masks(data_dir):
    scene = open_scene(data_dir / "dubai_landcover" / "tile1_001.jpg")
    source = LabelSource(str(data_dir / "dubai_landcover" / "tile1_001_mask.png"), values={"5": "water"})
    labels = read_labels(source, scene)
    found = whole(labels, scene).class_ids
    assert (found == NODATA).sum() == labels.facts["unknown_pixels"] == 7920
    assert (found == 5).sum() == labels.facts["pixels"]["water"] == 36569
    roads = open_scene(next((data_dir / "massachusetts_roads").glob("*_mask.tif")))
    found = labels_of(roads, roads.paths[0], HOUSES)
    assert found.facts["objects"] > 0
    assert found.facts["unknown_pixels"] > 0
