"""What figures are called, what they mean, and how they are written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

from geoseg.evaluation.figures import Figure

NOTHING = "–"
_UNITS = MappingProxyType({"_m2": "m²", "_m": "m"})
_THIN = "\u202f"  # a narrow space that does not break: groups digits, and stands before the sign of percent


@dataclass(frozen=True, slots=True)
class Term:
    """A figure's name, and what it says in one sentence."""

    label: str
    meaning: str


PIXELS: Mapping[str, Term] = MappingProxyType(
    {
        "iou": Term("IoU", "Of the ground that is the class in the labels, on the map or in both: the share in both."),
        "dice": Term("Dice", "Twice what both share, over the sum of what each shows; also called F1 of pixels."),
        "precision": Term(
            "Precision", "Of the ground that the map gives the class: the share that is so in the labels."
        ),
        "recall": Term("Recall", "Of the ground that is the class in the labels: the share that the map shows."),
        "boundary_iou": Term("Boundary IoU", "IoU of the ground near outlines only: how well edges are drawn."),
    }
)
OBJECTS: Mapping[str, Term] = MappingProxyType(
    {
        "precision": Term("Precision", "Of the objects on the map: the share that matches one of the labels."),
        "recall": Term("Recall", "Of the objects in the labels: the share that the map has, one for one."),
        "f1": Term("F1", "The harmonic mean of both: high only where few objects are missed and few are invented."),
        "ap50": Term("AP at 0.5", "Average precision over all scores, where a match needs an IoU of 0.5."),
        "ap": Term("AP (COCO)", "The same, as a mean over matches that need an IoU of 0.5, 0.55 and so on to 0.95."),
        "pq": Term("PQ", "Panoptic quality: SQ times RQ."),
        "sq": Term("SQ", "Segmentation quality: the mean IoU of the objects that match."),
        "rq": Term("RQ", "Recognition quality: the F1 of the objects, without regard to their score."),
    }
)


def ratio(value: float | None) -> str:
    """A ratio with three digits, for instance `0.713`; a dash for None."""
    return NOTHING if value is None else f"{value:.3f}"


def percent(share: float | None) -> str:
    """A share as a percentage; one digit below ten percent, where it counts."""
    if share is None:
        return NOTHING
    value = 100 * share
    return f"{value:.1f}{_THIN}%" if 0 < value < 9.95 else f"{value:.0f}{_THIN}%"


def count(number: int) -> str:
    """A whole number with its digits in groups of three."""
    return f"{number:,}".replace(",", _THIN)


def interval(figure: Figure) -> str:
    """The figure's interval, for instance `0.661–0.752`; empty where there is none."""
    if figure.low is None or figure.high is None:
        return ""
    return f"{figure.low:.3f}–{figure.high:.3f}"


def moment(text: str) -> str:
    """A time in ISO 8601 for people, to the minute; as it is where it is none."""
    try:
        told = datetime.fromisoformat(text)
    except ValueError:
        return text
    zone = told.strftime("%Z") if told.tzinfo else ""
    return f"{told:%Y-%m-%d %H:%M} {zone}".strip()


def label(name: str) -> str:
    """What a key of JSON is called on the page."""
    known = PIXELS.get(name) or OBJECTS.get(name)
    if known:
        return known.label
    for ending, unit in _UNITS.items():
        if name.endswith(ending) and name != ending:
            name = f"{name.removesuffix(ending)} ({unit})"
            break
    return name.replace("_", " ")
