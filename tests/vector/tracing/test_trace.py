from __future__ import annotations

import numpy as np
import pytest

from geoseg.vector.tracing import trace
from geoseg.vector.tracing.store import new_columns


@pytest.mark.parametrize(("dtype", "value", "step"), [(np.uint8, 3, 8), (np.int32, 70_000, 2), (np.int32, -3, 2)])
def test_words_of_equal_pixels_are_passed_over_up_to_the_first_other_pixel(dtype, value, step):
    columns = new_columns(40, 255, dtype)
    columns.lines[:, trace.PAD : trace.PAD + 40] = value
    columns.lines[1, trace.PAD + 17] = 4
    assert trace._skip(columns, 0, value) == 16
    assert trace._skip(columns, 16 + step, value) == 40
    assert trace._skip(columns, 0, value - 1) == 0


@pytest.mark.parametrize("dtype", [np.uint8, np.int32])
@pytest.mark.parametrize("width", [1, 7, 8, 16, 17])
def test_skipping_never_leaves_the_lines(width, dtype):
    columns = new_columns(width, 255, dtype)
    assert trace._skip(columns, 0, 255) <= columns.lines.shape[1] - trace.PAD


@pytest.mark.parametrize("value", [-7, 0, 3, 255, 70_000])
def test_kinds_of_values(value):
    values = trace.Values(background=3, nodata=255, grouping=trace.ALONE)
    expected = {3: trace.BACKGROUND, 255: trace.NODATA}.get(value, trace.FOREGROUND)
    assert trace.kind_of(value, values) == expected
