"""Anchors are fitted to the objects: more of them match than with those made for photographs."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from geoseg.errors import ModelError
from geoseg.models import create_model
from geoseg.models.instance import fit_anchors
from geoseg.models.instance.anchors import matched
from geoseg.models.instance.regions import ANCHOR_RATIOS, ANCHOR_SIZES


def houses(count=300, typical=20.0, seed=0):
    """Heights and widths of buildings at half a metre: around `typical` pixels, up to twice as long as wide."""
    generator = np.random.default_rng(seed)
    side = typical * np.exp(0.4 * generator.standard_normal(count))
    ratio = np.exp2(generator.uniform(-1, 1, count))
    return np.stack([side * ratio**0.5, side * ratio**-0.5], axis=1)


def test_small_buildings_match_far_more_often_than_with_the_usual_anchors():
    found = fit_anchors(houses())
    assert matched(houses(), ANCHOR_SIZES, ANCHOR_RATIOS) < 0.5
    assert found.share > 0.9
    assert found.share == pytest.approx(matched(houses(), found.sizes, found.ratios), abs=1e-4)


@settings(deadline=None, max_examples=4)
@given(typical=st.floats(8, 300), seed=st.integers(0, 1000))
def test_fitted_anchors_are_never_worse_than_the_usual_ones(typical, seed):
    sizes = houses(60, typical, seed)
    found = fit_anchors(sizes)
    assert found.share >= round(matched(sizes, ANCHOR_SIZES, ANCHOR_RATIOS), 4)
    shuffled = np.random.default_rng(seed).permutation(sizes)
    assert fit_anchors(shuffled) == found, "the order of the objects does not matter"


def test_long_objects_get_long_anchors():
    found = fit_anchors([(10.0, 40.0 + i % 7) for i in range(50)])
    assert min(found.ratios) < 0.4
    assert found.share > 0.8


def test_the_share_counts_objects_between_anchors():
    huge = [(512.0, 512.0)]
    assert matched(huge, ANCHOR_SIZES, ANCHOR_RATIOS) == 1
    assert matched([(64.0, 64.0)], [64.0], [1.0]) == 1, "a grid of four pixels leaves no gaps"
    assert matched([(8.0, 8.0)], [1e-3, 1e-3, 1e-3, 1e-3, 8.0], [1.0]) < 0.1, "a grid of sixty-four does"


def test_anchors_are_options_of_a_network_as_a_card_carries_them():
    options = json.loads(json.dumps(fit_anchors(houses(), levels=5).options))
    with torch.device("meta"):
        network = create_model("mask-rcnn", encoder="resnet18", in_channels=3, classes=1, **options)
    assert network.rpn.head.cls_logits.out_channels == len(options["anchor_ratios"])
    assert network.rpn.anchor_generator.sizes == tuple((size,) for size in options["anchor_sizes"])


@pytest.mark.parametrize("sizes", [[], [(3.0, 0.0)], [(1.0, 2.0, 3.0)], [(np.nan, 2.0)]])
def test_sizes_that_are_none_are_refused(sizes):
    with pytest.raises(ModelError, match=r"labels and imagery overlap"):
        fit_anchors(sizes)
