"""One run of geoseg with a real network, in a process of its own; prints what it took as one line of JSON.

    python benchmarks/network_run.py BACKEND PRECISION SCENE WARM_UP BUNDLE OUTPUT.tif

The clock runs from before the scene is opened until the class raster stands under its final name. Imports, loading the
bundle and one run on the small scene WARM_UP come before, as for the peers.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from gauge import Gauge

from geoseg.jobs.plan import plan
from geoseg.jobs.run import run
from geoseg.jobs.spec import PredictJob, job_from
from geoseg.models import load_model


def job_for(scene: Path, output: Path, backend: str, precision: str) -> PredictJob:
    """The job that writes a class raster."""
    return job_from(
        {
            "scene": {"paths": [str(scene)]},
            "model": "benchmark",
            "inference": {"backend": backend, "precision": precision, "device": "cpu"},
            "output": {"raster": str(output), "overwrite": True},
        }
    )


def main() -> None:
    """Parse the command line, warm up, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("backend", "precision"):
        parser.add_argument(name)
    for name in ("scene", "warm_up", "bundle", "output"):
        parser.add_argument(name, type=Path)
    asked = parser.parse_args()
    model = load_model(asked.bundle)
    run(plan(job_for(asked.warm_up, asked.output, asked.backend, asked.precision), model))
    with Gauge() as gauge:
        run(plan(job_for(asked.scene, asked.output, asked.backend, asked.precision), model))
    print(json.dumps({**gauge.report(), "torch": torch.__version__, "threads": torch.get_num_threads()}))


if __name__ == "__main__":
    main()
