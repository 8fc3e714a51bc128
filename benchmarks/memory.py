"""Peak memory beyond start-up, for a short and for a long scene: it depends on the width, not on the height.

    python benchmarks/memory.py [--rows 8192 65536] [--outputs tif gpkg] [--repetitions 3] [--json figures.json]

A zero-cost model of 8 classes, tile 512, overlap 128, scenes 8192 pixels wide; class raster and polygons are written.
Every run is a process of its own, and the median of several counts; start-up is what it holds after all imports and a
warm-up on a small scene. `anonymous` is the memory that the process allocated (RssAnon, sampled); `rss` adds the pages
of mapped files (the kernel's exact peak).
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path

import numpy as np
from children import CACHE, HERE, machine, measure
from synthetic import blob_scores, write_scene

CLASSES, WIDTH = 8, 8192
TARGET_BYTES, TARGET_GROWTH = 0.6e9, 0.05


def peak(rows: int, endings: list[str], repetitions: int) -> dict[str, float]:
    """What runs on a scene of that many rows took: the median of each figure."""
    CACHE.mkdir(parents=True, exist_ok=True)
    scores = CACHE / f"scores-{CLASSES}.npy"
    np.save(scores, blob_scores(CLASSES))
    scene = write_scene(CACHE / f"rows-{rows}.tif", (rows, WIDTH), repetitive=True)
    warm_up = write_scene(CACHE / "warm-up.tif", (1024, 1024))
    outputs = [CACHE / f"memory.{ending}" for ending in endings]
    command = [sys.executable, HERE / "geoseg_run.py", scene, warm_up, scores, *outputs]
    runs = [measure(command) for _ in range(repetitions)]
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}


def main() -> None:
    """Parse the command line, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="+", type=int, default=[8192, 65536])
    parser.add_argument("--outputs", nargs="+", default=["tif", "gpkg"], help="endings of the files to write")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    asked = parser.parse_args()
    print(machine())
    print(f"{CLASSES} classes, {WIDTH} pixels wide, writing {', '.join(asked.outputs)}; MB beyond start-up at the peak")
    print(f"  {'rows':>6} {'rss':>7} {'anonymous':>10} {'start-up rss':>13} {'polygons':>9} {'Mpx/s':>6}")
    figures = {}
    for rows in asked.rows:
        found = figures[rows] = peak(rows, asked.outputs, asked.repetitions)
        speed = rows * WIDTH / 1e6 / found["seconds"]
        print(
            f"  {rows:6} {found['added_rss'] / 1e6:7.0f} {found['added_anonymous'] / 1e6:10.0f} "
            f"{found['start_rss'] / 1e6:13.0f} {found['polygons']:9.0f} {speed:6.1f}",
            flush=True,
        )
    for kind in ("rss", "anonymous"):
        peaks = [found[f"added_{kind}"] for found in figures.values()]
        ratio = peaks[-1] / peaks[0]
        met = max(peaks) <= TARGET_BYTES and abs(ratio - 1) <= TARGET_GROWTH
        print(f"{kind}: last / first {ratio:.3f}; at most 600 MB, within 5 %: {'met' if met else 'MISSED'}")
    if asked.json:
        asked.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
