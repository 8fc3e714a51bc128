"""A sheet of windows: imagery, truth and what the network says, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from geoseg.core.card import ModelCard
from geoseg.core.classes import NODATA, ClassSet
from geoseg.io.outputs import writing

Picture = NDArray[np.uint8]
WORST, RANDOM = 4, 4
_SIDE = 256  # pixels that a window takes at most
_GAP, _LINE = 6, 16
_PAPER, _INK, _UNKNOWN = (255, 255, 255), (30, 30, 30), (128, 128, 128)
_FILL = 0.55  # share of a class's colour over the imagery


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """One window: `image` (y, x, 3) uint8, class ids `truth` and `found` (y, x) uint8, and its foreground IoU."""

    image: Picture
    truth: Picture
    found: Picture
    iou: float


@dataclass(slots=True, eq=False)
class Gallery:
    """The worst windows of a validation, and some that are drawn at random: the same ones at each validation."""

    seed: int
    worst: list[Window] = field(default_factory=list)
    random: list[Window] = field(default_factory=list)
    _seen: int = 0
    _draws: np.random.Generator | None = None

    def add(self, window: Window) -> None:
        """Look at one more window."""
        if self._draws is None:
            self._draws = np.random.default_rng(self.seed)
        self._seen += 1
        if len(self.random) < RANDOM:
            self.random.append(window)
        elif (place := int(self._draws.integers(self._seen))) < RANDOM:
            self.random[place] = window
        if np.isfinite(window.iou):
            self.worst = sorted([*self.worst, window], key=lambda w: w.iou)[:WORST]

    def write(self, path: Path, classes: ClassSet) -> None:
        """Write the sheet as PNG; nothing where no window was seen. Raises WriteError."""
        rows = [*((w, "worst") for w in self.worst), *((w, "random") for w in self.random)]
        if rows:
            with writing(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                sheet(rows, classes).save(path)


def sheet(rows: Sequence[tuple[Window, str]], classes: ClassSet) -> Image.Image:
    """The picture: a row a window with imagery, truth and prediction, each with a word and its IoU."""
    line = _SIDE + _LINE + _GAP
    page = Image.new("RGB", (3 * (_SIDE + _GAP) + _GAP, line * len(rows) + _GAP), _PAPER)
    pen = ImageDraw.Draw(page)
    for number, (window, word) in enumerate(rows):
        top = _GAP + number * line
        views = (window.image, coloured(window.image, window.truth, classes))
        for column, view in enumerate((*views, coloured(window.image, window.found, classes))):
            left = _GAP + column * (_SIDE + _GAP)
            told = (f"{word}, IoU {window.iou:.2f}", "labels", "prediction")[column]
            pen.text((left, top), told, fill=_INK)
            page.paste(_fitted(view), (left, top + _LINE))
    return page


def coloured(image: Picture, class_ids: Picture, classes: ClassSet) -> Picture:
    """The image (y, x, 3) in grey with the foreground in its colours and unknown ground (255) plain grey."""
    grey = np.repeat(image.mean(axis=2, keepdims=True), 3, axis=2)
    for info in classes.foreground:
        shown = class_ids == info.id
        grey[shown] = (1 - _FILL) * grey[shown] + _FILL * np.array(info.rgb)
    grey[class_ids == NODATA] = _UNKNOWN
    return grey.round().astype(np.uint8)


def rgb_of(image: NDArray[np.float32], card: ModelCard) -> Picture:
    """A picture (y, x, 3) of an image (band, y, x) from 0 to 1: red, green and blue, or the first bands.

    Values other than bytes are stretched from their 2nd to their 98th percentile.
    """
    names = ("red", "green", "blue")
    chosen = [card.bands.index(n) for n in names] if set(names) <= set(card.bands) else [0, 0, 0]
    if chosen == [0, 0, 0] and len(card.bands) >= 3:
        chosen = [0, 1, 2]
    values = np.moveaxis(image[chosen], 0, 2)
    if card.dtype != "uint8":
        low, high = np.percentile(values, (2, 98), axis=(0, 1))
        values = (values - low) / np.maximum(high - low, 1e-6)
    return np.asarray((255 * np.clip(values, 0, 1)).round(), np.uint8)


def _fitted(view: Picture) -> Image.Image:
    """The picture at most _SIDE pixels a side; small ones are enlarged by whole factors."""
    picture = Image.fromarray(view)
    longest = max(picture.size)
    if longest > _SIDE:
        picture.thumbnail((_SIDE, _SIDE))
        return picture
    factor = _SIDE // longest
    return picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)
