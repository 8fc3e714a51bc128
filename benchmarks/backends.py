"""How fast a network runs by each backend, beside torch as it is: U-Net resnet34, chips of 512 x 512.

    python benchmarks/backends.py [--images FOLDER] [--repetitions 9] [--threads 2] [--compile] [--json figures.json]

"torch as it is" is the network as it was made, float32, channels first, as a script of one's own would run it. All
backends take turns in one process; a ratio is the median of the ratios of single turns, and "best" that of the fastest
turns, which a busy machine disturbs less. Labels are compared on the
imagery in FOLDER (rasters of three bands of bytes) with the packaged model of buildings, which is a trained one, and
with the U-Net; without FOLDER on noise with the U-Net alone.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from children import CACHE, machine
from real_pixels import mosaic, scenes_of
from torch import Tensor, nn
from unet_bundle import unet_model

from geoseg.errors import GeosegError
from geoseg.inference.device import choose
from geoseg.models import LoadedModel, load_model
from geoseg.models.backends import prepared
from geoseg.models.settings import Settings

TARGETS = {("torch", "fp32"): 1.4, ("torch", "bf16"): 3.0, ("openvino", "fp32"): 2.0, ("openvino", "bf16"): 4.0}
AGREEMENT = {"fp32": 0.999, "bf16": 0.995}
OTHERS = (("onnx", "fp32"),)
COMPILED = (("compile", "fp32"), ("compile", "bf16"))
TILE = 512

Runs = dict[tuple[str, str], nn.Module]


def runs_of(model: LoadedModel, threads: int, asked: list[tuple[str, str]]) -> Runs:
    """What can be run here, by backend and precision; a line on standard error for what cannot."""
    found: Runs = {}
    for backend, precision in asked:
        settings = Settings(torch.device("cpu"), precision, threads)
        print(f"  preparing {backend} {precision} for {model.card.name}", file=sys.stderr, flush=True)
        try:
            found[backend, precision] = prepared(model.module, model.card, backend, settings)
        except GeosegError as error:
            print(f"  {backend} {precision}: {error}", file=sys.stderr)
    return found


def ratios(model: LoadedModel, runs: Runs, chip: Tensor, repetitions: int) -> dict[tuple[str, str], dict[str, float]]:
    """Seconds of each, and how many times faster than the network as it is, beside the plain run before it."""
    seconds: dict[tuple[str, str], list[float]] = {key: [] for key in runs}
    faster: dict[tuple[str, str], list[float]] = {key: [] for key in runs}
    plain: list[float] = []
    for module in (model.module, *runs.values()):
        for _ in range(2):
            module(chip)
    for turn in range(repetitions):
        print(f"  turn {turn + 1} of {repetitions}", file=sys.stderr, flush=True)
        for key, module in runs.items():
            plain.append(_timed(model.module, chip))
            seconds[key].append(_timed(module, chip))
            faster[key].append(plain[-1] / seconds[key][-1])
    print(f"torch as it is: {statistics.median(plain) * 1000:.0f} ms a chip")
    return {
        key: {
            "seconds": statistics.median(seconds[key]),
            "ratio": statistics.median(faster[key]),
            "best": min(plain) / min(seconds[key]),
        }
        for key in runs
    }


def _timed(module: nn.Module, chip: Tensor) -> float:
    started = time.perf_counter()
    module(chip)
    return time.perf_counter() - started


def agreement(model: LoadedModel, runs: Runs, chips: list[Tensor]) -> dict[tuple[str, str], float]:
    """The share of pixels to which each gives the label of the network as it is."""
    equal = dict.fromkeys(runs, 0.0)
    for chip in chips:
        expected = model.module(chip).argmax(1)
        for key, module in runs.items():
            equal[key] += float((module(chip).float().argmax(1) == expected).float().mean()) / len(chips)
    return equal


def chips_of(folder: Path | None, model: LoadedModel, count: int) -> list[Tensor]:
    """Normalised chips from a folder's imagery, or noise."""
    if folder is None:
        torch.manual_seed(1)
        return [torch.randn(1, 3, TILE, TILE) for _ in range(count)]
    scenes = scenes_of(folder)
    pixels = mosaic(scenes, TILE * max(1, int(np.ceil(count**0.5))))
    mean, std = (np.array(v, np.float32)[:, None, None] for v in (model.card.mean, model.card.std))
    values = (pixels.astype(np.float32) / 255 - mean) / std
    cut = [
        values[None, :, y : y + TILE, x : x + TILE]
        for y in range(0, values.shape[1], TILE)
        for x in range(0, values.shape[2], TILE)
    ]
    return [torch.from_numpy(np.ascontiguousarray(chip)) for chip in cut[:count]]


def show(figures: dict[tuple[str, str], dict[str, float]]) -> bool:
    """Print a table; whether every target is met."""
    heads = f"{'ms':>7} {'times faster':>13} {'(best)':>8} {'target':>7}"
    print(f"  {'':16} {heads}   {'labels U-Net':>12} {'labels trained':>14}")
    met = True
    for (backend, precision), found in figures.items():
        target = TARGETS.get((backend, precision))
        least = AGREEMENT[precision]
        trained = found.get("trained", float("nan"))
        good = (target is None or found["ratio"] >= target) and not trained < least
        met &= good
        said = f"{target:.1f}" if target else ""
        speed = f"{found['seconds'] * 1000:7.0f} {found['ratio']:12.2f}x {found['best']:7.2f}x {said:>7}"
        labels = f"{found['agreement']:11.3%} {trained:13.3%}"
        print(f"  {backend + ' ' + precision:16} {speed}   {labels}  {'' if good else 'MISSED'}")
    return met


def main() -> None:
    """Parse the command line, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, help="a folder of rasters of three bands of bytes")
    parser.add_argument("--bundle", type=Path, help="a U-Net resnet34 bundle to use, trained for instance")
    parser.add_argument("--repetitions", type=int, default=9)
    parser.add_argument("--chips", type=int, default=16, help="chips on which labels are compared")
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--compile", action="store_true", help="torch.compile, too: minutes, and needs a C++ compiler")
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    asked = parser.parse_args()
    threads = asked.threads or choose("cpu", "fp32").threads
    torch.set_num_threads(threads)
    print(f"{machine()}; {threads} threads; torch {torch.__version__}")
    wanted = [*TARGETS, *OTHERS, *(COMPILED if asked.compile else ())]
    if choose("cpu").precision != "bf16":
        wanted = [(backend, precision) for backend, precision in wanted if precision == "fp32"]
        print("this processor does not multiply in bf16: those targets are left out")
    CACHE.mkdir(parents=True, exist_ok=True)
    model = unet_model(asked.bundle, CACHE / "unet-resnet34.safetensors")
    with torch.inference_mode():
        runs = runs_of(model, threads, wanted)
        chips = chips_of(asked.images, model, asked.chips)
        figures: dict[tuple[str, str], dict[str, Any]] = ratios(model, runs, chips[0], asked.repetitions)
        for key, share in agreement(model, runs, chips).items():
            figures[key]["agreement"] = share
        if asked.images:
            trained = load_model("buildings")
            for key, share in agreement(trained, runs_of(trained, threads, list(runs)), chips).items():
                figures[key]["trained"] = share
    met = show(figures)
    if asked.json:
        asked.json.write_text(json.dumps({" ".join(key): found for key, found in figures.items()}, indent=1))
    print(f"targets: {'met' if met else 'MISSED'}")


if __name__ == "__main__":
    main()
