"""One run of geoseg with a zero-cost model, in a process of its own; prints what it took as one line of JSON.

    python benchmarks/geoseg_run.py SCENE WARM_UP SCORES.npy OUTPUT [OUTPUT ...]

The network hands out scores that were made before, so that all the time is reading, blending, deciding and writing. The
clock runs from before the scene is opened until its outputs stand under their final names; imports and one run on the
small scene WARM_UP come before. The outputs' endings say what they are.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from gauge import Gauge
from synthetic import OVERLAP, RESOLUTION, TILE
from torch import Tensor
from zero_cost import ZeroCost

from geoseg.core.card import ModelCard
from geoseg.core.classes import ClassInfo, ClassSet
from geoseg.jobs.plan import plan
from geoseg.jobs.run import run
from geoseg.jobs.spec import PredictJob, job_from
from geoseg.models import LoadedModel

COLOURS = ("#000000", "#e41a1c", "#377eb8", "#4daf4a", "#984ea3", "#ff7f00", "#ffff33", "#a65628")


def zero_cost_model(scores: Tensor) -> LoadedModel:
    """The network with its card."""
    names = ["background", *(f"class {i}" for i in range(1, scores.shape[1]))]
    listed = (ClassInfo(id=i, name=name, colour=COLOURS[i]) for i, name in enumerate(names))
    card = ModelCard(
        name="zero-cost",
        version="1",
        task="any",
        description="Hands out scores that were made before.",
        architecture="zero-cost",
        bands=("red", "green", "blue"),
        resolution=RESOLUTION,
        resolution_range=(RESOLUTION, RESOLUTION),
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        classes=ClassSet(classes=tuple(listed)),
        activation="none",
        tile_size=TILE,
        overlap=OVERLAP,
        license="MIT",
    )
    return LoadedModel(card, ZeroCost(scores).eval(), Path("zero-cost"), "0" * 64)


def job_for(scene: Path, outputs: list[Path]) -> PredictJob:
    """The job that writes the outputs, each of the kind that its ending says."""
    named = {"raster" if path.suffix == ".tif" else "vector": str(path) for path in outputs}
    return job_from({"scene": {"paths": [str(scene)]}, "model": "zero-cost", "output": {**named, "overwrite": True}})


def main() -> None:
    """Parse the command line, warm up, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scene", type=Path)
    parser.add_argument("warm_up", type=Path)
    parser.add_argument("scores", type=Path)
    parser.add_argument("outputs", type=Path, nargs="+")
    asked = parser.parse_args()
    model = zero_cost_model(torch.from_numpy(np.load(asked.scores)))
    run(plan(job_for(asked.warm_up, asked.outputs), model))
    with Gauge() as gauge:
        result = run(plan(job_for(asked.scene, asked.outputs), model))
    polygons = sum((result.summary["polygons"] or {}).values())
    print(json.dumps({**gauge.report(), "polygons": polygons, "tiles": result.summary["tiles"]["planned"]}))


if __name__ == "__main__":
    main()
