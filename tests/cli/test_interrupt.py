from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from tests.factory import make_raster
from tests.toy import write_toy_bundle


@pytest.mark.parametrize(
    ("number", "pauses"), [(signal.SIGINT, []), (signal.SIGTERM, []), (signal.SIGINT, [0.01] * 8 + [0.1] * 4)]
)
def test_a_job_that_is_told_to_end_leaves_nothing_behind(tmp_path, number, pauses):
    make_raster(tmp_path / "scene.tif", data=np.zeros((3, 3000, 3000), dtype=np.uint8), compress="deflate", tiled=True)
    write_toy_bundle(tmp_path / "toy.safetensors", kind="threshold", tile_size=32, overlap=8)
    before = sorted(path.name for path in tmp_path.iterdir())
    words = "predict scene.tif -m toy.safetensors -o o.gpkg --raster r.tif --scores s.tif --threads 1 --progress jsonl"
    job = subprocess.Popen(
        [sys.executable, "-m", "geoseg_cli", *words.split()],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert job.stdout is not None
    for line in job.stdout:
        if json.loads(line).get("stage") == "predicting":
            break
    job.send_signal(number)
    for pause in pauses:
        time.sleep(pause)
        job.send_signal(number)
    out, err = job.communicate(timeout=300)
    last = json.loads(out.splitlines()[-1])
    assert job.returncode == 130, err
    assert (last["type"], last["code"], last["exit_code"]) == ("error", "interrupted", 130)
    assert err.strip() == "geoseg: interrupted"
    assert sorted(path.name for path in tmp_path.iterdir()) == before
