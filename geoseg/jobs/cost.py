"""What a job will need, known before anything is allocated."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from geoseg.core.tiling import Block, Tiling
from geoseg.core.values import Decision
from geoseg.errors import ResourceError
from geoseg.inference.network import LARGEST_BATCH
from geoseg.inference.semantic import DEPTH

GDAL_CACHE = 128 << 20
SQUEEZED = {"raster": 1 / 50, "scores": 1 / 5}  # bytes on disk per pixel, at the least
LEFT_ALONE = 0.9  # of the memory that is available


@dataclass(frozen=True, slots=True)
class Cost:
    """Bytes of memory that a job takes besides the network's own, and of disk that its rasters take at the least."""

    memory: int
    disk: int


def estimate(
    tiling: Tiling, block: Block, pixel: tuple[int, int], decision: Decision, outputs: Mapping[str, Path]
) -> Cost:
    """The cost of one pass; `pixel` is the number of bands and the bytes of one value."""
    bands, size = pixel
    channels, tile = len(decision.ids), tiling.y.tile
    width = len(block.columns) * tiling.x.stride + tiling.x.overlap
    ring = channels * (tiling.y.overlap * width + tile * tiling.x.overlap) * 4
    rows = (bands * size + 1) * tile * width
    ahead = 4 * (bands * size + 1) * tile * width
    strips = 8 * tile * width
    chips = (2 * DEPTH + 2) * LARGEST_BATCH["cpu"] * (bands + channels) * tile * tile * 4
    pixels = block.y.size * block.x.size
    disk = sum(int(pixels * share) for kind, share in SQUEEZED.items() if kind in outputs)
    return Cost(ring + rows + ahead + strips + chips + GDAL_CACHE, disk)


def require(cost: Cost, outputs: Mapping[str, Path], scene: str) -> None:
    """Nothing when the machine has what the job needs; raises ResourceError otherwise."""
    available = psutil.virtual_memory().available
    if cost.memory > available * LEFT_ALONE:
        raise ResourceError(
            f"{scene}: the job needs about {cost.memory / 1e9:.1f} GB of memory, found {available / 1e9:.1f} GB; "
            "choose a smaller --tile-size, or part of the scene with --bounds"
        )
    for path in outputs.values():
        free = shutil.disk_usage(path.parent).free
        if cost.disk > free:
            raise ResourceError(
                f"{path}: the rasters need at least {cost.disk / 1e9:.1f} GB of disk, found {free / 1e9:.1f} GB; "
                "free some space, write to another disk, or leave --raster and --scores out"
            )
