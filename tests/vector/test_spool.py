from __future__ import annotations

import gc

import numpy as np
import pytest

from geoseg.errors import WriteError
from geoseg.vector.spool import Spool

KB = 1 << 10


def test_arrays_go_to_files_beyond_the_budget(tmp_path):
    with Spool(tmp_path, budget=10 * KB) as spool:
        small, large = spool.empty((2, KB), np.int32), spool.empty(KB, np.int64)
        assert (small.shape, small.dtype, large.shape, large.dtype) == ((2, KB), np.int32, (KB,), np.int64)
        assert [spool.on_disk(array) for array in (small, large)] == [False, True]
        small[:], large[:] = 1, 2
        spool.relax()
        assert (small == 1).all()
        assert (large == 2).all()


def test_an_array_that_is_not_used_any_more_takes_no_budget(tmp_path):
    with Spool(tmp_path, budget=10 * KB) as spool:
        first = spool.empty(8 * KB, np.uint8)
        assert spool.held == 8 * KB
        spool.release(first[3:])  # by any view of it
        assert spool.held == 0
        second = spool.empty((8, KB), np.uint8)
        view = second[1:]
        del second
        gc.collect()
        assert spool.held == 8 * KB
        del view
        gc.collect()
        assert spool.held == 0
        assert not spool.on_disk(spool.empty(KB, np.int64))


def test_longer_arrays_begin_with_what_was_there(tmp_path):
    with Spool(tmp_path, budget=15 * KB) as spool:
        array = spool.empty((KB, 2), np.int16)
        array[:] = np.arange(2 * KB).reshape(KB, 2)
        places = []
        for length in (2 * KB, 4 * KB, 9 * KB):
            array = spool.longer(array, length)
            places.append(spool.on_disk(array))
            assert array.shape == (length, 2)
            assert np.array_equal(array[:KB], np.arange(2 * KB).reshape(KB, 2))
        assert places == [False, True, True]
        assert spool.held == 0


def test_nothing_is_created_before_it_is_needed_and_nothing_is_left(tmp_path):
    missing = tmp_path / "missing"
    spool = Spool(missing, budget=KB)
    spool.empty(KB, np.uint8)
    spool.relax()
    spool.close()
    assert not missing.exists()
    with Spool(tmp_path, budget=0) as spool:
        array = spool.empty(KB, np.uint8)
        array[:] = 7
    spool.close()
    assert (array == 7).all()
    assert list(tmp_path.iterdir()) == []


def test_an_empty_array_can_be_asked_for(tmp_path):
    with Spool(tmp_path, budget=0) as spool:
        assert spool.empty((0, 2), np.int32).shape == (0, 2)


def test_a_folder_that_cannot_be_written_is_told_of(tmp_path):
    spool = Spool(tmp_path / "missing", budget=0)
    with pytest.raises(WriteError, match=r"missing: open polygons outgrew 0 MB.*name another folder"):
        spool.empty(KB, np.uint8)


def test_a_full_disk_is_told_of_before_anything_is_written(tmp_path):
    with Spool(tmp_path, budget=0) as spool, pytest.raises(WriteError, match="Free some space"):
        spool.empty(1 << 60, np.uint8)


def test_a_closed_spool_gives_nothing():
    spool = Spool()
    spool.close()
    with pytest.raises(ValueError, match="closed"):
        spool.empty(1, np.uint8)
