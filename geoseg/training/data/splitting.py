"""What is kept from training, by space: blocks of each scene, wherever else their ground is shown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from geoseg.errors import SpecError
from geoseg.io.region import RegionMask
from geoseg.training.data.blocks import Cutting, keep_blocks, mask_of
from geoseg.training.data.ground import Ground
from geoseg.training.data.places import Rectangle, comparable, outlines, shared_m2
from geoseg.training.data.plot import Plot, make_plot
from geoseg.training.options import DataOptions

SHOWN = 3  # names in a message
TOUCHING = 2.0  # pixels along a scene's side: so much may scenes share that are neighbours


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """The scenes of a run, and what training may see of each, in the order given.

    `facts` say for each scene, as JSON-able values, what was kept and how much of it; `blocks` are rows and columns
    (first row, row after the last, the same of columns) of its arrays, which hold the labelled part alone. `warnings`
    is for the user.
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
    cutting = Cutting(options, crop_m, seed)
    kept = keep_blocks(grounds, cutting)
    everywhere = [(grounds[i], at) for i, rectangles in kept.blocks.items() for at in rectangles]
    plots = tuple(
        make_plot(i, ground, tuple(kept.blocks.get(i, ())), _hidden(ground, everywhere, cutting.gap_m))
        for i, ground in enumerate(grounds)
    )
    result = Split(plots, tuple(_facts(plot) for plot in plots), (*kept.warnings, *_unplaced(grounds, kept.blocks)))
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


def _unplaced(grounds: Sequence[Ground], blocks: Iterable[int]) -> Iterator[str]:
    """What to tell of scenes that may show validation's ground, which nobody can know: one has coordinates, one not."""
    checked = [grounds[i] for i in blocks]
    learning = [g for g in grounds if not (g.labelled and g.role.use == "validation")]
    lost = [g for g in learning if any(_kind(g) != _kind(other) and not comparable(g, other) for other in checked)]
    if lost:
        names = ", ".join(g.name for g in lost[:SHOWN]) + (f" and {len(lost) - SHOWN} more" if lost[SHOWN:] else "")
        yield (
            f"{names}: whether they show ground that is kept for validation, nobody can tell, since of them and the "
            "scenes of that ground some have a CRS and some have none; make sure that they do not, or give all of them "
            "a CRS (gdal_edit.py -a_srs)"
        )


def _kind(ground: Ground) -> tuple[bool, bool]:
    """What coordinates a scene has: those of a CRS, others, or none."""
    return ground.placed, ground.grid.crs is None


def _seam(first: Ground, second: Ground) -> float:
    """Square metres that neighbours may share at their edges."""
    width = TOUCHING * max(first.resolution, second.resolution)
    return width * min(max(g.shape) * g.resolution for g in (first, second))


def _hidden(ground: Ground, blocks: Sequence[tuple[Ground, Rectangle]], gap_m: float) -> RegionMask | None:
    return None if ground.labelled and ground.role.use == "validation" else mask_of(outlines(ground, blocks, gap_m))


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
