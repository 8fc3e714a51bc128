from __future__ import annotations

from collections import defaultdict
from itertools import pairwise

import numpy as np
import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from geoseg.errors import ResolutionError
from geoseg.vector.ground import Ground
from geoseg.vector.sieving import passes as sieve_pass
from geoseg.vector.sieving.sieve import PASSES, Sieve, SieveSettings
from tests.vector.rasters import class_rasters, unhurried

METRE = Ground(Affine.identity(), None, 1.0)
SIDES = ((-1, 0), (1, 0), (0, -1), (0, 1))


def sieved(raster, least, background=0, *, cuts=(), ground=METRE, scores=None, origin=(0, 0)):
    """What a sieve makes of a raster fed in strips that end at the rows `cuts`, with the scores where there are any."""
    height = len(raster)
    sieve = Sieve(raster.shape, ground, SieveSettings(least, background), origin)
    rows = sorted({0, height, *(cut % height for cut in cuts)})
    strips = [
        strip for a, b in pairwise(rows) for strip in sieve.feed(raster[a:b], None if scores is None else scores[a:b])
    ]
    strips += sieve.finish()
    classes = np.concatenate([classes for classes, _ in strips])
    if scores is None:
        assert all(part is None for _, part in strips)
        return classes
    return classes, np.concatenate([part for _, part in strips])


def patches_of(raster: NDArray[np.uint8]) -> tuple[NDArray[np.int64], list[list[tuple[int, int]]]]:
    """The number (y, x) of each pixel's 4-connected component, and each component's pixels in reading order."""
    numbers = np.full(raster.shape, -1)
    members: list[list[tuple[int, int]]] = []
    for start in np.ndindex(raster.shape):
        if numbers[start] >= 0:
            continue
        numbers[start] = len(members)
        found, todo = [start], [start]
        while todo:
            for pixel in neighbours(raster, todo.pop()):
                if numbers[pixel] < 0 and raster[pixel] == raster[start]:
                    numbers[pixel] = len(members)
                    found.append(pixel)
                    todo.append(pixel)
        members.append(sorted(found))
    return numbers, members


def neighbours(raster, pixel):
    y, x = pixel
    return [(y + v, x + u) for v, u in SIDES if 0 <= y + v < raster.shape[0] and 0 <= x + u < raster.shape[1]]


def one_pass(raster, least, background, nodata, *, last):  # noqa: C901 - the rule at one glance
    """The rule applied to a whole raster, word for word."""
    numbers, members = patches_of(raster)
    values = [raster[pixels[0]] for pixels in members]
    rank = [(len(pixels), (-pixels[0][0], -pixels[0][1])) for pixels in members]
    small = [v not in (background, nodata) and len(p) < least for v, p in zip(values, members, strict=True)]
    goals = {}
    for number in np.flatnonzero(small):
        edges = defaultdict(int)
        for pixel in members[number]:
            for other in map(int, (numbers[q] for q in neighbours(raster, pixel))):
                if other != number and values[other] != nodata:
                    edges["patch", other] += small[other]
                    edges["class", int(values[other])] += not small[other]
        edges = {key: length for key, length in edges.items() if length}
        best = None
        for (kind, what), length in edges.items():
            if kind == "patch" and rank[what] < rank[number]:
                continue
            order = (length, kind == "class", (what != background, -what) if kind == "class" else rank[what])
            if best is None or order > best[0]:
                best = order, (kind, what)
        dropped = nodata if background is None else background
        goals[number] = best[1] if best else ("class", int(values[number]) if edges and not last else dropped)
    result = raster.copy()
    for number in goals:
        kind, what = "patch", number
        while kind == "patch":
            kind, what = goals[what]
        for pixel in members[number]:
            result[pixel] = what
    return result


def by_the_rule(raster, least, background, nodata=255):
    for number in range(PASSES):
        raster = one_pass(raster, least, background, nodata, last=number + 1 == PASSES)
    return raster


rasters = class_rasters((0, 1, 2, 3, 255))


@unhurried
@given(rasters, st.integers(1, 12), st.sampled_from([0, None, 2]))
def test_the_result_is_the_rule_applied_to_the_whole(raster, least, background):
    assert np.array_equal(sieved(raster, least, background), by_the_rule(raster, least, background))


@unhurried
@given(rasters, st.integers(2, 30), st.sampled_from([0, None]), st.lists(st.integers(1, 50), max_size=9), st.booleans())
def test_strips_of_any_height_come_out_as_the_whole(raster, least, background, cuts, hasty):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sieve_pass, "CHUNK_PIXELS", 1 if hasty else 30)  # so that patches wait for later rows
        assert np.array_equal(sieved(raster, least, background, cuts=cuts), by_the_rule(raster, least, background))
        patch.setattr(sieve_pass, "CHUNK_PIXELS", 60)
        assert np.array_equal(sieved(raster, least, background, cuts=range(1, 60)), sieved(raster, least, background))


@unhurried
@given(rasters, st.integers(2, 30), st.sampled_from([0, None]))
def test_all_that_is_left_is_large_and_nothing_else_is_touched(raster, least, background):
    result = sieved(raster, least, background)
    _, members = patches_of(result)
    assert all(len(pixels) >= least for pixels in members if result[pixels[0]] not in (background, 255))
    _, before = patches_of(raster)
    for pixels in before:
        if raster[pixels[0]] in (background, 255) or len(pixels) >= least:
            assert all(result[pixel] == raster[pixel] for pixel in pixels)
    assert np.array_equal(sieved(result, least, background), result)


def test_a_speck_goes_to_the_neighbour_with_the_longest_edge():
    raster = np.repeat(np.array([[1, 2]], np.uint8), 20, axis=0).repeat(10, axis=1)
    raster[5:8, 9:11] = 3  # five sides to the 1 and five to the 2
    assert (sieved(raster, 8, None)[5:8, 9:11] == 1).all()
    raster[5:8, 11] = 3  # now seven to the 2
    result = sieved(raster, 10, None)
    assert (result[5:8, 9:12] == 2).all()
    assert set(np.unique(result)) == {1, 2}


def test_a_rim_between_two_classes_leaves_no_hole():
    raster = np.ones((15, 15), np.uint8)
    raster[4:11, 4:11] = 2  # a thin ring
    raster[5:10, 5:10] = 3  # larger than the ring, and surrounded by it
    assert (sieved(raster, 30, None) == 1).all()


def test_what_is_alone_amid_nodata_goes():
    raster = np.full((9, 9), 255, np.uint8)
    raster[2, 2:5] = 1
    raster[3, 2:4] = 2
    assert (sieved(raster, 6, None) == 255).all()
    assert (sieved(raster, 6, 0)[2:4, 2:4] == 0).all()
    assert (sieved(raster, 5, None)[2:4, 2:4] == 1).all()


def test_a_large_patch_known_late_is_large():
    raster = np.zeros((40, 9), np.uint8)
    raster[:, 0] = raster[:, 8] = raster[39, :] = 1  # one patch whose arms meet in the last row
    raster[5, 1:3] = 2
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sieve_pass, "CHUNK_PIXELS", 1)
        result = sieved(raster, 60, 0, cuts=range(40))
    assert (result[:, 0] == 1).all()
    assert (result[5, 1:3] == 0).all()


def test_rows_come_out_soon_and_scores_with_them():
    rng = np.random.default_rng(3)
    raster = rng.integers(0, 4, (400, 50), dtype=np.uint8)
    scores = rng.integers(0, 255, raster.shape, dtype=np.uint8)
    sieve = Sieve(raster.shape, METRE, SieveSettings(6, 0))
    behind, out = [], []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sieve_pass, "CHUNK_PIXELS", 1)
        for y in range(0, 400, 5):
            out += sieve.feed(raster[y : y + 5], scores[y : y + 5])
            behind.append(y + 5 - sum(len(classes) for classes, _ in out))
        out += sieve.finish()
    assert max(behind) < 60
    assert np.array_equal(np.concatenate([part for _, part in out]), scores)
    assert all(classes.shape == part.shape for classes, part in out)
    whole = sieved(raster, 6, 0, scores=scores)
    assert np.array_equal(np.concatenate([classes for classes, _ in out]), whole[0])
    assert np.array_equal(whole[1], scores)


def test_areas_are_those_of_the_place():
    raster = np.zeros((60_001, 8), np.uint8)
    raster[0, 3:6] = raster[30_000, 3:6] = raster[-1, 3:6] = 1
    ground = Ground.of(Affine(0.001, 0, 20, 0, -0.001, 60), "EPSG:4326")  # from 60 degrees north to the equator
    pixels = ground.pixel_areas(np.array([[4.5, 0.5], [4.5, 30_000.5], [4.5, 60_000.5]]))
    assert pixels[0] < pixels[1] < pixels[2]
    for place, row in enumerate((0, 30_000, 60_000)):
        for factor, kept in ((0.9999, True), (1.0001, False)):
            result = sieved(raster, 3 * pixels[place] * factor, 0, ground=ground)
            assert (result[row] == raster[row]).all() == kept
            assert (result[-1] == raster[-1]).all() == (kept or place < 2)


def test_a_part_of_a_scene_is_measured_as_in_the_scene():
    ground = Ground.of(Affine(0.001, 0, 20, 0, -0.001, 60), "EPSG:4326")
    raster = np.random.default_rng(0).integers(0, 3, (300, 90), dtype=np.uint8)
    least = 4 * ground.pixel_areas(np.array([[50.0, 1150.0]]))[0]
    scene = np.full((1400, 160), 255, np.uint8)
    scene[1000:1300, 33:123] = raster
    part = sieved(raster, least, 0, ground=ground, origin=(33, 1000))
    assert np.array_equal(part, sieved(scene, least, 0, ground=ground)[1000:1300, 33:123])
    assert not np.array_equal(part, sieved(raster, least, 0, ground=ground))


def test_a_patch_of_just_the_least_area_is_large():
    ground = Ground(Affine.identity(), None, 0.3)
    for count in range(1, 40):
        raster = np.zeros((3, 50), np.uint8)
        raster[1, 3 : 3 + count] = 1
        assert sieved(raster, count * 0.3 * 0.3, 0, ground=ground).any()
        assert not sieved(raster, count * 0.3 * 0.3 * 1.000001, 0, ground=ground).any()


def test_without_a_least_area_nothing_is_held_or_measured():
    raster = np.random.default_rng(0).integers(0, 3, (30, 30), dtype=np.uint8)
    sieve = Sieve(raster.shape, Ground(Affine.identity()), SieveSettings(0, 0))
    (strip,) = sieve.feed(raster)
    assert np.array_equal(strip[0], raster)
    assert sieve.finish() == []


def test_noise_of_many_classes_with_a_large_least_area_leaves_no_hole():
    raster = np.random.default_rng(5).integers(0, 10, (256, 256), dtype=np.uint8)
    assert (sieved(raster, 1000, None) != 255).all()


def test_what_cannot_be_measured_is_refused():
    with pytest.raises(ResolutionError, match="metres per pixel"):
        Sieve((3, 3), Ground(Affine.identity()), SieveSettings(1, 0))


def test_strips_that_do_not_fit_are_refused():
    sieve = Sieve((3, 4), METRE, SieveSettings(1, 0))
    strip = np.zeros((2, 4), np.uint8)
    with pytest.raises(ValueError, match="4 columns and at most 3 rows"):
        sieve.feed(np.zeros((4, 4), np.uint8))
    with pytest.raises(ValueError, match="classes are int32; expected uint8"):
        sieve.feed(strip.astype(np.int32))
    with pytest.raises(ValueError, match="expected that of the classes"):
        sieve.feed(strip, np.zeros((1, 4), np.uint8))
    sieve.feed(strip)
    with pytest.raises(ValueError, match="either all strips"):
        sieve.feed(strip[:1], strip[:1])
    with pytest.raises(ValueError, match="2 rows were fed; expected 3"):
        sieve.finish()
