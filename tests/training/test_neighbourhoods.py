import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from geoseg.training.neighbourhoods import distances, edge_sites, highest_within, lowest_within, numbered

grids = st.integers(0, 10_000).map(
    lambda seed: torch.from_numpy(
        np.random.default_rng(seed).integers(0, 4, np.random.default_rng(seed).integers(1, 9, 2))
    )
)


@given(grids, st.sampled_from([0.5, 1.0, 1.5, 2.3, 3.0, 5.0]))
@settings(derandomize=True, deadline=None, max_examples=60)
def test_extremes_are_those_of_the_disk(values, distance):
    height, width = values.shape
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    highest, lowest = (torch.zeros_like(values) for _ in range(2))
    for y in range(height):
        for x in range(width):
            near = values[(rows - y) ** 2 + (columns - x) ** 2 <= distance**2]
            highest[y, x], lowest[y, x] = near.max(), near.min()
    assert torch.equal(highest_within(values.int(), distance).long(), highest)
    assert torch.equal(lowest_within(values.int(), distance).long(), lowest)


@given(grids, st.sampled_from([0.4, 1.0, 2.5, 4.0, 20.0]))
@settings(derandomize=True, deadline=None, max_examples=60)
def test_distances_are_those_of_scipy(values, farthest):
    sites = values == 1
    expected = np.full(sites.shape, np.inf)
    if sites.any():
        expected = ndimage.distance_transform_edt(~sites.numpy())
    expected[expected > farthest] = np.inf
    np.testing.assert_allclose(distances(sites, farthest).numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("most", [50, 1 << 23])
def test_numbers_have_no_gaps_and_keep_their_order(most):
    ids, count = numbered(torch.tensor([[0, 7, 7], [most, 0, 3]], dtype=torch.int32))
    assert count == 3
    assert ids.tolist() == [[0, 2, 2], [3, 0, 1]]
    ids, count = numbered(torch.full((2, 2), most))
    assert count == 1
    assert ids.tolist() == [[1, 1], [1, 1]]
    assert numbered(torch.zeros(2, 2, dtype=torch.int32))[1] == 0


def test_edges_lie_on_both_sides_but_not_beside_unknown_ground():
    classes = torch.tensor([[0, 0, 4, 4, 4, 255, 0]])
    objects = torch.tensor([[0, 0, 1, 1, 2, 0, 0]])
    assert edge_sites(classes, objects).tolist() == [[False, True, True, True, True, False, False]]
