"""Average precision: by hand, and as pycocotools computes it."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest

from geoseg.evaluation.coco import LEAST, ranked
from geoseg.evaluation.counts import Pairs
from geoseg.evaluation.matching import Objects, overlaps
from tests.conftest import needed
from tests.evaluation.maps import pairs_of

ONE = np.ones(1)


def test_average_precision_is_that_made_by_hand() -> None:
    """Hit, miss, hit of two: precision 1 up to recall 0.5 (51 of 101 recalls), then 2/3."""
    pairs = pairs_of([[0.6, 0, 0], [0, 0, 0.6]], [0.9, 0.8, 0.7])
    found = ranked([pairs], [0], 1).average_precision(ONE)
    assert found[:2] == pytest.approx([(51 + 50 * 2 / 3) / 101] * 2)
    assert found[LEAST > 0.6 + 1e-9] == pytest.approx(0)


def test_nothing_found_is_nothing_and_nothing_there_is_unknown() -> None:
    assert ranked([pairs_of(np.zeros((2, 0)), [])], [0], 1).average_precision(ONE).tolist() == [0.0] * 10
    assert np.isnan(ranked([pairs_of(np.zeros((0, 2)), [0.1, 0.2])], [0], 1).average_precision(ONE)).all()


def test_unknown_scores_have_no_order() -> None:
    assert ranked([pairs_of([[0.6]])], [0], 1) is None


def test_cells_that_were_drawn_twice_count_twice() -> None:
    """The same as a scene in which all objects of the cell are there twice."""
    iou, scores = np.array([[0.9, 0, 0, 0], [0, 0, 0.7, 0], [0, 0, 0, 0.55]]), [0.9, 0.8, 0.7, 0.6]
    cells = [0, 1, 1], [0, 0, 1, 1]
    drawn = ranked([pairs_of(iou, scores, cells=cells)], [0], 1).average_precision(np.array([1.0, 2.0]))
    twice = np.zeros((5, 6))
    twice[:3, :4], twice[3:, 4:] = iou, iou[1:, 2:]
    known = ranked([pairs_of(twice, [*scores, 0.7, 0.6])], [0], 1).average_precision(ONE)
    assert drawn == pytest.approx(known, abs=0.02)  # copies come one after the other there, and at once here
    assert ranked([pairs_of(iou, scores, cells=cells)], [0], 1).average_precision(np.ones(2))[0] != drawn[0]


def rectangles(rng, count):
    start = rng.integers(0, 90, (count, 2))
    return np.column_stack([start, start + rng.integers(6, 30, (count, 2))])


def scene_of(seed: int):
    """Integer rectangles of two classes: the truth's, and those found near them or anywhere."""
    import shapely

    rng = np.random.default_rng(seed)
    truth = rectangles(rng, 20)
    moved = truth[rng.random(20) < 0.8]
    found = np.concatenate([moved + rng.integers(-3, 4, moved.shape), rectangles(rng, 8)]).clip(0, 127)
    classes = rng.integers(1, 3, len(truth)), rng.integers(1, 3, len(found))
    scores = np.concatenate([rng.uniform(0.3, 1, len(moved)), rng.uniform(0, 0.7, 8)]).astype(np.float32)
    sides = [
        Objects(shapely.box(*boxes.T), c.astype(np.uint8), s)
        for boxes, c, s in zip((truth, found), classes, (np.zeros(20), scores), strict=True)
    ]
    pairs, iou = overlaps(*sides)
    none = np.zeros(len(truth), np.int32), np.zeros(len(found), np.int32)
    return (truth, found), Pairs(sides[0].class_id, sides[1].class_id, scores, *none, pairs, iou)


def encoded(mask_api, box):
    mask = np.zeros((128, 128), np.uint8, order="F")
    mask[box[1] : box[3], box[0] : box[2]] = 1
    return {**mask_api.encode(mask), "area": int(mask.sum())}


def test_average_precision_is_that_of_pycocotools() -> None:
    coco, evaluation, mask_api = (needed(f"pycocotools.{name}") for name in ("coco", "cocoeval", "mask"))
    scenes = [scene_of(seed) for seed in range(4)]
    truths, founds = [], []
    for image, ((truth, found), pairs) in enumerate(scenes, 1):
        for boxes, classes, into in ((truth, pairs.truth_class, truths), (found, pairs.found_class, founds)):
            for i, (box, class_id) in enumerate(zip(boxes, classes, strict=True)):
                mask = encoded(mask_api, box)
                area = mask.pop("area")
                entry = {"image_id": image, "category_id": int(class_id), "segmentation": mask, "iscrowd": 0}
                if into is founds:
                    entry["score"] = float(pairs.found_score[i])
                into.append({**entry, "id": len(into) + 1, "area": area})
    with contextlib.redirect_stdout(io.StringIO()):
        known = coco.COCO()
        known.dataset = {
            "images": [{"id": i, "height": 128, "width": 128} for i in range(1, 5)],
            "categories": [{"id": 1}, {"id": 2}],
            "annotations": truths,
        }
        known.createIndex()
        theirs = evaluation.COCOeval(known, known.loadRes(founds), "segm")
        theirs.params.maxDets = [1000]
        theirs.params.areaRng, theirs.params.areaRngLbl = [[0, 1e10]], ["all"]
        theirs.evaluate()
        theirs.accumulate()
    precision = theirs.eval["precision"][:, :, :, 0, 0].mean(axis=1)
    for class_id in (1, 2):
        ours = ranked([pairs for _, pairs in scenes], [0] * 4, class_id).average_precision(ONE)
        assert 0.1 < ours[0] < 0.9
        assert ours == pytest.approx(precision[:, class_id - 1])
