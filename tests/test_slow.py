"""What takes minutes: run by `make test-slow`."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import geopandas as gpd
import pytest
import rasterio

from tests.jobs.test_predict import blobs, scene_of
from tests.toy import write_toy_bundle

ROOT = Path(__file__).parents[1]
KILLS = 25

pytestmark = pytest.mark.slow


def test_peak_memory_depends_on_the_width_not_on_the_height(tmp_path):
    figures = tmp_path / "figures.json"
    subprocess.run([sys.executable, ROOT / "benchmarks" / "memory.py", "--json", figures], check=True)
    short, tall = (json.loads(figures.read_text())[rows]["added_anonymous"] for rows in ("8192", "65536"))
    assert max(short, tall) <= 0.6e9
    assert tall / short == pytest.approx(1, abs=0.05)


def test_whenever_a_job_is_killed_a_file_under_a_final_name_is_complete(tmp_path):
    model = write_toy_bundle(tmp_path / "m.safetensors", kind="threshold")
    scene_of(tmp_path / "scene.tif", blobs((1500, 1500)), compress="deflate")
    words = ["predict", "scene.tif", "-m", str(model), "-o", "out.gpkg", "--raster", "out.tif", "--overwrite"]
    command = [sys.executable, "-m", "geoseg_cli", *words]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'cli'}"}
    for _ in range(2):  # the first run fills the system's caches
        started = time.monotonic()
        subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True)
        takes = time.monotonic() - started
    expected = len(gpd.read_file(tmp_path / "out.gpkg"))
    with rasterio.open(tmp_path / "out.tif") as raster:
        pixels = raster.read(1)
    chance, killed = random.Random(0), 0
    for _ in range(KILLS):
        for name in ("out.gpkg", "out.tif"):
            (tmp_path / name).unlink(missing_ok=True)
        process = subprocess.Popen(
            command, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(chance.uniform(0.4, 1) * takes)
        process.send_signal(signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
        if (tmp_path / "out.gpkg").exists():
            assert len(gpd.read_file(tmp_path / "out.gpkg")) == expected
        if (tmp_path / "out.tif").exists():
            with rasterio.open(tmp_path / "out.tif") as raster:
                assert (raster.read(1) == pixels).all()
    assert killed > KILLS / 2


def verdicts(tmp_path: Path, *words: str) -> list[dict]:
    """What `benchmarks/vectors.py` says of itself."""
    figures = tmp_path / "figures.json"
    command = [sys.executable, ROOT / "benchmarks" / "vectors.py", *words, "--json", figures]
    subprocess.run(command, check=True)
    found = [verdict for table in json.loads(figures.read_text()) for verdict in table["verdicts"]]
    assert found
    return found


def test_two_hundred_masks_become_exact_polygons(tmp_path):
    assert all(verdict["met"] for verdict in verdicts(tmp_path, "--only", "exactness", "--land-cover", "1024"))


def test_open_polygons_take_no_more_memory_than_their_budget(tmp_path):
    rows = ("--rows", "2048", "4096", "8192", "--budget", "64", "--larger-budgets", "256")
    assert all(verdict["met"] for verdict in verdicts(tmp_path, "--only", "memory", *rows))
