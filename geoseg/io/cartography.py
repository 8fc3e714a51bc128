"""What stands under a map: legend, scale bar, north arrow and credit line, drawn with Pillow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont
from PIL.ImageFont import FreeTypeFont
from PIL.ImageFont import ImageFont as BitmapFont

Colour = tuple[int, int, int]
PAPER: Colour = (255, 255, 255)
INK: Colour = (38, 42, 48)
FAINT: Colour = (120, 126, 134)
SHARPER = 3  # furniture is drawn that many times larger, then reduced


@dataclass(frozen=True, slots=True)
class LegendEntry:
    """One class on the map: its name, its colour, and how many polygons of it are shown."""

    name: str
    colour: Colour
    count: int

    @property
    def text(self) -> str:
        """What the legend says."""
        return f"{self.name}  {self.count:,}"


@dataclass(frozen=True, slots=True)
class Furniture:
    """What to say under the map: `metres_per_pixel` across and `north` (degrees clockwise from up), where known."""

    title: str
    credit: str
    entries: tuple[LegendEntry, ...]
    metres_per_pixel: float | None
    north: float | None


def nice_length(longest: float) -> float:
    """The longest of 1, 2, 5, 10, 20, ... that is at most `longest`, in the same unit."""
    power = 10.0 ** math.floor(math.log10(longest))
    return next(step * power for step in (5.0, 2.0, 1.0) if step * power <= longest * (1 + 1e-9))


def length_text(metres: float) -> str:
    """A length for people: `200 m`, `2 km`, `20 cm`."""
    if metres >= 1000:
        return f"{metres / 1000:g} km"
    return f"{metres:g} m" if metres >= 1 else f"{metres * 100:g} cm"


def footer(width: int, furniture: Furniture) -> Image.Image:
    """The strip under the map, RGB, `width` pixels wide and as high as its legend needs."""
    size = max(13, min(22, width // 70))
    page = _Page(width, size)
    right = page.margin
    if furniture.north is not None:
        right = page.arrow(right, furniture.north)
    if furniture.metres_per_pixel is not None:
        right = page.scale_bar(right, furniture.metres_per_pixel)
    page.legend(furniture, width - right - 2 * page.margin)
    return page.finished()


class _Page:
    """A strip of paper drawn on at SHARPER times its size; lengths are in final pixels."""

    def __init__(self, width: int, size: int) -> None:
        self.width, self.size, self.margin = width, size, size * 1.1
        self.height = round(size * 3.9)
        self.image = Image.new("RGB", (width * SHARPER, self.height * SHARPER), PAPER)
        self.draw = ImageDraw.Draw(self.image)

    def font(self, size: float) -> FreeTypeFont | BitmapFont:
        return ImageFont.load_default(size * SHARPER)

    def text(self, x: float, y: float, text: str, size: float, colour: Colour = INK, anchor: str = "lm") -> float:
        """Write; returns the text's width in final pixels."""
        font = self.font(size)
        self.draw.text((x * SHARPER, y * SHARPER), text, fill=colour, font=font, anchor=anchor)
        return self.draw.textlength(text, font=font) / SHARPER

    def length(self, text: str, size: float) -> float:
        return self.draw.textlength(text, font=self.font(size)) / SHARPER

    def grow(self, height: float) -> None:
        """Make the strip at least that high."""
        if height > self.height:
            self.height = math.ceil(height)
            old = self.image
            self.image = Image.new("RGB", (old.width, self.height * SHARPER), PAPER)
            self.image.paste(old, (0, 0))
            self.draw = ImageDraw.Draw(self.image)

    def arrow(self, right: float, north: float) -> float:
        """A north arrow at the right; returns how far from the right edge the free part begins."""
        radius = self.size
        x, y = self.width - right - radius, self.size * 2.15
        angle = math.radians(north)
        tip, left, back, other = (
            ((x + r * math.sin(angle + turn)) * SHARPER, (y - r * math.cos(angle + turn)) * SHARPER)
            for r, turn in ((radius, 0.0), (radius, 2.6), (radius * 0.45, math.pi), (radius, -2.6))
        )
        self.draw.polygon([tip, back, other], fill=INK)
        self.draw.polygon([tip, left, back], fill=PAPER, outline=INK, width=SHARPER)
        out = radius * 1.55
        self.text(x + out * math.sin(angle), y - out * math.cos(angle), "N", self.size * 0.72, anchor="mm")
        return right + 2 * radius + self.margin

    def scale_bar(self, right: float, metres_per_pixel: float) -> float:
        """A scale bar of two parts; returns how far from the right edge the free part begins."""
        longest = self.width * 0.18
        metres = nice_length(longest * metres_per_pixel)
        bar = metres / metres_per_pixel
        label = length_text(metres)
        right += self.length(label, self.size * 0.8) / 2
        x, y, thick = self.width - right - bar, self.size * 2.35, self.size * 0.36
        for part, colour in ((0, INK), (1, PAPER)):
            box = [x + part * bar / 2, y, x + (part + 1) * bar / 2, y + thick]
            self.draw.rectangle([v * SHARPER for v in box], fill=colour, outline=INK, width=SHARPER)
        for share, text in ((0.0, "0"), (0.5, length_text(metres / 2)), (1.0, label)):
            if share != 0.5 or bar > 9 * self.size:
                self.text(x + share * bar, y - self.size * 0.62, text, self.size * 0.8, anchor="mm")
        return right + bar + self.margin

    def legend(self, furniture: Furniture, room: float) -> None:
        """Title, then the classes in as many lines as `room` asks for, then the credit."""
        y = self.size * 1.25
        if furniture.title:
            self.text(self.margin, y, self._shortened(furniture.title, self.size, room), self.size)
            y += self.size * 1.5
        y = self._entries(furniture.entries, y, room)
        if furniture.credit:
            small = self.size * 0.68
            for line in self._wrapped(furniture.credit, small, room):
                self.grow(y + small * 1.6)
                self.text(self.margin, y + small * 0.3, line, small, FAINT)
                y += small * 1.6
        self.grow(y)

    def _entries(self, entries: Sequence[LegendEntry], y: float, room: float) -> float:
        swatch, x = self.size * 0.95, float(self.margin)
        for entry in entries:
            text = self._shortened(entry.text, self.size * 0.88, room - swatch * 1.5)
            needed = swatch * 1.5 + self.length(text, self.size * 0.88)
            if x > self.margin and x + needed > self.margin + room:
                x, y = float(self.margin), y + self.size * 1.4
            self.grow(y + self.size * 1.3)
            box = [x, y - swatch / 2, x + swatch * 1.15, y + swatch / 2]
            light = tuple(round(0.55 * c + 0.45 * 255) for c in entry.colour)
            self.draw.rectangle(
                [v * SHARPER for v in box], fill=light, outline=entry.colour, width=round(self.size * 0.13 * SHARPER)
            )
            self.text(x + swatch * 1.55, y, text, self.size * 0.88)
            x += needed + self.size * 1.6
        return y + self.size * 1.4

    def _wrapped(self, text: str, size: float, room: float) -> list[str]:
        """The text in lines that fit into `room`, cut between words; a word that is too long is shortened."""
        lines: list[str] = []
        for word in text.split():
            longer = f"{lines[-1]} {word}" if lines else word
            if lines and self.length(longer, size) <= room:
                lines[-1] = longer
            else:
                lines.append(self._shortened(word, size, room))
        return lines

    def _shortened(self, text: str, size: float, room: float) -> str:
        while len(text) > 4 and self.length(text, size) > room:
            text = text[:-4] + "..."
        return text

    def finished(self) -> Image.Image:
        return self.image.resize((self.width, self.height), Image.Resampling.BOX)
