"""Curves as numbers that a template draws: paths, ticks and marks in the units of an SVG picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 460, 320
LEFT, RIGHT, TOP, BOTTOM = 56, 16, 14, 46
POINTS = 400  # a line has no more: others cannot be told apart
_TICKS = 6

Range = tuple[float, float]
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Frame:
    """What a chart is called, its axes and their ranges. `marks` are upright lines at x, with their names."""

    title: str
    alt: str
    x_label: str
    y_label: str
    x: Range = (0.0, 1.0)
    y: Range = (0.0, 1.0)
    marks: tuple[tuple[float, str], ...] = ()
    diagonal: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """A line through points in the axes' units. `dots` are points that are shown by themselves, with a radius."""

    name: str
    points: tuple[Point, ...] = ()
    dots: tuple[tuple[float, float, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Tick:
    """A place on an axis, in the picture's units, and what is written there."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Stroke:
    """A line as an SVG path, its points as (x, y, radius), and its place among the chart's lines, from 0."""

    name: str
    path: str
    dots: tuple[tuple[float, float, float], ...]
    style: int


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart that is ready to be drawn."""

    frame: Frame
    strokes: tuple[Stroke, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    marks: tuple[Tick, ...]
    diagonal: str

    @property
    def size(self) -> dict[str, int]:
        """The picture's measures, by name."""
        return {
            "width": WIDTH,
            "height": HEIGHT,
            "left": LEFT,
            "right": WIDTH - RIGHT,
            "top": TOP,
            "bottom": HEIGHT - BOTTOM,
        }


def chart(frame: Frame, lines: Sequence[Line]) -> Chart:
    """The chart of some lines; points beyond the frame's ranges are moved to their ends."""
    strokes = []
    for style, line in enumerate(lines):
        points = [_place(frame, point) for point in thinned(line.points)]
        dots = tuple((*_place(frame, (x, y)), round(radius, 1)) for x, y, radius in line.dots)
        strokes.append(Stroke(line.name, _path(points), dots, style))
    return Chart(
        frame,
        tuple(strokes),
        tuple(Tick(_place(frame, (v, frame.y[0]))[0], text) for v, text in _ticks(frame.x)),
        tuple(Tick(_place(frame, (frame.x[0], v))[1], text) for v, text in _ticks(frame.y)),
        tuple(Tick(_place(frame, (v, frame.y[0]))[0], text) for v, text in frame.marks),
        _path([_place(frame, (frame.x[0], frame.y[0])), _place(frame, (frame.x[1], frame.y[1]))])
        if frame.diagonal
        else "",
    )


def thinned(points: Sequence[Point]) -> list[Point]:
    """At most POINTS of the points that can be drawn, the first and the last among them."""
    known = [point for point in points if all(map(math.isfinite, point))]
    if len(known) <= POINTS:
        return known
    return [known[round(i * (len(known) - 1) / (POINTS - 1))] for i in range(POINTS)]


def wide(values: Sequence[float], zero: bool = False) -> Range:
    """A range that holds all finite values, with some air; from 0 on request. (0, 1) without any value."""
    known = [value for value in values if math.isfinite(value)]
    if not known:
        return 0.0, 1.0
    low, high = min(known), max(known)
    air = 0.05 * (high - low) or abs(high) * 0.1 or 1.0
    return (min(0.0, low) if zero else low - air), high + air


def _place(frame: Frame, point: Point) -> Point:
    shares = [
        min(max((value - low) / (high - low), 0.0), 1.0)
        for value, (low, high) in zip(point, (frame.x, frame.y), strict=True)
    ]
    across, up = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    return round(LEFT + shares[0] * across, 1), round(HEIGHT - BOTTOM - shares[1] * up, 1)


def _path(points: Sequence[Point]) -> str:
    return "M" + "L".join(f"{x:g} {y:g}" for x, y in points) if points else ""


def _ticks(ends: Range) -> list[tuple[float, str]]:
    """Round values inside a range, at most _TICKS + 1 of them, with as many digits as tell them apart."""
    low, high = ends
    rough = (high - low) / _TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    digits = next((d for d in range(6) if math.isclose(round(step, d), step)), 6)
    return [(k * step, _number(k * step, step, digits)) for k in range(first, last + 1)]


def _number(value: float, step: float, digits: int) -> str:
    if value == 0 and step < 1e-3:
        return "0"
    if step < 1e-3 or abs(value) >= 1e6:
        mantissa, power = f"{value:.2e}".split("e")
        return f"{float(mantissa):g}e{int(power)}"
    return f"{value + 0.0:,.{digits}f}"
