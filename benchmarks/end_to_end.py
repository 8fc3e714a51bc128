"""A scene from file to class raster with a real network, beside geoai's predict_geotiff with the same weights.

    python benchmarks/end_to_end.py [--images FOLDER] [--no-peers] [--size 3072] [--repetitions 3]
        [--backends torch openvino]

The network is a U-Net with a resnet34; tile 512, overlap 128. The scene is put together from the imagery in FOLDER
(rasters of three bands of bytes), or made up. Every run is a process of its own, and all take turns; a ratio is the
median of the ratios of single turns. The peer runs in an environment of its own (`.venv-peers/`, several GB).

"same class" is the share of pixels to which a run gives the class that geoai gives. It is not 100 %: the two place the
last tiles of a row otherwise (geoseg mirrors what is missing, geoai moves the tile back), and blend by other windows.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from children import CACHE, HERE, machine, measure
from peers.environment import peer_python
from real_pixels import mosaic, scenes_of, write_mosaic
from synthetic import write_scene
from unet_bundle import unet_model

TARGETS = {"fp32": 2.5, "bf16": 4.5}
PEER = "geoai fp32"


def prepare(images: Path | None, size: int) -> tuple[Path, Path]:
    """The scene and a small one to warm up on."""
    CACHE.mkdir(parents=True, exist_ok=True)
    if images is None:
        small = write_scene(CACHE / "warm-up.tif", (1024, 1024))
        return write_scene(CACHE / f"scene-{size}.tif", (size, size)), small
    scenes = scenes_of(images)
    return (
        write_mosaic(CACHE / f"mosaic-{size}.tif", mosaic(scenes, size)),
        write_mosaic(CACHE / "mosaic-warm-up.tif", mosaic(scenes, 1024)),
    )


def programs(scene: Path, small: Path, bundle: Path, backends: list[str], peer: Path | None) -> dict[str, list[Any]]:
    """The commands by name, the peer's first; each ends with its output."""
    found: dict[str, list[Any]] = {}
    if peer is not None:
        found[PEER] = [peer, HERE / "peers" / "geoai_network.py", scene, small, bundle]
    for backend in backends:
        for precision in TARGETS:
            run = [sys.executable, HERE / "network_run.py", backend, precision, scene, small, bundle]
            found[f"{backend} {precision}"] = run
    return found


def output_of(name: str) -> Path:
    """Where a run's class raster goes."""
    return CACHE / f"end-to-end-{name.replace(' ', '-')}.tif"


def same_class(name: str) -> float:
    """The share of pixels to which a run gave the class that the peer gave."""
    with rasterio.open(output_of(name)) as ours, rasterio.open(output_of(PEER)) as theirs:
        return float(np.mean(ours.read(1) == theirs.read(1)))


def main() -> None:
    """Parse the command line, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, help="a folder of rasters of three bands of bytes")
    parser.add_argument("--bundle", type=Path, help="a U-Net resnet34 bundle to use, trained for instance")
    parser.add_argument("--no-peers", action="store_true", help="geoseg alone")
    parser.add_argument("--peer-python", type=Path, help="interpreter of an environment that has the peers already")
    parser.add_argument("--backends", nargs="+", default=["torch", "openvino"], help="torch, onnx, openvino, compile")
    parser.add_argument("--size", type=int, default=3072, help="rows and columns of the scene")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    asked = parser.parse_args()
    print(machine())
    scene, small = prepare(asked.images, asked.size)
    model = unet_model(asked.bundle, CACHE / "unet-resnet34.safetensors")
    peer = None if asked.no_peers else asked.peer_python or peer_python()
    commands = programs(scene, small, model.path, asked.backends, peer)
    reports: dict[str, list[dict[str, Any]]] = {name: [] for name in commands}
    for turn in range(asked.repetitions):
        for name, command in commands.items():
            print(f"  {name}, run {turn + 1} of {asked.repetitions}", file=sys.stderr, flush=True)
            output_of(name).unlink(missing_ok=True)
            reports[name].append(measure([*command, output_of(name)]))
    figures = show(reports, asked.size)
    if asked.json:
        asked.json.write_text(json.dumps(figures, indent=1))


def show(reports: dict[str, list[dict[str, Any]]], size: int) -> dict[str, dict[str, float]]:
    """Print a table, and return what stands in it."""
    print(
        f"  {'':16} {'seconds':>8} {'Mpx/s':>7} {'times faster':>13} {'target':>7} {'memory GB':>10} {'same class':>11}"
    )
    figures: dict[str, dict[str, float]] = {}
    for name, runs in reports.items():
        seconds = statistics.median(r["seconds"] for r in runs)
        found = {"seconds": seconds, "added_rss": max(r["added_rss"] for r in runs)}
        if PEER in reports:
            pairs = zip(reports[PEER], runs, strict=True)
            found["ratio"] = statistics.median(p["seconds"] / r["seconds"] for p, r in pairs)
            found["same_class"] = same_class(name)
        target = TARGETS[name.split()[1]] if name != PEER and PEER in reports else None
        missed = target is not None and found["ratio"] < target
        ratio, same = found.get("ratio", float("nan")), found.get("same_class", float("nan"))
        print(
            f"  {name:16} {seconds:8.1f} {size * size / 1e6 / seconds:7.2f} {ratio:12.2f}x "
            f"{target or float('nan'):7.1f} {found['added_rss'] / 1e9:10.2f} {same:10.2%}"
            f"{'  MISSED' if missed else ''}"
        )
        figures[name] = found
    return figures


if __name__ == "__main__":
    main()
