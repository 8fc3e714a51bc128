"""The best and the worst places of a scene, and a picture of all of it, read window by window."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from geoseg.core.classes import NODATA, ClassSet
from geoseg.core.protocols import Rows
from geoseg.core.tiling import Span
from geoseg.evaluation.figures import CellFigures, SceneFigures
from geoseg.evaluation.report.drawing import Shown, View, drawn, foreground, jpeg
from geoseg.evaluation.report.exhibit import Exhibit
from geoseg.evaluation.report.found import Found, Known, as_known
from geoseg.evaluation.report.maps import cell_words, counted
from geoseg.evaluation.strips import Blank
from geoseg.evaluation.strips import imagery as ground
from geoseg.io.grid import crop, resized
from geoseg.io.preview import imagery
from geoseg.io.scene import Scene

THUMBNAIL = 640  # pixels of the longer side
PANEL = 520  # pixels of the longer side of a panel
LARGEST = 512  # pixels of the scene that a place shows to each side
CANDIDATES = 5  # places along each axis that are looked at in a larger cell
WHOLE = 1 << 30  # pixels: larger scenes get a thumbnail only from overviews
_LOOK = 128  # pixels a side at which they are compared
_ENOUGH = 0.1  # cells with less of the classes than this share of the fullest tell little
_PAPER = 236  # grey where there is no imagery


def exhibits(scene: Scene, labels: Known, found: Found, figures: SceneFigures, count: int = 6) -> list[Exhibit]:
    """A thumbnail of the scene, then `count` of its cells: the worst, then the best, none of them twice.

    There is no thumbnail of a scene of more than WHOLE pixels without overviews, which would be read as a whole.
    Cells are chosen by their IoU among those that hold enough of the classes. Of a cell larger than LARGEST pixels the
    part is shown that has most wrong (or right) pixels. What the comparison took for blank (`blank` and `bands` of the
    figures' facts) is unknown here, too. Nothing but these windows is read, so that scenes may have any
    size. Raises what reading the scene, the labels or the map raises.
    """
    bands = visible_bands(scene)
    name = figures.scores.name
    pictures = [] if _costly(scene) else [_thumbnail(scene, bands, name)]
    blank = Blank(tuple(figures.facts.get("blank", ())), tuple(figures.facts.get("bands", ())) or None)
    said = _Said(scene, labels, as_known(scene, found), found.classes, blank)
    kinds: tuple[tuple[Literal["worst", "best"], list[CellFigures]], ...] = tuple(
        zip(("worst", "best"), chosen(figures.cells, count), strict=True)
    )
    for kind, cells in kinds:
        for cell in cells:
            y, x = _place(said, cell, kind)
            image = drawn(_view(bands, said, (y, x)))
            words = _caption(scene, cell, (y, x))
            where = f"{name}: rows {y.start} to {y.stop}, columns {x.start} to {x.stop}"
            alt = f"Imagery beside labels and map of {where}."
            pictures.append(Exhibit(where, words, image, kind, name, alt=alt))
    return pictures


def visible_bands(scene: Scene) -> tuple[int, ...]:
    """The bands (counted from 1) to look at: red, green and blue where they are named, else the first three, or one."""
    named = {name: index for index, name in enumerate(scene.bands, 1)}
    if all(name in named for name in ("red", "green", "blue")):
        return named["red"], named["green"], named["blue"]
    return (1, 2, 3) if len(scene.bands) >= 3 else (1,)


def chosen(cells: Iterable[CellFigures], count: int) -> tuple[list[CellFigures], list[CellFigures]]:
    """The worst cells and the best, `count` together (one more of the worst where it is odd), no cell in both.

    A cell counts where the classes take enough of it: by the pixels in the labels or on the map, as far as IoU and
    wrong pixels tell (those of a cell without a wrong pixel are unknown, and taken as enough).
    """
    known = [cell for cell in cells if cell.known and cell.iou is not None]
    union = [cell.wrong / (1 - cell.iou) if cell.iou is not None and cell.iou < 1 else np.inf for cell in known]
    most = max((u for u in union if np.isfinite(u)), default=0.0)
    enough = [cell for cell, u in zip(known, union, strict=True) if u >= _ENOUGH * most]
    ranked = sorted(enough, key=lambda cell: (cell.iou or 0.0, -cell.wrong))
    worst = [cell for cell in ranked if cell.wrong][: count - count // 2]
    best = [cell for cell in reversed(ranked) if cell not in worst][: count // 2]
    return worst, best


@dataclass(frozen=True, slots=True)
class _Said:
    """What labels and map say of a scene, of which pixels as `blank` says show nothing."""

    scene: Scene
    labels: Known
    found: Known
    classes: ClassSet
    blank: Blank

    def at(self, place: tuple[Span, Span], shape: tuple[int, int]) -> tuple[Shown, Shown]:
        """Both of a place, on so many rows and columns; where the scene shows nothing, the labels know nothing."""
        grid = resized(crop(self.scene.grid, *place), shape)
        y, x = Span(0, shape[0]), Span(0, shape[1])
        truth, found = (side.window(grid, y, x) for side in (self.labels, self.found))
        class_ids, object_ids = truth.class_ids, truth.object_ids
        shown = next(ground(self.scene, self.blank, [place[0]], place[1]))
        if shown is not None:
            down, across = (
                ((np.arange(n) + 0.5) * span.size / n).astype(int) for n, span in zip(shape, place, strict=True)
            )
            known = shown[np.ix_(down, across)]
            class_ids, object_ids = np.where(known, class_ids, NODATA), np.where(known, object_ids, 0)
        return Shown(class_ids, object_ids), Shown(found.class_ids, found.object_ids)


def _costly(scene: Scene) -> bool:
    """Whether a thumbnail would take reading a very large scene as a whole."""
    pixels = int(scene.grid.shape[0]) * int(scene.grid.shape[1])
    return pixels > WHOLE and not all(file.overviews for layer in scene.layers for file in layer.files)


def _thumbnail(scene: Scene, bands: tuple[int, ...], name: str) -> Exhibit:
    picture = Image.fromarray(_pixels(scene.overview(bands, THUMBNAIL)))
    shape = int(scene.grid.shape[0]), int(scene.grid.shape[1])
    return Exhibit(name, f"The scene {name}.", jpeg(picture), "thumbnail", name, shape)


def _pixels(rows: Rows) -> NDArray[np.uint8]:
    """Imagery (y, x, 3) for the eye, paper where there is none."""
    pixels, valid = imagery(rows)
    shown = np.moveaxis(pixels, 0, -1).copy()
    if valid is not None:
        shown[~valid] = _PAPER
    return shown


def _view(bands: tuple[int, ...], said: _Said, place: tuple[Span, Span]) -> View:
    scene = said.scene
    part, shape = crop(scene.grid, *place), _panel(scene, place)
    grid = resized(part, shape)
    reader = scene.reader(bands, grid, on_bad_block="nodata")
    rows = next(iter(reader.rows([Span(0, grid.shape[0])], Span(0, grid.shape[1]))))
    metres = scene.pixel_size[1] * part.shape[1] / grid.shape[1] if scene.pixel_size else None
    return View(_pixels(rows), *said.at(place, shape), said.classes, metres)


def _panel(scene: Scene, place: tuple[Span, Span]) -> tuple[int, int]:
    """Height and width of a panel, in the proportions that the place has on the ground."""
    down, across = scene.pixel_size or (1.0, 1.0)
    height, width = place[0].size * down, place[1].size * across
    scale = PANEL / max(height, width)
    return max(64, round(height * scale)), max(64, round(width * scale))


def _place(said: _Said, cell: CellFigures, kind: Literal["worst", "best"]) -> tuple[Span, Span]:
    """The cell, or the part of it that shows best what its figures say."""
    places = [(y, x) for y in _parts(Span(*cell.y)) for x in _parts(Span(*cell.x))]
    if len(places) == 1:
        return places[0]
    return max(places, key=lambda place: _worth(said, place, kind))


def _parts(span: Span) -> list[Span]:
    if span.size <= LARGEST * 5 // 4:
        return [span]
    many = min(CANDIDATES, -(-span.size // LARGEST))
    starts = np.linspace(span.start, span.stop - LARGEST, many).astype(int).tolist()
    return [Span(start, start + LARGEST) for start in starts]


def _worth(said: _Said, place: tuple[Span, Span], kind: Literal["worst", "best"]) -> int:
    """How well a place serves: its wrong pixels, or its right ones of the classes less the wrong ones."""
    truth, found = said.at(place, (_LOOK, _LOOK))
    known = truth.class_ids != NODATA
    right = known & (truth.class_ids == found.class_ids)
    wrong = int((known & ~right).sum())
    return wrong if kind == "worst" else int((right & foreground(truth.class_ids, said.classes)).sum()) - wrong


def _caption(scene: Scene, cell: CellFigures, place: tuple[Span, Span]) -> str:
    """What was counted in the cell, and where on the ground the picture lies."""
    y, x = place
    whole = (y.start, y.stop) == cell.y and (x.start, x.stop) == cell.x
    said = counted(cell)
    words = f"{said[0].upper()}{said[1:]}." if whole else f"A part of the cell of these figures. {cell_words(cell)}"
    if scene.grid.crs is None:
        return words
    east, north = scene.grid.affine * ((x.start + x.stop) / 2, (y.start + y.stop) / 2)
    digits = 5 if scene.grid.crs.geographic else 0
    return f"{words} Centre at {east:.{digits}f}, {north:.{digits}f} ({scene.grid.crs})."
