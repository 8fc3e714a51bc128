"""What a job will need, known before anything is allocated."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from geoseg.core.tiling import Block, Tiling
from geoseg.errors import ResourceError
from geoseg.inference.passes import DEPTH

GDAL_CACHE = 128 << 20
READ_AHEAD = 4  # runs of rows that readers hold
STRIPS = 8  # strips that sinks hold
STRIP_BYTES = 2  # a pixel: class and score
OBJECT_BYTES = 8  # a pixel more where objects are told apart: their number, and that with the class in one
WAITING_BYTES = 25  # a pixel of rows that wait for objects to be complete
SQUEEZED = {"raster": 1 / 50, "scores": 1 / 5}  # bytes on disk per pixel, at the least
LEFT_ALONE = 0.9  # of the memory that is available
_CGROUPS = (
    (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")),
    (Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"), Path("/sys/fs/cgroup/memory/memory.usage_in_bytes")),
)


@dataclass(frozen=True, slots=True)
class Batch:
    """What goes through the network at a time: chips, bands, bytes of a raw value, channels of scores."""

    chips: int
    bands: int
    itemsize: int
    channels: int


@dataclass(frozen=True, slots=True)
class Cost:
    """Bytes of memory that a job takes, and of disk that its rasters take at the least."""

    memory: int
    disk: int


def memory_of(tiling: Tiling, block: Block, batch: Batch, *, objects: bool = False) -> int:
    """Bytes of memory that one pass over a block holds, besides the network's own.

    Where objects are told apart, their numbers are counted, and rows that wait for objects to be complete: those of two
    tiles. Objects that are taller take more.
    """
    tile = tiling.y.tile
    width = len(block.columns) * tiling.x.stride + tiling.x.overlap
    ring = batch.channels * (tiling.y.overlap * width + tile * tiling.x.overlap) * 4
    rows = (1 + READ_AHEAD) * (batch.bands * batch.itemsize + 1) * tile * width
    chips = batch.chips * tile * tile * 4 * ((DEPTH + 2) * batch.bands + (DEPTH + 1) * batch.channels)
    strips = STRIPS * tile * width * (STRIP_BYTES + OBJECT_BYTES * objects)
    waiting = 2 * tile * width * WAITING_BYTES * objects
    return ring + rows + strips + waiting + chips + GDAL_CACHE


def disk_of(pixels: int, outputs: Mapping[str, Path]) -> int:
    """Bytes of disk that the rasters among `outputs` take at the least, of so many pixels each."""
    return sum(int(pixels * share) for kind, share in SQUEEZED.items() if kind in outputs)


def require(cost: Cost, outputs: Mapping[str, Path], scene: str) -> None:
    """Nothing when the machine has what the job needs; raises ResourceError otherwise."""
    available = available_memory()
    if cost.memory > available * LEFT_ALONE:
        raise ResourceError(
            f"{scene}: the job needs about {cost.memory / 1e9:.1f} GB of memory, found {available / 1e9:.1f} GB; "
            "choose a smaller --tile-size or --batch-size, or part of the scene with --bounds"
        )
    for path in outputs.values():
        free = shutil.disk_usage(path.parent).free
        if cost.disk > free:
            raise ResourceError(
                f"{path}: the rasters need at least {cost.disk / 1e9:.1f} GB of disk, found {free / 1e9:.1f} GB; "
                "free some space, write to another disk, or leave --raster and --scores out"
            )


def available_memory() -> int:
    """Bytes that this process may still take: of the machine, and of its container where that allows less."""
    free = [psutil.virtual_memory().available]
    for limit, used in _CGROUPS:
        if limit.is_file() and used.is_file() and (text := limit.read_text().strip()).isdecimal():
            free.append(max(0, int(text) - int(used.read_text())))
    return min(free)
