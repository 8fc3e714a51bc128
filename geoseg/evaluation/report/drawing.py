"""A place drawn for the eye: imagery beside what the labels and the map say of it."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from PIL.ImageFont import FreeTypeFont
from PIL.ImageFont import ImageFont as BitmapFont

from geoseg.core.classes import NODATA, ClassSet
from geoseg.io.cartography import length_text, nice_length

Colour = tuple[int, int, int]
Font = FreeTypeFont | BitmapFont
TRUTH: Colour = (64, 200, 255)
FOUND: Colour = (255, 150, 20)
CASING: Colour = (20, 16, 10)
STRIP: Colour = (24, 28, 33)
TEXT: Colour = (240, 242, 244)
_BROAD, _THIN, _CASED = 2, 1, 2  # pixels that a line is grown by, to each side
_HATCH = 9  # pixels from stripe to stripe
_STRIPE = 3
_OPAQUE, _PALE = 0.8, 0.45
_DIM = 0.45  # of imagery where nobody knows the truth
_GAP = 6  # pixels between panels
_LINE = 24  # pixels of a legend's line
_FONT = 13
_QUALITY = 84


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """What one side says of a place: `class_ids` (y, x) uint8, 255 unknown; `object_ids` (y, x), 0 for none."""

    class_ids: NDArray[np.uint8]
    object_ids: NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """A place: `imagery` (y, x, 3) uint8 with what labels (`truth`) and map (`found`) say, pixel by pixel.

    `metres` is the width of a pixel on the ground; None when unknown.
    """

    imagery: NDArray[np.uint8]
    truth: Shown
    found: Shown
    classes: ClassSet
    metres: float | None


def drawn(view: View) -> bytes:
    """A JPEG of the view, with its legend.

    With one foreground class: the imagery, and beside it the same with both outlines and stripes where they differ.
    With several: the imagery, the classes of the labels, the classes of the map.
    """
    several = len([c for c in view.classes.foreground if c.id != view.classes.separator]) > 1
    panels = _class_panels(view) if several else [view.imagery, _compared(view)]
    entries = _class_entries(view) if several else _ENTRIES
    page = _page(panels, view.metres, entries, ("imagery", "labels", "map") if several else ("imagery", "compared"))
    return jpeg(page)


def jpeg(image: Image.Image) -> bytes:
    """The picture as the bytes of a JPEG file."""
    file = io.BytesIO()
    image.save(file, format="JPEG", quality=_QUALITY, optimize=True)
    return file.getvalue()


def foreground(class_ids: NDArray[np.uint8], classes: ClassSet) -> NDArray[np.bool_]:
    """True where some class but the background is."""
    other = NODATA if classes.background is None else classes.background
    return np.asarray((class_ids != NODATA) & (class_ids != other))


@dataclass(frozen=True, slots=True)
class Entry:
    """A sample in the legend: a line of that width, or a field, striped to one side (-1, 1) or plain (0)."""

    text: str
    colour: Colour
    width: int = 0
    stripes: int = 0


_ENTRIES = (
    Entry("outline in the labels", TRUTH, width=5),
    Entry("outline on the map", FOUND, width=2),
    Entry("missed: in the labels only", TRUTH, stripes=1),
    Entry("invented: on the map only", FOUND, stripes=-1),
)


def _compared(view: View) -> NDArray[np.uint8]:
    """The imagery with stripes where labels and map differ, and the outlines of both."""
    pixels = _dimmed(view)
    known = view.truth.class_ids != NODATA
    truth, found = foreground(view.truth.class_ids, view.classes), foreground(view.found.class_ids, view.classes)
    _blend(pixels, truth & ~found & _stripes(truth.shape, 1), TRUTH, _OPAQUE)
    _blend(pixels, found & ~truth & known & _stripes(truth.shape, -1), FOUND, _OPAQUE)
    _blend(pixels, _grown(_edges(view.truth, truth), _BROAD), TRUTH, 1.0)
    thin = _edges(view.found, found)
    _blend(pixels, _grown(thin, _CASED), CASING, _PALE)
    _blend(pixels, _grown(thin, _THIN), FOUND, 1.0)
    return np.rint(pixels).astype(np.uint8)


def _class_panels(view: View) -> list[NDArray[np.uint8]]:
    """The imagery, and twice more with the classes' colours over it: the labels', the map's."""
    panels = [view.imagery]
    for shown in (view.truth, view.found):
        pixels = _dimmed(view)
        for c in view.classes.classes:
            where = shown.class_ids == c.id
            if c.id != view.classes.background:
                _blend(pixels, where, c.rgb, _PALE + 0.15)
        _blend(pixels, _edges(shown, foreground(shown.class_ids, view.classes)), TEXT, _OPAQUE)
        panels.append(np.rint(pixels).astype(np.uint8))
    return panels


def _class_entries(view: View) -> tuple[Entry, ...]:
    """The classes that are to be seen."""
    seen = set(np.unique(view.truth.class_ids)) | set(np.unique(view.found.class_ids))
    return tuple(Entry(c.name, c.rgb) for c in view.classes.foreground if c.id in seen)


def _dimmed(view: View) -> NDArray[np.float32]:
    """The imagery, darker where nobody knows the truth."""
    pixels = view.imagery.astype(np.float32)
    pixels[view.truth.class_ids == NODATA] *= _DIM
    return pixels


def _edges(shown: Shown, where: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """True for pixels beside another class or object, where one of both is in `where`."""
    key = np.where(where, shown.class_ids.astype(np.int64) << 32 | shown.object_ids, -1)
    edges = np.zeros(key.shape, np.bool_)
    down, across = key[1:] != key[:-1], key[:, 1:] != key[:, :-1]
    edges[1:] |= down
    edges[:, 1:] |= across
    return edges


def _grown(mask: NDArray[np.bool_], by: int) -> NDArray[np.bool_]:
    """The mask, grown to a line of about 2 * by + 1 pixels: by a cross, `by` times."""
    for _ in range(by):
        grown = mask.copy()
        grown[1:] |= mask[:-1]
        grown[:-1] |= mask[1:]
        grown[:, 1:] |= mask[:, :-1]
        grown[:, :-1] |= mask[:, 1:]
        mask = grown
    return mask


def _stripes(shape: tuple[int, ...], lean: int) -> NDArray[np.bool_]:
    y, x = np.ogrid[: shape[0], : shape[1]]
    return np.asarray((x + lean * y) % _HATCH < _STRIPE)


def _blend(pixels: NDArray[np.float32], where: NDArray[np.bool_], colour: Colour, share: float) -> None:
    """Lay a colour over some pixels (y, x, 3), in place."""
    pixels[where] = pixels[where] * (1 - share) + np.array(colour, np.float32) * share


def _page(
    panels: Sequence[NDArray[np.uint8]], metres: float | None, entries: Sequence[Entry], titles: Sequence[str]
) -> Image.Image:
    """Panels side by side, their titles above them, and legend and scale bar below."""
    height, width = panels[0].shape[:2]
    whole = width * len(panels) + _GAP * (len(panels) - 1)
    font = ImageFont.load_default(_FONT)
    rows = _rows(entries, whole - 150, font)
    page = Image.new("RGB", (whole, height + _LINE * (1 + max(1, len(rows)))), STRIP)
    pen = ImageDraw.Draw(page)
    for i, (panel, title) in enumerate(zip(panels, titles, strict=True)):
        left = i * (width + _GAP)
        page.paste(Image.fromarray(panel), (left, _LINE))
        pen.text((left + 6, _LINE / 2), title, fill=TEXT, font=font, anchor="lm")
    for line, row in enumerate(rows):
        for x, entry in row:
            _sample(pen, (x, height + _LINE * (line + 1.5)), entry, font)
    if metres is not None:
        _scale_bar(pen, (whole - 10, height + _LINE * 1.5), metres, font)
    return page


def _rows(entries: Sequence[Entry], room: float, font: Font) -> list[list[tuple[float, Entry]]]:
    """The entries of each line of the legend, with the place where each begins."""
    rows: list[list[tuple[float, Entry]]] = []
    x = 0.0
    for entry in entries:
        size = 34 + font.getlength(entry.text) + 16
        if not rows or x + size > room:
            rows.append([])
            x = 8.0
        rows[-1].append((x, entry))
        x += size
    return rows


def _sample(pen: ImageDraw.ImageDraw, place: tuple[float, float], entry: Entry, font: Font) -> None:
    x, y = place
    if entry.width:
        pen.line([(x, y), (x + 26, y)], fill=entry.colour, width=entry.width)
    elif entry.stripes:
        for shift in range(0, 26, 7):
            ends = [(x + shift, y + 6 * entry.stripes), (x + shift + 8, y - 6 * entry.stripes)]
            pen.line(ends, fill=entry.colour, width=2)
    else:
        pen.rectangle([x, y - 6, x + 24, y + 6], fill=entry.colour, outline=TEXT)
    pen.text((x + 34, y), entry.text, fill=TEXT, font=font, anchor="lm")


def _scale_bar(pen: ImageDraw.ImageDraw, end: tuple[float, float], metres: float, font: Font) -> None:
    length = nice_length(90 * metres)
    x, y = end
    left = x - length / metres
    pen.line([(left, y - 4), (left, y + 4), (x, y + 4), (x, y - 4)], fill=TEXT, width=2)
    pen.text((left - 6, y), length_text(length), fill=TEXT, font=font, anchor="rm")
