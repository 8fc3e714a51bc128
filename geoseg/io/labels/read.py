"""Labels read for a scene: from a vector file of any CRS, or from a raster of classes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyogrio
import shapely
from numpy.typing import NDArray
from pyogrio.errors import DataSourceError
from pyproj import CRS, Transformer
from pyproj.exceptions import ProjError

from geoseg.core.classes import ClassSet
from geoseg.errors import LabelError, SceneError
from geoseg.io.labels.features import Features, read_features
from geoseg.io.labels.labels import Labels
from geoseg.io.labels.matching import OBJECT, Matching, class_set, matched, named, only_class, text_of
from geoseg.io.labels.raster import open_classes
from geoseg.io.labels.shapes import Shapes, Tally, doubles, shapes_of
from geoseg.io.labels.source import LabelSource
from geoseg.io.region import RegionMask, is_parquet, meeting, read_region
from geoseg.io.scene import Scene
from geoseg.io.transfer import Transfer, extent, ground_metres, listed, mapped, transfer_to

Bounds = tuple[float, float, float, float]  # left, bottom, right, top
ROOM = 0.02  # of the scene's size: so far around it features are read


@dataclass(frozen=True, slots=True)
class _File:
    """A vector file as far as it was read, and how its geometry gets onto the scene."""

    source: LabelSource
    features: Features
    transfer: Transfer


def read_labels(source: LabelSource, scene: Scene, classes: ClassSet | None = None) -> Labels:
    """The labels of `scene` in a vector file or a raster, told apart by `classes`.

    Without `classes` they are made of what is found: background 0, then a column's values in order of their names, or a
    raster's values. Polygons and points are things then, lines and rasters stuff. Features are taken apart into single
    polygons, repaired where they are invalid, and left out where they are there twice. Where `aoi` says what was
    labelled, there may be nothing. Raises LabelError for labels that cannot be read, miss the scene, hold no class, or
    hold one that nobody knows; RegionError for `aoi` and `ignore`.
    """
    area = None if source.aoi is None else read_region(source.aoi, None, None, scene)
    ignored = None if source.ignore is None else meeting(source.ignore, scene)
    path = source.path
    if "://" not in path and not path.startswith("/vsi") and not Path(path).exists():
        raise LabelError(f"{path}: there is no such file; expected labels as a vector file or a raster of classes")
    trouble = _not_vector(path)
    if trouble is None:
        return _from_features(source, scene, classes, (area, ignored))
    try:
        raster, known, facts = open_classes(source, scene, classes)
    except SceneError as error:
        raise LabelError(
            f"{source.path}: can be read neither as a vector file ({trouble}) nor as a raster of classes ({error})"
        ) from error
    nothing = np.empty(0, object), np.empty(0, np.uint8)
    return Labels(known, scene.grid, *nothing, area, ignored, raster, facts)


def is_vector(path: str | Path) -> bool:
    """Whether a file holds features, whatever its name; a raster of classes, or what cannot be opened, does not."""
    return _not_vector(str(path)) is None


def _not_vector(path: str) -> str | None:
    """Why the file is no vector file; None where it is one."""
    if is_parquet(path):
        return None
    try:
        kinds = [kind for _, kind in pyogrio.list_layers(path)]
    except DataSourceError as error:
        return " ".join(str(error).split()).rstrip(".")
    return None if any(kind is not None for kind in kinds) else "no layer of it has geometry"


def _from_features(
    source: LabelSource, scene: Scene, classes: ClassSet | None, regions: tuple[RegionMask | None, RegionMask | None]
) -> Labels:
    transfers: list[Transfer] = []

    def boxes(crs: Any) -> NDArray[Any] | None:
        transfers.append(transfer_to(scene, crs, source.path, LabelError))
        return transfers[-1].boxes(ROOM, source.buffer_m or 0)

    features = read_features(source, boxes)
    file = _File(source, features, transfers[-1])
    shapes, tally = shapes_of(features, source, file.transfer)
    if not len(shapes.polygons):
        _check_nothing(file, labelled=regions[0] is not None)
    matching, ids = _classes(source, features, shapes, classes)
    twice = doubles(shapes.polygons, ids)
    tally.dropped["there twice"] += int(twice.sum())
    shapes, ids = shapes.only(~twice), ids[~twice]
    facts = _facts(file, shapes, ids, tally, matching.classes)
    facts["in_area"] = None if regions[0] is None else _met(regions[0], shapes.polygons)
    return Labels(matching.classes, scene.grid, shapes.polygons, ids, *regions, None, facts)


def _met(area: RegionMask, polygons: NDArray[Any]) -> int:
    """How many of the polygons meet the area."""
    return len(np.unique(shapely.STRtree(polygons).query(area.polygons, predicate="intersects")[1]))


def _classes(
    source: LabelSource, features: Features, shapes: Shapes, classes: ClassSet | None
) -> tuple[Matching, NDArray[np.uint8]]:
    """The classes, and the class id uint8 of each polygon."""
    kind: Literal["thing", "stuff"] = "stuff" if len(shapes.polygons) and (shapes.dimensions == 1).all() else "thing"
    if features.values is None:
        known = classes if classes is not None else class_set({1: OBJECT}, kind)
        return Matching(known, {}), np.full(len(shapes.polygons), only_class(known, source), np.uint8)
    kept, index = np.unique(shapes.features, return_inverse=True)
    texts = np.array([text_of(value) for value in features.values[kept].tolist()], dtype=object)
    found = sorted(set(texts.tolist()))
    matching = matched(found, source, classes) if classes is not None else named(found, source, kind)
    ids = np.array([matching.ids[text] for text in texts.tolist()], np.uint8)
    return matching, ids[index]


def _check_nothing(file: _File, *, labelled: bool) -> None:
    """Nothing; raises LabelError that says where labels and scene lie, unless nothing may be there.

    That is so where the ground was `labelled`: but not where the labels seem to be in another CRS than they say.
    """
    path, scene, total = file.source.path, file.transfer.scene, file.features.total
    if total == 0:
        if labelled:
            return
        raise LabelError(
            f"{path}: holds no features; expected labels of the scene {scene.name}; where there is really nothing to "
            "be found, say which ground was looked at: --aoi"
        )
    where, odd = _lies(file)
    if not labelled or odd:
        raise LabelError(
            f"{path}: none of its {total} features meets the scene {scene.name}; {where}{odd}; choose labels of the "
            "scene's ground, correct their CRS, or say which ground was looked at without finding any: --aoi"
        )


def _lies(file: _File) -> tuple[str, str]:
    """Where labels and scene lie, in both CRS, and what must be wrong ("" where it may all be right)."""
    features, transfer = file.features, file.transfer
    around = extent(transfer.scene).bounds
    if features.bounds is None:
        return f"the scene spans {listed(around)} (left, bottom, right, top in its own CRS)", ""
    own = f"the labels span {listed(features.bounds)} (left, bottom, right, top"
    if transfer.move is None:
        return f"{own}), the scene {listed(around)} in the same CRS", _swapped(features.bounds, around)
    try:
        there = listed(transfer.move.transform_bounds(*features.bounds))
        back = Transformer.from_crs(transfer.move.target_crs, transfer.move.source_crs, always_xy=True)
        here = back.transform_bounds(*around)
    except ProjError as error:
        return f"{own}), the scene {listed(around)} in another CRS", f"; no way leads from one to the other ({error})"
    left, bottom, right, top = features.bounds
    odd = (
        transfer.crs is not None and transfer.crs.is_geographic and (max(-left, right) > 360 or max(-bottom, top) > 90)
    )
    return (
        f"{own} in their own CRS, {CRS.from_user_input(features.crs).name}), the scene {listed(here)}; in the scene's "
        f"CRS the labels span {there}, the scene {listed(around)}"
    ), "; these are no degrees: the labels' CRS is wrong" if odd else _swapped(features.bounds, here)


def _swapped(labels: Bounds, scene: Bounds) -> str:
    """A hint where labels and scene would meet if x and y changed places."""
    left, bottom, right, top = labels
    return (
        "; x and y have changed places" if shapely.box(bottom, left, top, right).intersects(shapely.box(*scene)) else ""
    )


def _facts(file: _File, shapes: Shapes, ids: NDArray[np.uint8], tally: Tally, classes: ClassSet) -> dict[str, Any]:
    features, scene = file.features, file.transfer.scene
    areas = shapely.area(mapped(shapes.polygons, ground_metres(scene)))
    known = scene.pixel_size is not None
    return {
        "path": file.source.path,
        "kind": "vector",
        "layer": features.layer,
        "crs": CRS.from_user_input(features.crs).name if features.crs else None,
        "features": features.total,
        "read": len(features.geometry),
        "outside": features.total - len(features.geometry) + tally.outside,
        "polygons": len(shapes.polygons),
        "repaired": tally.repaired,
        "dropped": {reason: count for reason, count in sorted(tally.dropped.items()) if count},
        "buffered": tally.buffered or None,
        "classes": {
            c.name: {
                "polygons": int((ids == c.id).sum()),
                "area_m2": float(areas[ids == c.id].sum()) if known else None,
            }
            for c in classes.classes
            if c.id in ids
        },
    }
