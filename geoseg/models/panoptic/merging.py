"""Objects and stuff of one chip on one map, after Kirillov et al. 2019, arXiv:1801.00868 and arXiv:1901.02446."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from geoseg.models.answers import Objects

NOTHING = -1  # the class of a pixel that nothing is left for


@dataclass(frozen=True, slots=True)
class Merging:
    """How objects and stuff share the pixels.

    Objects below `object_threshold` are left out, and so are those of which better objects leave less than the share
    `least_visible`. Kinds of stuff with fewer than `stuff_area` pixels left are removed. The paper's values: 0.5, 0.5
    and 4096 (of photographs).
    """

    object_threshold: float = 0.5
    least_visible: float = 0.5
    stuff_area: int = 4096


@dataclass(frozen=True, slots=True, eq=False)
class Panoptic:
    """What each pixel shows: `classes` (y, x) int64 and `instances` (y, x) int32.

    Classes are the channels of stuff from 0, then the labels of things; NOTHING where neither is left. Instances count
    from 1, best object first; 0 is no object. `kept` (instance,) int64 are their positions among the objects given.
    """

    classes: NDArray[np.int64]
    instances: NDArray[np.int32]
    kept: NDArray[np.int64]


def merge_panoptic(objects: Objects, scores: Tensor | NDArray[np.float32], merging: Merging | None = None) -> Panoptic:
    """The classes and the objects of each pixel of one chip; `scores` (channel, y, x) are those of its stuff.

    Objects take pixels first, by falling score (of equal ones the first); stuff of the best score fills what is left.
    """
    rules = merging or Merging()
    stuff = _numpy(scores)
    instances, kept = _lay(objects, stuff.shape[1:], rules)
    classes = stuff.argmax(0)
    free = instances == 0
    areas = np.bincount(classes[free], minlength=len(stuff))
    classes[free & (areas[classes] < rules.stuff_area)] = NOTHING
    things = _numpy(objects.labels)[kept] + len(stuff)
    classes[~free] = things[instances[~free] - 1]
    return Panoptic(classes, instances, kept)


def _lay(objects: Objects, shape: tuple[int, ...], rules: Merging) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """The number of the object at each pixel (y, x), and which objects those are."""
    scores, boxes = _numpy(objects.scores), _numpy(objects.boxes)
    instances = np.zeros(shape, np.int32)
    kept: list[int] = []
    for index in np.argsort(-scores, kind="stable"):
        if scores[index] < rules.object_threshold:
            break
        left, top, right, bottom = boxes[index]
        window, mask = instances[top:bottom, left:right], _numpy(objects.masks[index])
        visible = mask & (window == 0)
        if visible.any() and visible.sum() >= rules.least_visible * mask.sum():
            kept.append(int(index))
            window[visible] = len(kept)
    return instances, np.array(kept, np.int64)


def _numpy(values: Any) -> NDArray[Any]:
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)
