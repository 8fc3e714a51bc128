"""Rasters made elsewhere to polygons and lines, through the files."""

from __future__ import annotations

import json

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import rasterio.features
import shapely
from affine import Affine
from pyproj import Geod
from scipy import ndimage

import geoseg
from geoseg.errors import (
    BandError,
    InputError,
    OutputError,
    RegionError,
    ResolutionError,
    SceneError,
    SpecError,
    UnknownNameError,
)
from geoseg.jobs import masks
from tests.factory import ORIGIN, make_raster
from tests.toy import write_toy_bundle

HALF_METRE = Affine(0.5, 0, ORIGIN[0], 0, -0.5, ORIGIN[1])
TWO_METRES = Affine(2, 0, ORIGIN[0], 0, -2, ORIGIN[1])


def cover(shape, classes, seed=0, smooth=4):
    """A raster of classes in smooth patches."""
    noise = np.random.default_rng(seed)
    layers = [ndimage.gaussian_filter(noise.random(shape), smooth) for _ in range(classes)]
    return np.argmax(layers, axis=0).astype(np.uint8)


def frame_of(path, **options):
    with geoseg.vectorize(path, **options) as result:
        return result.polygons()


def burnt(frame, path):
    """The polygons as a raster of their class ids, on the grid of another raster."""
    with rasterio.open(path) as raster:
        shapes = zip(frame.geometry, frame.class_id, strict=True)
        return rasterio.features.rasterize(shapes, raster.shape, fill=0, transform=raster.transform, dtype="int32")


def same(one, other):
    """Two frames that are equal to the last bit."""
    assert list(one.columns) == list(other.columns)
    assert shapely.to_wkb(one.geometry.to_numpy()).tolist() == shapely.to_wkb(other.geometry.to_numpy()).tolist()
    plain = [frame.drop(columns=["geometry", "source"]) for frame in (one, other)]
    assert plain[0].equals(plain[1])


def test_without_a_postprocess_polygons_are_exact(tmp_path):
    pixels = cover((150, 170), 5)
    path = make_raster(tmp_path / "mask.tif", data=pixels[None], transform=HALF_METRE)
    frame = frame_of(path)
    assert np.array_equal(burnt(frame, path), pixels)
    assert frame.is_valid.all()
    assert frame["class"].tolist() == [f"class {i}" for i in frame.class_id]
    assert frame.instance_id.tolist() == list(range(1, len(frame) + 1))
    assert set(frame.source) == {"mask.tif"}
    assert frame.confidence.isna().all()
    assert frame.area_m2.sum() == pytest.approx((pixels > 0).sum() / 4, rel=2e-3)
    assert shapely.coverage_is_valid(frame.geometry.to_numpy())


@pytest.mark.parametrize("preset", ["buildings", "water", "landcover", "trees", "fields"])
def test_every_preset_gives_a_valid_coverage_of_what_is_left(tmp_path, preset):
    path = make_raster(tmp_path / "mask.tif", data=cover((300, 280), 4, smooth=6)[None], transform=TWO_METRES)
    frame = frame_of(path, postprocess=preset)
    exact = frame_of(path)
    assert 0 < len(frame) < len(exact)
    assert frame.is_valid.all()
    assert shapely.coverage_is_valid(frame.geometry.to_numpy())
    assert frame.area_m2.sum() == pytest.approx(exact.area_m2.sum(), rel=0.1)
    assert shapely.get_num_coordinates(frame.geometry).sum() != shapely.get_num_coordinates(exact.geometry).sum()


@pytest.mark.parametrize(
    "postprocess",
    [
        {"preset": "none"},
        {"outline": "simplify", "simplify_m": 1.5, "min_area_m2": 20, "fill_holes_m2": 10},
        {"outline": "smooth", "simplify_m": 1.5},
        {"outline": "square", "simplify_m": 1.5, "min_area_m2": 20},
        {"connectivity": 8, "min_area_m2": 9},
        {"outline": "subpixel"},
    ],
    ids=lambda values: "-".join(map(str, values.values())),
)
def test_the_rasters_of_a_prediction_give_its_polygons(tmp_path, postprocess):
    pixels = np.repeat(np.where(cover((210, 190), 2)[None] == 1, 210, 40).astype(np.uint8), 3, axis=0)
    scene = make_raster(tmp_path / "scene.tif", data=pixels)
    model = write_toy_bundle(tmp_path / "toy.safetensors", kind="threshold")
    files = {"raster": tmp_path / "classes.tif", "scores": tmp_path / "scores.tif", "vector": tmp_path / "direct.gpkg"}
    output = {kind: str(path) for kind, path in files.items()}
    geoseg.predict(scene, model, output=output, options={"postprocess": postprocess})
    if postprocess.get("outline") == "subpixel":
        frame = frame_of(files["scores"], options={"mask": {"threshold": 0.5}, "postprocess": postprocess})
        frame["class"] = "class-1"
    else:
        options = {"mask": {"scores": str(files["scores"])}, "postprocess": postprocess}
        frame = frame_of(files["raster"], options=options)
    same(frame, gpd.read_file(files["vector"]))


@pytest.mark.parametrize("preset", ["none", "buildings", "roads", "landcover"])
def test_neither_strips_nor_threads_change_anything(tmp_path, monkeypatch, preset):
    path = make_raster(tmp_path / "mask.tif", data=cover((160, 140), 3)[None], transform=HALF_METRE)
    expected = frame_of(path, postprocess=preset, options={"threads": 1})
    for pixels, threads in ((140 * 7, 1), (140 * 33, 2), (1 << 23, 3)):
        monkeypatch.setattr(masks, "STRIP_PIXELS", pixels)
        same(frame_of(path, postprocess=preset, options={"threads": threads}), expected)


def test_values_of_any_kind_are_classes(tmp_path):
    pixels = np.array([[0, 255, 255], [7, 7, 0]])
    for dtype in ("uint8", "int16", "float32"):
        path = make_raster(tmp_path / f"{dtype}.tif", data=pixels[None].astype(dtype))
        assert sorted(frame_of(path).class_id) == [7, 255]
    path = make_raster(tmp_path / "large.tif", data=(pixels[None] * 1000).astype(np.int32))
    assert sorted(frame_of(path).class_id) == [7000, 255000]


def test_background_and_nodata_are_as_told(tmp_path):
    pixels = np.array([[0, 1, 2], [0, 1, 2]], np.uint8)[None]
    plain = make_raster(tmp_path / "plain.tif", data=pixels)
    assert sorted(frame_of(plain).class_id) == [1, 2]
    assert sorted(frame_of(plain, options={"mask": {"background": None}}).class_id) == [0, 1, 2]
    assert sorted(frame_of(plain, options={"mask": {"background": 2}}).class_id) == [0, 1]
    assert sorted(frame_of(plain, options={"mask": {"nodata": 2}}).class_id) == [1]


def test_missing_pixels_cut_objects_and_background_does_not(tmp_path):
    pixels = np.zeros((1, 5, 6), np.uint8)
    pixels[0, 1:4, 2:4] = 1
    zero = make_raster(tmp_path / "zero.tif", data=pixels, nodata=0)
    assert frame_of(zero).touches_edge.tolist() == [False], "0 is background first"
    pixels[0, 2, 4] = 9
    nine = make_raster(tmp_path / "nine.tif", data=pixels, nodata=9)
    assert frame_of(nine).touches_edge.tolist() == [True]


def test_names_and_colours_come_from_the_raster_and_the_job(tmp_path):
    path = make_raster(tmp_path / "mask.tif", data=np.array([[[1, 2, 3]]], np.uint8))
    with rasterio.open(path, "r+") as raster:
        listed = [{"id": 1, "name": "roof", "colour": "#ff0000"}, {"id": 2, "name": "road", "colour": "#00ff00"}]
        raster.update_tags(GEOSEG_CLASSES=json.dumps(listed))
    with geoseg.vectorize(path, options={"mask": {"names": {2: "street"}}}) as result:
        frame = result.polygons().sort_values("class_id")
        assert frame["class"].tolist() == ["roof", "street", "class 3"]
        assert {c.name: c.colour for c in result.classes.classes}["roof"] == "#ff0000"


def test_scores_are_cut_at_the_threshold(tmp_path):
    scores = np.zeros((1, 40, 40), np.float32)
    scores[0, 10:30, 10:30] = 0.4
    scores[0, 12:28, 12:28] = 0.9
    scores[0, 12, 12] = np.nan
    path = make_raster(tmp_path / "scores.tif", data=scores)
    (low,) = frame_of(path, options={"mask": {"threshold": 0.3}}).itertuples()
    assert low.area_m2 == pytest.approx(399, rel=2e-3)
    assert low.confidence == pytest.approx((0.4 * 144 + 0.9 * 255) / 399, abs=2e-3)
    (high,) = frame_of(path, options={"mask": {"threshold": 0.5, "names": {1: "roof"}}}).itertuples()
    assert high.area_m2 == pytest.approx(255, rel=2e-3)
    assert high[1] == "roof"
    bytes_ = make_raster(tmp_path / "bytes.tif", data=np.nan_to_num(scores * 255).astype(np.uint8))
    with pytest.raises(
        SceneError, match=r"bytes.tif: found the score 229; expected scores from 0 to 1; .*--score-scale"
    ):
        frame_of(bytes_, options={"mask": {"threshold": 0.5}})
    assert len(frame_of(bytes_, options={"mask": {"threshold": 0.5, "scale": 1 / 255}})) == 1


def test_every_value_can_be_one_object(tmp_path):
    ids = np.zeros((1, 30, 40), np.int32)
    ids[0, 5:20, 5:15] = 70_001
    ids[0, 5:20, 15:30] = 70_002  # shares a wall
    path = make_raster(tmp_path / "ids.tif", data=ids)
    for outline in ("exact", "square"):
        asked = {"mask": {"instances": True}, "postprocess": {"outline": outline, "simplify_m": 1.0}}
        frame = frame_of(path, options=asked)
        assert frame.instance_id.tolist() == [70_001, 70_002]
        assert set(frame["class"]) == {"object"}
        assert frame.geometry.iloc[0].intersection(frame.geometry.iloc[1]).length == pytest.approx(15)


def test_roads_become_lines_with_their_width(tmp_path):
    pixels = np.zeros((1, 200, 300), np.uint8)
    pixels[0, 92:108] = 1  # 8 m
    pixels[0, :, 150:162] = 1  # 6 m
    path = make_raster(tmp_path / "roads.tif", data=pixels, transform=HALF_METRE)
    frame = frame_of(path, postprocess="roads")
    assert set(frame.geom_type) == {"LineString"}
    assert list(frame.columns)[3:7] == ["confidence", "length_m", "width_m", "touches_edge"]
    assert len(frame) == 4, "two roads that cross are four lines that meet"
    assert frame.length_m.sum() == pytest.approx(250, rel=0.05)
    along_x = [abs(np.diff(line.xy[0][:: len(line.xy[0]) - 1])[0]) > 20 for line in frame.geometry]
    assert frame.width_m[along_x].to_numpy() == pytest.approx([8, 8], abs=0.6)
    assert frame.width_m[~np.array(along_x)].to_numpy() == pytest.approx([6, 6], abs=0.6)
    assert frame.touches_edge.all()


def test_an_area_chooses_whole_objects_and_clip_cuts_them(tmp_path):
    pixels = np.zeros((1, 60, 60), np.uint8)
    pixels[0, 10:20, 10:40] = 1
    pixels[0, 40:50, 10:40] = 1
    path = make_raster(tmp_path / "mask.tif", data=pixels)
    bounds = (ORIGIN[0] + 30, ORIGIN[1] - 30, ORIGIN[0] + 60, ORIGIN[1])
    whole = frame_of(path, options={"region": {"bounds": bounds}})
    assert whole.geometry.area.tolist() == [300]
    cut = frame_of(path, options={"region": {"bounds": bounds, "clip": True}})
    assert cut.geometry.area.tolist() == [100]
    with pytest.raises(RegionError, match="misses the scene"):
        frame_of(path, options={"region": {"bounds": (0, 0, 1, 1)}})


def test_the_file_says_how_it_was_made_and_is_coloured(tmp_path):
    path = make_raster(tmp_path / "mask.tif", data=cover((50, 50), 3)[None])
    geoseg.vectorize(path, tmp_path / "out.gpkg", postprocess="water")
    import sqlite3

    with sqlite3.connect(tmp_path / "out.gpkg") as database:
        said = "".join(text for (text,) in database.execute("SELECT metadata FROM gpkg_metadata"))
        ((style,),) = database.execute("SELECT styleQML FROM layer_styles").fetchall()
    assert "GEOSEG_JOB" in said
    assert "water" in said
    assert 'value="class 1"' in style


def bad_jobs():
    ones = np.ones((1, 8, 8), np.uint8)
    fractions = np.full((1, 8, 8), 0.3, np.float32)
    many = np.arange(400, dtype=np.int32).reshape(1, 20, 20)
    return {
        "no such file": (None, {}, SceneError, "there is no such file"),
        "no such band": (ones, {"mask": {"bidx": 3}}, BandError, "there is no band 3; found 1"),
        "fractions": (fractions, {}, SceneError, "found values such as 0.3; expected whole numbers.*--threshold"),
        "too many values": (many, {}, SceneError, "more than 255 different values.*--instances"),
        "unknown preset": (ones, {"postprocess": {"preset": "building"}}, UnknownNameError, "did you mean buildings"),
        "subpixel classes": (ones, {"postprocess": {"outline": "subpixel"}}, SpecError, "--threshold"),
        "lines that fill": (
            ones,
            {"postprocess": {"preset": "roads", "fill_holes_m2": 3}},
            SpecError,
            "--fill-holes has a meaning for polygons only",
        ),
        "square corners": (
            ones,
            {"postprocess": {"outline": "square", "connectivity": 8}},
            SpecError,
            "--connectivity 4",
        ),
        "huge values": (np.full((1, 8, 8), 2**32 - 1, np.uint32), {}, SceneError, "found the value 4294967295"),
        "merged objects": (
            ones,
            {"mask": {"instances": True}, "postprocess": {"small": "merge", "min_area_m2": 5}},
            SpecError,
            "--small drop",
        ),
        "two names": (ones, {"mask": {"names": {1: "a", 2: "a"}}}, SpecError, "same --name"),
        "scores of scores": (ones, {"mask": {"threshold": 0.5, "instances": True}}, SpecError, "threshold"),
    }


@pytest.mark.parametrize("name", bad_jobs())
def test_bad_jobs_say_what_is_wrong_and_leave_nothing(tmp_path, name):
    pixels, options, error, message = bad_jobs()[name]
    path = tmp_path / "mask.tif"
    if pixels is not None:
        make_raster(path, data=pixels)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(error, match=message):
        geoseg.vectorize(path, tmp_path / "out.gpkg", options=options)
    assert sorted(tmp_path.iterdir()) == before


def test_metres_are_asked_for_where_nothing_tells_them(tmp_path):
    path = make_raster(tmp_path / "mask.tif", data=cover((60, 60), 2)[None], crs=None)
    assert len(frame_of(path)) > 0
    with pytest.raises(ResolutionError, match="state its metres per pixel"):
        frame_of(path, postprocess="buildings")
    assert len(frame_of(path, postprocess="buildings", options={"mask": {"resolution": 0.5}})) > 0


def test_scores_have_to_lie_on_the_grid_of_the_classes(tmp_path):
    classes = make_raster(tmp_path / "classes.tif", data=cover((30, 30), 2)[None])
    scores = make_raster(tmp_path / "scores.tif", data=np.zeros((1, 30, 29), np.float32))
    with pytest.raises(SceneError, match=r"scores.tif: found 29 x 30 pixels.*expected the grid of classes.tif"):
        frame_of(classes, options={"mask": {"scores": str(scores)}})


def test_outputs_are_not_replaced_and_inputs_never(tmp_path):
    path = make_raster(tmp_path / "mask.tif", data=cover((30, 30), 2)[None])
    geoseg.vectorize(path, tmp_path / "out.gpkg")
    with pytest.raises(OutputError, match="overwrite"):
        geoseg.vectorize(path, tmp_path / "out.gpkg")
    geoseg.vectorize(path, tmp_path / "out.gpkg", options={"output": {"overwrite": True}})
    with pytest.raises(InputError):
        geoseg.vectorize(path, path)


def test_walls_stay_walls_in_another_crs(tmp_path):
    pixels = np.ones((1, 1000, 4000), np.uint8)
    pixels[0, 2, 2000:2003] = 0
    pixels[0, 500:, :1500] = 2
    path = make_raster(tmp_path / "mask.tif", data=pixels, transform=Affine(30, 0, 300_000, 0, -30, 5_000_000))
    for name, crs in (("a.gpkg", "EPSG:4326"), ("b.gpkg", "EPSG:3857"), ("c.geojson", None)):
        geoseg.vectorize(path, tmp_path / name, options={"output": {"dst_crs": crs}})
        frame = gpd.read_file(tmp_path / name, layer=0)
        assert frame.is_valid.all()
        one, other = frame.geometry
        assert one.intersection(other).area == pytest.approx(0, abs=1e-9 * one.area)


def test_areas_of_wide_polygons_in_degrees_are_those_of_their_pixels(tmp_path):
    world = np.zeros((1, 180, 360), np.uint8)
    world[0, 100:140] = 1  # all around the earth, 10 to 50 degrees south
    world[0, 10:40, 100:240] = 2
    path = make_raster(tmp_path / "world.tif", data=world, crs="EPSG:4326", transform=Affine(1, 0, -180, 0, -1, 90))
    frame = frame_of(path, options={"postprocess": {"min_area_m2": 1e6}}).set_index("class_id")
    geod = Geod(ellps="WGS84")
    for value, (south, north), width in ((1, (-50, -10), 360), (2, (50, 80), 140)):
        corners = [(0, south), (0.5, south), (0.5, north), (0, north)]
        half, _ = geod.polygon_area_perimeter(*zip(*corners, strict=True))
        assert frame.area_m2[value] == pytest.approx(abs(half) * 2 * width, rel=1e-3)


def test_values_beyond_a_byte_give_the_same_in_any_strips(tmp_path, monkeypatch):
    values = np.array([4000, 500, 2500, 1000, 3000])[np.random.default_rng(1).integers(0, 5, (40, 50))]
    path = make_raster(tmp_path / "mask.tif", data=values[None].astype(np.int32), blockysize=1)
    asked = {"postprocess": {"small": "merge", "min_area_m2": 20}}
    expected = frame_of(path, options=asked)
    monkeypatch.setattr(masks, "STRIP_PIXELS", 1)
    same(frame_of(path, options=asked), expected)


def test_pixels_without_a_score_count_as_nothing(tmp_path):
    classes = make_raster(tmp_path / "classes.tif", data=np.pad(np.ones((1, 4, 4), np.uint8), ((0, 0), (2, 2), (2, 2))))
    scores = np.full((1, 8, 8), 0.8, np.float32)
    scores[0, :4] = np.nan
    path = make_raster(tmp_path / "scores.tif", data=scores)
    (found,) = frame_of(classes, options={"mask": {"scores": str(path)}}).itertuples()
    assert found.confidence == pytest.approx(0.4, abs=3e-3)


def test_an_object_joined_at_corners_is_whole_in_an_area_too(tmp_path):
    pixels = np.zeros((1, 20, 30), np.uint8)
    pixels[0, 2:7, 2:8] = pixels[0, 7:11, 8:13] = 1
    path = make_raster(tmp_path / "mask.tif", data=pixels)
    bounds = (ORIGIN[0] + 2, ORIGIN[1] - 5, ORIGIN[0] + 5, ORIGIN[1] - 2)
    frame = frame_of(path, options={"region": {"bounds": bounds}, "postprocess": {"connectivity": 8}})
    assert frame.geometry.area.tolist() == [50]


def test_a_threshold_is_as_exact_as_the_raster(tmp_path):
    for dtype in (np.float32, np.float64):
        path = make_raster(tmp_path / f"{np.dtype(dtype)}.tif", data=np.full((1, 4, 4), 0.3, dtype))
        assert len(frame_of(path, options={"mask": {"threshold": 0.3}})) == 1


def test_missing_scores_that_are_nought_are_background(tmp_path):
    scores = np.zeros((1, 20, 20), np.float32)
    scores[0, 5:12, 5:12] = 0.9
    path = make_raster(tmp_path / "scores.tif", data=scores, nodata=0)
    assert frame_of(path, options={"mask": {"threshold": 0.5}}).touches_edge.tolist() == [False]
    ids = make_raster(tmp_path / "ids.tif", data=(scores > 0).astype(np.int32) * 7, nodata=0)
    assert frame_of(ids, options={"mask": {"instances": True}}).touches_edge.tolist() == [False]


def test_squared_outlines_stay_inside_the_scene(tmp_path):
    path = make_raster(tmp_path / "mask.tif", data=cover((200, 180), 2, smooth=3)[None])
    frame = frame_of(path, options={"postprocess": {"outline": "square", "simplify_m": 3.0}})
    west, south, east, north = frame.total_bounds
    assert (west, north) >= (ORIGIN[0], ORIGIN[1] - 200)
    assert (east, north) <= (ORIGIN[0] + 180, ORIGIN[1])
    assert south >= ORIGIN[1] - 200
    assert frame.is_valid.all()


def test_lines_may_be_simplified_and_squares_may_reach_a_pole(tmp_path):
    pixels = np.zeros((1, 60, 300), np.uint8)
    pixels[0, 25:35] = 1
    path = make_raster(tmp_path / "roads.tif", data=pixels)
    assert len(frame_of(path, options={"postprocess": {"shape": "lines", "simplify_m": 2.0}})) == 1
    world = make_raster(tmp_path / "world.tif", data=pixels, crs="EPSG:4326", transform=Affine(1.2, 0, -180, 0, -3, 90))
    assert len(frame_of(world, options={"postprocess": {"outline": "square", "simplify_m": 5000.0}})) == 1


def test_lines_are_the_same_on_a_finer_grid_and_in_any_strips(tmp_path, monkeypatch):
    road = np.zeros((1, 120, 400), np.uint8)
    road[0, 50:62] = 1  # 6 m of half metres
    coarse = make_raster(tmp_path / "coarse.tif", data=road, transform=HALF_METRE)
    fine = make_raster(
        tmp_path / "fine.tif", data=np.kron(road[0], np.ones((7, 7), np.uint8))[None],
        transform=HALF_METRE * Affine.scale(1 / 7), blockysize=1,
    )  # fmt: skip
    (one,), (other,) = (frame_of(path, postprocess="roads").itertuples() for path in (coarse, fine))
    assert one.geometry.hausdorff_distance(other.geometry) < 0.3
    assert one.width_m == pytest.approx(other.width_m, abs=0.4)
    assert one.length_m == pytest.approx(other.length_m, rel=0.01)
    monkeypatch.setattr(masks, "STRIP_PIXELS", 1)
    (strips,) = frame_of(fine, postprocess="roads").itertuples()
    assert strips.geometry.equals_exact(other.geometry, 0)
