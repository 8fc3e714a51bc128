"""How a model and a scene come together: the grid to predict on, and the tiles over it."""

from __future__ import annotations

from odc.geo.geobox import GeoBox

from geoseg.core.card import ModelCard
from geoseg.core.tiling import Tiling
from geoseg.errors import ResolutionError, SpecError
from geoseg.inference.network import Augmentation
from geoseg.io.grid import model_grid
from geoseg.io.scene import Scene
from geoseg.jobs.spec import PredictJob

CLOSE = 0.1  # a scene's resolution may differ so much from the model's before it is resampled


def grid_for(scene: Scene, card: ModelCard, job: PredictJob) -> GeoBox:
    """The grid to predict on: the scene's own within 10 % of the model's resolution, else a resampled one."""
    found, asked = scene.resolution, job.inference.resolution
    if found is None:
        raise ResolutionError(
            f"{scene.name}: its ground resolution is unknown (no CRS); expected about {card.resolution:g} m per pixel; "
            "state what it is with --scene-resolution"
        )
    low, high = card.resolution_range
    for what, value in ((scene.name, found), ("--resolution", asked)):
        if value is None or job.inference.any_resolution or accepted(card, value):
            continue
        raise ResolutionError(
            f"{what}: found {value:.3g} m per pixel; model {card.name} expects {low:g} to {high:g} m; choose "
            "another model, or override with --any-resolution (the result is then worth little)"
        )
    target = asked or (found if found > high * (1 + CLOSE) else card.resolution)
    sizes = scene.pixel_size or (found, found)
    if all(abs(size / target - 1) <= CLOSE for size in sizes):
        return scene.grid
    return model_grid(scene, target)


def accepted(card: ModelCard, resolution: float) -> bool:
    """Whether a model takes scenes of that many metres per pixel."""
    low, high = card.resolution_range
    return low * (1 - CLOSE) <= resolution <= high * (1 + CLOSE)


def tiling_for(grid: GeoBox, card: ModelCard, job: PredictJob) -> Tiling:
    """The tiles over a grid. Raises SpecError for a size or an overlap that the model cannot do with."""
    tile = job.inference.tile_size or card.tile_size
    if tile % card.divisor:
        near = max(card.divisor, round(tile / card.divisor) * card.divisor)
        raise SpecError(f"tile size {tile}: model {card.name} needs a multiple of {card.divisor}; for instance {near}")
    overlap = job.inference.overlap
    if overlap is None:
        overlap = min(card.overlap, tile // 2)
    height, width = grid.shape
    if card.kind != "semantic" and overlap == 0 and max(height, width) > tile:
        raise SpecError(
            f"overlap 0: model {card.name} finds objects, which are joined where tiles overlap; give --overlap at "
            f"least {max(1, tile // 8)}"
        )
    return Tiling.over((height, width), tile, overlap)


def check_augmentation(card: ModelCard, job: PredictJob) -> None:
    """Raise SpecError where scores of pixels would be averaged that a model of objects does not have."""
    asked = Augmentation(job.inference.tta, job.inference.scales)
    if card.kind != "semantic" and asked != Augmentation():
        raise SpecError(
            f"model {card.name}: found --tta or --scales with a model that finds objects; they average the scores of "
            "pixels: leave both out"
        )
