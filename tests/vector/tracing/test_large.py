from __future__ import annotations

import numpy as np
import pytest

from geoseg.vector.tracing import large
from geoseg.vector.tracing.rings import Pace, patient


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [([], [0]), ([3], [0, 1]), ([9, 9], [0, 1, 2]), ([1, 2, 3, 1], [0, 2, 4]), ([1, 9, 1, 1], [0, 1, 2, 4])],
)
def test_runs_are_as_long_as_they_may_be(sizes, expected):
    assert large._runs(np.array(sizes, np.int64), 4) == expected


def test_patience_ends_with_the_blocks_that_may_be_looked_at():
    pace = Pace(np.array([2]), np.full(4, -1), 3)
    assert [patient(pace, entry) for entry in (0, 7, 8, 3, 15, 16)] == [True] * 5 + [False]
    assert patient(None, 5)


def test_rings_are_put_into_rows_and_sorted_there():
    generator = np.random.default_rng(0)
    corner = generator.permutation(np.unique(generator.integers(5, 20, 500) << 32 | generator.integers(0, 99, 500)))
    starts = np.append(0, np.cumsum(np.bincount((corner >> 32) - 5)))
    order, filled = np.empty(len(corner), np.int64), starts.copy()
    for start in range(0, len(corner), 100):
        large.put(corner, (start, min(len(corner), start + 100)), 5, filled, order)
    large.sort(corner, order, starts)
    assert np.array_equal(order, np.argsort(corner))
