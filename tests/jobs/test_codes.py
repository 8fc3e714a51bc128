from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from geoseg.core.classes import NODATA
from geoseg.errors import SceneError
from geoseg.jobs.codes import Codes, integers

DTYPES = st.sampled_from([np.uint8, np.int8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.float32])


@st.composite
def rasters(draw):
    dtype = np.dtype(draw(DTYPES))
    low, high = (-(2**20), 2**20) if dtype.kind == "f" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    low, high = max(low, -(2**31)), min(high, 2**31 - 1)
    values = draw(st.lists(st.integers(int(low), int(high)), min_size=1, max_size=200, unique=True))
    picked = draw(arrays(np.int64, (5, 9), elements=st.integers(0, len(values) - 1)))
    valid = draw(st.none() | arrays(np.bool_, (5, 9)))
    return np.array(values, dtype=dtype)[picked], valid


@given(rasters())
def test_every_value_has_one_code_and_comes_back(raster):
    pixels, valid = raster
    codes = Codes("x.tif")
    ids = codes.encode(pixels, valid)
    known = np.full(pixels.shape, True) if valid is None else valid
    assert ids.dtype == np.uint8
    assert ((ids == NODATA) == ~known).all()
    assert [codes.values[i] for i in ids[known]] == [int(v) for v in pixels[known]]
    assert set(codes.values.values()) == {int(v) for v in pixels[known]}


def test_values_keep_their_own_number_where_it_is_free():
    codes = Codes("x.tif")
    assert codes.encode(np.array([[0, 255, 7]], np.uint8), None).tolist() == [[0, 254, 7]]
    assert codes.encode(np.array([[254, 255]], np.uint8), None).tolist() == [[253, 254]]
    assert codes.values == {0: 0, 254: 255, 7: 7, 253: 254}


def test_codes_given_ahead_are_kept():
    codes = Codes("x.tif")
    assert codes.code(1000) == 254
    assert codes.encode(np.array([[1000, 3]], np.int32), None).tolist() == [[254, 3]]


def test_too_many_values_are_refused():
    with pytest.raises(SceneError, match=r"x.tif: found more than 255 different values.*--instances.*--threshold"):
        Codes("x.tif").encode(np.arange(300, dtype=np.int32)[None], None)


def test_fractions_are_refused_and_whole_floats_are_not():
    valid = np.array([[True, False]])
    assert integers(np.array([[2.0, np.nan]]), valid, "x.tif").tolist() == [[2, 0]]
    with pytest.raises(SceneError, match=r"x.tif: found values such as 0.25; .*--threshold"):
        integers(np.array([[1.0, 0.25]]), None, "x.tif")
