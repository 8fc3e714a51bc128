"""Scenes with their labels, as jobs name them."""

from __future__ import annotations

from collections.abc import Sequence

from geoseg.core.classes import ClassSet
from geoseg.io.labels import Labels, LabelSource, read_labels
from geoseg.io.scene import Scene
from geoseg.io.sources import source_files
from geoseg.jobs.parts import LabelledSpec


def read_files(one: LabelledSpec) -> list[str]:
    """The files that a scene with its labels is read from."""
    extra = [path for path in (one.labels.path, one.labels.aoi, one.labels.ignore) if path]
    return [*source_files([*one.scene.paths, *one.scene.bands.values()]), *extra]


def read_all(
    specs: Sequence[LabelledSpec], scenes: Sequence[Scene], known: ClassSet | None
) -> tuple[list[Labels], ClassSet]:
    """The labels of all scenes, and their classes: the `known` ones, or all that the labels name. Raises LabelError."""
    wanted = None if known is None else known.without_separator()
    sources = [LabelSource(**dict(one.labels)) for one in specs]
    labels = [read_labels(source, scene, wanted) for source, scene in zip(sources, scenes, strict=True)]
    if known is not None:
        return labels, known
    union = _union([one.classes for one in labels])
    if all(one.classes == union for one in labels):
        return labels, union
    return [read_labels(source, scene, union) for source, scene in zip(sources, scenes, strict=True)], union


def _union(sets: Sequence[ClassSet]) -> ClassSet:
    """One set with all foreground classes by name, numbered in the order of their first mention."""
    first = sets[0]
    classes = list(first.classes)
    for other in sets[1:]:
        for c in other.foreground:
            if c.name not in {known.name for known in classes}:
                free = next(i for i in range(255) if i not in {known.id for known in classes})
                classes.append(c.model_copy(update={"id": free}))
    return first.model_copy(update={"classes": tuple(classes)})
