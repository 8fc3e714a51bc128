"""A first convolution for other bands."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from geoseg.errors import ModelError
from geoseg.models.pretrained import inflate

RGB = ("red", "green", "blue")
SENTINEL_2 = ("coastal", "blue", "green", "red", "rededge071", "nir", "swir16")


def weight(bands, seed=0):
    return torch.randn(5, bands, 3, 3, generator=torch.Generator().manual_seed(seed))


def test_filters_stay_as_they_are_for_the_same_bands():
    known = weight(3)
    assert torch.equal(inflate(known, RGB, RGB), known)


@given(st.permutations(SENTINEL_2))
def test_bands_in_another_order_take_their_own_filters_along(order):
    known = weight(len(SENTINEL_2))
    found = inflate(known, SENTINEL_2, order)
    assert torch.equal(found, known[:, [SENTINEL_2.index(name) for name in order]])


def test_a_band_that_takes_the_place_of_another_is_the_average_and_all_keep_their_size():
    known = weight(3)
    found = inflate(known, RGB, ("nir", "red", "green"))
    assert torch.equal(found[:, 1:], known[:, :2])
    assert torch.allclose(found[:, 0], known.mean(1))


@given(st.integers(1, 12), st.integers(1, 12))
def test_bands_without_a_known_name_share_the_sum_of_all_filters(known_count, wanted_count):
    known = weight(known_count)
    found = inflate(known, (None,) * known_count, (None,) * wanted_count)
    assert found.shape == (5, wanted_count, 3, 3)
    assert torch.allclose(found.sum(1), known.sum(1), atol=1e-5)
    assert torch.allclose(found[:, 0], known.mean(1) * known_count / wanted_count, atol=1e-6)


def test_one_more_band_leaves_the_answer_to_equal_bands_at_its_size():
    known = torch.rand(5, 3, 3, 3)
    grey = torch.rand(1, 1, 8, 8)
    before = functional.conv2d(grey.expand(1, 3, 8, 8), known)
    after = functional.conv2d(grey.expand(1, 4, 8, 8), inflate(known, RGB, (*RGB, "nir")))
    assert torch.allclose(before, after, atol=1e-5)


def test_fewer_bands_are_as_loud_as_all_were():
    known = torch.ones(2, 7, 1, 1)
    assert torch.allclose(inflate(known, SENTINEL_2, ("red", "nir")), torch.full((2, 2, 1, 1), 3.5))


def test_two_equal_dates_give_the_answer_of_one():
    known, chip = weight(3), torch.rand(1, 3, 8, 8)
    dates = tuple(f"{name}@{date}" for date in (1, 2) for name in RGB)
    found = inflate(known, RGB, dates)
    assert torch.allclose(found[:, 0], known[:, 0] / 2)
    twice = functional.conv2d(torch.cat([chip, chip], 1), found)
    assert torch.allclose(twice, functional.conv2d(chip, known), atol=1e-5)


def test_dates_that_the_weights_know_are_told_apart():
    dates = ("red@1", "nir@1", "red@2", "nir@2")
    known = weight(4)
    assert torch.equal(inflate(known, dates, dates), known)
    assert torch.equal(inflate(known, dates, dates[2:] + dates[:2]), known[:, [2, 3, 0, 1]])


@pytest.mark.parametrize("shape", [(8, 1, 3, 3), (8, 3)])
def test_filters_of_groups_are_refused(shape):
    with pytest.raises(ModelError, match=r"cannot be adapted"):
        inflate(torch.zeros(shape), RGB, RGB)
