"""Numbers as people read them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any


def size(count: float) -> str:
    """Bytes with a decimal unit: 812 B, 1.4 GB."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit in ("B", "kB") else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def number_of(count: int, thing: str) -> str:
    """A count with its noun: 1 tile, 64 tiles."""
    return f"{count:,} {thing}" if count == 1 else f"{count:,} {thing}s"


def shape(height_width: Sequence[int]) -> str:
    """Height and width in pixels, as width × height: what image viewers say."""
    height, width = height_width
    return f"{width:,} × {height:,} pixels"


def area(square_metres: float) -> str:
    """Square metres, hectares or square kilometres; a question mark where it is not known."""
    if math.isnan(square_metres):
        return "?"
    if square_metres < 1e4:
        return f"{square_metres:,.0f} m²"
    return f"{square_metres / 1e4:,.1f} ha" if square_metres < 1e7 else f"{square_metres / 1e6:,.1f} km²"


def length(metres: float) -> str:
    """Metres or kilometres; a question mark where it is not known."""
    if math.isnan(metres):
        return "?"
    return f"{metres:,.0f} m" if metres < 1e4 else f"{metres / 1e3:,.1f} km"


def duration(seconds: float) -> str:
    """Seconds as 8.1 s, 12:34 or 1:02:03."""
    return f"{seconds:.1f} s" if seconds < 60 else clock(seconds)


def clock(seconds: float) -> str:
    """Seconds as 0:07, 12:34 or 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def crs(text: str | None) -> str:
    """A CRS in a few words: from WKT, its name and its authority's code, where it has one; other texts as they are."""
    if text is None:
        return "no CRS"
    name = re.match(r'\s*[A-Z_]+\["([^"]*)"', text)
    if name is None:
        return text
    code = re.search(r'(?:AUTHORITY|ID)\["(\w+)",\s*"?(\w+)"?\]\]\s*$', text)
    return f"{name[1]} ({code[1]}:{code[2]})" if code else name[1]


def phrase(value: Any, key: str = "") -> str:
    """Any JSON value as text; `key` tells bytes and square metres by its ending."""
    if value is None or value == () or value == [] or value == {}:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return _number(value, key)
    if isinstance(value, Mapping):
        return "; ".join(f"{label(name)} {phrase(item, name)}" for name, item in value.items())
    if isinstance(value, list | tuple):
        nested = any(isinstance(item, Mapping) for item in value)
        return ("\n" if nested else ", ").join(phrase(item, key) for item in value)
    return str(value)


def label(key: str) -> str:
    """A field's name as words, without its unit."""
    for ending in ("_bytes", "_m2"):
        key = key.removesuffix(ending)
    return key.replace("_", " ")


def _number(value: float, key: str) -> str:
    if key.endswith("_bytes"):
        return size(value)
    if key.endswith("_m2"):
        return area(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:.10g}"
