"""Scenes whose objects are known, as strips, and the vectors that come of them."""

from __future__ import annotations

from dataclasses import replace

import geopandas as gpd
import numpy as np
from affine import Affine
from odc.geo.geobox import GeoBox

from geoseg.core.classes import NODATA, ClassInfo, ClassSet
from geoseg.core.protocols import ObjectTable, Strip
from geoseg.core.tiling import Span, Tiling
from geoseg.io.outputs import Staging
from geoseg.jobs.objects import ObjectNaming
from geoseg.jobs.product import Product
from geoseg.jobs.vectors import Target, open_vectors
from geoseg.tasks import EXACT

CLASSES = ClassSet(
    classes=(
        ClassInfo(id=0, name="background", colour="#000000"),
        ClassInfo(id=1, name="grass", colour="#00ff00"),
        ClassInfo(id=2, name="car", colour="#ff0000", kind="thing"),
        ClassInfo(id=3, name="house", colour="#0000ff", kind="thing"),
    )
)
HALF_METRE = Affine(0.5, 0, 500_000, 0, -0.5, 5_000_000)


def numbered(instances, class_of=None):
    """Instances counted from 1 in the order of their first pixels, and the table of all of them."""
    flat = instances.ravel()
    found, first = np.unique(flat, return_index=True)
    found, first = found[found > 0], first[found > 0]
    order = np.argsort(first)
    renamed = np.zeros(int(flat.max()) + 1, np.int32)
    renamed[found[order]] = np.arange(1, len(found) + 1)
    ids = renamed[instances].astype(np.int32)
    classes = [2 + old % 2 if class_of is None else class_of[old] for old in found[order]]
    rows = np.repeat(np.arange(ids.shape[0]), ids.shape[1])
    last = np.zeros(len(found) + 1, np.int64)
    np.maximum.at(last, ids.ravel(), rows)
    numbers = np.arange(1, len(found) + 1, dtype=np.int32)
    score = (0.5 + (numbers % 50) / 100).astype(np.float32)
    return ids, ObjectTable(numbers, np.array(classes, np.uint8), score, last[1:])


def painted(shape, seed=0, count=25, nodata=True):
    """Stuff, and objects that lie over one another: classes and instances (y, x), and their table."""
    rng = np.random.default_rng(seed)
    height, width = shape
    y, x = np.mgrid[:height, :width]
    instances = np.zeros(shape, np.int32)
    for number in range(1, count + 1):
        cy, cx = rng.uniform(0, height), rng.uniform(0, width)
        ry, rx = rng.uniform(1, height / 3), rng.uniform(1, width / 3)
        if number % 3 == 0:
            ry = 1 + rng.uniform(0, 2)
        if number % 3 == 1:
            instances[(abs(y - cy) < ry / 2) & (abs(x - cx) < rx / 2)] = number
        else:
            instances[((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2 < 1] = number
    instances[rng.random(shape) < 0.02] = 0
    ids, table = numbered(instances)
    classes = (((x // 11 + y // 7) % 3) == 1).astype(np.uint8)
    classes[ids > 0] = table.class_id[ids[ids > 0] - 1]
    if nodata:
        classes[: height // 6, : width // 6] = NODATA
        ids, table = numbered(np.where(classes == NODATA, 0, ids), np.concatenate([[0], table.class_id]))
    return classes, ids, table


def strips(classes, ids, table, heights):
    """Strips of those heights, over and over, each with the objects that begin in it."""
    first = np.full(len(table) + 1, -1)
    rows = np.repeat(np.arange(ids.shape[0]), ids.shape[1])
    first[ids.ravel()[::-1]] = rows[::-1]
    scores = np.full(classes.shape, 200, np.uint8)
    scores[ids > 0] = np.rint(table.score * 254).astype(np.uint8)[ids[ids > 0] - 1]
    scores[classes == NODATA] = NODATA
    start, turn = 0, 0
    while start < len(ids):
        y = Span(start, min(len(ids), start + heights[turn % len(heights)]))
        here = (first[1:] >= y.start) & (first[1:] < y.stop)
        columns = (getattr(table, name) for name in ObjectTable.__slots__)
        listed = ObjectTable(*(None if column is None else column[here] for column in columns))
        rows = slice(y.start, y.stop)
        yield Strip(y, classes[rows], scores[rows], ids[rows], listed)
        start, turn = y.stop, turn + 1


def vectors(path, classes, ids, table, heights=(1000,), **changes):
    """The features of a scene in strips of those heights, read back from the file."""
    return written(path, strips(classes, ids, table, heights), ids.shape, **changes)


def written(path, found, size, classes=CLASSES, **changes):
    """The features of strips, read back from the file."""
    place = {name: changes.pop(name) for name in ("area", "region", "clip", "complete") if name in changes}
    block = changes.pop("block", None)
    product = Product(
        grid=GeoBox(size, HALF_METRE, "EPSG:32633"),
        block=block or Tiling.over(size, max(size), 0).whole(),
        naming=ObjectNaming(classes),
        postprocess=replace(EXACT, **changes),
        resolution=0.5,
        scored=True,
        background=0,
        things=frozenset(c.id for c in classes.classes if c.kind == "thing"),
        **place,
    )
    product.check()
    with Staging([path], overwrite=True) as staging:
        sink = open_vectors(product, "scene.tif", Target(staging, path, None, {}, lambda message: None))
        try:
            for strip in found:
                sink.write(strip)
            sink.commit()
        finally:
            sink.abort()
        staging.commit()
    return gpd.read_file(path, layer=path.stem)
