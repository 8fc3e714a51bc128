from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from geoseg.vector.lines.mask import IN, NONE, OUT, carry_on, fill_holes, too_wide
from geoseg.vector.lines.skeleton import MICRO, Reach, Skeleton, skeleton
from geoseg.vector.lines.thinning import REMOVABLE, thin
from tests.vector.lines.drawing import blobs, draw
from tests.vector.rasters import unhurried

MASKS = arrays(np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.sampled_from([OUT, IN]))
KNOWN = arrays(np.uint8, st.tuples(st.integers(3, 12), st.integers(3, 12)), elements=st.sampled_from([OUT, IN, NONE]))
EIGHT = np.ones((3, 3), int)


def thinned(mask, iterations=99):
    framed = np.pad(mask, 1)
    thin(framed, iterations, REMOVABLE)
    return framed[1:-1, 1:-1]


def parts(mask):
    """How many objects there are, joined by sides or corners, and how many holes."""
    return ndimage.label(mask, EIGHT)[1], ndimage.label(np.pad(mask, 1) == 0)[1]


@unhurried
@given(MASKS)
def test_thinning_neither_cuts_nor_joins_nor_opens_nor_fills(mask):
    lines = thinned(mask)
    assert not (lines & ~mask & 1).any()
    assert parts(lines) == parts(mask)


@unhurried
@given(st.integers(0, 50))
def test_thinning_leaves_nothing_that_is_thick(seed):
    lines = thinned(blobs((60, 60), seed, smooth=6))
    assert np.array_equal(thinned(lines), lines)
    assert not ndimage.binary_erosion(lines, np.ones((3, 3))).any()
    squares = lines[1:, 1:] & lines[1:, :-1] & lines[:-1, 1:] & lines[:-1, :-1]
    assert squares.mean() < 0.01


@unhurried
@given(st.integers(0, 50), st.integers(1, 6), st.integers(0, 30), st.integers(0, 30))
def test_thinning_sees_no_further_than_two_pixels_an_iteration(seed, iterations, top, left):
    mask = blobs((60, 60), seed, smooth=6)
    whole = thinned(mask, iterations)
    margin = 2 * iterations
    part = thinned(mask[top : top + 30, left : left + 30], iterations)
    inner = slice(margin, 30 - margin)
    assert np.array_equal(part[inner, inner], whole[top : top + 30, left : left + 30][inner, inner])


@unhurried
@given(KNOWN, st.integers(0, 9), st.integers(1, 5))
def test_holes_are_filled_that_are_small_and_closed(mask, most, extent):
    expected = mask.copy()
    labels, count = ndimage.label(mask == OUT)
    for number in range(1, count + 1):
        hole = labels == number
        on_rim = hole[[0, -1]].any() or hole[:, [0, -1]].any()
        rows, columns = np.nonzero(hole)
        size = max(np.ptp(rows), np.ptp(columns)) + 1
        sides = sum((np.roll(hole, shift, axis) & ~hole).astype(int) for axis in (0, 1) for shift in (-1, 1))
        closed = not on_rim and 3 * sides[mask == NONE].sum() <= sides.sum()
        if closed and hole.sum() <= most and size <= extent:
            expected[hole] = IN
    fill_holes(mask, np.full(len(mask), most), extent)
    assert np.array_equal(mask, expected)


@unhurried
@given(KNOWN, st.integers(1, 4))
def test_what_is_not_known_is_like_the_nearest_that_is(mask, reach):
    known = mask != NONE
    carried = mask.copy()
    carry_on(carried, known.astype(np.uint8), reach)
    assert np.array_equal(carried[known], mask[known])
    places, values = np.argwhere(known), mask[known]
    for y, x in np.argwhere(~known):
        distance = ((places - (y, x)) ** 2).sum(axis=1)
        if not len(places) or distance.min() >= (reach + 1) ** 2:
            assert carried[y, x] == OUT
        elif (np.abs(places - (y, x)).max(axis=1) <= reach)[distance == distance.min()].all():
            assert carried[y, x] in values[distance == distance.min()]


@pytest.mark.parametrize("sizes", [(1.0, 1.0), (0.5, 1.0), (1.0, 0.7)])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_wide_is_what_discs_cover(sizes, seed):
    mask, radius = blobs((80, 90), seed, smooth=20), 4.0
    half = min(sizes) / 2
    spacing = (sizes[1], sizes[0])
    middle = (
        ndimage.distance_transform_edt(np.pad(mask, 20, constant_values=1), spacing)[20:-20, 20:-20] > radius + half
    )
    away = ndimage.distance_transform_edt(~middle, spacing)
    expected = middle | ((away <= radius + half) & (mask == IN))
    reach = int(radius / min(sizes) + 0.5) + 1
    assert middle.any()
    found = too_wide(mask, np.tile(sizes, (len(mask), 1)), radius, reach, 0)
    assert np.array_equal(found, expected)
    spread = too_wide(mask, np.tile(sizes, (len(mask), 1)), radius, reach, 2)
    corners = ndimage.binary_dilation(expected, EIGHT, 2, mask=mask == IN)
    rest = (mask == IN) & ~corners
    assert np.array_equal(spread, corners & ~ndimage.binary_dilation(rest, EIGHT, 2, mask=corners & ~expected))
    assert (spread != found).any()


def skeleton_of(mask, max_width=10.0, hole=0.0, size=(1.0, 1.0)) -> Skeleton:
    reach = Reach.of(max_width, hole, np.array([size]))
    window = np.pad(mask, reach.halo, constant_values=NONE)
    return skeleton(window, (-reach.halo, -reach.halo), np.tile(size, (len(window), 1)), reach)


@pytest.mark.parametrize("width", [1, 2, 3, 4, 7, 10, 18])
@pytest.mark.parametrize("angle", [0, 8, 20, 30, 38, 52, 60, 77, 90])
def test_width_is_that_of_the_road_at_any_angle(width, angle):
    way = 200 * np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))])
    middle = np.array([60.25, 60.3])
    found = skeleton_of(draw((120, 121), ([middle - way, middle + way], width)), max_width=25)
    assert found.clear.all()
    inner = (abs(found.x - 60) < 40) & (abs(found.y - 60) < 40)
    assert found.width[inner].mean() * MICRO == pytest.approx(width, abs=0.2)


@pytest.mark.parametrize("width", [3, 6, 11])
def test_width_is_that_of_the_road_on_oblong_pixels(width):
    size = np.array([0.4, 1.1])
    road = draw((100, 250), ([(-9, 20), (260, 75)], 1))
    y, x = np.mgrid[:100, :250] + 0.5
    way = np.array([269, 55]) * size
    off = ((x + 9) * size[0] * way[1] - (y - 20) * size[1] * way[0]) / np.hypot(*way)
    road = (abs(off) <= width / 2).astype(np.uint8)
    found = skeleton_of(road, max_width=25, size=tuple(size))
    inner = (found.x > 60) & (found.x < 190)
    assert found.width[inner].mean() * MICRO == pytest.approx(width, abs=0.2)


def test_radius_leads_to_the_outside_and_junctions_are_not_clear():
    found = skeleton_of(draw((81, 81), ([(0, 40.5), (81, 40.5)], 9), ([(40.5, 0), (40.5, 81)], 9)), max_width=20)
    at = {(int(y), int(x)): place for place, (y, x) in enumerate(zip(found.y, found.x, strict=True))}
    assert found.radius[at[40, 10]] * MICRO == 4.5
    assert found.radius[at[40, 40]] * MICRO == pytest.approx(4.5 * 2**0.5)
    assert found.clear[at[40, 10]]
    assert not found.clear[at[40, 40]]
    assert not found.clear[at[40, 44]]
    assert sorted(zip(found.y[found.edge], found.x[found.edge], strict=True)) == [(0, 40), (40, 0), (40, 80), (80, 40)]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("gone", [0, 40])
def test_a_window_shows_what_the_whole_does(seed, gone):
    mask = blobs((90, 100), seed, smooth=8)
    y, x = np.mgrid[:90, :100]
    mask[x + 2 * y < gone] = NONE
    reach = Reach.of(5.0, 2.0, np.ones((1, 2)))
    window = np.pad(mask, reach.halo, constant_values=NONE)
    sizes = np.ones((len(window), 2))
    whole = skeleton(window.copy(), (-reach.halo, -reach.halo), sizes, reach)
    for top, left, bottom, right in [(0, 0, 30, 40), (30, 40, 90, 100), (17, 3, 18, 97)]:
        part = window[top : bottom + 2 * reach.halo, left : right + 2 * reach.halo].copy()
        found = skeleton(part, (left - reach.halo, top - reach.halo), sizes[: len(part)], reach)
        inside = (whole.y >= top) & (whole.y < bottom) & (whole.x >= left) & (whole.x < right)
        assert inside.any()
        for field, expected in zip(found, whole, strict=True):
            assert np.array_equal(field, expected[inside])
