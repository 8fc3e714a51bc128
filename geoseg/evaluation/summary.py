"""From counts to figures: ratios of classes, of scenes and of all of them together, with their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoseg.core.classes import ClassSet
from geoseg.evaluation.calibration import calibration
from geoseg.evaluation.coco import LEAST, ranked
from geoseg.evaluation.counts import SceneCounts
from geoseg.evaluation.figures import Calibration, CellFigures, ClassFigures, Figure, SceneFigures, Scores
from geoseg.evaluation.intervals import Draws, figure
from geoseg.evaluation.pixels import iou, ratio
from geoseg.evaluation.sums import CellTable, Ratios, Sums

ALL = "all scenes"
AP_STEPS = 100_000_000  # objects times draws: average precision goes through all of them for each draw
FEWEST_DRAWS = 100  # for an interval
COUNTS = ("truth_pixels", "found_pixels", "both_pixels", "truth_objects", "found_objects", "matched_objects")


def figures(
    scenes: Sequence[SceneCounts], classes: ClassSet, used_threshold: float, resamples: int = 1000, seed: int = 0
) -> tuple[Scores, tuple[SceneFigures, ...], Calibration | None]:
    """The figures over all scenes, those of each, and how far scores are probabilities where they were counted.

    All scenes have the same classes, in the order of `classes` (its separator left out). Intervals come from
    `resamples` draws of cells, of all scenes together for the whole; none where fewer than five cells hold anything.
    Intervals of average precision take fewer draws where objects are many, and are left out below 100.
    `used_threshold` is the score from which the model takes the foreground. Scenes of one name are numbered, so that
    every name of a scene is another.
    """
    asked = _Asked(classes, resamples, seed)
    tables = [CellTable.of(scene) for scene in scenes]
    each = tuple(
        SceneFigures(
            scores=asked.scores(name, [scene], [table]),
            cells=tuple(_cell_figures(scene, table, i, asked.foreground(scene)) for i in range(len(table))),
            facts=scene.facts,
        )
        for name, scene, table in zip(_distinct([scene.name for scene in scenes]), scenes, tables, strict=True)
    )
    counted = [scene.scores for scene in scenes if scene.scores is not None]
    known = calibration(np.sum(counted, axis=0), used_threshold) if counted else None
    return asked.scores(ALL, scenes, tables), each, known


def _distinct(names: Sequence[str]) -> list[str]:
    """The names; those that several scenes have with a number behind: "image.tif (2)"."""
    taken = {name for name in names if names.count(name) == 1}
    found: list[str] = []
    for name in names:
        numbered = (f"{name} ({number})" for number in range(1, len(names) + 1))
        found.append(name if name in taken else next(new for new in numbered if new not in {*taken, *found}))
    return found


@dataclass(frozen=True, slots=True)
class _Asked:
    classes: ClassSet
    resamples: int
    seed: int

    def foreground(self, scene: SceneCounts) -> NDArray[np.bool_]:
        """Which of the scene's classes (C,) are not background."""
        return np.array([class_id != self.classes.background for class_id in scene.class_ids])

    def scores(self, name: str, scenes: Sequence[SceneCounts], tables: Sequence[CellTable]) -> Scores:
        """The figures over some scenes."""
        ids, foreground = scenes[0].class_ids, self.foreground(scenes[0])
        compared = any(scene.pairs is not None for scene in scenes)
        stuff = foreground & np.array([self.classes.by_id(i).kind == "stuff" for i in ids]) & compared
        draws = Draws.of(np.concatenate([table.used for table in tables]), self.resamples, self.seed)
        whole = Draws(np.ones((1, draws.times.shape[1]), np.uint16))
        value, drawn = (Sums.over(tables, stuff, each) for each in (whole, draws))
        pixels = _Pair(value.pixel_ratios, drawn.pixel_ratios)
        objects = _Pair(value.object_ratios, drawn.object_ratios) if compared else None
        if objects is not None:
            precise = [_precision(scenes, tables, class_id, draws) for class_id in ids]
            for column, key in ((slice(None), "ap"), (slice(1), "ap50")):
                objects.value[key] = np.array([[v[column].mean() for v, _ in precise]])
                objects.drawn[key] = _stacked([d[:, column].mean(axis=1) for _, d in precise])
        mean = pixels.mean(foreground)
        if objects is not None:
            mean |= {key: f for key, f in objects.mean(foreground).items() if key not in ("precision", "recall")}
            mean |= {
                f"object_{key}": f for key, f in objects.mean(foreground).items() if key in ("precision", "recall")
            }
        return Scores(
            name=name,
            pixel_accuracy=figure(float(value.accuracy[0]), drawn.accuracy),
            mean=mean,
            classes=tuple(
                self._class(class_id, i, value, (pixels, objects if foreground[i] else None))
                for i, class_id in enumerate(ids)
            ),
            confusion=tuple(tuple(int(n) for n in row) for row in value.confusion[0]),
        )

    def _class(self, class_id: int, place: int, sums: Sums, ratios: tuple[_Pair, _Pair | None]) -> ClassFigures:
        info, (pixels, objects) = self.classes.by_id(class_id), ratios
        confusion, (matched, false, missed) = sums.confusion[0], sums.objects[0, place]
        amounts = (
            confusion[place].sum(), confusion[:, place].sum(), confusion[place, place],
            matched + missed, matched + false, matched,
        )  # fmt: skip
        return ClassFigures(
            id=class_id,
            name=info.name,
            colour=info.colour,
            pixels=pixels.at(place),
            objects=None if objects is None else objects.at(place),
            counts={name: int(n) for name, n in zip(COUNTS, amounts, strict=True)},
        )


@dataclass(frozen=True, slots=True)
class _Pair:
    """Ratios by name: `value` (1, C), and `drawn` (draw, C)."""

    value: Ratios
    drawn: Ratios

    def at(self, place: int) -> dict[str, Figure]:
        """The figures of one class."""
        return {key: figure(float(v[0, place]), self.drawn[key][:, place]) for key, v in self.value.items()}

    def mean(self, which: NDArray[np.bool_]) -> dict[str, Figure]:
        """The means over some classes, those left out for which a ratio has no denominator."""
        return {
            key: figure(float(_mean(v[:, which])[0]), _mean(self.drawn[key][:, which])) for key, v in self.value.items()
        }


def _mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means of rows without NaN; NaN for rows of nothing else."""
    known = np.isfinite(values)
    sums = np.where(known, values, 0).sum(axis=1)
    return np.asarray(ratio(sums, known.sum(axis=1)))


def _precision(
    scenes: Sequence[SceneCounts], tables: Sequence[CellTable], class_id: int, draws: Draws
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Average precision at each of LEAST, (threshold,), and the same of draws (draw, threshold)."""
    sizes = [len(table) for table in tables]
    starts = np.cumsum([0, *sizes[:-1]]).tolist()
    compared = [(scene.pairs, first) for scene, first in zip(scenes, starts, strict=True) if scene.pairs is not None]
    found = ranked([pairs for pairs, _ in compared], [first for _, first in compared], class_id)
    if found is None:
        return np.full(len(LEAST), np.nan), np.empty((0, len(LEAST)))
    value = found.average_precision(np.ones(sum(sizes)))
    most = min(len(draws), AP_STEPS // max(1, found.hits.size))
    drawn = [found.average_precision(weights) for weights in draws.weights(most if most >= FEWEST_DRAWS else 0)]
    return value, np.array(drawn).reshape(-1, len(LEAST))


def _stacked(columns: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Columns (draw,) side by side, as many draws as all of them have; columns without any are NaN."""
    rows = min((len(column) for column in columns if len(column)), default=0)
    return np.column_stack([column[:rows] if len(column) else np.full(rows, np.nan) for column in columns])


def _cell_figures(scene: SceneCounts, table: CellTable, place: int, foreground: NDArray[np.bool_]) -> CellFigures:
    """One square: its IoU takes all classes of the foreground together."""
    cell, confusion = scene.cells[place], table.confusion[place]
    right = np.diag(confusion)
    overlap = float(iou(right[foreground].sum(), confusion[foreground].sum(), confusion[:, foreground].sum()))
    known = int(confusion.sum())
    matched, false, missed = (int(n) for n in table.objects[place].sum(axis=0))
    return CellFigures(
        y=(cell.y.start, cell.y.stop),
        x=(cell.x.start, cell.x.stop),
        known=known,
        wrong=known - int(right.sum()),
        iou=overlap if np.isfinite(overlap) else None,
        objects=(matched, false, missed),
    )
