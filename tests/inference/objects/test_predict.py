import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from geoseg.core.tiling import Span, Tiling
from geoseg.errors import GeosegError
from geoseg.inference.network import Network
from geoseg.inference.objects.predict import predict_objects
from geoseg.inference.semantic import predict_strips
from tests.inference.objects.drawn import pieces, scene, shapes, tilings
from tests.inference.objects.known import (
    FIELD,
    ROOF,
    TREE,
    WATER,
    Known,
    Layers,
    card,
    in_order,
    label_of,
    places,
    run,
    score_of,
    work_of,
)


@settings(max_examples=80, derandomize=True, deadline=None)
@given(shape=shapes, tiling=tilings, batch=st.integers(1, 4), seed=st.integers(0, 9999), count=st.integers(0, 12))
def test_every_object_is_whole_whatever_the_tiles(shape, tiling, batch, seed, count):
    pixels = scene(shape, seed, count)
    classes, _, numbers, table = run(pixels, tiling, batch=batch)
    expected, order = in_order(pixels)
    np.testing.assert_array_equal(numbers, expected)
    ids = np.array([0, *((ROOF, TREE)[label_of(n)] for n in order)])
    np.testing.assert_array_equal(classes, ids[expected])
    np.testing.assert_allclose(table[:, 2], [score_of(n) for n in order], atol=1e-6)


@settings(max_examples=60, derandomize=True, deadline=None)
@given(shape=shapes, tiling=tilings, tiles=st.tuples(st.integers(1, 3), st.integers(1, 3)), seed=st.integers(0, 9999))
def test_a_block_holds_the_same_objects_cut_at_its_border(shape, tiling, tiles, seed):
    pixels = scene(shape, seed, 8)
    for block in Tiling.over(shape, *tiling).blocks(tiles):
        inside = pixels[block.y.start : block.y.stop, block.x.start : block.x.stop]
        classes, _, numbers, _ = run(pixels, tiling, block=block)
        np.testing.assert_array_equal(classes, np.where(inside, np.where(inside % 2, ROOF, TREE), 0))
        for part, of in ((pieces(inside), numbers), (numbers, inside)):  # what the border parts may be several objects
            assert len(np.unique(np.stack([part, of]).reshape(2, -1), axis=1).T) == len(np.unique(part))


@settings(max_examples=60, derandomize=True, deadline=None)
@given(shape=shapes, tiling=tilings, seed=st.integers(0, 9999))
def test_stuff_lies_where_no_object_is_as_a_semantic_pass_would_draw_it(shape, tiling, seed):
    rng = np.random.default_rng(seed)
    pixels = np.stack([scene(shape, seed, 6), rng.random(shape)])
    valid = rng.random(shape) < 0.95
    module, panoptic = Known(stuff=3), card("panoptic")
    classes, scores, numbers, _ = run(pixels, tiling, module, the_card=panoptic, valid=valid)
    work = work_of(pixels, module, tiling, the_card=panoptic, valid=valid)
    work.network.__class__ = StuffAlone
    strips = list(predict_strips(work, lambda tiles, count: None))
    for got, name in ((classes, "class_ids"), (scores, "scores")):
        expected = np.concatenate([getattr(s, name) for s in strips])
        np.testing.assert_array_equal(np.where(numbers, 0, got), np.where(numbers, 0, expected))
    assert set(np.unique(classes)) <= {0, WATER, FIELD, ROOF, TREE, 255}
    np.testing.assert_array_equal(numbers > 0, (pixels[0] > 0) & valid)


class StuffAlone(Network):
    def __call__(self, inputs):
        return self.answer(inputs).scores


THINGS = tuple(range(3, 11))


@settings(max_examples=60, derandomize=True, deadline=None)
@given(shape=shapes, tiling=tilings, seed=st.integers(0, 9999), count=st.integers(1, 8))
def test_where_objects_overlap_the_best_takes_all_and_the_hidden_are_dropped(shape, tiling, seed, count):
    rng = np.random.default_rng(seed)
    layers = []
    for label in range(count):
        mask = scene(shape, int(rng.integers(1 << 30)), 1) == 1
        if mask.any():
            layers.append((mask, label, float(np.float32(rng.choice([0.6, 0.7, 0.8])))))
    the_card = card(things=THINGS)
    classes, scores, _, table = run(places(shape), tiling, Layers(layers), the_card=the_card)
    expected, best, kept = over_one_another(layers, shape)
    np.testing.assert_array_equal(classes, expected)
    np.testing.assert_array_equal(scores, best)
    assert sorted(table[:, 1]) == kept


def over_one_another(layers, shape):
    """Classes, scores, and the sorted class ids of objects that are left, by the merging of Kirillov et al."""
    classes, best, kept = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8), []
    for mask, label, score in sorted(layers, key=lambda layer: (-layer[2], np.flatnonzero(layer[0])[0], layer[1])):
        free = mask & (classes == 0)
        if 2 * free.sum() >= mask.sum():
            classes[free], best[free] = THINGS[label], np.floor(254 * score + 0.5)
            kept.append(THINGS[label])
    return classes, best, sorted(kept)


def noisy(rate, depth):
    """A network that is unsure near its tile's border: it leaves pixels out there, and adds others."""

    def find(chip):
        rng = np.random.default_rng(int(chip.sum()))
        border = np.ones(chip.shape, bool)
        border[depth:-depth, depth:-depth] = False
        found = []
        for mask, label, score in Known.exact(chip):
            swapped = border & (rng.random(chip.shape) < rate) & ndimage.binary_dilation(mask)
            changed = mask ^ swapped
            if changed.any():
                found.append((changed, label, score - 0.3 * (changed & border).sum() / changed.sum()))
        return found

    return Known(find=find)


@settings(max_examples=40, derandomize=True, deadline=None)
@given(seed=st.integers(0, 9999), tile=st.sampled_from([32, 40, 57]), batch=st.integers(1, 3))
def test_noise_at_the_borders_of_tiles_leaves_every_object_whole(seed, tile, batch):
    rng = np.random.default_rng(seed)
    pixels = np.zeros((96, 136), np.int64)  # no noise at the border of the scene: there is no other view
    for number, (top, left) in enumerate(np.ndindex(6, 8), 1):
        y, x = 4 + 15 * top + rng.integers(0, 3), 4 + 16 * left + rng.integers(0, 3)
        pixels[y : y + rng.integers(8, 13), x : x + rng.integers(8, 14)] = number
    _, _, numbers, _ = run(pixels, (tile, 16), noisy(0.3, 2), batch=batch, threshold=0.1)
    np.testing.assert_array_equal(numbers, in_order(pixels)[0])


def test_batches_change_nothing():
    pixels = scene((90, 130), 5, 40)
    runs = [run(pixels, (24, 10), noisy(0.4, 4), batch=batch, threshold=0.1) for batch in (1, 2, 7)]
    for other in runs[1:]:
        for one, same in zip(runs[0], other, strict=True):
            np.testing.assert_array_equal(one, same)


@pytest.mark.parametrize("offset", range(0, 8, 3))
def test_objects_over_many_tiles_are_one(offset):
    y, x = np.ogrid[:80, :90]
    pixels = np.zeros((80, 90), np.int64)
    pixels[np.hypot(y - 40, x - 45) < 36] = 1
    pixels[np.hypot(y - 40, x - 45) < 30] = 2  # a disc in a ring that closes after 60 rows
    pixels[offset::8, 10:12] = 3  # through both; a tile sees it in pieces only
    pixels[:, 10] = 3
    _, _, numbers, table = run(pixels, (16, 5))
    np.testing.assert_array_equal(numbers, in_order(pixels)[0])
    assert len(table) == 3


def test_two_roofs_that_touch_across_a_tiles_corner_stay_two():
    """Tiles of 32 with 8 shared: four of them meet around (28, 28). One of the four sees the two roofs as one."""
    left, right = np.zeros((56, 56), bool), np.zeros((56, 56), bool)
    left[20:36, 14:28] = True
    right[20:36, 28:42] = True
    pixels = np.where(left, 1, np.where(right, 3, 0))
    for blurred in range(4):

        def find(chip, blurred=blurred):
            corners = [pixels[:32, :32], pixels[:32, 24:], pixels[24:, :32], pixels[24:, 24:]]
            if np.array_equal(chip, corners[blurred]):
                return [(chip > 0, 0, 0.6)]
            return [(mask, 0, 0.9) for mask, _, _ in Known.exact(chip)]

        _, _, numbers, table = run(pixels, (32, 8), Known(find=find))
        assert len(table) == 2
        for roof, number in ((left, numbers[25, 20]), (right, numbers[25, 36])):
            assert (numbers[roof] == number).mean() > 0.7
        assert ((numbers > 0) == (pixels > 0)).all()


def test_the_arms_of_a_u_find_each_other_through_the_tile_of_its_bend():
    pixels = np.zeros((48, 24), np.int64)
    pixels[2:40, 4:7] = pixels[2:40, 16:18] = pixels[36:40, 4:18] = 1

    def pieces(chip):
        labels, count = ndimage.label(chip, np.ones((3, 3)))
        return [(labels == n, 0, 0.5 + n / 10) for n in range(1, count + 1)]

    _, _, numbers, table = run(pixels, (24, 8), Known(find=pieces))
    np.testing.assert_array_equal(numbers, pixels)
    assert len(table) == 1


def test_two_classes_are_never_one_object():
    pixels = np.zeros((8, 14), np.int64)
    pixels[2:6, 2:12] = 1

    def find(chip):
        return [(chip > 0, int(chip[:, 0].any()), 0.9 - 0.2 * chip[:, 0].any())] if chip.any() else []

    classes, _, numbers, table = run(pixels, (8, 2), Known(find=find))
    assert sorted(table[:, 1]) == [ROOF, TREE]
    assert (classes[2:6, 2:8] == ROOF).all(), "the better one has the pixels that both see"
    assert (classes[2:6, 8:12] == TREE).all()
    assert len(np.unique(numbers)) == 3


def test_the_score_is_the_mean_over_the_pixels_that_each_view_decides():
    pixels = np.zeros((8, 14), np.int64)
    pixels[2:6, 3:12] = 1

    def find(chip):
        return [(chip > 0, 0, 0.9 if chip[:, 0].any() else 0.6)] if chip.any() else []

    _, scores, _, table = run(pixels, (8, 2), Known(find=find))
    assert table[0, 2] == pytest.approx((4 * 0.6 + 5 * 0.9) / 9)  # of tiles of 8 with 2 shared, 3 to 6 and 7 to 11
    assert (scores[2:6, 3:12] == round(254 * table[0, 2])).all()


def test_what_is_not_valid_or_outside_the_region_is_no_objects():
    everywhere = Known(find=lambda chip: [(np.ones(chip.shape, bool), 0, 0.8)])
    valid = np.random.default_rng(0).random((30, 41)) < 0.8
    classes, _, numbers, table = run(np.ones((30, 41)), (12, 4), everywhere, valid=valid)
    np.testing.assert_array_equal(numbers, valid)
    np.testing.assert_array_equal(classes, np.where(valid, ROOF, 255))
    assert len(table) == 1

    class Corner:
        def mask(self, y, x):
            return (np.arange(y.start, y.stop)[:, None] < 14) & (np.arange(x.start, x.stop)[None] >= 20)

    inside = Corner().mask(Span(0, 30), Span(0, 41))
    classes, scores, numbers, _ = run(np.ones((30, 41)), (12, 4), everywhere, region=Corner())
    np.testing.assert_array_equal(numbers, inside)
    np.testing.assert_array_equal(scores, np.where(inside, round(254 * 0.8), 255))


def test_objects_below_the_threshold_do_not_count():
    pixels = np.array([[1, 1, 0, 2, 2]])
    weak = Known(
        find=lambda chip: [(mask, 0, 0.3 * number) for number, (mask, _, _) in enumerate(Known.exact(chip), 1)]
    )
    assert run(pixels, (5, 2), weak)[3][:, 2].tolist() == [pytest.approx(0.6)]
    assert len(run(pixels, (5, 2), weak, threshold=0.2)[3]) == 2
    assert len(run(pixels, (5, 2), weak, threshold=0.7)[3]) == 0


@pytest.mark.parametrize("shape", [(1, 1), (5, 40), (40, 5)])
def test_empty_scenes_have_no_objects(shape):
    classes, scores, numbers, table = run(np.zeros(shape), (8, 3), Known(find=lambda chip: []))
    assert not classes.any()
    assert not scores.any()
    assert not numbers.any()
    assert len(table) == 0
    missing = run(np.zeros(shape), (8, 3), valid=np.zeros(shape, bool))
    assert (missing[0] == 255).all()


def test_scores_that_are_not_numbers_end_the_run():
    broken = Known(find=lambda chip: [(chip >= 0, 0, float("nan"))])
    with pytest.raises(GeosegError, match="not numbers"):
        run(np.ones((8, 8)), (8, 2), broken)


def test_closing_early_ends_all_threads():
    before = set(threading.enumerate())
    strips = predict_objects(work_of(scene((64, 64), 1, 9), Known(), (16, 4)), lambda tiles, count: None)
    next(strips)
    strips.close()
    assert set(threading.enumerate()) <= before


def test_slivers_that_only_the_border_of_a_tile_shows_are_dropped_and_whole_objects_are_not():
    pixels = np.zeros((16, 56), np.int64)
    pixels[2:6, 30:32] = 1  # at the end of the first tile of 32 with 8 shared; the second sees it whole
    pixels[8:12, 27:30] = 2

    def first_alone(chip):
        return Known.exact(chip) if chip[2, 30] == 1 and not chip[:, :24].any() else []

    def second_alone(chip):
        return Known.exact(chip) if chip[2, 6] == 1 else []

    _, _, numbers, _ = run(pixels, (32, 8), Known(find=first_alone))
    np.testing.assert_array_equal(numbers, pixels == 2)
    _, _, numbers, _ = run(pixels, (32, 8), Known(find=second_alone))
    np.testing.assert_array_equal(numbers, pixels)


@pytest.mark.parametrize("twice", ["first", "second", "both"])
def test_an_object_that_a_tile_finds_twice_is_one(twice):
    pixels = np.zeros((32, 56), np.int64)
    pixels[10:20, 20:36] = 1

    def find(chip):
        doubled = twice == "both" or (twice == "first") == (not chip[:, 0].any() and chip[:, -1].any())
        again = np.roll(chip > 0, 1, 0)
        return [(chip > 0, 0, 0.7)] + ([(again, 0, 0.9)] if doubled else [])

    _, _, numbers, table = run(pixels, (32, 8), Known(find=find))
    assert len(table) == 1
    assert ((numbers > 0) == (pixels > 0)).mean() > 0.95
