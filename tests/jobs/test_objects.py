"""Objects that were told from one another, from strips to features."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import rasterio.features
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox

import geoseg
from geoseg.core.classes import NODATA, ClassInfo, ClassSet
from geoseg.core.protocols import ObjectTable, Strip
from geoseg.core.tiling import Span, Tiling
from geoseg.errors import SpecError
from geoseg.inference.separation.separate import separate
from geoseg.io.raster_sink import PanopticRasterSink, RasterOptions
from geoseg.io.region import RegionMask
from geoseg.jobs.area import CutObjectError
from geoseg.jobs.gathering import Gathering
from geoseg.jobs.objects import ObjectNaming, coded
from geoseg.jobs.window import Window
from geoseg.vector.ground import Ground
from tests.jobs.panoptic import CLASSES, HALF_METRE, numbered, painted, strips, vectors, written

SIMPLE = {"outline": "simplify", "simplify_m": 0.8}
SQUARE = {"outline": "square", "simplify_m": 1.0}


def burnt(frame, shape):
    shapes = list(zip(frame.geometry, frame.instance_id, strict=True))
    return rasterio.features.rasterize(shapes, shape, transform=HALF_METRE, dtype="int32")


def same(one, other):
    assert shapely.to_wkb(one.geometry.to_numpy()).tolist() == shapely.to_wkb(other.geometry.to_numpy()).tolist()
    assert one.drop(columns="geometry").equals(other.drop(columns="geometry"))


def cross():
    """A house that a car lies over, which cuts it in two, and one that stands alone."""
    instances = np.zeros((20, 24), np.int32)
    instances[4:12, 3:15] = 1
    instances[2:14, 8:10] = 2
    instances[15:18, 18:22] = 3
    ids, table = numbered(instances, {1: 3, 2: 2, 3: 3})
    classes = np.zeros(ids.shape, np.uint8)
    classes[ids > 0] = table.class_id[ids[ids > 0] - 1]
    return classes, ids, table


def test_codes_tell_stuff_nodata_and_every_object_apart():
    classes = np.array([[0, 1, 255], [2, 2, 3]], np.uint8)
    strip = Strip(Span(0, 2), classes, None, np.array([[0, 0, 0], [1, 1, 2]], np.int32))
    assert coded(strip).class_ids.tolist() == [[0, 1, 255], [256, 256, 257]]
    assert coded(strip).class_ids.dtype == np.int32
    plain = Strip(Span(0, 2), classes, None)
    assert coded(plain) is plain


def test_more_objects_than_numbers_are_refused():
    ids = np.array([[2**31 - 1]], np.int32)
    with pytest.raises(SpecError, match="more than 2147483392 objects"):
        coded(Strip(Span(0, 1), np.ones((1, 1), np.uint8), None, ids))


def test_a_naming_knows_objects_and_forgets_them():
    naming = ObjectNaming(CLASSES)
    table = ObjectTable(
        np.array([1, 4], np.int32), np.array([2, 3], np.uint8), np.array([0.5, 1], np.float32), np.array([9, 9])
    )
    naming.learn(table)
    ids = np.array([1, 259, 256], np.int32)
    assert naming.names(ids).tolist() == ["grass", "house", "car"]
    assert naming.values(ids).tolist() == [1, 3, 2]
    assert naming.instances(ids).tolist() == [0, 4, 1]
    assert naming.scores(ids, np.array([0.1, 0.2, 0.3])).tolist() == [0.1, 1, 0.5]
    naming.keep(np.array([False, True]))
    with pytest.raises(ValueError, match="no table lists"):
        naming.values(np.array([256], np.int32))
    with pytest.raises(ValueError, match="out of order"):
        naming.learn(table)
    assert not len(naming.fresh().table)


@pytest.mark.parametrize("heights", [(1000,), (1,), (5, 2)])
def test_an_object_cut_in_two_is_one_feature(tmp_path, heights):
    frame = vectors(tmp_path / "a.gpkg", *cross(), heights)
    assert frame.instance_id.tolist() == [2, 1, 3], "by their last rows"
    assert frame["class"].tolist() == ["house", "car", "house"]
    assert frame.class_id.tolist() == [3, 2, 3]
    assert [len(shapely.get_parts(shape)) for shape in frame.geometry] == [2, 1, 1]
    assert frame.area_m2.tolist() == pytest.approx([8 * 10 / 4, 12 * 2 / 4, 12 / 4], rel=2e-3)
    assert frame.confidence.tolist() == [0.52, 0.51, 0.53]
    assert not frame.touches_edge.any()
    assert shapely.coverage_is_valid(frame.geometry.to_numpy())


def test_features_of_one_part_are_polygons_where_the_format_allows(tmp_path):
    frame = vectors(tmp_path / "a.geojson", *cross())
    assert frame.geom_type.tolist() == ["MultiPolygon", "Polygon", "Polygon"]


def test_the_edge_that_one_part_touches_is_the_objects(tmp_path):
    classes, ids, table = cross()
    frame = vectors(tmp_path / "a.gpkg", classes[:, 3:], ids[:, 3:], table)
    assert frame.touches_edge.tolist() == [True, False, False]


def test_sizes_are_those_of_whole_objects(tmp_path):
    frame = vectors(tmp_path / "a.gpkg", *cross(), min_area_m2=11.0)
    assert frame.instance_id.tolist() == [2], "its parts have 10 square metres each"
    assert len(shapely.get_parts(frame.geometry[0])) == 2


def test_holes_are_filled_unless_something_lies_in_them(tmp_path):
    instances = np.zeros((20, 40), np.int32)
    instances[2:18, 2:18] = instances[2:18, 22:38] = 1
    instances[:, 22:][instances[:, 22:] > 0] = 2
    instances[8:11, 8:11] = 0
    instances[6:14, 26:34] = 0
    instances[9:11, 29:31] = 3
    ids, table = numbered(instances)
    classes = np.where(ids > 0, 2, 0).astype(np.uint8)
    table = ObjectTable(table.instance_id, np.full(3, 2, np.uint8), table.score, table.last_row)
    frame = vectors(tmp_path / "a.gpkg", classes, ids, table, fill_holes_m2=50).set_index("instance_id")
    assert frame.area_m2[1] == pytest.approx(16 * 16 / 4, rel=2e-3)
    assert frame.area_m2[2] == pytest.approx((16 * 16 - 64) / 4, rel=2e-3)


def test_an_island_of_an_object_in_its_own_hole_goes_with_the_hole(tmp_path):
    instances = np.zeros((20, 40), np.int32)
    instances[2:18, 2:18] = 1
    instances[2:18, 22:38] = 2
    instances[5:15, 5:15] = instances[5:15, 25:35] = 0
    instances[8:12, 8:12], instances[8:12, 28:32] = 1, 2
    instances[6, 26] = 3
    ids, table = numbered(instances)
    classes = np.where(ids > 0, 2, 0).astype(np.uint8)
    table = ObjectTable(table.instance_id, np.full(3, 2, np.uint8), table.score, table.last_row)
    scene = (classes, ids, table)
    frame = vectors(tmp_path / "a.gpkg", *scene, (3,), fill_holes_m2=25.1).set_index("instance_id")
    assert frame.area_m2[1] == pytest.approx(16 * 16 / 4, rel=2e-3)
    assert frame.area_m2[2] == pytest.approx((16 * 16 - 100 + 16) / 4, rel=2e-3), "another object is there too"
    assert [len(shapely.get_parts(frame.geometry[i])) for i in (1, 2)] == [1, 2]
    smaller = vectors(tmp_path / "b.gpkg", *scene, fill_holes_m2=24).set_index("instance_id")
    assert len(shapely.get_parts(smaller.geometry[1])) == 2


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 1000), st.lists(st.integers(1, 40), min_size=1, max_size=3))
def test_every_object_is_one_feature_equal_to_its_pixels(tmp_path_factory, seed, heights):
    path = tmp_path_factory.mktemp("objects") / "a.gpkg"
    classes, ids, table = painted((50, 60), seed)
    frame = vectors(path, classes, ids, table, heights)
    assert np.array_equal(burnt(frame, ids.shape), ids)
    things = frame[frame.instance_id > 0]
    assert sorted(things.instance_id) == table.instance_id.tolist()
    places = things.instance_id.to_numpy() - 1
    assert things.class_id.tolist() == table.class_id[places].tolist()
    assert np.allclose(things.confidence, table.score[places], atol=1e-4)
    assert table.last_row[places].tolist() == sorted(table.last_row)
    pairs = list(zip(table.last_row[places], places, strict=True))
    assert pairs == sorted(pairs), "last row, then first pixel"
    pixels = np.bincount(ids.ravel(), minlength=len(table) + 1)[1:]
    assert np.allclose(things.geometry.area * 4, pixels[places])
    stuff = frame[frame.instance_id == 0]
    assert set(stuff["class"]) == {"grass"}
    assert stuff.geometry.area.sum() * 4 == (classes == 1).sum()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        SIMPLE | {"min_area_m2": 6.0, "fill_holes_m2": 4.0},
        {"outline": "smooth", "simplify_m": 0.8},
        SQUARE,
        SQUARE | {"min_area_m2": 4.0, "fill_holes_m2": 2.0},
        {"connectivity": 8, "min_area_m2": 3.0},
    ],
    ids=lambda values: "-".join(map(str, values.values())) or "exact",
)
@pytest.mark.parametrize("seed", [1, 2])
def test_the_height_of_strips_changes_nothing(tmp_path, changes, seed):
    scene = painted((70, 80), seed, count=30)
    expected = vectors(tmp_path / "whole.gpkg", *scene, **changes)
    numbers = expected.instance_id[expected.instance_id > 0]
    assert numbers.is_unique
    assert len(numbers) > 5
    assert expected.is_valid.all()
    for index, heights in enumerate(((1,), (17, 5))):
        same(vectors(tmp_path / f"{index}.gpkg", *scene, heights, **changes), expected)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"outline": "subpixel"}, "--outline subpixel"),
        ({"shape": "lines"}, "--shape lines"),
        ({"small": "merge", "min_area_m2": 3.0}, "--small merge"),
    ],
)
def test_what_cannot_be_done_with_objects_is_refused(tmp_path, changes, said):
    with pytest.raises(SpecError, match=said):
        vectors(tmp_path / "a.gpkg", *cross(), **changes)


def test_only_open_objects_are_remembered(tmp_path, monkeypatch):
    sizes = []
    learn = ObjectNaming.learn

    def noted(self, table):
        learn(self, table)
        sizes.append(len(self.table))

    monkeypatch.setattr(ObjectNaming, "learn", noted)
    y, x = np.mgrid[:400, :30]
    instances = np.where((y % 5 < 4) & (x % 6 < 5), (y // 5) * 5 + x // 6 + 1, 0).astype(np.int32)
    ids, table = numbered(instances)
    classes = np.zeros(ids.shape, np.uint8)
    classes[ids > 0] = table.class_id[ids[ids > 0] - 1]
    frame = vectors(tmp_path / "a.gpkg", classes, ids, table, (10,))
    assert len(frame) == 400
    assert max(sizes) <= 15


def test_pixels_of_objects_that_nobody_listed_are_told():
    classes, ids, table = cross()
    naming = ObjectNaming(CLASSES)
    gathering = Gathering(naming, Ground.of(HALF_METRE, "EPSG:32633"), whole_groups=False)
    naming.learn(ObjectTable(table.instance_id[:2], table.class_id[:2], table.score[:2], table.last_row[:2]))
    gathering.learn()
    with pytest.raises(ValueError, match="no table lists"):
        gathering.show(coded(Strip(Span(0, 20), classes, None, ids)).class_ids, (0, 0))


def area(left, top, right, bottom):
    """A region from pixel coordinates."""
    return RegionMask(np.array([shapely.box(*(HALF_METRE * (left, bottom)), *(HALF_METRE * (right, top)))]))


@pytest.mark.parametrize("changes", [{}, SQUARE, {"connectivity": 8}], ids=["exact", "square", "diagonal"])
def test_objects_that_meet_an_area_come_out_whole_and_stuff_is_cut(tmp_path, changes):
    classes, ids, table = cross()
    classes[(classes == 0) & (np.arange(24) < 5)] = 1
    everything = vectors(tmp_path / "all.gpkg", classes, ids, table, **changes)
    frame = vectors(tmp_path / "a.gpkg", classes, ids, table, (3,), area=area(2, 5, 5, 8), **changes)
    assert frame[frame.instance_id > 0].instance_id.tolist() == [2]
    one, whole = (f[f.instance_id == 2].geometry.iloc[0] for f in (frame, everything))
    assert one.equals(whole)
    assert len(shapely.get_parts(one)) == 2
    if not changes:
        assert frame[frame.class_id == 1].geometry.area.sum() * 4 == 3
    clipped = vectors(tmp_path / "c.gpkg", classes, ids, table, area=area(2, 5, 13, 8), clip=True, **changes)
    assert sorted(clipped[clipped.instance_id > 0].instance_id) == [1, 2]
    assert [len(shapely.get_parts(shape)) for shape in clipped[clipped.instance_id == 2].geometry] == [2]
    narrow = vectors(tmp_path / "n.gpkg", classes, ids, table, area=area(2, 5, 5, 8), clip=True, **changes)
    (left,) = narrow[narrow.instance_id == 2].geometry
    assert len(shapely.get_parts(left)) == 1, "the other part lies outside"
    if "outline" not in changes:
        assert left.area * 4 == 2 * 3


def test_an_object_that_reaches_the_rim_of_what_is_known_asks_for_more(tmp_path):
    scene, wanted = cross(), area(3, 5, 5, 8)
    with pytest.raises(CutObjectError):
        vectors(tmp_path / "a.gpkg", *scene, area=wanted, region=area(0, 2, 9, 14), complete=False)
    frame = vectors(tmp_path / "b.gpkg", *scene, area=wanted, region=area(0, 0, 20, 20), complete=False)
    assert frame.instance_id.tolist() == [2]
    assert not frame.touches_edge.any()


def test_a_raster_of_objects_gives_them_back(tmp_path):
    classes, ids, table = cross()
    sink = PanopticRasterSink(tmp_path / "a.tif", GeoBox(ids.shape, HALF_METRE, "EPSG:32633"), CLASSES, RasterOptions())
    for strip in strips(classes, ids, table, (7,)):
        sink.write(strip)
    sink.commit()
    with geoseg.vectorize(tmp_path / "a.tif", options={"mask": {"bidx": 2, "instances": True}}) as result:
        found = result.polygons()
    assert np.array_equal(burnt(found, ids.shape), ids)
    assert sorted(found.instance_id) == [1, 2, 2, 3], "parts that nothing joins are features of one number"


def test_a_window_takes_objects_with_it():
    classes, ids, table = cross()
    grid = GeoBox(ids.shape, HALF_METRE, "EPSG:32633")
    block = Tiling.over(ids.shape, 24, 0).whole()
    window = Window.of(grid, block, area(6, 5, 12, 8))
    (strip,) = strips(classes, ids, table, (20,))
    taken = window.take(strip)
    assert taken.y == Span(0, taken.instance_ids.shape[0])
    inside = area(6, 5, 12, 8).mask(grid, window.y, window.x)
    part = np.s_[window.y.start : window.y.stop, window.x.start : window.x.stop]
    assert np.array_equal(taken.instance_ids, np.where(inside, ids[part], 0))
    assert np.array_equal(taken.class_ids, np.where(inside, classes[part], 255))
    assert taken.instance_ids.dtype == np.int32


def test_fields_told_apart_by_their_boundaries_are_features_that_share_the_ground(tmp_path):
    y, x = np.mgrid[:90, :120]
    ids = np.full(y.shape, 2, np.uint8)
    ids[(y % 15 < 13) & (x % 20 < 18)] = 1
    ids[:, :10] = 0
    ids[(y >= 60) & (x >= 100)] = NODATA
    classes = ClassSet(
        classes=(
            ClassInfo(id=0, name="background", colour="#000000"),
            ClassInfo(id=1, name="field", colour="#00ff00", kind="thing"),
            ClassInfo(id=2, name="boundary", colour="#ff0000"),
        ),
        separator=2,
    )
    scores = np.where(ids == 1, 200, 100).astype(np.uint8)
    parts = (Strip(Span(i, i + 10), ids[i : i + 10], scores[i : i + 10]) for i in range(0, 90, 10))
    found = list(separate(parts, classes, 120, Span(0, 90)))
    frame = written(tmp_path / "fields.gpkg", found, ids.shape, classes)
    assert len(frame) == 6 * 6 - 2
    assert frame.geometry.area.sum() * 4 == (np.isin(ids, (1, 2))).sum()
    assert frame.area_m2.sum() == pytest.approx(frame.geometry.area.sum(), rel=2e-3)
    assert set(frame["class"]) == {"field"}
    assert set(frame.confidence) == {round(200 / 254, 4)}
    assert sorted(frame.instance_id) == list(range(1, len(frame) + 1))
    assert shapely.coverage_is_valid(frame.geometry.to_numpy())
    assert np.array_equal(burnt(frame, ids.shape), np.concatenate([strip.instance_ids for strip in found]))


@pytest.mark.parametrize("changes", [{}, SIMPLE, SQUARE], ids=["exact", "simplify", "square"])
def test_a_block_inside_the_scene_gives_what_lies_in_it(tmp_path, changes):
    classes, ids, table = painted((60, 70), 4, nodata=False)
    y, x = Span(13, 51), Span(9, 64)
    alone = np.zeros((60, 70), bool)
    alone[13:51, 9:64] = True
    numbers, inner = numbered(np.where(alone, ids, 0), np.concatenate([[0], table.class_id]))
    expected = vectors(tmp_path / "a.gpkg", np.where(alone, classes, 0), numbers, inner, **changes)
    part = np.s_[y.start : y.stop, x.start : x.stop]
    rows = ObjectTable(inner.instance_id, inner.class_id, inner.score, inner.last_row - y.start)
    moved = [
        replace(
            strip,
            y=Span(strip.y.start + y.start, strip.y.stop + y.start),
            objects=replace(strip.objects, last_row=strip.objects.last_row + y.start),
        )
        for strip in strips(classes[part], numbers[part], rows, (7,))
    ]
    block = Tiling.over((60, 70), 70, 0).block(y, x)
    same(written(tmp_path / "b.gpkg", moved, (60, 70), block=block, **changes), expected)
