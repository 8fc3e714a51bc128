"""A scene decoded once: its bands, its classes and its objects as arrays on the disk."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from geoseg.core.card import ModelCard
from geoseg.core.classes import NODATA
from geoseg.core.tiling import Span
from geoseg.core.values import Stretch
from geoseg.errors import LabelError, ResolutionError
from geoseg.evaluation.strips import with_halo
from geoseg.io.grid import crop, model_grid
from geoseg.io.outputs import writing
from geoseg.io.scene import Scene
from geoseg.training.data.blank import REACH, Imagery, blank_pixels
from geoseg.training.data.ground import UPSAMPLED, Ground, Known, Role, Values, known_part
from geoseg.training.data.identity import digest_of
from geoseg.training.data.store import ArrayFile, Layout, filling, mapped, staged_path

if TYPE_CHECKING:
    from geoseg.io.labels.labels import Labels

ROWS = 64, 512  # that are decoded at a time, at least and at most
STRIP = 2**23  # pixels of such a strip, about
KEPT = 1.5  # a scene up to so much finer than what is drawn keeps its pixels: resampled twice they would blur
_FACTS = "known.json"


@dataclass(frozen=True, slots=True)
class Asked:
    """What a run wants of its scenes.

    `resolutions` are the metres per pixel between which windows of `crop_size` pixels are drawn. Arrays are kept in
    `folder`.
    """

    card: ModelCard
    resolutions: tuple[float, float]
    crop_size: int
    folder: Path


@dataclass(frozen=True, slots=True)
class _Source:
    """What is decoded: bands of a scene on a grid, with its labels."""

    scene: Scene
    bidx: tuple[int, ...]
    grid: GeoBox
    labels: Labels | None
    role: Role
    resampled: bool


def prepare(
    scene: Scene, labels: Labels | None, asked: Asked, role: Role | None = None, stretch: Stretch | None = None
) -> Ground:
    """The scene's bands that the card names, and its labels, as arrays in the run's folder; without `labels` unknown.

    The grid is the scene's own, or a coarser one where the scene is finer than anything that is drawn. Only the
    labelled part is kept, and a window's width around it. Arrays that stand there already are used again: their name
    follows from the files, the labels and the settings. Values are stored as the file has them; `stretch` says how
    windows show them, in place of the card's value range. Raises ResolutionError for an unknown or much too coarse
    resolution, BandError, LabelError for classes that the card does not know, ResourceError for a full disk, ReadError.
    """
    role = role or Role()
    if labels is not None:
        _check_classes(scene, labels, asked.card)
    bidx = scene.bidx_for(asked.card.bands)
    full, resolution = stored_grid(scene, asked.resolutions)
    grid = _labelled_part(full, labels, math.ceil(asked.crop_size * asked.resolutions[1] / resolution))
    source = _Source(scene, bidx, grid, labels, role, full.shape != scene.grid.shape)
    folder = asked.folder / digest_of(scene, bidx, grid, labels, role.blank)
    with filling(folder, _layout(source), scene.name) as files:
        if files is not None:
            known = _decode(source, files, folder)
            with writing(folder):
                staged_path(folder, _FACTS).write_text(json.dumps(_plain(known)))
    return _opened(source, resolution, folder, Values.of(asked.card, stretch))


def stored_grid(scene: Scene, resolutions: tuple[float, float]) -> tuple[GeoBox, float]:
    """The grid that a scene is kept on, and its metres per pixel. Raises ResolutionError."""
    finest, coarsest = resolutions
    native = scene.resolution
    if native is not None and native > coarsest * UPSAMPLED:
        raise ResolutionError(
            f"{scene.name}: found {native:.3g} m per pixel; windows are drawn at {finest:.3g} to {coarsest:.3g} m, and "
            f"a scene may be {UPSAMPLED:g} times coarser at most; leave the scene out, or raise the resolutions"
        )
    wanted = finest if native is None or native * KEPT < finest else native
    grid = model_grid(scene, wanted)
    shares = math.prod(scene.grid.shape) / math.prod(grid.shape)
    return grid, (native or wanted) * math.sqrt(shares)


def _check_classes(scene: Scene, labels: Labels, card: ModelCard) -> None:
    known = {c.id for c in card.classes.classes}
    strange = [c for c in labels.classes.classes if c.id not in known]
    if strange:
        raise LabelError(
            f"{scene.name}: its labels have the class {strange[0].name!r} (id {strange[0].id}); the model knows "
            f"{', '.join(f'{c.id} {c.name}' for c in card.classes.classes)}; map its value to one of these names"
        )


def _labelled_part(grid: GeoBox, labels: Labels | None, margin: int) -> GeoBox:
    if labels is None or labels.area is None:
        return grid
    rows, columns = (Span(0, int(size)) for size in grid.shape)
    y, x = labels.area.spans(grid)
    return crop(
        grid,
        Span(y.start - margin, y.stop + margin).clip(rows),
        Span(x.start - margin, x.stop + margin).clip(columns),
    )


def _layout(source: _Source) -> Layout:
    shape = int(source.grid.shape[0]), int(source.grid.shape[1])
    return {
        "images": ((len(source.bidx), *shape), source.scene.dtype),
        "valid": (shape, np.dtype(np.bool_)),
        "classes": (shape, np.dtype(np.uint8)),
        "objects": (shape, np.dtype(np.int32)),
    }


def _decode(source: _Source, files: dict[str, ArrayFile], folder: Path) -> Known:
    """Write all arrays, strip by strip."""
    height, width = source.grid.shape
    x = Span(0, width)
    step = min(max(ROWS[0], STRIP // width), ROWS[1])
    spans = [Span(start, min(start + step, height)) for start in range(0, height, step)]
    tally = _Tally(height, width, 0 if source.labels is None else source.labels.object_count)
    read = map(Imagery.of, source.scene.reader(source.bidx, source.grid).rows(spans, x))
    for held, y in with_halo(read, REACH if source.role.blank else 0, height):
        here = slice(y.start - held.y.start, y.stop - held.y.start)
        pure, missing = blank_pixels(held, source.role.blank, widen=source.resampled)
        valid = (held.valid & ~missing)[here]
        classes, objects = _truth(source, y, x)
        classes = np.where(valid & ~pure[here], classes, NODATA).astype(np.uint8)
        objects = np.where(classes == NODATA, 0, objects).astype(np.int32)
        tally.add(y, classes, objects)
        images = np.where(valid, held.pixels[:, here], 0)
        strips = {"images": images, "valid": valid, "classes": classes, "objects": objects}
        with writing(folder):
            for name, values in strips.items():
                files[name].write(y.start, values)
    return tally.known()


def _truth(source: _Source, y: Span, x: Span) -> tuple[NDArray[Any], NDArray[Any]]:
    if source.labels is None:
        return np.full((y.size, x.size), NODATA, np.uint8), np.zeros((y.size, x.size), np.int32)
    truth = source.labels.window(source.grid, y, x)
    return truth.class_ids, truth.object_ids


class _Tally:
    """Counts what is known, strip by strip."""

    def __init__(self, height: int, width: int, objects: int) -> None:
        self._counts = np.zeros(256, np.int64)
        self._rows, self._columns = np.zeros(height, np.bool_), np.zeros(width, np.bool_)
        self._met = np.zeros(objects + 1, np.bool_)

    def add(self, y: Span, classes: NDArray[np.uint8], objects: NDArray[np.int32]) -> None:
        self._counts += np.bincount(classes.ravel(), minlength=256)
        known = classes != NODATA
        self._rows[y.start : y.stop] = known.any(axis=1)
        self._columns |= known.any(axis=0)
        self._met[objects[objects > 0]] = True

    def known(self) -> Known:
        return known_part(self._counts, self._rows, self._columns, int(self._met.sum()))


def _plain(known: Known) -> dict[str, Any]:
    return {
        "y": [known.y.start, known.y.stop],
        "x": [known.x.start, known.x.stop],
        "counts": {str(key): value for key, value in known.counts.items()},
        "objects": known.objects,
    }


def _opened(source: _Source, resolution: float, folder: Path, values: Values) -> Ground:
    facts = json.loads((folder / _FACTS).read_text())
    counts = {int(key): int(value) for key, value in facts["counts"].items()}
    scene = source.scene
    return Ground(
        name=scene.name,
        paths=scene.paths,
        folder=folder,
        grid=source.grid,
        resolution=resolution,
        placed=scene.grid.crs is not None or scene.grid.affine != Affine.identity(),
        labelled=source.labels is not None,
        role=source.role,
        values=values,
        known=Known(Span(*facts["y"]), Span(*facts["x"]), counts, int(facts["objects"])),
        images=mapped(folder, "images"),
        valid=mapped(folder, "valid"),
        classes=mapped(folder, "classes"),
        objects=mapped(folder, "objects"),
        outlines=None if source.labels is None or source.labels.is_raster else source.labels,
    )
