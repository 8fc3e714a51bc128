"""Pixels near outlines: by hand, and as scipy erodes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geoseg.evaluation.boundary import boundary_counts, near_outlines, reach_of
from tests.conftest import needed


def test_the_rim_of_a_square_is_as_wide_as_asked_on_both_sides() -> None:
    values = np.zeros((9, 9), np.uint8)
    values[2:7, 2:7] = 1
    near = near_outlines(values, (1, 1))
    assert near[values == 1].sum() == 25 - 9
    assert near[values == 0].sum() == 49 - 25


def test_rows_and_columns_have_reaches_of_their_own() -> None:
    values = np.zeros((7, 7), np.uint8)
    values[3, 3] = 1
    near = near_outlines(values, (2, 1))
    assert np.array_equal(np.argwhere(near).min(axis=0), [1, 2])
    assert near.sum() == 5 * 3


@pytest.mark.parametrize("reach", [1, 2, 3, 5])
def test_outlines_are_what_erosion_takes_away(reach: int) -> None:
    ndimage = needed("scipy.ndimage")
    values = ndimage.zoom(np.random.default_rng(reach).integers(0, 3, (8, 9)), 5, order=0).astype(np.uint8)
    near = near_outlines(values, (reach, reach))
    for value in range(3):
        mask = values == value
        inner = ndimage.binary_erosion(mask, np.ones((3, 3)), iterations=reach, border_value=1)
        assert np.array_equal(near & mask, mask & ~inner)


def test_unknown_ground_makes_no_outline() -> None:
    values = np.array([[1, 1, 255, 0, 0, 0]], np.uint8)
    assert near_outlines(values, (1, 1)).tolist() == [[False] * 6]
    assert near_outlines(values, (1, 2)).tolist() == [[False, True, False, True, False, False]]


def test_counts_are_those_made_by_hand() -> None:
    truth = np.array([[0, 0, 1, 1, 1, 255]], np.uint8)
    found = np.array([[0, 0, 0, 1, 1, 1]], np.uint8)
    near = near_outlines(truth, (1, 1)), near_outlines(found, (1, 1))
    assert near[0].tolist() == [[False, True, True, False, False, False]]
    assert near[1].tolist() == [[False, False, True, True, False, False]]
    assert boundary_counts((truth, near[0]), (found, near[1]), 2).tolist() == [[0, 1, 1], [0, 1, 1]]
    both = np.ones_like(near[0])
    assert boundary_counts((truth, both), (found, both), 2).tolist() == [[2, 2, 3], [2, 3, 2]]


def test_a_width_on_the_ground_becomes_pixels() -> None:
    assert reach_of(1.0, (0.25, 0.5)) == (4, 2)
    assert reach_of(1.0, (10.0, 10.0)) == (1, 1)
    assert reach_of(1.0, None) == (1, 1)


@settings(max_examples=40, derandomize=True)
@given(st.integers(0, 10**6), st.integers(1, 4), st.integers(1, 4))
def test_windows_with_a_halo_know_as_much_as_the_whole(seed: int, down: int, across: int) -> None:
    values = np.random.default_rng(seed).choice(np.array([0, 1, 2, 255], np.uint8), (23, 11), p=[0.6, 0.2, 0.1, 0.1])
    whole = near_outlines(values, (down, across))
    part = near_outlines(values[8 - down : 15 + down], (down, across))
    assert np.array_equal(part[down : down + 7], whole[8:15])
