"""Whether a scene's values are those that a model was trained on, and what to do when they are not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from geoseg.core.card import ModelCard
from geoseg.core.values import Stretch
from geoseg.errors import InputError, SpecError
from geoseg.io.scene import Scene
from geoseg.io.stretch import measure_stretch
from geoseg.jobs.parts import StretchSpec

SLIVER = 0.005  # of the model's range: values that cover less are in other units
FRACTION = 2.0  # reflectance as a fraction stays below
BEYOND = 0.1  # of the model's range: values may lie so far outside


def stretch_for(scene: Scene, bidx: Sequence[int], card: ModelCard, spec: StretchSpec) -> Stretch | None:
    """The job's one stretch, measured on the whole scene; None when the values are the model's own.

    uint8 is taken for uint8. A model of uint8 imagery eats other values stretched between percentiles. A model of
    calibrated values eats what lies in its range, whatever the dtype. Raises InputError for values in other units.
    """
    if spec.mode == "none" or (spec.mode == "auto" and scene.dtype == np.uint8 and card.dtype == "uint8"):
        return None
    if spec.low is not None and spec.high is not None:
        return _given(spec.low, spec.high, len(bidx))
    measured = measure_stretch(scene, bidx, spec.percentiles)
    if spec.mode == "percentile" or card.dtype == "uint8":
        return measured
    _check_units(scene, card, measured)
    return None


def _given(low: tuple[float, ...], high: tuple[float, ...], count: int) -> Stretch:
    if {len(low), len(high)} <= {1, count}:
        return Stretch(low * (count // len(low)), high * (count // len(high)), "given")
    raise SpecError(f"stretch limits for {len(low)} and {len(high)} bands; expected one, or {count}")


def _check_units(scene: Scene, card: ModelCard, measured: Stretch) -> None:
    bottom, top = card.value_range
    span = top - bottom
    low, high = min(measured.low), max(measured.high)
    pictures = scene.dtype == np.uint8 and top > np.iinfo(np.uint8).max  # for looking at: never calibrated
    inside = bottom - BEYOND * span <= low and high <= top + BEYOND * span
    if inside and high - bottom >= SLIVER * span and not pictures:
        return
    fraction = scene.dtype.kind == "f" and high <= FRACTION < SLIVER * span
    remedy = "give --limits 0,1 where they are reflectance from 0 to 1, " if fraction else ""
    raise InputError(
        f"{scene.name}: found values from {low:g} to {high:g} ({scene.dtype}; {measured.origin}); model {card.name} "
        f"expects calibrated values from {bottom:g} to {top:g}; {remedy}bring the scene to those units, or say what to "
        "do with --limits, --stretch percentile or --stretch none"
    )
