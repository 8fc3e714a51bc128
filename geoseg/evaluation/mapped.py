"""Polygons that somebody's map found, on the pixels of a scene."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pyogrio
import shapely
from numpy.typing import NDArray

from geoseg.core.classes import NODATA, ClassInfo, ClassSet
from geoseg.errors import LabelError
from geoseg.io.labels.features import Features, read_features
from geoseg.io.labels.matching import matched, only_class, text_of
from geoseg.io.labels.source import LabelSource
from geoseg.io.legend import Legend
from geoseg.io.scene import Scene
from geoseg.io.transfer import Transfer, extent, pieces, transfer_to

ROOM = 0.02  # of the scene's size: so far around it features are read
CLASS_COLUMNS = ("class", "class_id")  # what geoseg calls them; the first that is there counts
CONFIDENCE = "confidence"
SHOWN = 12  # values in a message


@dataclass(frozen=True, slots=True, eq=False)
class Mapped:
    """What a vector file shows of a scene: `parts` (part,) single polygons in the scene's CRS, cut to it.

    `origin` int64 (part,) is the object that each part is of. Of objects: `class_id` uint8, `score` float32 from 0 to 1
    (NaN: unknown), `repaired` counts those that were not valid.
    """

    parts: NDArray[Any]
    origin: NDArray[np.int64]
    class_id: NDArray[np.uint8]
    score: NDArray[np.float32]
    repaired: int = 0

    def __len__(self) -> int:
        """Number of objects."""
        return len(self.class_id)

    def geometry(self, parts: NDArray[Any]) -> NDArray[Any]:
        """One polygon or multipolygon an object, from its parts wherever they were brought."""
        whole = np.empty(len(self), object)
        whole[self.origin] = parts
        several = (np.bincount(self.origin, minlength=len(self)) > 1)[self.origin]
        if several.any():
            numbers, place = np.unique(self.origin[several], return_inverse=True)
            whole[numbers] = shapely.multipolygons(parts[several], indices=place)
        return whole


def read_mapped(path: Path, scene: Scene, classes: ClassSet) -> Mapped:
    """The polygons of a vector file that meet the scene, in any CRS, in the file's order.

    Classes are those of a column "class" (names or ids) or "class_id"; without either, and where both sides know one
    class only, all polygons are of the only foreground class. Scores are those of a column "confidence". Raises
    LabelError for what cannot be read, is no polygon, or is of a class that nobody knows.
    """
    fields = _fields(path)
    source = _source(path, fields)
    features, transfer = _features(source, scene)
    scores = np.full(len(features.geometry), np.nan, np.float32)
    if CONFIDENCE in fields:
        values = _features(LabelSource(str(path), column=CONFIDENCE), scene)[0].values
        scores = _numbers(values, len(scores))
    parts, origin, repaired = _polygons(features, transfer, str(path))
    shown, place = np.unique(origin, return_inverse=True)
    ids = _class_ids(features, shown, source, classes)
    return Mapped(parts, place.astype(np.int64), ids, scores[shown], repaired)


def with_strange(path: Path, scene: Scene, classes: ClassSet) -> ClassSet:
    """The classes, and after them those that the map of a scene shows and nobody else knows, things under free ids.

    Raises LabelError for what cannot be read, and for more classes than there are ids.
    """
    features, _ = _features(_source(path, _fields(path)), scene)
    if features.values is None:
        return classes
    texts = sorted({text_of(value) for value in features.values.tolist()} - {""})
    lost = [] if _same_class(texts, classes) else _strange(texts, classes)
    free = [number for number in range(1, NODATA) if number not in {c.id for c in classes.classes}]
    if len(lost) > len(free):
        raise LabelError(
            f"{path}: found {len(lost)} values that are no class; expected at most {len(free)}; drop the column or "
            "rename its values"
        )
    palette = Legend()
    new = [
        ClassInfo(id=number, name=name, colour=palette.colour(number - 1), kind="thing")
        for name, number in zip(lost, free, strict=False)
    ]
    return classes.model_copy(update={"classes": (*classes.classes, *new)})


def _source(path: Path, fields: Sequence[str]) -> LabelSource:
    """The map, with the column that holds its classes where it has one."""
    return LabelSource(str(path), column=next((name for name in CLASS_COLUMNS if name in fields), None))


def _features(source: LabelSource, scene: Scene) -> tuple[Features, Transfer]:
    """The features that meet the scene, and the way from their CRS to the scene's."""
    transfers: list[Transfer] = []

    def boxes(crs: Any) -> NDArray[Any] | None:
        transfers.append(transfer_to(scene, crs, source.path, LabelError))
        return transfers[-1].boxes(ROOM)

    features = read_features(source, boxes)
    return features, transfers[-1]


def _fields(path: Path) -> list[str]:
    if path.suffix.lower() == ".parquet":
        return list(pq.read_schema(path).names) if path.exists() else []
    try:
        layers = [str(name) for name, kind in pyogrio.list_layers(path) if kind is not None]
        return [str(name) for name in pyogrio.read_info(path, layer=layers[0] if layers else None)["fields"]]
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError) as error:
        raise LabelError(f"{path}: cannot be read as a vector file ({error}); expected a map of polygons") from error


def _numbers(values: NDArray[Any] | None, size: int) -> NDArray[np.float32]:
    """Scores (feature,), NaN for those that are missing. Raises LabelError outside 0 to 1."""
    if values is None:
        return np.full(size, np.nan, np.float32)
    scores = np.array([np.nan if value is None else value for value in values.tolist()], np.float32)
    known = scores[~np.isnan(scores)]
    if known.size and not (known.min() >= 0 and known.max() <= 1):
        worst = known.max() if known.max() > 1 else known.min()
        raise LabelError(
            f"the column {CONFIDENCE!r} of the map holds {worst:g}; expected scores from 0 to 1; scale it, or rename it"
        )
    return scores


def _class_ids(
    features: Features, shown: NDArray[np.int64], source: LabelSource, classes: ClassSet
) -> NDArray[np.uint8]:
    """The class of each feature that is shown, uint8."""
    if features.values is None:
        return np.full(len(shown), only_class(classes, source) if len(shown) else 0, np.uint8)
    texts = [text_of(value) for value in features.values[shown].tolist()]
    names = sorted(set(texts))
    if _same_class(names, classes):
        return np.full(len(shown), only_class(classes, source), np.uint8)
    lost = _strange(names, classes)
    if lost:
        raise LabelError(
            f"{source.path}: the column {source.column!r} of the map holds {', '.join(map(repr, lost[:SHOWN]))}"
            f"{' and more' if lost[SHOWN:] else ''}; expected the classes "
            f"{', '.join(f'{c.id}={c.name}' for c in classes.classes)} by name or number; rename them in the map, or "
            "leave these polygons out"
        )
    ids = matched(names, source, classes).ids
    return np.array([ids[text] for text in texts], np.uint8)


def _same_class(names: Sequence[str], classes: ClassSet) -> bool:
    """Whether both sides know one class only, whatever they call it: labels often have no name for theirs."""
    return len(names) == 1 and len([c for c in classes.foreground if c.id != classes.separator]) == 1


def _strange(names: Sequence[str], classes: ClassSet) -> list[str]:
    """Names and numbers that are no class."""
    own = [c for c in classes.classes if c.id != classes.separator]
    known = {c.name.casefold() for c in own} | {str(c.id) for c in own}
    return [name for name in names if name.casefold() not in known]


def _polygons(features: Features, transfer: Transfer, path: str) -> tuple[NDArray[Any], NDArray[np.int64], int]:
    """Valid single polygons in the scene's CRS, cut to it, the feature that each is of, and how many were repaired."""
    there = np.flatnonzero(~shapely.is_missing(features.geometry) & ~shapely.is_empty(features.geometry))
    geometry = features.geometry[there]
    broken = ~shapely.is_valid(geometry)
    geometry[broken] = shapely.make_valid(geometry[broken])
    parts, origin = pieces(geometry, there)
    flat = shapely.get_dimensions(parts) == 2
    if len(parts) and not flat.any():
        raise LabelError(f"{path}: found lines or points only; expected polygons; give a raster of classes instead")
    parts, index = transfer.apply(parts[flat])
    origin = origin[flat][index]
    around = extent(transfer.scene)
    shapely.prepare(around)
    across = ~shapely.contains_properly(around, parts)
    parts[across] = shapely.intersection(parts[across], around)
    parts, origin = pieces(parts, origin)
    kept = shapely.area(parts) > 0
    order = np.argsort(origin[kept], kind="stable")
    return parts[kept][order], origin[kept][order], int(broken.sum())
