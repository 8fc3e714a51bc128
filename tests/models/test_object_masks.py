"""Masks of objects: pasted from regions and taken from queries, in boxes as tight as can be."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from geoseg.models.answers import Target
from geoseg.models.instance import pasting
from geoseg.models.instance.masks import boxes_of, crops
from geoseg.models.instance.pasting import paste
from geoseg.models.instance.queries import Extent, query_objects, query_scores, segments

HEIGHT, WIDTH = 40, 56


def on_chip(boxes, masks, size=(HEIGHT, WIDTH)):
    """The objects' masks over the whole chip."""
    whole = torch.zeros(len(boxes), *size, dtype=torch.bool)
    for target, (left, top, right, bottom), mask in zip(whole, boxes.tolist(), masks, strict=True):
        target[top:bottom, left:right] = mask
    return whole


def reference(mask, box, size=(HEIGHT, WIDTH)):
    """The whole chip sampled from one mask by torch, object by object."""
    left, top, right, bottom = box.double()
    y = (torch.arange(size[0]).double() + 0.5 - top) / (bottom - top) * 2 - 1
    x = (torch.arange(size[1]).double() + 0.5 - left) / (right - left) * 2 - 1
    grid = torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1], dim=-1)[None]
    return functional.grid_sample(mask[None, None].double(), grid, align_corners=False)[0, 0]


def regions(seed, count=9, side=14):
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=generator) * torch.tensor([WIDTH, HEIGHT]) - 4
    size = torch.rand(count, 2, generator=generator) * 30 + 0.5
    smooth = functional.interpolate(torch.rand(count, 1, 4, 4, generator=generator), (side, side), mode="bilinear")
    return smooth[:, 0], torch.cat([corner, corner + size], dim=1)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10**6))
def test_pasted_masks_are_those_of_a_sampler_over_the_whole_chip(seed):
    masks, boxes = regions(seed)
    pasted = paste(masks, boxes, (HEIGHT, WIDTH))
    values = torch.stack([reference(mask, box) for mask, box in zip(masks, boxes, strict=True)])
    found = torch.zeros(values.shape, dtype=torch.bool)
    found[pasted.kept] = on_chip(pasted.boxes, pasted.masks)
    clear = (values - 0.5).abs() > 1e-4  # nearer to one half the last bits decide
    assert torch.equal(found[clear], (values >= 0.5)[clear])
    assert all(mask.any(0)[[0, -1]].all() and mask.any(1)[[0, -1]].all() for mask in pasted.masks), "boxes are tight"


def test_objects_are_pasted_alike_however_many_go_at_a_time(monkeypatch):
    masks, boxes = regions(3, count=30)
    whole = paste(masks, boxes, (HEIGHT, WIDTH))
    monkeypatch.setattr(pasting, "_MOST_PIXELS", 200)
    parts = paste(masks, boxes, (HEIGHT, WIDTH))
    assert torch.equal(whole.boxes, parts.boxes)
    assert torch.equal(whole.kept, parts.kept)
    assert all(torch.equal(one, other) for one, other in zip(whole.masks, parts.masks, strict=True))


def test_full_masks_fill_their_boxes_and_empty_ones_are_dropped():
    masks = torch.ones(4, 28, 28)
    masks[1] = 0.4
    boxes = torch.tensor([[2.0, 3, 10, 9], [2, 3, 10, 9], [-5, -5, 3, 4], [50, 30, 70, 60]])
    pasted = paste(masks, boxes, (HEIGHT, WIDTH))
    assert pasted.kept.tolist() == [0, 2, 3]
    assert pasted.boxes.tolist() == [[2, 3, 10, 9], [0, 0, 3, 4], [50, 30, 56, 40]]
    assert all(mask.all() for mask in pasted.masks)


def test_no_objects_give_none():
    pasted = paste(torch.zeros(0, 28, 28), torch.zeros(0, 4), (HEIGHT, WIDTH))
    assert pasted.boxes.shape == (0, 4)
    assert pasted.boxes.dtype == pasted.kept.dtype == torch.int64
    assert not pasted.masks


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10**6))
def test_boxes_and_crops_give_the_masks_back(seed):
    masks = torch.rand(5, 12, 17, generator=torch.Generator().manual_seed(seed)) > 0.97
    masks = masks[masks.flatten(1).any(1)]
    boxes = boxes_of(masks)
    rows, columns = masks.any(2).numpy(), masks.any(1).numpy()
    for (left, top, right, bottom), row, column in zip(boxes.tolist(), rows, columns, strict=True):
        assert (top, bottom) == (np.flatnonzero(row)[0], np.flatnonzero(row)[-1] + 1)
        assert (left, right) == (np.flatnonzero(column)[0], np.flatnonzero(column)[-1] + 1)
    assert torch.equal(on_chip(boxes, crops(masks, boxes), (12, 17)), masks)


def test_queries_become_objects_by_their_best_class():
    masks = torch.full((5, 6, 8), 0.1)
    masks[0, 1:3, 2:5] = 0.9
    masks[1, 4:, 6:] = 0.8
    masks[2] = 0.7
    masks[4, 0, 0] = 0.6
    classes = torch.tensor(
        [
            [0.1, 0.6, 0.1, 0.2],  # thing 0
            [0.0, 0.1, 0.9, 0.0],  # thing 1
            [0.8, 0.1, 0.1, 0.0],  # stuff
            [0.0, 0.9, 0.1, 0.0],  # a thing without a pixel
            [0.01, 0.02, 0.03, 0.94],  # nothing
        ]
    )
    found = query_objects(classes, masks, stuff=1)
    assert found.boxes.tolist() == [[6, 4, 8, 6], [2, 1, 5, 3]]
    assert found.labels.tolist() == [1, 0]
    assert found.scores.tolist() == pytest.approx([0.9 * 0.8, 0.6 * 0.9])
    assert all(mask.all() for mask in found.masks)
    expected = sum(classes[q, 0] * masks[q] for q in range(5)).clamp(max=1)
    assert torch.allclose(query_scores(classes, masks, stuff=1)[0], expected)


def test_masks_of_queries_are_cut_to_the_chip():
    logits = torch.zeros(1, 8, 8)
    logits[:, :4] = 9
    probabilities = Extent((32, 32), (20, 30)).probabilities(logits)
    assert probabilities.shape == (1, 20, 30)
    assert (probabilities[0, :12] > 0.99).all()
    assert (probabilities[0, 18:] - 0.5).abs().max() < 1e-6


def test_segments_are_the_stuff_that_shows_and_the_objects():
    masks = torch.zeros(2, 4, 6, dtype=torch.bool)
    masks[1, 1:3, 1:3] = True  # the first object lies outside the chip
    ground = torch.full((4, 6), 2)
    ground[:, 3:] = 255
    ground[1:3, 1:3] = 255
    target = Target(masks, torch.tensor([0, 1]), ground)
    found = segments([target], stuff=3, like=torch.zeros(1, 3, 8, 8))
    assert found.labels[0].tolist() == [2, 4]
    assert found.masks[0].shape == (2, 8, 8)
    assert torch.equal(found.masks[0][1, :4, :6].bool(), masks[1])
    assert torch.equal(found.masks[0][0, :4, :6].bool(), ground == 2)
    assert found.masks[0][:, 4:].sum() == found.masks[0][:, :, 6:].sum() == 0
