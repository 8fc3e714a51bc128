"""What tells one decoded scene from another: a digest of files, labels and settings."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from geoseg.io.region import RegionMask
from geoseg.io.scene import Scene

if TYPE_CHECKING:
    from geoseg.io.labels.labels import Labels

VERSION = 2  # of what is written
_LENGTH = 16  # hexadecimal digits


def digest_of(scene: Scene, bidx: Sequence[int], grid: GeoBox, labels: Labels | None, settings: Any) -> str:
    """A name for the arrays of a scene: another one as soon as a file, a label, the grid or the settings differ.

    Local files count with their size and time of change, others with their address alone.
    """
    files = [file.path for layer in scene.layers for file in layer.files]
    plain = {
        "version": VERSION,
        "files": [_stamp(path) for path in files],
        "source": repr(scene.source),
        "bidx": list(bidx),
        "dtype": str(scene.dtype),
        "grid": [*grid.affine[:6], *grid.shape, str(grid.crs)],
        "settings": settings,
    }
    found = hashlib.sha256(json.dumps(plain, sort_keys=True, default=str).encode())
    if labels is not None:
        for part in _of_labels(labels):
            found.update(part)
    return found.hexdigest()[:_LENGTH]


def _stamp(path: str) -> list[Any]:
    file = Path(path)
    if not file.is_file():
        return [path]
    status = file.stat()
    return [str(file.resolve()), status.st_size, status.st_mtime_ns]


def _of_labels(labels: Labels) -> Iterable[bytes]:
    path = labels.facts.get("path")
    yield json.dumps([labels.facts, _stamp(str(path)) if path else None], sort_keys=True, default=str).encode()
    yield labels.classes.model_dump_json().encode()
    yield np.ascontiguousarray(labels.class_ids).tobytes()
    if labels.raster is not None:
        values, ids = labels.raster.values.tolist(), labels.raster.ids.tolist()
        yield json.dumps([labels.raster.bidx, values, ids]).encode()
    yield from _shapes(labels.polygons)
    for region in (labels.area, labels.ignored):
        yield from (b"none",) if region is None else _region(region)


def _region(region: RegionMask) -> Iterable[bytes]:
    return _shapes(region.polygons)


def _shapes(polygons: NDArray[Any]) -> Iterable[bytes]:
    yield len(polygons).to_bytes(8, "little")
    yield from shapely.to_wkb(polygons)
