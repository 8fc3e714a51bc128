"""The tables of a report as values: headline, classes, scenes, confusion."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from geoseg.evaluation.figures import ClassFigures, Evaluation, Figure, Scores
from geoseg.evaluation.report.words import OBJECTS, PIXELS, Term, count, percent

GREY = "#888888"
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_NAMES = 12  # classes of a confusion matrix whose names stand upright


@dataclass(frozen=True, slots=True)
class Headline:
    """One large figure, and what it says in plain words."""

    label: str
    figure: Figure
    sentence: str


@dataclass(frozen=True, slots=True)
class ClassRow:
    """A row of a class table: figures in the order of the table's terms, then counts."""

    name: str
    colour: str
    figures: tuple[Figure, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Figures by class."""

    terms: tuple[Term, ...]
    counts: tuple[str, ...]
    rows: tuple[ClassRow, ...]


@dataclass(frozen=True, slots=True)
class MatrixCell:
    """Pixels of one class of the labels under one class of the map; `share` is of the row, `level` from 0 to 9."""

    pixels: int
    share: float | None
    level: int
    right: bool


@dataclass(frozen=True, slots=True)
class Matrix:
    """A confusion matrix: rows are the labels' classes, columns the map's."""

    names: tuple[str, ...]
    rows: tuple[tuple[str, tuple[MatrixCell, ...], int], ...]

    @property
    def crowded(self) -> bool:
        """Whether column names have to be turned."""
        return len(self.names) > _NAMES


def safe_colour(text: str) -> str:
    """The colour, where it is one (`#rrggbb`); grey for anything else, which a style must not hold."""
    return text if _COLOUR.fullmatch(text) else GREY


def foreground(evaluation: Evaluation, scores: Scores) -> tuple[ClassFigures, ...]:
    """The classes that are not background."""
    return tuple(c for c in scores.classes if c.id != evaluation.classes.background)


def headlines(evaluation: Evaluation) -> tuple[Headline, ...]:
    """The figures that come first: those of the only class, or the means over the foreground classes."""
    classes = foreground(evaluation, evaluation.total)
    only = classes[0] if len(classes) == 1 else None
    found = _of_pixels(evaluation.total, only)
    if any(c.objects for c in classes):
        found += _of_objects(classes, only, evaluation.total.mean)
    accuracy = evaluation.total.pixel_accuracy
    words = (
        f"Of all ground whose truth is known, {percent(accuracy.value)} is right. Where most of it is background, any "
        "map does well here."
    )
    found.append(Headline("Pixel accuracy", accuracy, words))
    return tuple(h for h in found if h.figure.value is not None)


def _of_pixels(total: Scores, only: ClassFigures | None) -> list[Headline]:
    figures: Mapping[str, Figure] = only.pixels if only else total.mean
    none = Figure(value=None)
    iou, boundary = figures.get("iou", none), figures.get("boundary_iou", none)
    named, mean = (f"“{only.name}”", "") if only else ("the class", "mean over the classes: ")
    return [
        Headline(
            "IoU" if only else "Mean IoU",
            iou,
            f"Of the ground that is {named} in the labels, on the map or in both, {mean}{percent(iou.value)} is in "
            "both.",
        ),
        Headline(
            "Boundary IoU" if only else "Mean boundary IoU",
            boundary,
            f"The same for the ground near outlines alone, {mean}{percent(boundary.value)}: how well edges are drawn.",
        ),
    ]


def _of_objects(
    classes: tuple[ClassFigures, ...], only: ClassFigures | None, mean: Mapping[str, Figure]
) -> list[Headline]:
    truth, matched, found = (
        sum(c.counts.get(key, 0) for c in classes) for key in ("truth_objects", "matched_objects", "found_objects")
    )
    figures = {name: _object_figure(name, only, mean) for name in ("f1", "recall", "precision")}
    of = "" if only else "mean over the classes; "
    return [
        Headline(
            "Object F1",
            figures["f1"],
            f"{of}objects of the map and of the labels, one to one, where their intersection is at least half of their "
            "union. High only where few are missed and few invented.",
        ),
        Headline(
            "Objects found",
            figures["recall"],
            f"{of}of {count(truth)} objects in the labels, the map has {count(matched)}, each by itself (recall).",
        ),
        Headline(
            "Objects right",
            figures["precision"],
            f"{of}of {count(found)} objects on the map, {count(matched)} are in the labels (precision).",
        ),
    ]


def _object_figure(name: str, only: ClassFigures | None, mean: Mapping[str, Figure]) -> Figure:
    """The figure of objects: the only class's, or the mean, whose precision and recall have names of their own."""
    if only is not None:
        return (only.objects or {}).get(name, Figure(value=None))
    return mean.get("f1" if name == "f1" else f"object_{name}", Figure(value=None))


def pixel_table(scores: Scores) -> Table:
    """Figures of pixels by class, with their counts."""
    used = tuple(name for name in PIXELS if any(name in c.pixels for c in scores.classes))
    rows = tuple(
        ClassRow(
            c.name,
            safe_colour(c.colour),
            tuple(c.pixels.get(name, Figure(value=None)) for name in used),
            tuple(c.counts.get(key, 0) for key in ("truth_pixels", "found_pixels", "both_pixels")),
        )
        for c in scores.classes
    )
    return Table(tuple(PIXELS[name] for name in used), ("Labels", "Map", "Both"), rows)


def object_table(scores: Scores) -> Table | None:
    """Figures of objects by class; None where no objects were compared."""
    compared = [(c, c.objects) for c in scores.classes if c.objects]
    if not compared:
        return None
    used = tuple(name for name in OBJECTS if any(name in objects for _, objects in compared))
    rows = tuple(
        ClassRow(
            c.name,
            safe_colour(c.colour),
            tuple(objects.get(name, Figure(value=None)) for name in used),
            tuple(c.counts.get(key, 0) for key in ("truth_objects", "found_objects", "matched_objects")),
        )
        for c, objects in compared
    )
    return Table(tuple(OBJECTS[name] for name in used), ("Labels", "Map", "Matched"), rows)


def matrix(evaluation: Evaluation, scores: Scores) -> Matrix:
    """The confusion matrix with its classes' names."""
    names = _names(evaluation, scores)
    rows = []
    for i, (name, counts) in enumerate(zip(names, scores.confusion, strict=True)):
        total = sum(counts)
        cells = tuple(_cell(n, n / total if total else None, i == j) for j, n in enumerate(counts))
        rows.append((name, cells, total))
    return Matrix(names, tuple(rows))


def _cell(pixels: int, share: float | None, right: bool) -> MatrixCell:
    level = 0 if not share else min(9, 1 + int(share * 8.999))
    return MatrixCell(pixels, share, level, right)


def _names(evaluation: Evaluation, scores: Scores) -> tuple[str, ...]:
    """The names of the matrix's classes: those that have figures, or all but the separator."""
    size, whole = len(scores.confusion), evaluation.classes
    kept = tuple(c.name for c in whole.classes if c.id != whole.separator)
    for names in (tuple(c.name for c in scores.classes), kept, tuple(c.name for c in whole.classes)):
        if len(names) == size:
            return names
    return tuple(f"class {i + 1}" for i in range(size))


@dataclass(frozen=True, slots=True)
class SceneRow:
    """A row of the table of scenes."""

    name: str
    figures: tuple[Figure, ...]


def scene_rows(evaluation: Evaluation) -> tuple[SceneRow, ...]:
    """IoU, boundary IoU, object F1 (where objects were compared) and pixel accuracy of each scene."""
    whole = object_table(evaluation.total) is not None
    rows = []
    for scene in evaluation.scenes:
        classes, mean, none = foreground(evaluation, scene.scores), scene.scores.mean, Figure(value=None)
        only = classes[0] if len(classes) == 1 else None
        pixels = only.pixels if only else mean
        objects = (_object_figure("f1", only, mean),) if whole else ()
        figures = (pixels.get("iou", none), pixels.get("boundary_iou", none), *objects, scene.scores.pixel_accuracy)
        rows.append(SceneRow(scene.scores.name, figures))
    return tuple(rows)
