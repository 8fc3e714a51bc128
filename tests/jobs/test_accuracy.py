"""The packaged model on ground that it never saw, by the script that anyone can run."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "accuracy.py"


@pytest.mark.data
def test_buildings_are_found_in_northern_banepa(data_dir, tmp_path):
    folder, figures = data_dir / "fair_buildings", tmp_path / "figures.json"
    files = [folder / f"banepa_north_053m{ending}" for ending in (".tif", ".geojson")]
    subprocess.run([sys.executable, SCRIPT, *files, "--json", figures], check=True, timeout=300)
    measured = {entry["name"]: entry["value"] for entry in json.loads(figures.read_text())}
    assert measured["pixel iou"] >= 0.62
