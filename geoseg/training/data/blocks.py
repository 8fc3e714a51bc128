"""Which blocks of which scenes are kept for validation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise, product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoseg.core.classes import NODATA
from geoseg.core.tiling import Span
from geoseg.errors import SpecError
from geoseg.io.region import RegionMask
from geoseg.training.data.choosing import Candidates, choose
from geoseg.training.data.ground import Ground
from geoseg.training.data.places import Rectangle, outlines
from geoseg.training.options import DataOptions

ALONG = 8  # blocks along the shorter side of a scene, where nothing else is asked for
FITTING = 0.85  # of the side of a square that is the share asked for: so large are the blocks of small scenes
SMALLEST = 0.25  # of a window's side: smaller blocks show nothing
LOOKS = 512  # pixels a side of a block that are looked at, to choose among blocks
FEWEST = 5  # small scenes whose blocks are chosen together
GAP = 0.1  # of a window's side, around blocks, where nothing else is asked for
FAR_OFF = 1.5  # times the share that was asked for: the user is told


@dataclass(slots=True)
class Kept:
    """The blocks that are kept so far, by the number of their scene, and what the user is told about them."""

    blocks: dict[int, list[Rectangle]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Cutting:
    """How scenes are cut into blocks: what was asked for, and the side of a window in metres."""

    options: DataOptions
    crop_m: float
    seed: int

    @property
    def gap_m(self) -> float:
        """Metres around blocks that are used for nothing."""
        return GAP * self.crop_m if self.options.gap_m is None else self.options.gap_m


def keep_blocks(grounds: Sequence[Ground], cutting: Cutting) -> Kept:
    """The blocks to keep: all that is known of scenes for validation, a share of those to be split.

    Scenes that give too few blocks to meet the share are cut finer, or, where there are several, chosen from together.
    Ground that blocks of another scene hide already counts as kept. Raises SpecError for scenes too small to be split.
    """
    kept, options = Kept(), cutting.options
    labelled = {i: g for i, g in enumerate(grounds) if g.labelled and g.known.pixels}
    for i, ground in labelled.items():
        if ground.role.use == "validation":
            kept.blocks[i] = [(ground.known.y, ground.known.x)]
    if options.validation == 0:
        return kept
    asked = sorted((i for i, g in labelled.items() if g.role.use == "split"), key=lambda i: (-grounds[i].known_m2, i))
    cuts = {i: cut_up(grounds[i], _side(grounds[i], cutting)) for i in asked}
    small = [i for i in asked if len(cuts[i]) * options.validation < 1]
    together = len(small) >= FEWEST
    for i in asked:
        if i in small and not together and options.block_m is None:
            cuts[i] = cut_up(grounds[i], _finer_side(grounds[i], cutting))
        if not (i in small and together) and len(cuts[i]) > 1:
            _keep(grounds, kept, {i: cuts[i]}, cutting)
    if together:
        _keep(grounds, kept, {i: cuts[i] for i in small}, cutting)
    _tell_uncut(grounds, kept, [i for i in asked if len(cuts[i]) < 2 and not together], cutting)
    return kept


def _tell_uncut(grounds: Sequence[Ground], kept: Kept, uncut: Sequence[int], cutting: Cutting) -> None:
    if uncut and not kept.blocks:
        raise SpecError(_too_small(grounds[uncut[0]], cutting))
    if uncut:
        names = ", ".join(grounds[i].name for i in uncut)
        kept.warnings.append(f"{names}: too small to be split; all of it is for training")


def _side(ground: Ground, cutting: Cutting) -> float:
    """Metres of a block's side."""
    return cutting.options.block_m or max(min(_sides(ground)) / ALONG, cutting.crop_m)


def _finer_side(ground: Ground, cutting: Cutting) -> float:
    """The same for a scene in which blocks of the usual size would be more than the share."""
    fitting = FITTING * math.sqrt(cutting.options.validation * math.prod(_sides(ground)))
    return min(_side(ground, cutting), max(fitting, SMALLEST * cutting.crop_m))


def _sides(ground: Ground) -> tuple[float, float]:
    """Metres of the known part, down and across."""
    return ground.known.y.size * ground.resolution, ground.known.x.size * ground.resolution


def cut_up(ground: Ground, side: float) -> list[Rectangle]:
    """Blocks that tile the known part of a scene, none of them narrower than `side` metres where there are several."""
    down, across = (max(1, math.floor(metres / side + 1e-6)) for metres in _sides(ground))
    return list(product(_parts(ground.known.y, down), _parts(ground.known.x, across)))


def _parts(span: Span, count: int) -> list[Span]:
    edges = np.linspace(span.start, span.stop, count + 1).round().astype(int).tolist()
    return [Span(start, stop) for start, stop in pairwise(edges)]


def _too_small(ground: Ground, cutting: Cutting) -> str:
    down, across = _sides(ground)
    side = _side(ground, cutting) if cutting.options.block_m else _finer_side(ground, cutting)
    return (
        f"{ground.name}: found {down:.0f} x {across:.0f} m of labelled ground; blocks for validation measure "
        f"{side:.0f} m, and it takes two at least; name a scene for validation (use = 'validation', --val-image), set "
        "block_m to less, or set validation to 0"
    )


def _keep(grounds: Sequence[Ground], kept: Kept, cuts: dict[int, list[Rectangle]], cutting: Cutting) -> None:
    """Choose among the blocks of some scenes, and note what is kept."""
    options, known = cutting.options, [(grounds[j], at) for j, some in kept.blocks.items() for at in some]
    every = [(i, at) for i, rectangles in cuts.items() for at in rectangles]
    masks = {i: mask_of(outlines(grounds[i], known, cutting.gap_m)) for i in cuts}
    candidates = Candidates.joined([_look(grounds[i], at, masks[i]) for i, at in every])
    left, total = candidates.known, sum(grounds[i].known_m2 for i in cuts)
    wanted = options.validation - max(0.0, 1 - left.sum() / total)
    if wanted < options.validation / 4 or np.count_nonzero(left) < 2:
        return
    rng = np.random.default_rng([cutting.seed, len(grounds) if len(cuts) > 1 else every[0][0]])
    chosen = choose(candidates, wanted * total / left.sum(), rng)
    for index in chosen:
        kept.blocks.setdefault(every[index][0], []).append(every[index][1])
    reached = 1 - (left.sum() - left[chosen].sum()) / total
    if reached > options.validation * FAR_OFF:
        names = ", ".join(grounds[i].name for i in cuts)
        kept.warnings.append(
            f"{names}: {reached:.0%} of the labelled ground is kept from training, {options.validation:.0%} was asked "
            "for; smaller blocks (block_m) come nearer"
        )


def _look(ground: Ground, at: Rectangle, mask: RegionMask | None) -> Candidates:
    """What one block holds outside of the mask; of large ones every so many pixels are looked at."""
    y, x = at
    step = max(1, max(y.size, x.size) // LOOKS)
    classes = np.array(ground.classes_at(y, x)[::step, ::step])
    objects = ground.objects[y.start : y.stop : step, x.start : x.stop : step]
    if mask is not None:
        classes[mask.mask(ground.grid, y, x)[::step, ::step]] = NODATA
    things = np.unique(objects[classes != NODATA])
    counts = np.bincount(classes.ravel(), minlength=256)[:NODATA]
    areas = np.array(counts[None] * (ground.resolution * step) ** 2, np.float64)
    return Candidates(areas, np.array([np.count_nonzero(things)], np.float64))


def mask_of(polygons: NDArray[Any]) -> RegionMask | None:
    """The mask of some polygons; None where there are none."""
    return RegionMask(polygons) if len(polygons) else None
