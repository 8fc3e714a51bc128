"""What is kept from training, by space: blocks of each scene, wherever else their ground is shown."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from typing import Any

import numpy as np

from geoseg.core.classes import NODATA
from geoseg.core.tiling import Span
from geoseg.errors import SpecError
from geoseg.io.region import RegionMask
from geoseg.training.data.choosing import Candidates, choose
from geoseg.training.data.ground import Ground
from geoseg.training.data.places import Rectangle, outlines, shared_m2
from geoseg.training.data.plot import Plot, make_plot
from geoseg.training.options import DataOptions

BLOCKS = 8  # along the shorter side of a scene, where nothing else is asked for
LOOKS = 512  # pixels a side of a block that are looked at, to choose among blocks
FEWEST = 5  # small scenes from which whole ones may be kept for validation
TOUCHING = 2.0  # pixels along a scene's side: so much may scenes share that are neighbours
FAR_OFF = 1.5  # times the share that was asked for: the user is told


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """The scenes of a run, and what training may see of each, in the order given.

    `facts` say for each scene, as JSON-able values, what was kept and how much of it; `warnings` is for the user.
    """

    plots: tuple[Plot, ...]
    facts: tuple[dict[str, Any], ...]
    warnings: tuple[str, ...]

    @property
    def training(self) -> tuple[Plot, ...]:
        """What is learnt from."""
        return tuple(p for p in self.plots if p.ground.labelled and p.ground.role.use != "validation")

    @property
    def unlabelled(self) -> tuple[Plot, ...]:
        """Scenes without labels."""
        return tuple(p for p in self.plots if not p.ground.labelled)

    @property
    def validation(self) -> tuple[Plot, ...]:
        """What is measured on: plots with blocks."""
        return tuple(p for p in self.plots if p.blocks)


def split(grounds: Sequence[Ground], options: DataOptions, crop_m: float, seed: int) -> Split:
    """What training may see of each scene, and the blocks that it is validated on.

    Ground of any block, grown by the gap, is hidden in every scene that shows it. `crop_m` is the side of a window in
    metres at the model's resolution. Raises SpecError for scenes that are declared for training and for validation and
    share ground, for scenes too small to be split, and where nothing is left to train on.
    """
    _refuse_shared(grounds)
    blocks, warnings = _all_blocks(grounds, options, crop_m, seed)
    everywhere = [(grounds[i], at) for i, rectangles in blocks.items() for at in rectangles]
    plots = tuple(
        make_plot(i, ground, tuple(blocks.get(i, ())), _hidden(ground, everywhere, options.gap_m))
        for i, ground in enumerate(grounds)
    )
    result = Split(plots, tuple(_facts(plot) for plot in plots), (*warnings, *_too_much(plots, options)))
    if not any(plot.known_pixels for plot in result.training):
        names = ", ".join(ground.name for ground in grounds if ground.labelled)
        raise SpecError(
            f"{names}: found no labelled ground to train on, outside of what is kept for validation; add scenes, or "
            "keep less (validation, gap_m)"
        )
    return result


def _refuse_shared(grounds: Sequence[Ground]) -> None:
    learning = [g for g in grounds if g.labelled and g.role.use == "train"]
    checking = [g for g in grounds if g.labelled and g.role.use == "validation"]
    for first, second in product(learning, checking):
        shared = shared_m2(first, second)
        if shared > _seam(first, second):
            raise SpecError(
                f"{first.name} is for training and {second.name} for validation, and they share {shared:,.0f} m2 of "
                "labelled ground: figures would be too good; leave one out, or declare both with use = 'split'"
            )


def _seam(first: Ground, second: Ground) -> float:
    """Square metres that neighbours may share at their edges."""
    width = TOUCHING * max(first.resolution, second.resolution)
    return width * min(max(g.shape) * g.resolution for g in (first, second))


def _all_blocks(
    grounds: Sequence[Ground], options: DataOptions, crop_m: float, seed: int
) -> tuple[dict[int, list[Rectangle]], list[str]]:
    """The blocks that are kept of each scene, by its number."""
    kept: dict[int, list[Rectangle]] = {
        i: [(g.known.y, g.known.x)]
        for i, g in enumerate(grounds)
        if g.labelled and g.role.use == "validation" and g.known.pixels
    }
    if options.validation == 0:
        return kept, []
    asked = [i for i, g in enumerate(grounds) if g.labelled and g.role.use == "split" and g.known.pixels]
    asked.sort(key=lambda i: (-grounds[i].known_m2, i))
    cuts = {i: _cut(grounds[i], options, crop_m) for i in asked}
    for i in asked:
        if len(cuts[i]) > 1:
            _keep(grounds, kept, {i: cuts[i]}, options, np.random.default_rng([seed, i]))
    small = [i for i in asked if len(cuts[i]) < 2]
    if len(small) >= FEWEST:
        _keep(grounds, kept, {i: cuts[i] for i in small}, options, np.random.default_rng([seed, len(grounds)]))
    elif small and not kept:
        raise SpecError(_too_small(grounds[small[0]], options, crop_m))
    elif small:
        names = ", ".join(grounds[i].name for i in small)
        return kept, [f"{names}: too small to be split; all of it is for training"]
    return kept, []


def _cut(ground: Ground, options: DataOptions, crop_m: float) -> list[Rectangle]:
    """Blocks that tile the known part of a scene, none of them smaller than asked."""
    sides = [span.size * ground.resolution for span in (ground.known.y, ground.known.x)]
    block = options.block_m or max(min(sides) / BLOCKS, crop_m)
    down, across = (max(1, math.floor(side / block + 1e-6)) for side in sides)
    return list(product(_parts(ground.known.y, down), _parts(ground.known.x, across)))


def _parts(span: Span, count: int) -> list[Span]:
    edges = np.linspace(span.start, span.stop, count + 1).round().astype(int).tolist()
    return [Span(start, stop) for start, stop in pairwise(edges)]


def _too_small(ground: Ground, options: DataOptions, crop_m: float) -> str:
    sides = " x ".join(f"{span.size * ground.resolution:.0f}" for span in (ground.known.y, ground.known.x))
    return (
        f"{ground.name}: found {sides} m of labelled ground; blocks for validation measure "
        f"{options.block_m or crop_m:.0f} m, and it takes two at least; name a scene for validation (use = "
        "'validation', --val-image), set block_m to less, or set validation to 0"
    )


def _keep(
    grounds: Sequence[Ground],
    kept: dict[int, list[Rectangle]],
    cuts: dict[int, list[Rectangle]],
    options: DataOptions,
    rng: np.random.Generator,
) -> None:
    """Choose among the blocks of some scenes, and note what is kept; what other scenes' blocks hide counts as kept."""
    known = [(grounds[j], at) for j, rectangles in kept.items() for at in rectangles]
    every = [(i, at) for i, rectangles in cuts.items() for at in rectangles]
    masks = {i: _mask(outlines(grounds[i], known, options.gap_m)) for i in cuts}
    candidates = Candidates.joined([_look(grounds[i], at, masks[i]) for i, at in every])
    total = sum(grounds[i].known_m2 for i in cuts)
    wanted = options.validation - max(0.0, 1 - candidates.known.sum() / total)
    if wanted < options.validation / 4 or np.count_nonzero(candidates.known) < 2:
        return
    for index in choose(candidates, wanted * total / candidates.known.sum(), rng):
        i, at = every[index]
        kept.setdefault(i, []).append(at)


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


def _hidden(ground: Ground, blocks: Sequence[tuple[Ground, Rectangle]], gap_m: float) -> RegionMask | None:
    return None if ground.labelled and ground.role.use == "validation" else _mask(outlines(ground, blocks, gap_m))


def _mask(polygons: Any) -> RegionMask | None:
    return RegionMask(polygons) if len(polygons) else None


def _facts(plot: Plot) -> dict[str, Any]:
    ground = plot.ground
    known = max(1, ground.known.pixels)
    return {
        "scene": ground.name,
        "use": ground.role.use if ground.labelled else "unlabelled",
        "resolution": ground.resolution,
        "known_m2": ground.known_m2,
        "blocks": [[y.start, y.stop, x.start, x.stop] for y, x in plot.blocks],
        "validation_share": plot.validation_pixels / known,
        "hidden_share": 1 - plot.known_pixels / known if ground.labelled else plot.hidden_share,
        "objects": ground.known.objects,
    }


def _too_much(plots: Sequence[Plot], options: DataOptions) -> list[str]:
    found = []
    for plot in plots:
        ground = plot.ground
        if not ground.labelled or ground.role.use != "split" or not ground.known.pixels:
            continue
        hidden = 1 - plot.known_pixels / ground.known.pixels
        if options.validation and len(plot.blocks) and hidden > options.validation * FAR_OFF and not _whole(plot):
            found.append(
                f"{ground.name}: {hidden:.0%} of its labelled ground is kept from training, {options.validation:.0%} "
                "was asked for; smaller blocks (block_m) come nearer"
            )
    return found


def _whole(plot: Plot) -> bool:
    """Whether a small scene is kept as a whole, beside others."""
    return plot.blocks == ((plot.ground.known.y, plot.ground.known.x),)
