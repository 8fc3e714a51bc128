"""Polygons of a streamed raster, in a process of its own; prints what it took as one line of JSON.

    python benchmarks/vector_child.py noise|blobs WIDTH ROWS MEGABYTES THREADS FOLDER

The raster is made strip by strip, and batches of outlines are counted and let go, so that memory is the polygonizer's
own. A small raster comes before, so that compiled kernels are loaded. FOLDER is where the spool puts its files, once
it has handed out that many MEGABYTES.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from gauge import Gauge
from vector_rasters import NODATA, Stream

from geoseg.vector.outlines import RingBatch
from geoseg.vector.spool import Spool
from geoseg.vector.tracing.polygonize import Polygonizer


class Totals:
    """What was in the batches."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.polygons = self.vertices = self.largest = 0

    def add(self, given: list[RingBatch]) -> None:
        """Count some more."""
        for batch in given:
            if not len(batch):
                continue
            vertices = np.diff(batch.ring_offsets[batch.polygon_offsets])
            self.polygons += len(vertices)
            self.vertices += int(vertices.sum())
            self.largest = max(self.largest, int(vertices.max()))


def polygonize(stream: Stream, spool: Spool, threads: int) -> Totals:
    """The whole stream, from the first strip to the last polygon."""
    polygonizer = Polygonizer(stream.width, stream.rows, background=0, nodata=NODATA, threads=threads, spool=spool)
    totals = Totals()
    for strip in stream.strips():
        totals.add(polygonizer.feed(strip))
    totals.add(polygonizer.finish())
    return totals


def main() -> None:
    """Parse the command line, warm up, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=("noise", "blobs"))
    parser.add_argument("width", type=int)
    parser.add_argument("rows", type=int)
    parser.add_argument("megabytes", type=int)
    parser.add_argument("threads", type=int)
    parser.add_argument("folder", type=Path)
    asked = parser.parse_args()
    for warm_up in (Stream(asked.kind, 512, 2048), Stream(asked.kind, asked.width, 512)):
        with Spool(asked.folder, asked.megabytes << 20) as spool:
            polygonize(warm_up, spool, asked.threads)
    with Gauge() as gauge, Spool(asked.folder, asked.megabytes << 20) as spool:
        totals = polygonize(Stream(asked.kind, asked.width, asked.rows), spool, asked.threads)
    found = {"polygons": totals.polygons, "vertices": totals.vertices, "largest": totals.largest}
    print(json.dumps({**gauge.report(), **found}))


if __name__ == "__main__":
    main()
