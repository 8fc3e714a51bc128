import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geoseg.core.detections import Detections
from geoseg.core.tiling import Tiling
from geoseg.inference.objects.grouping import grouped
from geoseg.inference.objects.joiner import Joiner
from geoseg.inference.objects.neighbours import near


def boxes_of(count, seed, size):
    rng = np.random.default_rng(seed)
    start = rng.integers(0, 60, (count, 2))
    return np.concatenate([start, start + rng.integers(1, size + 1, (count, 2))], 1)


@settings(max_examples=100, derandomize=True, deadline=None)
@given(count=st.integers(0, 60), old=st.integers(0, 60), seed=st.integers(0, 999), size=st.sampled_from([1, 6, 40]))
def test_boxes_that_meet_or_touch_are_found_once_each(count, old, seed, size):
    boxes, old = boxes_of(count, seed, size), min(old, count)
    pairs, _ = near(boxes, old)
    expected = [
        (a, b)
        for a in range(old, count)
        for b in range(a)
        if (boxes[a, :2] <= boxes[b, 2:]).all() and (boxes[b, :2] <= boxes[a, 2:]).all()
    ]
    assert [tuple(pair) for pair in pairs] == expected


@pytest.mark.parametrize("large", [0, 20])
def test_a_crowd_is_compared_in_linear_time(large):
    tested = []
    for side in (40, 80, 160):
        y, x = np.divmod(np.arange(side * side), side)
        boxes = np.stack([x * 10, y * 10, x * 10 + 12, y * 10 + 12], 1)
        boxes[:large] = [0, 0, 200, 200]
        pairs, count = near(boxes, 0)
        assert len(pairs) > side * side
        tested.append(count)
    assert tested[1] < 4.6 * tested[0]
    assert tested[2] < 4.6 * tested[1]
    assert tested[0] < 60 * 1600 + 2000 * large


def test_views_that_stay_apart_are_joined_through_nobody():
    alone = np.arange(6)
    chain = np.array([(0, 2), (2, 3), (3, 1), (4, 5), (1, 4)])
    assert grouped(alone, chain, np.zeros((0, 2), int)).tolist() == [0] * 6
    assert grouped(alone, chain, np.array([(0, 1)])).tolist() == [0, 1, 0, 0, 1, 1]
    assert grouped(alone, chain[::-1], np.array([(0, 1)])).tolist() == [0, 1, 1, 1, 1, 1]
    before = np.array([0, 0, 2, 2, 2, 5])
    assert grouped(before, np.array([(4, 1)]), np.array([(3, 0)])).tolist() == before.tolist()
    assert grouped(before, np.array([(4, 1)]), np.array([(3, 5)])).tolist() == [0, 0, 0, 0, 0, 5]


def squares(tiling, tile, pitch, size):
    """What a tile sees of squares of `size` pixels, one each `pitch` pixels."""
    found = []
    for top in range(0, tiling.y.size, pitch):
        for left in range(0, tiling.x.size, pitch):
            box = [
                max(left, tile.x.start) - tile.x.start,
                max(top, tile.y.start) - tile.y.start,
                min(left + size, tile.x.stop, tiling.x.size) - tile.x.start,
                min(top + size, tile.y.stop, tiling.y.size) - tile.y.start,
            ]
            if box[0] < box[2] and box[1] < box[3]:
                found.append(box)
    boxes = np.array(found, np.int32).reshape(-1, 4)
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    offsets = np.concatenate([[0], np.cumsum(areas)]).astype(np.int64)
    return Detections(
        boxes, np.ones(offsets[-1], bool), offsets, np.ones(len(boxes), np.uint8), np.full(len(boxes), 0.9, np.float32)
    )


def test_what_is_held_follows_from_the_width_and_not_from_the_height():
    held = {}
    for height in (150, 600):
        tiling = Tiling.over((height, 200), 50, 10)
        joiner, most, objects = Joiner(tiling, tiling.whole()), [0, 0, 0], 0
        for row in range(tiling.y.count):
            seen = [(c, squares(tiling, tiling.tile(row, c), 10, 8)) for c in range(tiling.x.count)]
            settled = joiner.add_row(row, seen)
            objects += len(settled.objects)
            most = np.maximum(most, [joiner.open_groups, len(joiner.views), joiner.views.masks.size])
        assert objects == height // 10 * 20
        assert joiner.open_groups == len(joiner.views) == 0
        held[height] = most.tolist()
    assert held[600] == held[150]
    assert 0 < held[600][0] <= 2 * 20, "objects in the rows that the next tiles share"


def test_an_object_that_stays_open_holds_back_its_rows_and_its_neighbours_alone():
    tiling = Tiling.over((200, 20), 20, 10)
    joiner, stops, waiting = Joiner(tiling, tiling.whole()), [], []
    for row in range(tiling.y.count):
        small = (20 * 2, [2, 4, 6, 6])  # left, top, right, bottom: one for each tile, which the tile above sees too
        boxes = np.array([[10, 5 if row == 0 else 0, 12, 20 if row < 10 else 5], small[1]], np.int32)
        areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
        offsets = np.concatenate([[0], np.cumsum(areas)]).astype(np.int64)
        seen = Detections(
            boxes, np.ones(offsets[-1], bool), offsets, np.array([1, 2], np.uint8), np.array([0.9, 0.8], np.float32)
        )
        settled = joiner.add_row(row, [(0, seen)])
        stops.append(settled.stop)
        waiting.append(joiner.open_groups)
    assert stops == [5] * 10 + [10 * row for row in range(11, 19)] + [200], (
        "it begins in row 5, and tile row 10 ends it"
    )
    assert max(waiting) == 1
