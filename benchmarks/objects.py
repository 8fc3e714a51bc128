"""Seconds of one core, and memory, that joining objects over tiles takes: matching alone, then crowded scenes.

    python benchmarks/objects.py [--boxes 33000] [--size 4096] [--json objects.json]

Objects are roofs on a jittered grid, some touching. What the network would answer is cut from the scene's labels before
the clock runs. Scaling is shown with twice the objects, by doubling the scene, and by doubling the crowd in it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from scipy import ndimage

from geoseg.core.detections import Detections
from geoseg.core.tiling import Tiling
from geoseg.inference.objects.joiner import Joiner
from geoseg.inference.objects.matching import match
from geoseg.inference.objects.neighbours import near
from geoseg.inference.objects.painting import Painter, bare_ground
from geoseg.inference.objects.views import stacked, views_of

TILE, OVERLAP = 512, 128


def crowd(shape: tuple[int, int], pitch: int, seed: int = 0) -> np.ndarray:
    """Numbered roofs (y, x) int32, one in each square of `pitch` pixels, many of which touch."""
    rng = np.random.default_rng(seed)
    labels, number = np.zeros(shape, np.int32), 0
    for top in range(0, shape[0], pitch):
        for left in range(0, shape[1], pitch):
            number += 1
            y, x = top + rng.integers(0, pitch // 4), left + rng.integers(0, pitch // 4)
            labels[y : y + rng.integers(pitch // 2, pitch), x : x + rng.integers(pitch // 2, pitch)] = number
    return labels


def river(height: int, width: int, pitch: int) -> np.ndarray:
    """A crowd (y, x) int32 with one object through all its rows but the first and last few."""
    labels = crowd((height, width), pitch)
    middle = width // 2 + (width / 8 * np.sin(np.arange(height) / 200)).astype(int)
    x = np.arange(width)
    inside = (np.abs(x[None] - middle[:, None]) < 40) & (np.arange(height)[:, None] > 4)
    labels[inside] = labels.max() + 1
    return labels


def detections(chip: np.ndarray, rng: np.random.Generator) -> Detections:
    """The numbered objects of a chip."""
    slices = ndimage.find_objects(chip)
    found = [(n, s) for n, s in enumerate(slices, 1) if s is not None]
    masks = [(chip[s] == n).ravel() for n, s in found]
    return Detections(
        np.array([[s[1].start, s[0].start, s[1].stop, s[0].stop] for _, s in found], np.int32).reshape(-1, 4),
        np.concatenate(masks) if masks else np.zeros(0, bool),
        np.cumsum([0, *map(len, masks)], dtype=np.int64),
        np.ones(len(found), np.uint8),
        rng.uniform(0.5, 1, len(found)).astype(np.float32),
    )


@dataclass
class Scene:
    """Labels, their tiling, and what every tile sees."""

    labels: np.ndarray
    tiling: Tiling
    found: list[list[tuple[int, Detections]]]

    @classmethod
    def of(cls, labels: np.ndarray, tile: int = TILE, overlap: int = OVERLAP) -> Scene:
        """Cut the labels into tiles."""
        tiling, rng = Tiling.over(labels.shape, tile, overlap), np.random.default_rng(1)
        found: list[list[tuple[int, Detections]]] = [[] for _ in range(tiling.y.count)]
        for place in tiling:
            chip = labels[place.y.start : place.y.stop, place.x.start : place.x.stop]
            found[place.row].append((place.column, detections(chip, rng)))
        return cls(labels, tiling, found)

    def join(self) -> dict[str, Any]:
        """Join, paint, and say what it took."""
        block = self.tiling.whole()
        joiner, painter = Joiner(self.tiling, block), Painter(block)
        started, slowest, numbers, held, painted = time.process_time(), 0.0, 0, 0, []
        for row, found in enumerate(self.found):
            began = time.process_time()
            stop = self.tiling.y.final(row)
            top = 0 if row == 0 else self.tiling.y.final(row - 1)
            painter.lay(bare_ground(type(block.y)(top, stop), block.x.size, 0, None, with_scores=True))
            strips = list(painter.draw(joiner.add_row(row, found)))
            slowest = max(slowest, time.process_time() - began)
            held = max(held, joiner.nbytes + painter.nbytes)
            numbers += sum(len(strip.objects) for strip in strips)
            painted.extend(strip.instance_ids for strip in strips)
        seconds = time.process_time() - started
        return {
            "views": sum(len(d) for row in self.found for _, d in row),
            "objects": numbers,
            "exact": _same(np.concatenate(painted), self.labels),
            "seconds": round(seconds, 3),
            "slowest row": round(slowest, 3),
            "pairs of boxes": joiner.compared,
            "held MiB": round(held / 2**20, 2),
            "process MiB": round(psutil.Process().memory_info().rss / 2**20),
        }


def _same(numbers: np.ndarray, labels: np.ndarray) -> bool:
    pairs = np.unique(np.stack([numbers.ravel(), labels.ravel()]), axis=1)
    return pairs.shape[1] == len(np.unique(pairs[0])) == len(np.unique(pairs[1]))


def matching(count: int, repetitions: int = 5) -> dict[str, Any]:
    """Matching `count` views of a row of tiles among each other, all at once."""
    pitch, height = 20, TILE
    width = int(np.ceil(count / 1.33 / (height // pitch))) * pitch  # an object is seen by so many tiles on average
    scene = Scene.of(crowd((height, width), pitch))
    parts, first = [], 0
    for column, found in scene.found[0]:
        parts.append(views_of(found, scene.tiling.tile(0, column), scene.tiling.shape, None, first))
        first += len(found)
    views = stacked(parts)
    boxes, whole = [], []
    for _ in range(repetitions):
        began = time.process_time()
        _, tested = near(views.boxes, 0)
        boxes.append(time.process_time() - began)
        began = time.process_time()
        matches = match(views, len(views), scene.tiling)
        whole.append(time.process_time() - began)
    return {
        "views": len(views),
        "seconds, boxes": round(statistics.median(boxes), 4),
        "seconds, all": round(statistics.median(whole), 4),
        "pairs of boxes": tested,
        "links": len(matches.links),
    }


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--boxes", type=int, default=33_000)
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    matching(1000, 1), Scene.of(crowd((600, 900), 20)).join()  # compiles
    size = asked.size
    figures = {
        f"matching {asked.boxes:,} views": matching(asked.boxes),
        f"matching {2 * asked.boxes:,} views": matching(2 * asked.boxes),
        f"scene {size} x {size}": Scene.of(crowd((size, size), 22)).join(),
        f"scene {2 * size} x {size}, twice as tall": Scene.of(crowd((2 * size, size), 22)).join(),
        f"river of {4 * size} rows": Scene.of(river(4 * size, 1024, 22)).join(),
        f"river of {8 * size} rows": Scene.of(river(8 * size, 1024, 22)).join(),
        f"scene {size} x {size}, twice as crowded": Scene.of(crowd((size, size), 16)).join(),
    }
    for name, row in figures.items():
        print(f"{name}: " + ", ".join(f"{what} {value}" for what, value in row.items()))
    if asked.json:
        asked.json.write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
