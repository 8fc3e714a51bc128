"""The charts of a report: how scores relate to the truth, and how training went."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from geoseg.evaluation.figures import Calibration
from geoseg.evaluation.report.chart import Chart, Frame, Line, chart, wide

_LARGEST_DOT = 11.0
_SMALLEST_DOT = 2.5
_LEFT_OUT = ("seconds", "waited", "step", "epoch")  # columns of a log that say nothing of the model
_PANELS = 4  # charts of single columns, beside those of losses and of IoU
_AXIS = "Steps of training"


@dataclass(frozen=True, slots=True)
class CurveRow:
    """A row of the table that stands for the curves: figures at one threshold."""

    threshold: float
    precision: float
    recall: float
    f1: float


def calibration_charts(calibration: Calibration) -> tuple[Chart, ...]:
    """Precision against recall, all three figures by threshold, and the reliability diagram."""
    return _precision_recall(calibration), _thresholds(calibration), _reliability(calibration)


def curve_rows(calibration: Calibration, count: int = 11) -> tuple[CurveRow, ...]:
    """Some rows of the curve, evenly from its first to its last."""
    curve = calibration.curve
    if not curve:
        return ()
    picked = sorted({round(i * (len(curve) - 1) / max(count - 1, 1)) for i in range(count)})
    return tuple(CurveRow(*curve[i]) for i in picked)


def history_charts(history: Sequence[Mapping[str, Any]]) -> tuple[Chart, ...]:
    """Charts of a training's log: losses in one, IoU in one, and each other column by itself."""
    steps = [_number(row.get("step")) for row in history]
    names = list(dict.fromkeys(name for row in history for name in row if name not in _LEFT_OUT))
    lines = {name: _line(name, steps, [_number(row.get(name)) for row in history]) for name in names}
    lines = {name: line for name, line in lines.items() if len(line.points) > 1}
    losses = [line for name, line in lines.items() if "loss" in name.lower()]
    overlaps = [line for name, line in lines.items() if "iou" in name.lower() and line not in losses]
    others = [line for line in lines.values() if line not in losses and line not in overlaps]
    groups = [("Loss", "Loss", losses), ("IoU on ground kept from training", "IoU", overlaps)]
    groups += [(line.name.capitalize(), line.name.capitalize(), [line]) for line in others[:_PANELS]]
    return tuple(_history_chart(title, axis, group) for title, axis, group in groups if group)


def _history_chart(title: str, axis: str, lines: list[Line]) -> Chart:
    x = wide([point[0] for line in lines for point in line.points], zero=True)
    y = wide([point[1] for line in lines for point in line.points], zero=True)
    first, last = lines[0].points[0], lines[0].points[-1]
    alt = f"{title} over the steps of training; {lines[0].name} goes from {first[1]:.3g} to {last[1]:.3g}."
    return chart(Frame(title, alt, _AXIS, axis, x, y), lines)


def _line(name: str, steps: Sequence[float], values: Sequence[float]) -> Line:
    known = [(s, v) for s, v in zip(steps, values, strict=True) if math.isfinite(s) and math.isfinite(v)]
    return Line(name.replace("_", " "), tuple(known))


def _number(value: Any) -> float:
    """The number in a log's field; NaN where there is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return math.nan
    try:
        return float(value)
    except ValueError:
        return math.nan


def _precision_recall(calibration: Calibration) -> Chart:
    points = tuple((recall, precision) for _, precision, recall, _ in calibration.curve)
    used = _nearest(calibration, calibration.used)
    best = _nearest(calibration, calibration.threshold)
    dots = tuple((row[2], row[1], 5.0) for row in (used, best) if row)
    alt = f"Precision against recall of pixels over all thresholds; {len(calibration.curve)} points."
    frame = Frame("Precision and recall of pixels", alt, "Recall", "Precision")
    return chart(frame, [Line("each threshold", points, dots)])


def _nearest(calibration: Calibration, threshold: float) -> tuple[float, float, float, float] | None:
    return min(calibration.curve, key=lambda row: abs(row[0] - threshold), default=None)


def _thresholds(calibration: Calibration) -> Chart:
    names = ("Precision", "Recall", "F1")
    lines = [Line(name, tuple((row[0], row[i]) for row in calibration.curve)) for i, name in enumerate(names, 1)]
    marks = (
        (calibration.used, f"used {calibration.used:.2f}"),
        (calibration.threshold, f"best {calibration.threshold:.2f}"),
    )
    alt = (
        f"Precision, recall and F1 of pixels by threshold. F1 is highest, {calibration.f1:.3f}, at "
        f"{calibration.threshold:.2f}; at the threshold used, {calibration.used:.2f}, it is {calibration.f1_used:.3f}."
    )
    return chart(Frame("Figures by threshold", alt, "Threshold", "Share", marks=_apart(marks)), lines)


def _apart(marks: tuple[tuple[float, str], ...]) -> tuple[tuple[float, str], ...]:
    """One mark instead of two that would lie on each other."""
    (used, _), (best, text) = marks
    return ((best, f"used and {text}"),) if abs(used - best) < 0.005 else marks


def _reliability(calibration: Calibration) -> Chart:
    bins = [b for b in calibration.bins if b[2] > 0]
    most = max((b[2] for b in bins), default=1)
    dots = tuple(
        (score, share, max(_SMALLEST_DOT, _LARGEST_DOT * math.sqrt(pixels / most))) for score, share, pixels in bins
    )
    line = Line("what was found", tuple((score, share) for score, share, _ in bins), dots)
    alt = (
        f"Share of pixels that are the class in the labels, by their score; expected calibration error "
        f"{calibration.ece:.3f}. On the diagonal a score is a probability."
    )
    frame = Frame("Are scores probabilities?", alt, "Mean score", "Share that is so in the labels", diagonal=True)
    return chart(frame, [line])
