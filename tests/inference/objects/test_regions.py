"""A region, or a block, shows what the whole scene shows there, or says that it might not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geoseg.core.tiling import Tiling
from geoseg.inference.objects.predict import predict_objects
from tests.inference.objects.drawn import scene, shapes, tilings
from tests.inference.objects.known import Known, Layers, card, places, work_of

THINGS = tuple(range(3, 11))


class Within:
    """The pixels of a mask (y, x)."""

    def __init__(self, pixels):
        self.pixels = pixels

    def mask(self, y, x):
        whole = np.zeros((y.stop, x.stop), bool)
        height, width = (min(n, m) for n, m in zip(whole.shape, self.pixels.shape, strict=True))
        whole[:height, :width] = self.pixels[:height, :width]
        return whole[y.start :, x.start :]


def seen(pixels, tiling, module, **options):
    """Classes, scores, numbers (y, x), the numbers of cut objects, and the pixels that are unsure."""
    work = work_of(pixels, module, tiling, the_card=card(things=THINGS), **options)
    strips = list(predict_objects(work, lambda tiles, count: None))
    rasters = [np.concatenate([getattr(s, n) for s in strips]) for n in ("class_ids", "scores", "instance_ids")]
    unsure = rasters[2] < 0
    cut = [s.objects.instance_id[s.objects.cut] for s in strips if s.objects.cut is not None]
    return *rasters, np.concatenate([*cut, np.zeros(0, np.int32)]), unsure


def agree(whole, part, area, corner=(0, 0)):
    """Compare what is known for sure in an area; returns whether all of it is."""
    classes, scores, numbers, cut, unsure = part
    inside = tuple(slice(start, start + n) for start, n in zip(corner, classes.shape, strict=True))
    sure = area[inside] & ~unsure & ~np.isin(numbers, cut)
    np.testing.assert_array_equal(classes[sure], whole[0][inside][sure])
    np.testing.assert_array_equal(scores[sure], whole[1][inside][sure])
    for number in np.setdiff1d(numbers[sure], [0, *cut]):
        mine = np.zeros(whole[2].shape, bool)
        mine[inside] = numbers == number
        np.testing.assert_array_equal(mine, whole[2] == whole[2][mine][0])
    return bool(sure[area[inside]].all())


def layers_of(shape, rng, count):
    layers = []
    for label in range(count):
        mask = scene(shape, int(rng.integers(1 << 30)), 1) == 1
        if mask.any():
            layers.append((mask, label, float(np.float32(rng.choice([0.6, 0.7, 0.8])))))
    return layers


class Fickle(Layers):
    """Finds layers with other scores, and some of them less often, from tile to tile."""

    def seen(self, chip):
        rng = np.random.default_rng(int(chip.sum()))
        found = [(mask & (rng.random(mask.shape) < 0.9), label, score) for mask, label, score in super().seen(chip)]
        return [
            (mask, label % 2, score + 0.1 * rng.random())
            for mask, label, score in found
            if mask.any() and rng.random() < 0.9
        ]


def box(shape, rng):
    pixels = np.zeros(shape, bool)
    (top, bottom), (left, right) = (np.sort(rng.integers(0, n + 1, 2)) for n in shape)
    pixels[top : bottom + 1, left : right + 1] = True
    return pixels


@settings(max_examples=60, derandomize=True, deadline=None)
@given(
    shape=shapes,
    tiling=tilings,
    seed=st.integers(0, 9999),
    count=st.integers(1, 8),
    network=st.sampled_from([Layers, Fickle]),
    missing=st.sampled_from([0, 0.05]),
)
def test_what_a_region_shows_for_sure_is_what_the_scene_shows(shape, tiling, seed, count, network, missing):
    rng = np.random.default_rng(seed)
    module = network(layers_of(shape, rng, count))
    valid = rng.random(shape) >= missing if missing else None
    region = box(shape, rng) | box(shape, rng)
    whole = seen(places(shape), tiling, module, valid=valid)
    assert not len(whole[3]), "nothing is cut in a whole scene"
    assert not whole[4].any()
    agree(whole, seen(places(shape), tiling, module, valid=valid, region=Within(region)), region)


@settings(max_examples=20, derandomize=True, deadline=None)
@given(shape=shapes, tiling=tilings, tiles=st.tuples(st.integers(1, 3), st.integers(1, 3)), seed=st.integers(0, 9999))
def test_what_a_block_shows_for_sure_is_what_the_scene_shows(shape, tiling, tiles, seed):
    module = Fickle(layers_of(shape, np.random.default_rng(seed), 6))
    whole = seen(places(shape), tiling, module)
    for block in Tiling.over(shape, *tiling).blocks(tiles):
        part = seen(places(shape), tiling, module, block=block)
        agree(whole, part, np.ones(shape, bool), (block.y.start, block.x.start))


def test_objects_far_from_the_border_of_a_region_are_known_for_sure():
    pixels = np.zeros((96, 96), np.int64)
    for number, (top, left) in enumerate(np.ndindex(8, 8), 1):
        pixels[12 * top + 2 : 12 * top + 9, 12 * left + 2 : 12 * left + 9] = number
    region, area = np.zeros((96, 96), bool), np.zeros((96, 96), bool)
    region[16:80, 16:80] = area[24:70, 24:70] = True
    whole = seen(pixels, (16, 4), Known())
    for valid in (None, ~np.isin(pixels, [28, 29])):
        part = seen(pixels, (16, 4), Known(), region=Within(region), valid=valid)
        assert agree(whole if valid is None else seen(pixels, (16, 4), Known(), valid=valid), part, area)
        assert len(part[3])


def stack(*bars):
    return [((np.arange(60)[None] >= a) & (np.arange(60)[None] < b) & np.ones((12, 1), bool), 0, s) for a, b, s in bars]


@pytest.mark.parametrize(
    ("bars", "sure"),
    [
        ([(5, 20, 0.8), (30, 59, 0.9)], True),
        ([(5, 20, 0.8), (19, 59, 0.6)], False),  # the score of what goes on is not known
        ([(5, 20, 0.6), (14, 30, 0.7), (29, 59, 0.9)], False),  # through one between
        ([(5, 20, 0.8), (19, 30, 0.7), (29, 59, 0.9)], True),  # which ranks behind
    ],
)
def test_what_goes_on_bears_upon_those_behind_it(bars, sure):
    region = np.zeros((12, 60), bool)
    region[:, :44] = True
    module = Layers([(mask, label, score) for label, (mask, _, score) in enumerate(stack(*bars))])
    part = seen(places((12, 60)), (16, 4), module, region=Within(region))
    assert (part[2][6, 6] not in part[3]) == sure


def test_what_was_left_out_at_the_border_of_a_region_is_marked():
    """Of the lower bar the region shows a third beside the upper one, which hides the rest; the scene shows more."""
    upper, lower = stack((10, 30, 0.9), (4, 59, 0.6))
    region = np.zeros((12, 60), bool)
    region[:, :36] = True
    module = Layers([(upper[0], 0, 0.9), (lower[0], 1, 0.6)])
    classes, _, _, _, unsure = seen(places((12, 60)), (16, 4), module, region=Within(region))
    whole = seen(places((12, 60)), (16, 4), module)
    assert (whole[0][:, 4:10] == 4).all()
    assert (classes[:, 4:10] == 0).all()
    assert unsure[:, 4:10].all()
