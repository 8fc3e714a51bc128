"""Objects matched with objects: by hand, by brute force, and panoptic quality as torchmetrics has it."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from geoseg.evaluation import matching
from geoseg.evaluation.matching import Objects, object_counts, one_to_one, overlaps
from geoseg.evaluation.quality import panoptic, stuff_segments, thing_segments
from tests.conftest import needed
from tests.evaluation.maps import pairs_of


def objects_of(seed: int, count: int) -> Objects:
    rng = np.random.default_rng(seed)
    left, size = rng.uniform(0, 60, (count, 2)), rng.uniform(2, 12, (count, 2))
    boxes = shapely.box(*left.T, *(left + size).T)
    return Objects(boxes, rng.integers(1, 3, count).astype(np.uint8), rng.random(count).astype(np.float32))


@pytest.mark.parametrize("chunk", [3, 20_000])
def test_overlaps_are_those_of_all_pairs(monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.setattr(matching, "CHUNK", chunk)
    truth, found = objects_of(1, 70), objects_of(2, 60)
    expected = {}
    for i, a in enumerate(truth.geometry):
        for j, b in enumerate(found.geometry):
            if truth.class_id[i] == found.class_id[j] and a.intersection(b).area > 0:
                expected[i, j] = a.intersection(b).area / a.union(b).area
    pairs, iou = overlaps(truth, found)
    assert [tuple(pair) for pair in pairs.tolist()] == sorted(expected)
    assert np.allclose(iou, [expected[key] for key in sorted(expected)])
    assert len(expected) > 20


def test_neighbours_that_only_touch_are_no_pair() -> None:
    one = Objects(np.array([shapely.box(0, 0, 1, 1)]), np.ones(1, np.uint8), np.zeros(1, np.float32))
    other = Objects(np.array([shapely.box(1, 0, 2, 1)]), np.ones(1, np.uint8), np.zeros(1, np.float32))
    assert len(overlaps(one, other)[0]) == 0


def test_the_surest_object_chooses_first() -> None:
    """Found 1 is surer, and takes the truth's 0 that overlaps it most; found 0 is left with nothing."""
    iou = [[0.9, 0.6], [0.0, 0.5]]
    assert one_to_one(pairs_of(iou, [0.3, 0.8]), 0.5, "score").tolist() == [-1, 0]
    assert one_to_one(pairs_of(iou, [0.8, 0.3]), 0.5, "score").tolist() == [0, 1]


def test_without_scores_the_best_pair_goes_first() -> None:
    iou = [[0.9, 0.6], [0.0, 0.5]]
    assert one_to_one(pairs_of(iou), 0.5, "score").tolist() == [0, 1]
    assert one_to_one(pairs_of(iou, [0.3, np.nan]), 0.5, "score").tolist() == [0, 1]
    assert one_to_one(pairs_of(iou), 0.55, "iou").tolist() == [0, -1]


def test_objects_are_counted_in_their_own_cells_and_classes() -> None:
    """Truth 0 is found by object 0; truth 1 is missed; object 1 is invented, of another class."""
    pairs = pairs_of(
        [[0.7, 0.0], [0.0, 0.0]],
        truth_class=[4, 1],
        found_class=[4, 1],
        cells=([0, 1], [1, 2]),
    )
    counts = object_counts(pairs, (0, 1, 4), 3)
    assert counts[0].tolist() == [[0, 0, 0], [0, 0, 0], [1, 0, 0]]
    assert counts[1].tolist() == [[0, 0, 0], [0, 0, 1], [0, 0, 0]]
    assert counts[2].tolist() == [[0, 0, 0], [0, 1, 0], [0, 0, 0]]


def test_panoptic_quality_is_that_made_by_hand() -> None:
    """One pair at 0.8, one at exactly a half that does not count, one object missed beside it, and one invented."""
    segments = thing_segments(pairs_of([[0.8, 0, 0], [0, 0.5, 0]]), (0, 1), 1)
    assert segments[0, 1].tolist() == [1, 0.8, 1, 2]
    found = panoptic(segments[0, 1])
    assert float(found["pq"]) == pytest.approx(0.8 / 2.5)
    assert float(found["sq"]) == pytest.approx(0.8)
    assert float(found["rq"]) == pytest.approx(1 / 2.5)


def test_stuff_is_one_segment_of_a_scene() -> None:
    confusion = np.array([[50, 5, 0], [5, 30, 0], [10, 0, 0]])
    assert stuff_segments(confusion)[1].tolist() == [1, 30 / 40, 0, 0]
    assert stuff_segments(confusion)[2].tolist() == [0, 0, 1, 0]


def test_panoptic_quality_is_torchmetrics() -> None:
    """Things and stuff on one picture; their ids are (class, instance) there."""
    detection = needed("torchmetrics.detection")
    torch = needed("torch")
    rng = np.random.default_rng(3)
    truth, found = np.zeros((2, 60, 60, 2), np.int64)
    for i, (y, x) in enumerate([(2, 2), (2, 20), (20, 2), (20, 20), (40, 40)], 1):
        truth[y : y + 10, x : x + 10] = 1, i
        dy, dx = rng.integers(0, 5, 2)
        found[y + dy : y + dy + 10, x + dx : x + dx + 10] = 1, i
    truth[50:, :30, 0], found[52:, :28, 0] = 4, 4
    iou = np.zeros((5, 5))
    for i in range(5):
        for j in range(5):
            a, b = (truth[..., 1] == i + 1), (found[..., 1] == j + 1)
            iou[i, j] = (a & b).sum() / (a | b).sum()
    index = {0: 0, 1: 1, 4: 2}
    places = [np.vectorize(index.get)(each[..., 0]) for each in (truth, found)]
    confusion = np.bincount(places[0].ravel() * 3 + places[1].ravel(), minlength=9).reshape(3, 3)
    segments = thing_segments(pairs_of(iou), (0, 1, 4), 1)[0]
    segments[2] = stuff_segments(confusion)[2]
    metric = detection.PanopticQuality(things={1}, stuffs={0, 4}, return_per_class=True, return_sq_and_rq=True)
    expected = metric(torch.tensor(found[None]), torch.tensor(truth[None])).numpy().reshape(-1, 3)
    order = {c: i for i, c in enumerate([1, 0, 4])}
    ours = panoptic(segments)
    assert 0 < ours["rq"][1] < 1
    for place, class_id in ((1, 1), (2, 4)):
        assert np.allclose([ours[key][place] for key in ("pq", "sq", "rq")], expected[order[class_id]])
