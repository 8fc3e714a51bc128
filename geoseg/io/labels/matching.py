"""What the values of a column or of a raster stand for: classes by the user's words, by name, or by id."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from geoseg.core.classes import NODATA, ClassInfo, ClassSet
from geoseg.errors import LabelError
from geoseg.io.labels.source import LabelSource
from geoseg.io.legend import Legend

UNKNOWN = "unknown"  # `values` may send a value there: ground of which nothing is known
BACKGROUND = "background"
OBJECT = "object"  # the class of features that have none
_SHOWN = 12


@dataclass(frozen=True, slots=True)
class Matching:
    """The classes, and the class id of each value's text."""

    classes: ClassSet
    ids: Mapping[str, int]


def text_of(value: Any) -> str:
    """A value as text: 1 and 1.0 are alike, and what is missing is empty."""
    if value is None or value != value:
        return ""
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value).strip()


def matched(
    values: Iterable[str], source: LabelSource, classes: ClassSet, called: Mapping[str, str] | None = None
) -> Matching:
    """What each value stands for among `classes`: by `source.values`, else by name, else by id.

    `called` are the names that the file itself gives values: these count in place of the value and its id, but the
    background may be called anything. Raises LabelError that lists the values without a class, and names in
    `source.values` that are none.
    """
    called = called or {}
    told = {text_of(key): name for key, name in source.values.items()}
    names = {c.name.casefold(): c.id for c in classes.classes if c.id != classes.separator}
    known = {UNKNOWN: NODATA} | names
    wrong = sorted({name for name in told.values() if name.casefold() not in known})
    if wrong:
        raise LabelError(
            f"{source.path}: values are said to be of the class {', '.join(wrong)}; found the classes "
            f"{_listed(classes)}; name one of them, or {UNKNOWN!r} for ground that nobody knows"
        )
    by_id = {str(i): i for i in names.values()}
    ids: dict[str, int] = {}
    lost = []
    for text in sorted(set(values)):
        name = told.get(text, called.get(text, text)).casefold()
        if name in known:
            ids[text] = known[name]
        elif text in by_id and (text not in called or by_id[text] == classes.background):
            ids[text] = by_id[text]
        else:
            lost.append(f"{text} ({called[text]})" if text in called else text)
    if lost:
        where = f"the column {source.column!r}" if source.column else f"band {source.bidx}"
        raise LabelError(
            f"{source.path}: {where} holds values that are no class: {_shown(lost)}; found the classes "
            f"{_listed(classes)}; say which is which with --class-value VALUE=NAME (NAME may be {UNKNOWN!r})"
        )
    return Matching(classes, ids)


def named(values: Iterable[str], source: LabelSource, kind: Literal["thing", "stuff"]) -> Matching:
    """Classes made of the values of a column: the background, then names in order. Raises LabelError for too many."""
    told = {text_of(key): name for key, name in source.values.items()}
    spelt = {name.casefold(): name for name in sorted({told.get(text, text) for text in values}, reverse=True)}
    names = sorted(name for folded, name in spelt.items() if folded not in (BACKGROUND, UNKNOWN))
    if len(names) >= NODATA:
        raise LabelError(
            f"{source.path}: the column {source.column!r} holds {len(names)} different values ({_shown(names)}); "
            f"expected at most {NODATA - 1} classes; choose the column that holds the class (--class-column)"
        )
    if "" in names:
        raise LabelError(
            f"{source.path}: some features have nothing in the column {source.column!r}; expected a class; say which "
            f"with --class-value =NAME (NAME may be {UNKNOWN!r})"
        )
    return matched(values, source, class_set(dict(enumerate(names, 1)), kind))


def counted(values: Iterable[int], source: LabelSource, legend: Legend) -> Matching:
    """Classes made of a raster's values: stuff under their own ids, named by `source.values` or the legend.

    Raises LabelError for values that cannot be class ids.
    """
    told = {text_of(key): name for key, name in source.values.items()}
    names = {value: _name(value, told, legend) for value in sorted(set(values))}
    first: dict[str, int] = {}
    for value, name in names.items():
        if name not in (BACKGROUND, UNKNOWN):
            first.setdefault(name, value)
    if not all(0 < value < NODATA for value in first.values()):
        first = {name: number for number, name in enumerate(first, 1)}
    if len(first) >= NODATA:
        raise LabelError(
            f"{source.path}: band {source.bidx} holds {len(first)} different values; expected at most {NODATA - 1} "
            "classes: this is no raster of classes"
        )
    ids = first | {BACKGROUND: 0, UNKNOWN: NODATA}
    classes = class_set({value: name for name, value in first.items()}, "stuff", legend.colours)
    return Matching(classes, {str(value): ids[name] for value, name in names.items()})


def _name(value: int, told: Mapping[str, str], legend: Legend) -> str:
    """What a value of a raster is called; the two names that have a meaning in small letters."""
    name = told.get(str(value)) or (BACKGROUND if value == 0 else legend.name(value))
    return name.casefold() if name.casefold() in (BACKGROUND, UNKNOWN) else name


def class_set(
    names: Mapping[int, str], kind: Literal["thing", "stuff"], colours: Mapping[int, str] | None = None
) -> ClassSet:
    """Background 0 and the named classes, in colours of a fixed palette where there are no others."""
    known, palette = colours or {}, Legend()
    made = [
        ClassInfo(id=i, name=name, colour=known.get(i) or palette.colour(i - 1), kind=kind) for i, name in names.items()
    ]
    return ClassSet(classes=(ClassInfo(id=0, name=BACKGROUND, colour="#000000"), *made))


def only_class(classes: ClassSet, source: LabelSource) -> int:
    """The id of the only foreground class. Raises LabelError when there are several."""
    foreground = [c for c in classes.foreground if c.id != classes.separator]
    if len(foreground) != 1:
        raise LabelError(
            f"{source.path}: no column is named that holds the class, and there are the classes {_listed(classes)}; "
            "name the column: --class-column"
        )
    return foreground[0].id


def _listed(classes: ClassSet) -> str:
    return ", ".join(f"{c.id}={c.name}" for c in classes.classes if c.id != classes.separator)


def _shown(texts: list[str]) -> str:
    more = f" and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
    return ", ".join(repr(text) for text in texts[:_SHOWN]) + more
