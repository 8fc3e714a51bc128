"""Megapixels per second with a model that costs nothing: what reading, tiling, blending, deciding and writing take.

    python benchmarks/orchestration.py [--no-peers] [--repetitions 5] [--size 8192] [--json figures.json]

The scene is a SIZE x SIZE RGB GeoTIFF of bytes, tiled and DEFLATE-compressed, that compresses like imagery; tile 512,
overlap 128, with 2 and with 8 classes; the result is a class raster on disk. Every run is a process of its own; the
clock starts before the scene is opened and stops when the result is complete; imports and a warm-up on a small scene
come before. Peers run in an environment of their own, which is made on first use (several GB).
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from children import CACHE, HERE, machine, measure
from peers.environment import peer_python
from synthetic import blob_scores, write_scene

TARGET = 25  # Mpx/s on two cores, for a scene of the full size
FULL_SIZE = 8192
CLASSES = (2, 8)
PEERS = ("geoai-predict-geotiff", "geoai-semantic", "monai")


@dataclass(frozen=True, slots=True)
class Trial:
    """One scene, one number of classes: what every system is given. `scores` is an .npy file."""

    scene: Path
    warm_up: Path
    scores: Path
    pixels: int

    def output(self, system: str) -> Path:
        """Where a system's class raster goes."""
        return CACHE / f"{self.scores.stem}-{system}.tif"

    def run(self, system: str, python: Path | None) -> dict[str, Any]:
        """What one run took."""
        program = [sys.executable, HERE / "geoseg_run.py"]
        if python is not None:
            program = [python, HERE / "peers" / "peer_run.py", system]
        self.output(system).unlink(missing_ok=True)
        return measure([*program, self.scene, self.warm_up, self.scores, self.output(system)])

    def agreement(self, system: str) -> float:
        """The share of pixels to which a system gave the class that geoseg gave; blending differs, so it is below 1."""
        with rasterio.open(self.output("geoseg")) as ours, rasterio.open(self.output(system)) as theirs:
            return float(np.mean(ours.read(1) == theirs.read(1)))


def prepare(size: int, classes: int) -> Trial:
    """The trial, its files made unless they are there already."""
    CACHE.mkdir(parents=True, exist_ok=True)
    scores = CACHE / f"scores-{classes}.npy"
    np.save(scores, blob_scores(classes))
    scene = write_scene(CACHE / f"scene-{size}.tif", (size, size))
    return Trial(scene, write_scene(CACHE / "warm-up.tif", (1024, 1024)), scores, size * size)


def compare(trial: Trial, pythons: Mapping[str, Path | None], repetitions: int) -> dict[str, dict[str, float]]:
    """Figures of each system; the systems take turns, so that a slow minute of the machine hits all of them."""
    reports: dict[str, list[dict[str, Any]]] = {system: [] for system in pythons}
    for repetition in range(repetitions):
        for system, python in pythons.items():
            print(f"  {system}, run {repetition + 1} of {repetitions}", file=sys.stderr, flush=True)
            reports[system].append(trial.run(system, python))
    return {
        system: {
            "mpx_per_second": trial.pixels / 1e6 / statistics.median(r["seconds"] for r in runs),
            "slowest": trial.pixels / 1e6 / max(r["seconds"] for r in runs),
            "fastest": trial.pixels / 1e6 / min(r["seconds"] for r in runs),
            "cpu_seconds": statistics.median(r["cpu_seconds"] for r in runs),
            "added_rss": max(r["added_rss"] for r in runs),
            "agreement": trial.agreement(system),
        }
        for system, runs in reports.items()
    }


def show(figures: dict[str, dict[str, float]]) -> None:
    """Print a table."""
    print(f"  {'':22} {'Mpx/s':>7} {'(range)':>15} {'geoseg is':>10} {'CPU s':>7} {'memory GB':>10} {'same class':>11}")
    ours = figures["geoseg"]["mpx_per_second"]
    for system, found in figures.items():
        spread = f"({found['slowest']:.1f} - {found['fastest']:.1f})"
        ratio = f"{ours / found['mpx_per_second']:.1f} x"
        print(
            f"  {system:22} {found['mpx_per_second']:7.1f} {spread:>15} {ratio:>10} {found['cpu_seconds']:7.1f} "
            f"{found['added_rss'] / 1e9:10.2f} {found['agreement']:10.1%}"
        )


def main() -> None:
    """Parse the command line, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--no-peers", action="store_true", help="geoseg alone")
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=PEERS, help="which peers (default: all)")
    parser.add_argument("--peer-python", type=Path, help="interpreter of an environment that has the peers already")
    parser.add_argument("--classes", nargs="+", type=int, choices=range(2, 9), default=CLASSES)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--size", type=int, default=FULL_SIZE, help="rows and columns of the scene")
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    asked = parser.parse_args()
    pythons: dict[str, Path | None] = {"geoseg": None}
    if not asked.no_peers:
        python = asked.peer_python or peer_python()
        pythons |= dict.fromkeys(asked.peers, python)
    print(machine())
    figures = {}
    for classes in asked.classes:
        print(f"{classes} classes, {asked.size} x {asked.size} pixels, median of {asked.repetitions}")
        figures[classes] = compare(prepare(asked.size, classes), pythons, asked.repetitions)
        show(figures[classes])
    if asked.json:
        asked.json.write_text(json.dumps(figures, indent=1))
    if asked.size < FULL_SIZE:
        return  # in a small scene the start and the end weigh too much
    slowest = min(found["geoseg"]["mpx_per_second"] for found in figures.values())
    print(f"target {TARGET} Mpx/s on two cores: {'met' if slowest >= TARGET else 'MISSED'} ({slowest:.1f})")


if __name__ == "__main__":
    main()
