"""OpenCV's findContours on a mask; prints seconds of each run, and what is wrong with the contours, as a line of JSON.

    python benchmarks/peers/contours.py MASK.npy REPETITIONS

Contours run through the centres of pixels. Those of fewer than three points are no polygons.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import shapely
from numpy.typing import NDArray


def trace(mask: NDArray[np.uint8]) -> tuple[Any, Any]:
    """Contours and their hierarchy, two levels, with the corners only."""
    return cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)


def polygons(contours: Any, hierarchy: Any) -> list[shapely.Polygon]:
    """Exteriors with their holes."""
    holes: dict[int, list[Any]] = {}
    for contour, (_, _, _, parent) in zip(contours, hierarchy[0], strict=True):
        if parent >= 0 and len(contour) > 2:
            holes.setdefault(parent, []).append(contour[:, 0])
    return [
        shapely.Polygon(contour[:, 0], holes.get(number))
        for number, contour in enumerate(contours)
        if hierarchy[0][number][3] < 0 and len(contour) > 2
    ]


def main(path: Path, repetitions: int) -> None:
    """Trace that often, then look at what came."""
    mask = np.load(path)
    trace(mask)
    seconds = []
    for _ in range(repetitions):
        started = time.perf_counter()
        trace(mask)
        seconds.append(time.perf_counter() - started)
    found = np.array(polygons(*trace(mask)), dtype=object)
    invalid, area = int((~shapely.is_valid(found)).sum()), float(shapely.area(found).sum())
    print(json.dumps({"seconds": seconds, "polygons": len(found), "invalid": invalid, "area": area}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
