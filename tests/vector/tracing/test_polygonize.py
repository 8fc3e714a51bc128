from __future__ import annotations

from collections import Counter
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from geoseg.errors import ResourceError
from geoseg.vector.outlines import RingBatch, join
from geoseg.vector.spool import Spool
from geoseg.vector.tracing import pending, polygonize
from geoseg.vector.tracing.polygonize import Polygonizer
from tests.vector.rasters import (
    BACKGROUND,
    NODATA,
    as_multiset,
    class_rasters,
    components,
    gdal_polygons,
    trace,
    unhurried,
    without_collinear,
    wkbs,
)

CUTS = st.lists(st.integers(0, 40), max_size=5).map(tuple)


@unhurried
@given(class_rasters(), CUTS, st.sampled_from([0, 1, None]))
def test_polygons_are_those_of_gdal(raster, cuts, background):
    polygons = trace(raster, cuts, background=background).polygons()
    assert as_multiset(polygons.class_id, without_collinear(polygons.geometry)) == gdal_polygons(raster, background)


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_polygons_of_noise_are_those_of_gdal_and_valid(classes):
    raster = np.random.default_rng(classes).integers(0, classes, (150, 121), dtype=np.uint8)
    polygons = trace(raster, (1, 2, 100, 133)).polygons()
    assert shapely.is_valid(polygons.geometry).all()
    assert as_multiset(polygons.class_id, without_collinear(polygons.geometry)) == gdal_polygons(raster, 0)


@unhurried
@given(class_rasters())
def test_polygons_are_valid_and_cover_their_pixels_only(raster):
    polygons = trace(raster).polygons()
    assert shapely.is_valid(polygons.geometry).all()
    assert np.array_equal(shapely.area(polygons.geometry), polygons.pixels)
    numbers = components(raster, polygons)
    classes = np.append(polygons.class_id, 0)[numbers]
    assert np.array_equal(classes, np.where(raster == NODATA, 0, raster))


@unhurried
@given(class_rasters(), CUTS, st.data())
def test_strips_of_any_height_give_the_same_rows_in_the_same_order(raster, cuts, data):
    scores = np.random.default_rng(data.draw(st.integers(0, 9))).integers(0, 255, raster.shape, dtype=np.uint8)
    whole, cut = trace(raster, scores=scores), trace(raster, cuts, scores=scores)
    assert wkbs(whole.polygons()) == wkbs(cut.polygons())
    check_equal(cut, whole)


@pytest.mark.parametrize("grouping", ["none", "diagonal", "adjoining"])
def test_neither_parts_nor_threads_change_a_bit(monkeypatch, grouping):
    noise = np.random.default_rng(5)
    raster = np.kron(noise.integers(0, 3, (60, 20), dtype=np.uint8), np.ones((2, 3), np.uint8))
    raster[noise.random(raster.shape) < 0.2] = 0
    scores = noise.integers(0, 255, raster.shape, dtype=np.uint8)
    expected = trace(raster, scores=scores, grouping=grouping)
    assert len(expected) > 100
    for rows, threads, cuts in ((1, 1, ()), (1, 2, (50,)), (7, 1, (9, 10)), (7, 3, ()), (32, 4, (1, 119))):
        monkeypatch.setattr(polygonize, "PART_ROWS", rows)
        monkeypatch.setattr(polygonize, "PART_PIXELS", rows * raster.shape[1])
        check_equal(trace(raster, cuts, scores=scores, grouping=grouping, threads=threads), expected)


@unhurried
@given(class_rasters(), CUTS, st.sampled_from(["diagonal", "adjoining"]), st.sampled_from([0, 1, None]))
def test_strips_of_any_height_give_the_same_groups(raster, cuts, grouping, background):
    whole = trace(raster, background=background, grouping=grouping)
    check_equal(trace(raster, cuts, background=background, grouping=grouping), whole)
    alone = trace(raster, background=background)
    assert sorted(wkbs(whole.polygons())) == sorted(wkbs(alone.polygons()))


def check_equal(batch: RingBatch, expected: RingBatch, origin: tuple[int, int] = (0, 0)) -> None:
    expected = replace(expected, points=expected.points + np.array(origin, np.int32))
    for field in fields(RingBatch):
        found, wanted = getattr(batch, field.name), getattr(expected, field.name)
        assert found.dtype == wanted.dtype
        assert np.array_equal(found, wanted), field.name


@unhurried
@given(class_rasters(values=(0, 1, 2, 3, 255)), CUTS)
def test_adjoining_components_of_any_class_are_one_group(raster, cuts):
    batch = trace(raster, cuts, grouping="adjoining")
    blocks, count = ndimage.label((raster != BACKGROUND) & (raster != NODATA), np.ones((3, 3)))
    check_groups(batch, components(raster, batch.polygons()), blocks, count)


@unhurried
@given(class_rasters(values=(0, 1, 2, 3, 255)), CUTS)
def test_components_of_one_class_that_touch_are_one_group(raster, cuts):
    batch = trace(raster, cuts, grouping="diagonal")
    blocks, count = np.zeros(raster.shape, np.int32), 0
    for value in (1, 2, 3):
        found, number = ndimage.label(raster == value, np.ones((3, 3)))
        blocks[found > 0] = found[found > 0] + count
        count += number
    check_groups(batch, components(raster, batch.polygons()), blocks, count)


def check_groups(batch: RingBatch, numbers: np.ndarray, blocks: np.ndarray, count: int) -> None:
    """Groups are the `count` blocks (y, x), in the order of their last row and first pixel, and so are members."""
    group = np.append(batch.group, -1)[numbers]
    assert len(np.unique(np.column_stack([group.ravel(), blocks.ravel()]), axis=0)) == count + (blocks == 0).any()
    keys = []
    for number in range(len(batch)):
        y, x = np.nonzero(numbers == number)
        block_y, block_x = np.nonzero(blocks == blocks[y[0], x[0]])
        keys.append((block_y.max(), block_y[0], block_x[0], y.max(), y[0], x[0]))
    assert keys == sorted(keys)
    assert list(batch.group) == sorted(batch.group)
    assert set(batch.group) == set(range(count))


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_diagonal_groups_of_noise_are_those_of_gdal_made_valid(classes):
    check_diagonal(np.random.default_rng(classes).integers(0, classes, (60, 55), dtype=np.uint8))


@unhurried
@given(class_rasters())
def test_diagonal_groups_are_those_of_gdal_made_valid(raster):
    check_diagonal(raster)


def check_diagonal(raster: np.ndarray) -> None:
    batch = trace(raster, (5,), grouping="diagonal")
    polygons, starts = batch.polygons(), np.flatnonzero(np.diff(batch.group, prepend=-1))
    groups = (
        [
            parts[0] if len(parts) == 1 else shapely.MultiPolygon(list(parts))
            for parts in np.split(without_collinear(polygons.geometry), starts[1:])
        ]
        if len(batch)
        else []
    )
    mask = (raster != BACKGROUND) & (raster != NODATA)
    found = list(rasterio.features.shapes(raster, mask=mask, connectivity=8))
    geometry = shapely.make_valid(np.array([shapely.geometry.shape(shape) for shape, _ in found], dtype=object))
    expected = as_multiset([int(value) for _, value in found], without_collinear(geometry))
    assert as_multiset(polygons.class_id[starts], np.array(groups, dtype=object)) == expected


@pytest.mark.parametrize("dtype", [np.int8, np.uint16, np.int32, np.int64, np.uint64])
def test_other_integers_give_the_same_as_bytes(dtype):
    raster = np.random.default_rng(1).integers(0, 4, (50, 47), dtype=np.uint8)
    raster[:20] = np.kron(raster[:10, :40], np.ones((2, 2), np.uint8))[:20, :47]
    expected = trace(raster, nodata=3)
    check_equal(trace(raster.astype(dtype), (20,), nodata=3), expected)
    assert trace(raster == 1).class_id.tolist() == [1] * len(trace((raster == 1).astype(np.uint8)))


@pytest.mark.parametrize("first", [np.uint8, np.int16])
def test_strips_may_become_wider(first):
    polygonizer = Polygonizer(3, 2, background=0)
    batches = polygonizer.feed(np.array([[1, 2, 0]], first))
    batches += polygonizer.feed(np.array([[1, 70_000, -5]], np.int32)) + polygonizer.finish()
    assert [(int(i), int(n)) for batch in batches for i, n in zip(batch.class_id, batch.pixels, strict=True)] == [
        (2, 1),
        (1, 2),
        (70_000, 1),
        (-5, 1),
    ]


def test_instances_keep_their_numbers():
    ids = np.arange(1_000_000, dtype=np.int32).reshape(1000, 1000) + 7
    raster = np.kron(ids, np.ones((1, 2), np.int32))
    batch = trace(raster, (300,), nodata=-1)
    assert np.array_equal(batch.class_id, ids.ravel())
    assert (batch.pixels == 2).all()
    assert batch.ring_offsets[-1] == len(batch.points)


def test_ids_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="go from 0 to 4294967296; expected -2147483648 to 2147483647"):
        Polygonizer(2, 1, background=0).feed(np.array([[0, 1 << 32]]))
    with pytest.raises(ValueError, match="dtype float32; expected integers"):
        Polygonizer(1, 1, background=0).feed(np.zeros((1, 1), np.float32))


@unhurried
@given(class_rasters())
def test_order_is_that_of_the_last_row_then_the_first_pixel(raster):
    polygons = trace(raster).polygons()
    numbers = components(raster, polygons)
    keys = []
    for number in range(len(polygons)):
        y, x = np.nonzero(numbers == number)  # in row order: the first is the topmost, then leftmost
        keys.append((y.max(), y[0], x[0]))
    assert keys == sorted(keys)


@unhurried
@given(class_rasters())
def test_rings_start_at_their_first_corner_and_turn_or_pass_a_node_at_every_one(raster):
    batch = trace(raster)
    nodes = {tuple(point) for point in batch.points[batch.node]}
    for polygon in batch.polygons().geometry:
        for number, ring in enumerate([polygon.exterior, *polygon.interiors]):
            points = np.array(ring.coords)[:-1]
            order = np.lexsort((points[:, 0], points[:, 1]))
            assert order[0] == 0
            turns = np.diff(np.vstack([points[-1:], points, points[:1]]), axis=0)
            straight = (turns[:-1] * turns[1:]).any(axis=1)  # else a side along x is followed by one along y
            assert {tuple(point) for point in points[straight]} <= nodes
            assert not straight[0]
            # y runs down, so that counterclockwise on the screen is clockwise in numbers
            assert shapely.is_ccw(ring) == (number > 0)


@unhurried
@given(class_rasters(values=(0, 1, 2, 3, 255)), CUTS)
def test_nodes_are_the_corners_where_three_or_more_sides_meet(raster, cuts):
    batch = trace(raster, cuts)
    framed = np.pad(raster, 1, constant_values=NODATA)
    nw, ne, sw, se = framed[:-1, :-1], framed[:-1, 1:], framed[1:, :-1], framed[1:, 1:]
    node = (nw != ne).astype(int) + (ne != se) + (se != sw) + (sw != nw) >= 3
    assert np.array_equal(batch.node, node[batch.points[:, 1], batch.points[:, 0]])
    starts = unit_sides(batch)[0][:, 0]
    passed = Counter(map(tuple, starts[node[starts[:, 1], starts[:, 0]]].tolist()))  # how often outlines come by
    begins = np.delete(np.arange(len(batch.points)), batch.ring_offsets[1:] - 1)
    points = batch.points[begins][batch.node[begins]]
    assert passed == Counter(map(tuple, points.tolist()))


@unhurried
@given(class_rasters(values=(0, 1, 2, 3, 255)), CUTS)
def test_sides_know_what_lies_beside_them(raster, cuts):
    batch = trace(raster, cuts)
    framed = np.pad(raster, 1, constant_values=NODATA)
    sides, beside, class_id = unit_sides(batch)
    along = sides[:, 1] - sides[:, 0]
    right = np.column_stack([-along[:, 1], along[:, 0]])  # as seen on the screen, where y runs down
    middle = sides.sum(axis=1)  # twice the middle, so that all of it is whole
    for side, expected in ((right, beside), (-right, class_id)):
        x, y = ((middle + side - 1) // 2).T
        assert np.array_equal(framed[y + 1, x + 1], expected)
    last = batch.ring_offsets[1:] - 1
    assert np.array_equal(batch.beside[last], batch.beside[batch.ring_offsets[:-1]])
    assert np.array_equal(batch.node[last], batch.node[batch.ring_offsets[:-1]])


@unhurried
@given(class_rasters(values=(0, 1, 2, 3, 4)), CUTS)
def test_neighbours_hold_the_same_points_along_their_common_side(raster, cuts):
    batch = trace(raster, cuts, background=None)
    starts, ends, beside, _ = point_sides(batch)
    inner = beside != NODATA
    ahead = {(*a, *b) for a, b in zip(starts[inner].tolist(), ends[inner].tolist(), strict=True)}
    assert ahead == {(*b, *a) for a, b in zip(starts[inner].tolist(), ends[inner].tolist(), strict=True)}
    assert shapely.coverage_is_valid(batch.polygons().geometry)


@pytest.mark.parametrize("classes", [2, 5, 10])
def test_many_classes_make_a_valid_coverage(classes):
    raster = np.random.default_rng(classes).integers(0, classes, (90, 90), dtype=np.uint8)
    for blocks in (raster, np.kron(raster[:30, :30], np.ones((3, 3), np.uint8))):
        assert shapely.coverage_is_valid(trace(blocks, (7, 50), background=None).polygons().geometry)


def point_sides(batch: RingBatch) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """From every point to the next of its ring: both ends (side, 2), the value beside, the class."""
    begins = np.ones(len(batch.points), np.bool_)
    begins[batch.ring_offsets[1:] - 1] = False
    begin = np.flatnonzero(begins)
    owner = np.repeat(batch.class_id, np.diff(batch.ring_offsets[batch.polygon_offsets]))
    return batch.points[begin], batch.points[begin + 1], batch.beside[begin], owner[begin]


def unit_sides(batch: RingBatch) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sides of pixels along all outlines (side, end, xy), the values beside them and their classes."""
    starts, ends, beside, class_id = point_sides(batch)
    lengths = np.abs(ends - starts).sum(axis=1)
    step = np.sign(ends - starts).repeat(lengths, axis=0)
    place = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    first = starts.repeat(lengths, axis=0) + step * place[:, None]
    return np.stack([first, first + step], axis=1), beside.repeat(lengths), class_id.repeat(lengths)


@unhurried
@given(class_rasters(), st.integers(0, 99))
def test_scores_and_edges_are_those_of_the_pixels(raster, seed):
    check_scores_and_edges(raster, np.random.default_rng(seed).integers(0, 255, raster.shape, dtype=np.uint8))


def test_what_is_known_of_parts_goes_to_the_whole():
    raster = np.zeros((5, 7), np.uint8)
    raster[1:4, 1] = raster[2:4, 5] = raster[3, 1:6] = 1
    raster[2, 6] = NODATA  # beside the second part, before both meet
    check_scores_and_edges(raster, np.arange(35, dtype=np.uint8).reshape(5, 7))
    check_scores_and_edges(raster[:, ::-1], np.arange(35, dtype=np.uint8).reshape(5, 7))


def check_scores_and_edges(raster, scores):
    polygons = trace(raster, (3,), scores=scores).polygons()
    numbers = components(raster, polygons)
    framed = np.pad(raster, 1, constant_values=NODATA) == NODATA
    beside = framed[:-2, 1:-1] | framed[2:, 1:-1] | framed[1:-1, :-2] | framed[1:-1, 2:]
    for number in range(len(polygons)):
        inside = numbers == number
        assert polygons.score_sum[number] == scores[inside].sum()
        assert polygons.touches_edge[number] == beside[inside].any()


@unhurried
@given(class_rasters(), st.sampled_from([0, 2]))
def test_rings_know_what_they_hold_besides_background(raster, background):
    batch = trace(raster, (2,), background=background)
    for number, polygon in enumerate(batch.polygons().geometry):
        rings = range(batch.polygon_offsets[number], batch.polygon_offsets[number + 1])
        for ring, outline in zip(rings, [polygon.exterior, *polygon.interiors], strict=True):
            filled = shapely.Polygon(outline)
            inside = rasterio.features.rasterize([filled], out_shape=raster.shape) == 1
            assert batch.ring_areas()[ring] == filled.area == inside.sum()
            assert batch.enclosed[ring] == (raster[inside] != background).sum()


def test_a_ring_that_pinches_itself_becomes_a_hole_that_touches():
    raster = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 0]], np.uint8)
    (polygon,) = trace(raster).polygons().geometry
    assert polygon.is_valid
    assert polygon.equals(shapely.from_wkt("POLYGON ((0 0, 0 3, 2 3, 2 2, 3 2, 3 0, 0 0), (1 1, 2 1, 2 2, 1 2, 1 1))"))


def test_pixels_that_meet_at_a_corner_are_two_objects():
    polygons = trace(np.array([[1, 0], [0, 1]], np.uint8)).polygons()
    assert polygons.pixels.tolist() == [1, 1]


def test_coordinates_start_at_the_origin():
    raster = np.array([[0, 1]], np.uint8)
    (polygon,) = trace(raster, origin=(100, 20)).polygons().geometry
    assert polygon.bounds == (101, 20, 102, 21)


def test_objects_come_out_as_soon_as_they_have_ended():
    polygonizer = Polygonizer(3, 4, background=0)
    assert polygonizer.feed(np.array([[1, 0, 1]], np.uint8)) == []
    (first,) = polygonizer.feed(np.array([[0, 0, 1]], np.uint8))
    assert first.points.tolist() == [[0, 0], [0, 1], [1, 1], [1, 0], [0, 0]]
    assert polygonizer.feed(np.array([[0, 0, 1], [0, 0, 1]], np.uint8)) == []
    (last,) = polygonizer.finish()
    assert last.pixels.tolist() == [4]


def test_an_empty_raster_gives_an_empty_batch():
    polygons = trace(np.zeros((5, 7), np.uint8)).polygons()
    assert len(polygons) == 0
    assert polygons.geometry.shape == polygons.class_id.shape == polygons.touches_edge.shape == (0,)


def test_memory_does_not_grow_with_rows():
    spool = Spool()
    polygonizer = Polygonizer(256, 64 * 200, background=0, spool=spool)
    noise = np.random.default_rng(0)

    sizes = []
    for _ in range(200):
        strip = (noise.random((64, 256)) < 0.4).astype(np.uint8)
        strip[:2] = 0
        polygonizer.feed(strip)
        sizes.append(spool.held)
    assert sizes[-1] == sizes[20]


def test_one_object_across_thousands_of_rows_is_whole():
    raster = np.zeros((5000, 9), np.uint8)
    raster[:, ::2] = 1
    raster[-1] = 1
    batch = trace(raster, tuple(range(0, 5000, 64)))
    assert batch.pixels.tolist() == [5 * 5000 + 4]
    assert len(batch.points) == 4 * 5 + 1


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((2, 4), "expected 5 columns and at most 3 rows"), ((4, 5), "at most 3 rows"), ((5,), "does not fit")],
)
def test_a_strip_that_does_not_fit_is_refused(shape, expected):
    with pytest.raises(ValueError, match=expected):
        Polygonizer(5, 3, background=0).feed(np.zeros(shape, np.uint8))


def test_scores_of_another_shape_or_of_some_strips_only_are_refused():
    polygonizer = Polygonizer(5, 3, background=0)
    strip = np.zeros((1, 5), np.uint8)
    with pytest.raises(ValueError, match="expected that of the classes"):
        polygonizer.feed(strip, np.zeros((1, 4), np.uint8))
    polygonizer.feed(strip, strip)
    with pytest.raises(ValueError, match="either all strips"):
        polygonizer.feed(strip)


def test_missing_rows_are_noticed_at_the_end():
    polygonizer = Polygonizer(5, 3, background=0)
    polygonizer.feed(np.zeros((2, 5), np.uint8))
    with pytest.raises(ValueError, match="2 rows were fed; expected 3"):
        polygonizer.finish()


@pytest.mark.data
@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize(
    "path",
    [
        "kitsap_buildings/kitsap11_mask.tif",
        "massachusetts_roads/10078660_15_mask.tif",
        "dubai_landcover/tile1_001_mask.png",
    ],
)
def test_polygons_of_real_masks_are_those_of_gdal(data_dir: Path, path):
    with rasterio.open(data_dir / path) as source:
        raster = source.read(1)[:1500, :1500]
    raster = np.minimum(raster, 254).astype(np.uint8)
    polygons = trace(raster, (100, 512, 777)).polygons()
    assert len(polygons) > 0
    assert shapely.is_valid(polygons.geometry).all()
    assert as_multiset(polygons.class_id, without_collinear(polygons.geometry)) == gdal_polygons(raster, 0)
    burnt = rasterio.features.rasterize(
        zip(polygons.geometry, polygons.class_id, strict=True), out_shape=raster.shape, dtype="uint8"
    )
    assert np.array_equal(burnt, raster)


@pytest.mark.parametrize("grouping", ["none", "diagonal", "adjoining"])
def test_files_change_nothing(grouping):
    raster = np.random.default_rng(4).choice(4, (120, 90), p=[0.1, 0.6, 0.15, 0.15]).astype(np.uint8)
    expected = trace(raster, grouping=grouping)
    check_equal(trace(raster, (33, 80), grouping=grouping, spool=Spool(budget=8000), origin=(-3, 7)), expected, (-3, 7))


def test_a_large_component_comes_by_itself_and_in_files():
    noise = np.random.default_rng(2).random((300, 200))
    raster = np.where(noise < 0.62, 1, np.where(noise < 0.81, 2, 3)).astype(np.uint8)
    spool = Spool(budget=200_000)
    polygonizer = Polygonizer(200, 300, background=0, spool=spool)
    batches = polygonizer.feed(raster) + polygonizer.finish()
    (large,) = (batch for batch in batches if spool.on_disk(batch.points))
    assert len(large) == 1
    assert large.pixels[0] > 0.4 * raster.size
    check_equal(join(batches), trace(raster))


def test_components_that_wait_for_their_group_wait_in_files():
    raster = np.zeros((400, 61), np.uint8)
    raster[1::2, 1:-1:2] = 1
    raster[:, 0] = raster[0] = 2  # holds all the others together, but for the last row
    raster[::2, ::2] = 2
    batch = trace(raster, tuple(range(0, 400, 9)), grouping="adjoining", spool=Spool(budget=4000))
    assert set(batch.group) == {0}
    check_equal(batch, trace(raster, grouping="adjoining"))


def test_more_open_corners_than_can_be_counted_are_refused(monkeypatch):
    monkeypatch.setattr(pending, "MOST", 50)
    comb = np.tile(np.array([[1, 0], [1, 1]], np.uint8), (1, 25))
    with pytest.raises(ResourceError, match="corners belong to polygons that are still open; at most 50"):
        Polygonizer(50, 9, background=0).feed(comb)
