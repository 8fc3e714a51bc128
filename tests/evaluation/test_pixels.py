"""Counts of pixels: by hand, and as torchmetrics counts them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from geoseg.evaluation.pixels import confusion, iou, ratio, score_counts
from tests.conftest import needed

TRUTH = np.array([[0, 0, 1, 1], [2, 2, 255, 255]], np.uint8)
FOUND = np.array([[0, 1, 1, 255], [2, 0, 1, 255]], np.uint8)


def test_counts_are_those_made_by_hand() -> None:
    """The missing prediction on a 1 counts as background, the two pixels of unknown truth do not count."""
    assert confusion(TRUTH, FOUND, (0, 1, 2)).tolist() == [[1, 1, 0], [1, 1, 0], [1, 0, 1]]


def test_the_order_of_classes_is_that_asked_for() -> None:
    assert confusion(TRUTH, FOUND, (2, 1, 0)).tolist() == [[1, 0, 1], [0, 1, 1], [0, 1, 1]]


def test_without_a_background_missing_predictions_are_left_out() -> None:
    assert confusion(TRUTH, FOUND, (1, 2), background=None).tolist() == [[1, 0], [0, 1]]


def test_classes_that_are_not_asked_for_are_left_out_of_the_truth_and_background_in_the_map() -> None:
    assert confusion(TRUTH, FOUND, (0, 1)).tolist() == [[1, 1], [1, 1]]


def test_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(2, 4\).*\(4,\)"):
        confusion(TRUTH, FOUND[0], (0, 1))


def test_ratios_are_torchmetrics() -> None:
    classification = needed("torchmetrics.functional.classification")
    rng = np.random.default_rng(1)
    truth = rng.choice([0, 1, 3, 255], (97, 83)).astype(np.uint8)
    found = rng.choice([0, 1, 3], truth.shape).astype(np.uint8)
    order = np.array([0, 1, 255, 2])
    theirs = {
        "target": torch.tensor(np.where(truth == 255, 255, order[truth % 252])),
        "preds": torch.tensor(order[found]),
    }
    settings = {"num_classes": 3, "ignore_index": 255}
    ours = confusion(truth, found, (0, 1, 3))
    assert np.array_equal(ours, classification.multiclass_confusion_matrix(**theirs, **settings))
    expected = classification.multiclass_jaccard_index(**theirs, **settings, average="none")
    assert np.allclose(iou(np.diag(ours), ours.sum(1), ours.sum(0)), expected, atol=1e-6)


def test_scores_are_counted_by_the_truth() -> None:
    scores = np.array([[0, 127, 254, 255], [200, 200, 3, 255]], np.uint8)
    counts = score_counts(TRUTH, scores, (0, 1, 2), 0)
    assert {(kind, score): int(n) for (kind, score), n in np.ndenumerate(counts) if n} == {
        (0, 0): 1,
        (0, 127): 1,
        (1, 254): 1,
        (1, 200): 2,
    }


def test_ratios_of_nothing_are_unknown() -> None:
    assert np.isnan(ratio(0, 0))
    assert ratio([1, 2], [2, 0])[0] == 0.5
