import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geoseg.core.tiling import Tiling
from tests.inference.objects.drawn import scene, shapes, tilings
from tests.inference.objects.known import ROOF, TREE, Known, in_order, label_of, run, score_of


@settings(max_examples=150, deadline=None)
@given(shape=shapes, tiling=tilings, batch=st.integers(1, 4), seed=st.integers(0, 9999), count=st.integers(0, 12))
def test_every_object_is_whole_whatever_the_tiles(shape, tiling, batch, seed, count):
    pixels = scene(shape, seed, count)
    classes, _, numbers, table = run(pixels, tiling, batch=batch)
    expected, order = in_order(pixels)
    np.testing.assert_array_equal(numbers, expected)
    ids = np.array([0, *((ROOF, TREE)[label_of(n)] for n in order)])
    np.testing.assert_array_equal(classes, ids[expected])
    np.testing.assert_allclose(table[:, 2], [score_of(n) for n in order], atol=1e-6)
