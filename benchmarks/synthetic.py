"""Scenes and scores that benchmarks make for themselves; equal on every machine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from PIL import Image

TILE, OVERLAP, CHIPS = 512, 128, 4
RESOLUTION = 0.5  # metres per pixel
_ROWS = 1024  # rows that are made at a time
_PATTERN = 64  # pixels after which a repetitive scene repeats


def smooth_noise(shape: tuple[int, int], cell: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Noise (y, x) of unit variance at its nodes, `cell` pixels apart, interpolated smoothly."""
    height, width = shape
    nodes = rng.standard_normal((height // cell + 2, width // cell + 2)).astype(np.float32)
    return np.asarray(Image.fromarray(nodes).resize((width, height), Image.Resampling.BICUBIC))


def imagery(shape: tuple[int, int], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Pixels (band, y, x) that compress like an aerial photograph: structures of many sizes, and a sensor's noise."""
    light = sum(size * smooth_noise(shape, cell, rng) for cell, size in ((256, 30), (32, 18), (8, 10)))
    noise = rng.standard_normal((3, *shape), dtype=np.float32) * 2.5
    tint = np.stack([8 * smooth_noise(shape, 64, rng) for _ in range(3)])
    return np.clip(110 + light + tint + noise, 1, 255).astype(np.uint8)


def write_scene(path: Path, shape: tuple[int, int], *, repetitive: bool = False) -> Path:
    """The path of a tiled DEFLATE GeoTIFF of three bands (height, width), made unless it is there already.

    A repetitive one is a small pattern again and again: small on disk, and quickly written.
    """
    if path.exists():
        return path
    rng = np.random.default_rng(7)
    height, width = shape
    part = path.with_suffix(".part")
    profile = {
        "driver": "GTiff", "count": 3, "dtype": "uint8", "height": height, "width": width, "crs": "EPSG:32633",
        "transform": Affine(RESOLUTION, 0, 500_000, 0, -RESOLUTION, 5_000_000), "photometric": "RGB",
        "tiled": True, "blockxsize": 256, "blockysize": 256, "interleave": "pixel", "compress": "deflate",
        "bigtiff": "if_safer", "num_threads": "all_cpus",
    }  # fmt: skip
    pattern = np.tile(imagery((_PATTERN, _PATTERN), rng), (1, _ROWS // _PATTERN, -(-width // _PATTERN)))
    with rasterio.open(part, "w", **profile) as file:
        for start in range(0, height, _ROWS):
            rows = min(_ROWS, height - start)
            pixels = pattern[:, :rows, :width] if repetitive else imagery((rows, width), rng)
            file.write(pixels, window=((start, start + rows), (0, width)))
    return part.rename(path)


def blob_scores(classes: int) -> NDArray[np.float32]:
    """Scores (chip, channel, y, x) that sum to one: blobs of every class on background 0.

    All chips are equal, so that the result does not depend on the order in which a library takes its tiles; each has
    memory of its own, as a network's answer has.
    """
    rng = np.random.default_rng(classes)
    logits = np.stack([4 * smooth_noise((TILE, TILE), 48, rng) for _ in range(classes)])
    logits[0] += 3 if classes == 2 else 5
    raised = np.exp(logits - logits.max(0))
    return np.stack([raised / raised.sum(0)] * CHIPS)
