from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.features
import shapely
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from geoseg.errors import ResolutionError
from geoseg.vector.ground import Ground
from geoseg.vector.lines import centerlines
from geoseg.vector.lines.centerlines import LineSettings, LineTracer
from geoseg.vector.lines.thinning import REMOVABLE, thin
from tests.vector.lines.drawing import METRES, blobs, draw, ends, exact, trace_lines
from tests.vector.rasters import NODATA, unhurried

SMALL = {"max_width_m": 5.0, "spur_m": 3.0, "gap_m": 4.0, "min_length_m": 4.0, "hole_m": 2.0}
CUTS = st.lists(st.integers(0, 200), max_size=5).map(tuple)


@pytest.mark.parametrize("width", [1.5, 3, 7, 12])
@pytest.mark.parametrize("angle", range(0, 180, 15))
def test_a_straight_road_is_one_straight_line_from_edge_to_edge(width, angle):
    way = 200 * np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))])
    middle = np.array([95.2, 62.3])
    road = [middle - way, middle + way]
    lines = trace_lines(draw((130, 190), (road, width)))
    assert len(lines) == 1
    inside = shapely.intersection(shapely.linestrings(road), shapely.box(0, 0, 190, 130))
    assert shapely.hausdorff_distance(lines.geometry[0], inside) < 1.3
    assert shapely.get_num_coordinates(lines.geometry[0]) <= 8
    assert lines.width_m[0] == pytest.approx(width, abs=0.6)
    assert lines.length_m[0] == pytest.approx(inside.length, rel=0.02)
    assert lines.touches_edge[0]
    start, stop = shapely.get_coordinates(lines.geometry[0])[[0, -1]]
    for x, y in (start, stop):
        assert x in (0, 190) or y in (0, 130)


@pytest.mark.parametrize("width", [2, 7, 13])
@pytest.mark.parametrize("angle", [0, 20, 45, 70, 90])
def test_a_dead_end_is_where_the_road_ends(width, angle):
    way = 45 * np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))])
    middle = np.array([70.2, 70.3])
    road = shapely.linestrings([middle - way, middle + way])
    lines = trace_lines(draw((140, 140), (road.coords, width)))
    assert len(lines) == 1
    assert shapely.hausdorff_distance(lines.geometry[0], road) < 2.6
    assert not lines.touches_edge[0]


@pytest.mark.parametrize("width", [3, 6, 9])
@pytest.mark.parametrize("angle", [0, 25, 45, 80])
def test_roads_that_meet_share_a_point_where_their_middles_do(width, angle):
    turn = Affine.rotation(angle)
    middle = np.array([80.4, 80.2])
    arms = [[middle, middle + turn @ (70, 0)], [middle, middle + turn @ (-70, 0)], [middle, middle + turn @ (0, 70)]]
    lines = trace_lines(draw((160, 160), *((arm, width) for arm in arms)))
    assert len(lines) == 3
    (junction,) = [place for place, count in ends(lines).items() if count == 3]
    assert np.hypot(*(junction - middle)) < 1.2
    assert lines.width_m == pytest.approx(width, abs=0.6)


@pytest.mark.parametrize("widths", [(4, 4), (9, 5), (12, 12)])
@pytest.mark.parametrize("angle", [90, 60, 40])
def test_roads_that_cross_meet_in_one_point_however_obliquely(widths, angle):
    way = 150 * np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))])
    middle = np.array([80.4, 80.2])
    roads = ([(0, 80.2), (160, 80.2)], widths[0]), ([middle - way, middle + way], widths[1])
    lines = trace_lines(draw((160, 160), *roads))
    assert len(lines) == 4
    (crossing,) = [place for place, count in ends(lines).items() if count == 4]
    assert np.hypot(*(crossing - middle)) < 1
    drawn = shapely.union_all([shapely.linestrings(road) for road, _ in roads])
    assert shapely.hausdorff_distance(shapely.union_all(lines.geometry), shapely.intersection(drawn, box(160))) < 2


def box(size):
    return shapely.box(0, 0, size, size)


def test_two_roads_that_leave_on_both_sides_but_not_at_one_place_are_two_junctions():
    road = ([(0, 60.5), (160, 60.5)], 7)
    lines = trace_lines(draw((120, 160), road, ([(60, 0), (60, 60)], 7), ([(90, 60), (90, 120)], 7)))
    assert sorted(place for place, count in ends(lines).items() if count == 3) == [
        pytest.approx((60, 60.5), abs=1),
        pytest.approx((90, 60.5), abs=1),
    ]


def ring_road(width=8.0):
    y, x = np.mgrid[:160, :160] + 0.5
    return (abs(np.hypot(y - 80.3, x - 80.1) - 40) <= width / 2).astype(np.uint8)


def test_a_ring_closes():
    lines = trace_lines(ring_road())
    assert len(lines) == 1
    assert shapely.is_ring(lines.geometry[0])
    assert shapely.hausdorff_distance(lines.geometry[0], shapely.Point(80.1, 80.3).buffer(40).exterior) < 1.5
    assert lines.length_m[0] == pytest.approx(2 * np.pi * 40, rel=0.02)
    assert lines.width_m[0] == pytest.approx(8, abs=0.3)


def test_a_roundabout_has_a_junction_for_each_road():
    roads = draw((160, 160), ([(120, 80), (160, 80)], 6), ([(80, 0), (80, 40)], 6), ([(0, 90), (42, 85)], 6))
    lines = trace_lines(ring_road() | roads)
    assert len(lines) == 6
    assert sorted(ends(lines).values()) == [1, 1, 1, 3, 3, 3]
    assert shapely.is_ring(shapely.line_merge(shapely.union_all(lines.geometry[~lines.touches_edge])))


def test_a_road_with_a_ring_at_its_end_is_a_line_and_a_loop():
    lines = trace_lines(ring_road() | draw((160, 160), ([(120, 80), (160, 80)], 6)))
    assert len(lines) == 2
    assert sorted(ends(lines).values()) == [1, 3]


def test_areas_too_wide_are_no_lines_and_roads_end_there():
    scene = draw((200, 200), ([(100, 20), (100, 110)], 90), ([(0, 160), (200, 160)], 8), ([(100, 105), (100, 160)], 8))
    lines = trace_lines(scene, max_width_m=20)
    (foot,) = [place for place, count in ends(lines).items() if count == 3]
    assert foot == pytest.approx((100, 160), abs=1)
    assert len(lines) == 3
    assert shapely.union_all(lines.geometry).bounds[1] == pytest.approx(110, abs=8)
    assert lines.width_m.max() < 9


def test_a_line_is_no_wider_than_asked():
    road = draw((80, 300), ([(20, 40), (280, 40)], 22))
    assert len(trace_lines(road, max_width_m=24)) == 1
    assert len(trace_lines(road, max_width_m=20)) == 0


def test_spurs_go_and_side_roads_stay():
    road = ([(0, 60.5), (200, 60.5)], 8)
    scene = draw((120, 200), road, ([(50, 60), (50, 48)], 4), ([(120, 60), (120, 30)], 4))
    lines = trace_lines(scene, spur_m=15)
    assert len(lines) == 3
    assert trace_lines(scene, spur_m=40).length_m == pytest.approx([200], abs=1)
    assert len(trace_lines(scene, spur_m=9)) == 5


@pytest.mark.parametrize("angle", [0, 30, 45, 90])
def test_gaps_are_bridged_that_are_short_and_straight(angle):
    turn = Affine.translation(100.2, 100.3) @ Affine.rotation(angle)
    scene = draw((200, 200), ([turn @ (-80, 0), turn @ (-7, 0)], 7), ([turn @ (7, 0), turn @ (80, 0)], 7))
    assert len(trace_lines(scene, gap_m=11)) == 2
    (line,) = trace_lines(scene, gap_m=18).geometry
    assert shapely.hausdorff_distance(line, shapely.linestrings([turn @ (-80, 0), turn @ (80, 0)])) < 2.5


def test_gaps_are_not_bridged_to_the_side_or_across_a_line():
    aside = draw((100, 200), ([(20, 30), (95, 30)], 6), ([(105, 48), (180, 48)], 6))
    assert len(trace_lines(aside, gap_m=30)) == 2
    across = draw((100, 200), ([(20, 50), (90, 50)], 6), ([(110, 50), (180, 50)], 6), ([(100, 0), (100, 100)], 4))
    assert len(trace_lines(across, gap_m=30)) == 3
    across[:, 95:105] = 0
    assert len(trace_lines(across, gap_m=30)) == 1


def test_the_nearest_two_of_three_ends_are_joined():
    scene = draw((100, 300), ([(20, 50), (100, 50)], 6), ([(112, 50), (180, 50)], 6), ([(108, 60), (180, 72)], 6))
    lines = trace_lines(scene, gap_m=30)
    assert len(lines) == 2
    assert max(lines.length_m) == pytest.approx(160, abs=2)


def test_what_is_short_goes_with_all_that_it_is_connected_to():
    cross = draw((100, 200), ([(30, 50), (70, 50)], 5), ([(50, 30), (50, 70)], 5), ([(120, 50), (150, 50)], 5))
    assert len(trace_lines(cross, min_length_m=40, spur_m=5)) == 4
    assert len(trace_lines(cross, min_length_m=20, spur_m=5)) == 5
    assert len(trace_lines(cross, min_length_m=90, spur_m=5)) == 0


def test_pinholes_do_not_show_and_islands_do():
    road = draw((100, 300), ([(0, 50), (300, 50)], 14))
    holes = road.copy()
    holes[np.random.default_rng(3).random(road.shape) < 0.02] = 0
    lines = trace_lines(holes)
    assert len(lines) == 1
    assert shapely.hausdorff_distance(lines.geometry[0], shapely.linestrings([(0, 50), (300, 50)])) < 2
    road[47:54, 100:140] = 0
    assert len(trace_lines(road)) == 4


def test_rough_outlines_leave_smooth_lines_without_spurs():
    roads = [([(0, 40), (300, 90)], 10), ([(150, 0), (120, 150)], 8)]
    noise = np.random.default_rng(5).normal(size=(150, 300))
    rough = ndimage.gaussian_filter(draw((150, 300), *roads).astype(float), 1.5)
    rough = (rough + 0.5 * ndimage.gaussian_filter(noise, 1) > 0.5).astype(np.uint8)
    lines = trace_lines(rough)
    assert len(lines) == 4
    drawn = shapely.union_all([shapely.linestrings(points) for points, _ in roads])
    drawn = shapely.intersection(drawn, shapely.box(0, 0, 300, 150))
    assert shapely.hausdorff_distance(shapely.union_all(lines.geometry), drawn) < 3
    assert sorted(lines.width_m) == pytest.approx([8, 8, 10, 10], abs=1)


def test_stairs_do_not_show():
    (line,) = trace_lines(draw((150, 300), ([(-5, 20.3), (305, 120.6)], 5))).geometry
    points = shapely.get_coordinates(line)
    turns = np.diff(np.degrees(np.arctan2(*np.diff(points, axis=0).T)))
    assert len(points) < 8
    assert abs(turns).max(initial=0) < 8


def test_lines_end_at_nodata_as_at_the_edge():
    road = draw((150, 300), ([(0, 75), (300, 75)], 9))
    y, x = np.mgrid[:150, :300]
    road[x + y > 280] = NODATA
    (line,) = trace_lines(road).geometry
    start, stop = shapely.get_coordinates(line)[[0, -1]]
    assert tuple(start) == pytest.approx((0, 75), abs=0.6)
    assert tuple(stop) == pytest.approx((206, 75), abs=1.5)
    assert trace_lines(road).touches_edge.all()


def test_a_road_along_the_edge_is_a_line():
    road = draw((100, 300), ([(0, 2), (300, 2)], 8))
    (line,) = trace_lines(road).geometry
    assert shapely.hausdorff_distance(line, shapely.linestrings([(0, 3), (300, 3)])) < 3


def test_classes_have_lines_of_their_own():
    scene = draw((100, 200), ([(0, 30), (200, 30)], 6)) + 2 * draw((100, 200), ([(0, 70), (200, 70)], 10))
    scene[40:60, 100:106] = 3
    lines = trace_lines(scene, classes=(1, 2))
    assert lines.class_id.tolist() == [1, 2]
    assert lines.width_m.tolist() == pytest.approx([6, 10])
    assert trace_lines(scene, classes=(2,)).class_id.tolist() == [2]


def test_scores_are_those_of_the_skeleton():
    scene = draw((100, 200), ([(0, 30), (200, 30)], 6), ([(0, 70), (200, 70)], 6))
    scores = np.where(np.arange(100)[:, None] < 50, 200, 90).astype(np.uint8) * np.ones((1, 200), np.uint8)
    lines = trace_lines(scene, scores=scores)
    assert (lines.score_sum / lines.pixels).tolist() == [200, 90]
    assert lines.pixels.tolist() == pytest.approx([200, 200], abs=3)
    assert trace_lines(scene).score_sum.tolist() == [-1, -1]


def test_order_is_that_of_the_last_row_then_the_first_pixel():
    scene = draw((100, 200), ([(20, 20), (60, 20)], 3), ([(90, 10), (90, 60)], 3), ([(120, 40), (160, 40)], 3))
    assert [line.bounds[0] // 10 for line in trace_lines(scene).geometry] == [2, 12, 9]


def test_coordinates_start_at_the_origin():
    scene = blobs((90, 80), 4, smooth=8)
    moved, here = trace_lines(scene, origin=(1000, 300), **SMALL), trace_lines(scene, **SMALL)
    assert len(here) > 5
    back = shapely.transform(moved.geometry, lambda points: points - (1000, 300))
    assert shapely.equals_exact(back, here.geometry, 1e-9).all()


def test_widths_and_lengths_are_metres_on_the_ground():
    degrees = Ground.of(Affine(1e-5, 0, 12, 0, -1e-5, 60), "EPSG:4326")
    across, down = degrees.pixel_sizes(np.array([[150.0, 150.0]]))[0]
    assert across < 0.6 * down
    scene = draw((300, 300), ([(0, 100), (300, 100)], 10), ([(200, 100), (200, 300)], 10))
    lines = trace_lines(scene, ground=degrees)
    assert len(lines) == 3
    level = np.array([np.ptp(line.xy[1]) < 3 for line in lines.geometry])
    assert lines.width_m[level] == pytest.approx(10 * down, rel=0.03)
    assert lines.width_m[~level] == pytest.approx(10 * across, rel=0.03)
    assert sorted(lines.length_m) == pytest.approx(sorted([200 * across, 100 * across, 200 * down]), rel=0.02)


@unhurried
@given(st.integers(0, 20), CUTS)
def test_strips_of_any_height_give_the_same_lines(seed, cuts):
    scene = blobs((150, 90), seed, smooth=8)
    scene[np.add.outer(np.arange(150), np.arange(90)) < 40] = NODATA
    scores = np.random.default_rng(seed).integers(0, 255, scene.shape, dtype=np.uint8)
    whole = trace_lines(scene, scores=scores, **SMALL)
    assert len(whole) > 10
    assert exact(trace_lines(scene, cuts, scores=scores, **SMALL)) == exact(whole)


@pytest.mark.parametrize("seed", range(3))
def test_how_many_rows_and_columns_are_done_at_a_time_changes_nothing(monkeypatch, seed):
    scene = blobs((150, 140), seed, smooth=8)
    scene[np.add.outer(np.arange(150), np.arange(140)) < 40] = NODATA
    expected = exact(trace_lines(scene, **SMALL))
    halo = LineTracer(9, 9, classes=(1,), ground=METRES, settings=LineSettings(**SMALL)).halo
    assert halo < 100
    for rows, columns in ((1, 37), (23, 64), (halo, 1000)):
        monkeypatch.setattr(centerlines, "_COLUMNS", columns)
        monkeypatch.setattr(centerlines, "_rows_at_a_time", lambda _, rows=rows: rows)
        assert exact(trace_lines(scene, (40, 90), **SMALL)) == expected


def test_memory_for_pixels_does_not_depend_on_the_height():
    held = [
        LineTracer(500, height, classes=(1,), ground=METRES, settings=LineSettings(**SMALL))._held.nbytes
        for height in (100, 10_000)
    ]
    assert held[0] == held[1] <= 500 * 1000


def test_an_empty_raster_gives_no_lines():
    lines = trace_lines(np.zeros((50, 70), np.uint8))
    assert len(lines) == 0
    assert lines.geometry.shape == lines.width_m.shape == lines.touches_edge.shape == (0,)


def test_dots_are_no_lines():
    scene = np.zeros((50, 70), np.uint8)
    scene[10, 10] = scene[20, 20:22] = scene[30:32, 30:32] = 1
    assert len(trace_lines(scene, min_length_m=0)) == 0


def test_take_selects_lines():
    lines = trace_lines(draw((100, 200), ([(0, 30), (200, 30)], 6), ([(0, 70), (200, 70)], 10)))
    assert lines.take(lines.width_m > 8).width_m.tolist() == [10]
    assert len(lines.take(np.array([1, 0]))) == 2


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((2, 4), "expected 5 columns and at most 3 rows"), ((4, 5), "at most 3 rows"), ((5,), "does not fit")],
)
def test_a_strip_that_does_not_fit_is_refused(shape, expected):
    tracer = LineTracer(5, 3, classes=(1,), ground=METRES)
    with pytest.raises(ValueError, match=expected):
        tracer.feed(np.zeros(shape, np.uint8))


def test_scores_of_another_shape_or_of_some_strips_only_are_refused():
    tracer = LineTracer(5, 3, classes=(1,), ground=METRES)
    strip = np.zeros((1, 5), np.uint8)
    with pytest.raises(ValueError, match="expected that of the classes"):
        tracer.feed(strip, np.zeros((1, 4), np.uint8))
    tracer.feed(strip, strip)
    with pytest.raises(ValueError, match="either all strips"):
        tracer.feed(strip)


def test_missing_rows_are_noticed_at_the_end():
    tracer = LineTracer(5, 3, classes=(1,), ground=METRES)
    tracer.feed(np.zeros((2, 5), np.uint8))
    with pytest.raises(ValueError, match="2 rows were fed; expected 3"):
        tracer.finish()


def test_without_metres_there_are_no_widths():
    with pytest.raises(ResolutionError, match="state the scene's metres per pixel"):
        LineTracer(5, 3, classes=(1,), ground=Ground(Affine.identity()))


@pytest.mark.data
@pytest.mark.parametrize("name", ["10228660_15", "10678810_15"])
def test_lines_of_real_roads_lie_in_their_middle(data_dir: Path, name):
    with rasterio.open(data_dir / "massachusetts_roads" / f"{name}_mask.tif") as source:
        mask, ground = source.read(1), Ground.of(source.transform, source.crs)
    lines = trace_lines(mask, (100, 777), ground=ground)
    assert np.median(lines.width_m) == pytest.approx(7, abs=0.5)
    areas = shapely.buffer(lines.geometry, lines.width_m / 2, cap_style="flat")
    burnt = (rasterio.features.rasterize(areas, out_shape=mask.shape) == 1) & (mask != NODATA)
    assert (burnt & (mask == 1)).sum() > 0.92 * (burnt | (mask == 1)).sum()
    middle = np.pad((mask == 1).astype(np.uint8), 1)
    thin(middle, 99, REMOVABLE)
    off = ndimage.distance_transform_edt(middle[1:-1, 1:-1] == 0)
    x, y = np.minimum(shapely.get_coordinates(shapely.segmentize(lines.geometry, 1.0)).astype(int).T, 1499)
    assert (off[y, x] <= 2).mean() > 0.99
    hanging = [ends(lines)[place] for place in ends(lines)].count(1) - lines.touches_edge.sum()
    assert hanging < len(lines) / 2
    assert shapely.is_simple(lines.geometry).all()
