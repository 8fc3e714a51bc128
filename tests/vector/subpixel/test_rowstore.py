from __future__ import annotations

import numpy as np
import pytest

from geoseg.vector.spool import Spool
from geoseg.vector.subpixel import rowstore
from geoseg.vector.subpixel.rowstore import RowStore


@pytest.mark.parametrize("budget", [0, 1 << 20])
def test_rows_come_back_as_they_were_appended(budget, monkeypatch):
    monkeypatch.setattr(rowstore, "RELAXED_AFTER", 100)
    rows = np.random.default_rng(0).integers(0, 256, (50, 30), dtype=np.uint8)
    with Spool(budget=budget) as spool:
        store = RowStore(30, 50, spool)
        assert spool.on_disk(store._rows) == (budget == 0)
        for start in range(0, 50, 7):
            store.append(rows[start : start + 7])
            assert len(store) == min(start + 7, 50)
        assert np.array_equal(store.window(0, 50), rows)
        assert np.array_equal(store.window(13, 29), rows[13:29])
        assert np.shares_memory(store.window(13, 29), store.window(20, 30))
        assert store.window(9, 9).shape == (0, 30)


def test_rows_that_do_not_fit_or_did_not_come_are_refused():
    store = RowStore(4, 3, Spool())
    assert store.shape == (3, 4)
    store.append(np.zeros((2, 4), np.uint8))
    for strip in (np.zeros((2, 4), np.uint8), np.zeros((1, 5), np.uint8), np.zeros(4, np.uint8)):
        with pytest.raises(ValueError, match="expected 4 columns and at most 1 rows"):
            store.append(strip)
    for start, stop in ((0, 3), (-1, 2), (2, 1)):
        with pytest.raises(ValueError, match="expected some of the 2 that came"):
            store.window(start, stop)
