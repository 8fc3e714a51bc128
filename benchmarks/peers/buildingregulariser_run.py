"""buildingregulariser on polygons in metres; prints seconds of each trial as a line of JSON, and writes what came.

    python benchmarks/peers/buildingregulariser_run.py POLYGONS.gpkg FOLDER PIXEL

PIXEL is in metres. Each trial takes the documented function with tolerances that suit the pixels.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import geopandas as gpd
from buildingregulariser import regularize_geodataframe


def main(path: Path, folder: Path, pixel: float) -> None:
    """Regularise with a few tolerances."""
    polygons = gpd.read_file(path)
    trials = {
        "defaults": {},
        "1 pixel": {"simplify_tolerance": pixel, "parallel_threshold": 2 * pixel},
        "1.5 pixels": {"simplify_tolerance": 1.5 * pixel, "parallel_threshold": 3 * pixel},
        "1.5 pixels, no diagonals": {
            "simplify_tolerance": 1.5 * pixel, "parallel_threshold": 3 * pixel, "allow_45_degree": False,
        },
        "2 pixels": {"simplify_tolerance": 2 * pixel, "parallel_threshold": 4 * pixel},
    }  # fmt: skip
    seconds = {}
    for number, (name, options) in enumerate(trials.items()):
        started = time.perf_counter()
        found = regularize_geodataframe(polygons, num_cores=1, **options)
        seconds[name] = time.perf_counter() - started
        found.to_file(folder / f"{number}.gpkg")
    print(json.dumps(seconds))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]))
