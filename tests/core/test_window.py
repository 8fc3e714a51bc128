import numpy as np
import pytest

from geoseg.core.window import UNIT, ramp, window


@pytest.mark.parametrize("overlap", [0, 1, 2, 3, 7, 64, 127, 128, 256])
def test_neighbouring_ramps_sum_to_one_exactly(overlap):
    rising = ramp(overlap)
    assert rising.dtype == np.float32
    np.testing.assert_array_equal(rising + rising[::-1], np.ones(overlap))
    np.testing.assert_array_equal(rising * UNIT, np.rint(rising * UNIT))
    assert (np.diff(rising) >= 0).all()


def test_windows_are_one_sided_at_the_scenes_ends():
    assert (window(8, 2, first=True, last=True) == 1).all()
    assert window(8, 2, first=True, last=False)[0] == 1
    assert window(8, 2, first=True, last=False)[-1] < 0.5
    assert window(8, 2, first=False, last=True)[0] < 0.5
    assert window(8, 2, first=False, last=True)[-1] == 1


def test_products_of_weights_sum_to_one_exactly_in_float32():
    rising = ramp(37)
    across = np.stack([rising, rising[::-1]])
    total = sum(np.outer(a, b) for a in across for b in across)
    assert total.dtype == np.float32
    assert (total == 1).all()
