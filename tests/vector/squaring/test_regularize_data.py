"""Squared outlines of real footprints against the footprints, as the benchmark measures them."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"


@pytest.mark.data
@pytest.mark.parametrize("scene", ["banepa_west_053m", "kampala_a", "zanzibar_a"])
def test_squared_footprints_are_nearer_the_truth_than_simplified_ones_and_stay_together(data_dir, monkeypatch, scene):
    monkeypatch.syspath_prepend(BENCHMARKS)
    squaring = importlib.import_module("squaring").squaring
    rows = squaring([data_dir / "fair_buildings" / f"{scene}.geojson"])
    found = {row["system"]: row for row in rows}
    ours, simple = found["geoseg"], found["Douglas-Peucker"]
    assert ours["iou"] > max(simple["iou"], found["exact outlines"]["iou"]) + 0.01
    assert ours["vertices"] < 8
    assert ours["walls"] > 0
    assert ours["opened"] == ours["invalid"] == ours["blocks_overlapping"] == 0
    assert ours["overlap_inside_m2"] == ours["overlap_between_m2"] == 0
    assert simple["opened"] > 0
