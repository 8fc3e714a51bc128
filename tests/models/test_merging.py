"""Objects and stuff of a chip on one map."""

import numpy as np
import pytest
import torch

from geoseg.models.answers import Objects
from geoseg.models.panoptic import Merging, merge_panoptic
from geoseg.models.panoptic.merging import NOTHING

PLAIN = Merging(stuff_area=1)


def objects(*parts):
    """Objects of (left, top, right, bottom, label, score), masks full."""
    boxes = torch.tensor([part[:4] for part in parts], dtype=torch.int64).reshape(-1, 4)
    masks = [torch.ones(bottom - top, right - left, dtype=torch.bool) for left, top, right, bottom, *_ in parts]
    labels = torch.tensor([part[4] for part in parts], dtype=torch.int64)
    return Objects(boxes, labels, torch.tensor([float(part[5]) for part in parts]), masks)


def halves(height=8, width=10):
    """Two kinds of stuff, the second on the right half."""
    scores = np.full((2, height, width), 0.3, np.float32)
    scores[0, :, : width // 2] = 0.6
    scores[1, :, width // 2 :] = 0.6
    return scores


def test_better_objects_lie_above_worse_ones_and_stuff_fills_the_rest():
    found = merge_panoptic(objects((0, 0, 4, 4, 0, 0.6), (2, 0, 6, 4, 1, 0.9)), halves(), PLAIN)
    assert found.kept.tolist() == [1, 0]
    assert (found.instances[:4, 2:6] == 1).all()
    assert (found.instances[:4, :2] == 2).all()
    assert (found.classes[:4, 2:6] == 3).all()
    assert (found.classes[:4, :2] == 2).all()
    assert (found.instances[4:] == 0).all()
    assert (found.classes[4:, :5] == 0).all()
    assert (found.classes[4:, 5:] == 1).all()


@pytest.mark.parametrize(("width", "kept"), [(6, [0, 1]), (7, [0])])
def test_objects_that_are_mostly_covered_are_dropped(width, kept):
    found = merge_panoptic(objects((0, 0, width, 4, 0, 0.9), (2, 0, 10, 4, 0, 0.8)), halves(), PLAIN)
    assert found.kept.tolist() == kept
    assert (found.instances[:4, width:] == (2 if len(kept) == 2 else 0)).all()


def test_unsure_objects_are_left_out_and_ties_go_to_the_first():
    found = merge_panoptic(objects((0, 0, 3, 3, 0, 0.7), (0, 0, 3, 3, 1, 0.7), (5, 5, 8, 8, 0, 0.49)), halves(), PLAIN)
    assert found.kept.tolist() == [0]
    assert (found.classes[:3, :3] == 2).all()
    assert found.instances.max() == 1


def test_little_stuff_is_removed():
    found = merge_panoptic(objects((5, 0, 10, 7, 0, 0.9)), halves(), Merging(stuff_area=6))
    assert (found.classes[7, 5:] == NOTHING).all(), "five pixels are left of the second kind"
    assert (found.classes[:, :5] == 0).all()


def test_tensors_and_arrays_give_the_same_and_no_objects_are_no_trouble():
    scores = halves()
    found, again = (merge_panoptic(objects(), values, PLAIN) for values in (scores, torch.from_numpy(scores)))
    assert np.array_equal(found.classes, again.classes)
    assert np.array_equal(found.classes, scores.argmax(0))
    assert not found.instances.any()
    assert len(found.kept) == 0
