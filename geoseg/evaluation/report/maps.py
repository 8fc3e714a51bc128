"""The map of errors of a scene: its cells over a picture of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from geoseg.evaluation.figures import CellFigures, SceneFigures
from geoseg.evaluation.report.exhibit import Exhibit
from geoseg.evaluation.report.words import count, percent, ratio

WIDTH = 720  # of the picture, in its own units
TALLEST = 900
STEPS = (0.01, 0.03, 0.1, 0.2, 0.35)  # shares of wrong pixels at which the colour changes
_LEAST = 34  # a cell narrower than this holds no text
_FONT = 13


@dataclass(frozen=True, slots=True)
class CellBox:
    """A cell on the map, in the picture's units: `step` counts colours from 0; -1 is ground that nobody knows."""

    x: float
    y: float
    width: float
    height: float
    step: int
    text: str
    title: str


@dataclass(frozen=True, slots=True)
class ErrorMap:
    """Cells over a picture; `alt` says in words what is seen."""

    width: float
    height: float
    image: str | None
    cells: tuple[CellBox, ...]
    font: float
    alt: str


def legend() -> tuple[tuple[int, str], ...]:
    """The colours of the map, by number, and the shares of wrong pixels that they stand for."""
    said = [f"{100 * bound:g} %" for bound in STEPS]
    between = [f"{low} to {high}" for low, high in pairwise(said)]
    return tuple(enumerate([f"under {said[0]}", *between, f"{said[-1]} and more"]))


def error_map(scene: SceneFigures, pictures: Mapping[str, Exhibit]) -> ErrorMap | None:
    """The map of a scene; None without cells. `pictures` are thumbnails by the scene's name."""
    if not scene.cells:
        return None
    picture = pictures.get(scene.scores.name)
    height, width = (picture.shape if picture else None) or (
        max(cell.y[1] for cell in scene.cells),
        max(cell.x[1] for cell in scene.cells),
    )
    scale = min(WIDTH / width, TALLEST / height)
    boxes = tuple(_box(cell, scale) for cell in scene.cells)
    return ErrorMap(
        round(width * scale, 1), round(height * scale, 1), picture.uri if picture else None, boxes, _FONT, _alt(scene)
    )


def _box(cell: CellFigures, scale: float) -> CellBox:
    share = cell.wrong / cell.known if cell.known else None
    step = -1 if share is None else sum(share >= bound for bound in STEPS)
    width, height = (cell.x[1] - cell.x[0]) * scale, (cell.y[1] - cell.y[0]) * scale
    text = percent(share) if min(width / 1.4, height) >= _LEAST / 1.4 and share is not None else ""
    left, top = round(cell.x[0] * scale, 1), round(cell.y[0] * scale, 1)
    return CellBox(left, top, round(width, 1), round(height, 1), step, text, cell_words(cell))


def cell_words(cell: CellFigures) -> str:
    """Where a cell lies, and what was counted in it."""
    return f"Rows {cell.y[0]} to {cell.y[1]}, columns {cell.x[0]} to {cell.x[1]}: {counted(cell)}."


def counted(cell: CellFigures) -> str:
    """What was counted in a cell, without a full stop."""
    if not cell.known:
        return "nobody knows the truth here"
    matched, invented, missed = cell.objects
    wrong = f"{percent(cell.wrong / cell.known)} of {count(cell.known)} known pixels wrong, IoU {ratio(cell.iou)}"
    objects = f"; objects: {matched} matched, {missed} missed, {invented} invented" if any(cell.objects) else ""
    return f"{wrong}{objects}"


def _alt(scene: SceneFigures) -> str:
    known = [cell for cell in scene.cells if cell.known]
    if not known:
        return f"Map of {scene.scores.name}: no cell holds known ground."
    shares = sorted(cell.wrong / cell.known for cell in known)
    worst = max(known, key=lambda cell: cell.wrong / cell.known)
    return (
        f"Map of {scene.scores.name} in {len(scene.cells)} cells, coloured by the share of wrong pixels: half of them "
        f"are below {percent(shares[len(shares) // 2])}, the worst is {percent(shares[-1])}, at rows {worst.y[0]} to "
        f"{worst.y[1]} and columns {worst.x[0]} to {worst.x[1]}."
    )
