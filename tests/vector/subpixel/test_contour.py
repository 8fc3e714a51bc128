from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from geoseg.vector.ground import Ground
from geoseg.vector.outlines import join
from geoseg.vector.spool import Spool
from geoseg.vector.subpixel import gates
from geoseg.vector.subpixel.contour import ContourSettings, contour, simplify_contour
from geoseg.vector.subpixel.rowstore import RowStore
from tests.vector.rasters import class_rasters, trace, unhurried, wkbs

METRE = Ground(Affine.identity(), None, 1.0)
NODATA = 255


def kept(scores):
    store = RowStore(scores.shape[1], scores.shape[0], Spool())
    store.append(scores)
    return store


def decided(scores, threshold):
    """Classes of a binary score raster."""
    return np.where(scores == NODATA, NODATA, scores >= threshold).astype(np.uint8)


def contoured(scores, threshold=127, classes=None, *, cuts=(), origin=(0, 0)):
    batch = trace(decided(scores, threshold) if classes is None else classes, cuts, origin=origin)
    return contour(batch, kept(scores), ContourSettings(threshold), origin)


def check_valid_and_apart(polygons):
    assert shapely.is_valid(polygons.geometry).all()
    assert (shapely.area(polygons.geometry) > 0).all()
    union = shapely.union_all(polygons.geometry)
    assert shapely.area(polygons.geometry).sum() == pytest.approx(union.area, abs=1e-9)


sizes = st.tuples(st.integers(1, 12), st.integers(1, 12))
noise = arrays(np.uint8, sizes, elements=st.one_of(st.integers(124, 130), st.integers(0, 254), st.just(NODATA)))


@st.composite
def ramps(draw):
    """Smooth scores, so that outlines are long and pass between pixels at all places."""
    height, width = draw(st.tuples(st.integers(4, 40), st.integers(4, 40)))
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    waves = np.zeros((height, width))
    y, x = np.mgrid[:height, :width]
    for _ in range(4):
        along, across, shift = rng.normal(0, draw(st.sampled_from([0.1, 0.4, 1.0])), 3)
        waves += np.sin(along * x + across * y + 9 * shift)
    return np.clip(127 + 60 * waves + rng.normal(0, draw(st.sampled_from([0, 9])), waves.shape), 0, 254).astype(
        np.uint8
    )


@unhurried
@given(noise, st.sampled_from([0, 126.5, 127, 254]), st.integers(0, 2**30))
def test_polygons_are_valid_and_apart_whatever_scores_and_classes_say(scores, threshold, seed):
    classes = decided(scores, threshold)
    changed = np.random.default_rng(seed).random(classes.shape) < 0.1
    for raster in (classes, np.where(changed & (classes != NODATA), 1 - classes, classes)):  # as a sieve would
        polygons = contoured(scores, threshold, raster)
        check_valid_and_apart(polygons)
        exact = trace(raster).polygons()
        assert shapely.get_num_interior_rings(polygons.geometry).tolist() == (
            shapely.get_num_interior_rings(exact.geometry).tolist()
        )
        assert polygons.pixels.tolist() == exact.pixels.tolist()


@unhurried
@given(class_rasters((0, 1, 2, 3, 255)), st.integers(0, 2**30))
def test_polygons_of_several_classes_stay_apart_and_keep_their_walls(classes, seed):
    scores = np.random.default_rng(seed).integers(0, 255, classes.shape, dtype=np.uint8)
    scores[classes == NODATA] = NODATA
    polygons = contoured(scores, 127, classes)
    check_valid_and_apart(polygons)
    for before, after in zip(trace(classes).polygons().geometry, polygons.geometry, strict=True):
        walls = [
            shapely.LineString([(x + 1, y), (x + 1, y + 1)])
            for y, x in np.argwhere((classes[:, 1:] != classes[:, :-1]) & (classes[:, 1:] > 0) & (classes[:, :-1] > 0))
        ]
        stayed = shapely.covers(before.boundary, walls) & (shapely.length(walls) > 0)
        beside_data = [
            not (classes[int(w.bounds[1]), int(w.bounds[0]) - 1 : int(w.bounds[0]) + 1] == NODATA).any() for w in walls
        ]
        assert shapely.covers(after.boundary, walls)[stayed & np.array(beside_data, np.bool_)].all()


@unhurried
@given(noise)
def test_missing_data_is_not_touched(scores):
    polygons = contoured(scores)
    missing = [shapely.box(x, y, x + 1, y + 1) for y, x in np.argwhere(scores == NODATA)]
    assert shapely.area(shapely.intersection(shapely.union_all(polygons.geometry), shapely.union_all(missing))) < 1e-9
    assert all(shapely.box(0, 0, *scores.shape[::-1]).covers(polygons.geometry))


@unhurried
@given(arrays(np.uint8, sizes, elements=st.integers(0, 254)), st.sampled_from([100.5, 127.5]))
def test_pieces_are_those_of_marching_squares(scores, threshold):
    scores = np.pad(scores, 2)  # no object at the edge
    found = Counter()
    for polygon in contoured(scores, threshold).geometry:
        for ring in (polygon.exterior, *polygon.interiors):
            found.update(frozenset(piece) for piece in pairwise(map(tuple, np.round(ring.coords, 9))))
    expected = Counter()
    for y, x in np.ndindex(scores.shape[0] - 1, scores.shape[1] - 1):
        square = scores[y : y + 2, x : x + 2]
        points = crossings(square.astype(float), threshold, x, y)
        if len(points) == 2:
            expected[frozenset(points.values())] += 1
        elif len(points) == 4:  # either pair of opposite corners is cut off
            first = [frozenset((points["top"], points[side])) for side in ("left", "right")]
            second = [frozenset((points["bottom"], points[side])) for side in ("right", "left")]
            (pair,) = [pair for pair in zip(first, second, strict=True) if found[pair[0]]]
            expected.update(pair)
    assert found == expected


def crossings(square, threshold, x, y):
    """Where the sides of the square between four pixels' centres are passed, by side."""
    ends = {
        "top": ((0, 0), (0, 1)),
        "bottom": ((1, 0), (1, 1)),
        "left": ((0, 0), (1, 0)),
        "right": ((0, 1), (1, 1)),
    }
    points = {}
    for side, (one, other) in ends.items():
        a, b = square[one], square[other]
        if (a >= threshold) != (b >= threshold):
            part = (a - threshold) / (a - b)
            margin = gates.MARGIN
            part = np.clip(part, margin, 1 - margin)
            row, column = one[0] + part * (other[0] - one[0]), one[1] + part * (other[1] - one[1])
            points[side] = tuple(np.round((x + 0.5 + column, y + 0.5 + row), 9).tolist())
    return points


@unhurried
@given(noise, st.lists(st.integers(1, 11), max_size=4), st.integers(0, 2**30))
def test_a_polygon_depends_on_neither_strips_nor_batches(scores, cuts, seed):
    whole = contoured(scores, origin=(7, 30))
    assert wkbs(contoured(scores, cuts=cuts, origin=(7, 30))) == wkbs(whole)
    batch = trace(decided(scores, 127), origin=(7, 30))
    some = np.random.default_rng(seed).random(len(batch)) < 0.5
    for mask in (some, ~some):
        part = contour(batch.take(mask), kept(scores), ContourSettings(127), (7, 30))
        assert wkbs(part) == wkbs(whole.take(mask))
        assert wkbs(simplify_contour(part, METRE, 0.3)) == wkbs(simplify_contour(whole, METRE, 0.3).take(mask))


def test_a_part_of_a_scene_has_the_scenes_coordinates():
    scores = np.random.default_rng(1).integers(0, 255, (20, 30), dtype=np.uint8)
    here, there = contoured(scores), contoured(scores, origin=(1000, 500))
    moved = shapely.transform(here.geometry, lambda points: points + np.array([1000, 500]))
    assert shapely.equals_exact(moved, there.geometry, 1e-9).all()


def test_the_edge_of_the_scene_is_straight():
    assert contoured(np.full((5, 9), 200, np.uint8)).geometry[0].equals(shapely.box(0, 0, 9, 5))
    for low, at in ((0, 3.5 + 127 / 254), (100, 3.5 + 127 / 154), (126, 3.5 + 127 / 128)):
        scores = np.full((5, 9), low, np.uint8)
        scores[:, :4] = 254
        (polygon,) = contoured(scores).geometry
        assert polygon.equals_exact(shapely.box(0, 0, min(at, 4.5 - gates.MARGIN), 5).normalize(), 1e-9) or (
            polygon.symmetric_difference(shapely.box(0, 0, min(at, 4.5 - gates.MARGIN), 5)).area < 1e-9
        )


def test_a_straight_edge_of_missing_data_is_met_at_a_right_angle():
    scores = np.full((6, 9), 100, np.uint8)
    scores[:, :4] = 254
    scores[4:] = NODATA
    (polygon,) = contoured(scores).geometry
    at = 3.5 + 127 / 154
    assert polygon.symmetric_difference(shapely.box(0, 0, at, 4)).area < 1e-9
    scores[4:, 4:] = 0  # now the missing data ends where the object does
    (polygon,) = contoured(scores).geometry
    assert polygon.covers(shapely.box(0, 0, 3.5, 4))
    assert (4, 4) in polygon.exterior.coords


def rendered(shape, size, steps=16):
    """Scores of a shape: the share of each pixel that it covers, from points on a fine grid."""
    fine = (np.arange(size * steps) + 0.5) / steps
    x, y = np.meshgrid(fine, fine)
    inside = shapely.contains_xy(shape, x, y)
    return np.rint(254 * inside.reshape(size, steps, size, steps).mean(axis=(1, 3))).astype(np.uint8)


def soft(shape, size, width=3):
    """Scores that fall from 254 to 0 across the edge of a shape, as a network's do; half way at the edge itself."""
    middles = np.arange(size) + 0.5
    points = shapely.points(*np.meshgrid(middles, middles))
    off = shapely.distance(points, shape.exterior) * np.where(shapely.contains(shape, points), 1, -1)
    return np.rint(254 * np.clip(0.5 + off / width, 0, 1)).astype(np.uint8)


def off_points(polygon, shape):
    """How far the corners of a polygon are from the outline of a shape."""
    return shapely.distance(shapely.points(shapely.get_coordinates(polygon)), shape.exterior)


@pytest.mark.parametrize(("radius", "scores_of", "off"), [(9, rendered, 0.1), (17.7, rendered, 0.1), (9.3, soft, 0.05)])
def test_a_disc_comes_back(radius, scores_of, off):
    disc = shapely.Point(20.4, 19.8).buffer(radius, quad_segs=200)
    scores = scores_of(disc, 40)
    polygons = contoured(scores)
    for outline in (polygons, simplify_contour(polygons, METRE, 0.05)):
        (polygon,) = outline.geometry
        assert polygon.area == pytest.approx(disc.area, rel=0.005)
        assert off_points(polygon, disc).max() < off
        assert shapely.hausdorff_distance(polygon.exterior, disc.exterior, densify=0.01) < off + 0.05
    (exact,) = trace(decided(scores, 127)).polygons().geometry
    assert off_points(exact, disc).max() > 0.4


@pytest.mark.parametrize("angle", [0, 10, 26.565, 45, 73])
def test_a_turned_rectangle_comes_back_but_for_its_corners(angle):
    rectangle = shapely.affinity.rotate(shapely.box(9.3, 13.2, 51.7, 47.6), angle)
    (polygon,) = contoured(soft(rectangle, 62)).geometry
    assert polygon.area == pytest.approx(rectangle.area, rel=0.005)
    corners = shapely.multipoints(rectangle.exterior.coords).buffer(2.5)
    assert off_points(shapely.difference(polygon.exterior, corners), rectangle).max() < 0.04


@unhurried
@given(st.one_of(noise, ramps()), st.sampled_from([0.01, 0.2, 0.7, 5]), st.integers(0, 2**30))
def test_simplified_polygons_are_as_valid_and_apart(scores, tolerance, seed):
    classes = decided(scores, 127)
    dropped = np.random.default_rng(seed).random(classes.shape) < 0.03
    polygons = contoured(scores, 127, np.where(dropped & (classes == 1), np.uint8(0), classes))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gates, "LONGEST", 16)
        simple = simplify_contour(polygons, METRE, tolerance)
    check_valid_and_apart(simple)
    assert len(simple) == len(polygons)
    for before, after in zip(polygons.geometry, simple.geometry, strict=True):
        assert set(after.exterior.coords) <= set(before.exterior.coords)
        assert shapely.hausdorff_distance(before.boundary, after.boundary) <= min(tolerance, 1) + 1e-9


@unhurried
@given(ramps())
def test_simplified_outlines_part_the_same_pixels(scores):
    simple = simplify_contour(contoured(scores), METRE, 5)
    x, y = np.meshgrid(np.arange(scores.shape[1]) + 0.5, np.arange(scores.shape[0]) + 0.5)
    inside = np.zeros(scores.shape, np.bool_)
    for polygon in simple.geometry:
        inside |= shapely.contains_xy(polygon, x, y)
    assert np.array_equal(inside, scores >= 127)


def test_straight_sides_need_two_points():
    scores = np.zeros((60, 90), np.uint8)
    scores[5:50, 5:80] = 254
    (polygon,) = simplify_contour(contoured(scores), METRE, 0.01).geometry
    assert shapely.get_num_coordinates(polygon) == 9  # each corner is cut off, as marching squares does
    edge = np.zeros((60, 90), np.uint8)
    edge[:, :40] = 254
    (polygon,) = simplify_contour(contoured(edge), METRE, 0.01).geometry
    assert polygon.equals(shapely.box(0, 0, 40, 60))


def test_long_outlines_are_simplified_as_well():
    y, x = np.mgrid[:1500, :40]
    scores = np.clip(127 + 60 * (x - 20 + y * 0.004), 0, 254).astype(np.uint8)
    polygons = contoured(scores)
    (polygon,) = simplify_contour(polygons, METRE, 0.1).geometry
    assert shapely.get_num_coordinates(polygons.geometry)[0] > 1400
    assert shapely.get_num_coordinates(polygon) < 30


def test_the_tolerance_is_in_metres_on_the_ground():
    scores = rendered(shapely.Point(20, 20).buffer(15), 40)
    polygons = contoured(scores)
    coarse = simplify_contour(polygons, Ground(Affine.identity(), None, 0.1), 0.03)
    assert wkbs(coarse) == wkbs(simplify_contour(polygons, METRE, 0.3))
    assert wkbs(simplify_contour(polygons, Ground(Affine.identity()), 0.3)) == wkbs(polygons)
    assert wkbs(simplify_contour(polygons, METRE, 0)) == wkbs(polygons)
    degrees = Ground.of(Affine(1e-5, 0, 20, 0, -1e-5, 60), "EPSG:4326")  # about 0.56 by 1.11 metres
    (polygon,) = simplify_contour(polygons, degrees, 0.2).geometry
    assert shapely.get_num_coordinates(polygon) < shapely.get_num_coordinates(polygons.geometry)[0]
    per = degrees.pixel_sizes(np.array([[20.0, 20.0]]))[0]
    scaled = [shapely.transform(one, lambda points: points * per) for one in (polygon, polygons.geometry[0])]
    assert shapely.hausdorff_distance(*scaled, densify=0.01) < 0.2


def test_nothing_in_nothing_out():
    polygons = contour(join([]), kept(np.zeros((0, 5), np.uint8)), ContourSettings(127))
    assert len(polygons) == 0
    assert len(simplify_contour(polygons, METRE, 1)) == 0


def test_scores_that_did_not_come_are_missed():
    scores = np.full((5, 5), 254, np.uint8)
    store = RowStore(5, 5, Spool())
    store.append(scores[:3])
    with pytest.raises(ValueError, match="rows 0 to 5"):
        contour(trace(decided(scores, 127)), store, ContourSettings(127))
