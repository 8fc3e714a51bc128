"""From a job's description to its plan: everything is checked here, before the first pixel is predicted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from odc.geo.geobox import GeoBox

import geoseg
from geoseg.core.card import ModelCard
from geoseg.core.tiling import Block, Tiling
from geoseg.core.values import Decision, Stretch
from geoseg.errors import ModelError, RegionError
from geoseg.inference.device import Compute, choose
from geoseg.inference.network import Augmentation, Network, probe, time_batch
from geoseg.io.grid import crop
from geoseg.io.outputs import check_outputs
from geoseg.io.raster_sink import RasterOptions
from geoseg.io.region import RegionMask, read_region
from geoseg.io.reproject import plan_reprojection
from geoseg.io.scene import Scene, SceneSource, open_scene
from geoseg.io.sources import source_files
from geoseg.jobs.cost import Batch, Cost, disk_of, memory_of, require
from geoseg.jobs.fitting import accepted, check_augmentation, grid_for, tiling_for
from geoseg.jobs.naming import CardNaming
from geoseg.jobs.objects import ObjectNaming
from geoseg.jobs.product import Product, described, resolved
from geoseg.jobs.spec import PredictJob
from geoseg.jobs.values import stretch_for
from geoseg.jobs.vectors import SPOOLED
from geoseg.jobs.window import Window
from geoseg.models import load_model, read_card, resolve
from geoseg.tasks import TASKS, Postprocess, Task, get_task

if TYPE_CHECKING:
    from geoseg.models import LoadedModel

MERGED = 512  # pixels that a patch which is merged may be long, in an area of interest


@dataclass(frozen=True, slots=True)
class Plan:
    """A job that can run: all that it needs is open, checked and decided.

    `grid` is the model's grid over the whole scene, `block` the part of it that is computed. `area` is the region that
    was asked for; `region` the same with `margin_m` around it: the network sees what lies around the area, and objects
    come out whole. `network_bytes` is what a forward pass took when it was tried.
    """

    job: PredictJob
    scene: Scene
    card: ModelCard
    model: LoadedModel | None
    task: Task | None
    bidx: tuple[int, ...]
    grid: GeoBox
    tiling: Tiling
    block: Block
    area: RegionMask | None
    region: RegionMask | None
    margin_m: float
    stretch: Stretch | None
    decision: Decision
    compute: Compute
    batch_size: int
    network_bytes: int
    outputs: dict[str, Path]
    network: Network | None = None

    @property
    def cost(self) -> Cost:
        """What the pass needs."""
        batch = Batch(self.batch_size, len(self.bidx), self.scene.dtype.itemsize, len(self.decision.ids))
        target = self.target
        pixels = int(np.prod(target.shape if target is not None else self.window_grid.shape))
        objects = self.card.finds_objects
        memory = memory_of(self.tiling, self.block, batch, objects=objects) + self.network_bytes
        memory += SPOOLED if {"vector", "preview"} & set(self.outputs) else 0
        return Cost(memory, disk_of(pixels, self.outputs))

    def check(self) -> None:
        """Nothing when the machine has what the pass needs. Raises ResourceError."""
        require(self.cost, self.outputs, self.scene.name)

    @property
    def loaded(self) -> LoadedModel:
        """The model; a finished plan has one. Raises ModelError."""
        if self.model is None:
            raise ModelError(f"model {self.card.name} is not loaded; make the plan with geoseg.jobs.plan.plan")
        return self.model

    @property
    def ready(self) -> Network:
        """The network, prepared for the device; a finished plan has one. Raises ModelError."""
        if self.network is None:
            raise ModelError(f"model {self.card.name} is not prepared; make the plan with geoseg.jobs.plan.plan")
        return self.network

    @property
    def backend(self) -> str:
        """What runs the network: what was asked for, else what the model's file is made for."""
        asked = self.job.inference.backend
        return self.loaded.backend if asked == "auto" else asked

    @property
    def needs_scores(self) -> bool:
        """Whether any output needs more than the classes."""
        return bool({"vector", "scores", "preview"} & set(self.outputs))

    @property
    def window(self) -> Window:
        """What the rasters show: the block, or the area of interest in it."""
        return Window.of(self.grid, self.block, self.area)

    @property
    def window_grid(self) -> GeoBox:
        """The grid of what the rasters show."""
        return crop(self.grid, self.window.y, self.window.x)

    @property
    def target(self) -> GeoBox | None:
        """The scene's own grid, where the rasters are to lie on it."""
        if not self.job.output.native_grid:
            return None
        return crop(self.scene.grid, *self.scene.window(self.area))

    @property
    def covers_scene(self) -> bool:
        """Whether the whole scene is computed, so that no object can be cut but by the scene's own edge."""
        if self.region is None:
            return True
        height, width = self.grid.shape
        corners = [self.grid.affine * corner for corner in ((0, 0), (width, 0), (width, height), (0, height))]
        return bool(shapely.covers(shapely.union_all(self.region.polygons), shapely.Polygon(corners)))

    @property
    def out_of_range(self) -> bool:
        """Whether the scene's resolution is one that the model was not trained on."""
        found = self.scene.resolution
        return found is not None and not accepted(self.card, found)

    @property
    def scene_pixels(self) -> float:
        """Pixels of the scene for one pixel of the model's grid."""
        return float(np.prod(self.scene.grid.shape) / np.prod(self.grid.shape))

    @property
    def resolution(self) -> float:
        """Metres per pixel of the model's grid."""
        known = self.scene.resolution
        return float((known if known is not None else self.card.resolution) * np.sqrt(self.scene_pixels))

    @property
    def product(self) -> Product:
        """What becomes of the classes. Raises SpecError for a postprocess whose values do not go together."""
        classes = self.card.classes
        return Product(
            grid=self.grid,
            block=self.block,
            naming=ObjectNaming(classes) if self.card.finds_objects else CardNaming(classes),
            postprocess=resolved(self.job.postprocess, self.task, self.resolution),
            resolution=self.resolution,
            scored=self.needs_scores,
            background=classes.background,
            things=frozenset(c.id for c in classes.foreground if c.kind == "thing"),
            threshold=(self.decision.threshold or 0.5) if self.decision.binary else None,
            area=self.area,
            region=self.region,
            complete=self.covers_scene,
            clip=self.job.region.clip,
        )

    def describe(self) -> dict[str, Any]:
        """The plan as JSON-able values."""
        card, compute = self.card, self.compute
        return {
            "geoseg": geoseg.__version__,
            "kind": self.job.kind,
            "scene": {
                "paths": list(self.scene.paths),
                "shape": list(self.scene.grid.shape),
                "crs": str(self.scene.grid.crs) if self.scene.grid.crs else None,
                "resolution_m": self.scene.resolution,
                "bands": dict(zip(card.bands, self.bidx, strict=True)),
                "dtype": str(self.scene.dtype),
            },
            "model": {
                "name": card.name,
                "version": card.version,
                "sha256": self.loaded.sha256,
                "kind": card.kind,
                "license": card.license,
                "attribution": card.attribution,
            },
            "task": self.task.name if self.task else None,
            "grid": {
                "shape": list(self.grid.shape),
                "resolution_m": self.resolution,
                "resampled": self.grid.shape != self.scene.grid.shape,
                "transform": list(self.grid.affine[:6]),
            },
            "tiles": {
                "size": self.tiling.y.tile,
                "overlap": self.tiling.y.overlap,
                "scene": self.tiling.count,
                "planned": len(self.block.rows) * len(self.block.columns),
                "skipped_by_region": self.tiling.count - len(self.block.rows) * len(self.block.columns),
            },
            "region": None
            if self.region is None
            else {"margin_m": round(self.margin_m, 1), "clip": self.job.region.clip},
            "stretch": _stretch_text(self.stretch),
            "threshold": self.decision.threshold if card.kind == "semantic" else self.decision.object_threshold,
            "tta": self.job.inference.tta,
            "scales": list(self.job.inference.scales),
            "backend": self.backend,
            "device": str(compute.device),
            "precision": compute.precision,
            "threads": compute.threads,
            "batch_size": self.batch_size,
            "postprocess": described(self.product.postprocess),
            "memory_bytes": self.cost.memory,
            "disk_bytes": self.cost.disk,
            "outputs": {kind: str(path) for kind, path in self.outputs.items()},
        }


def plan(job: PredictJob, model: LoadedModel | None = None) -> Plan:
    """The job's plan. `model` is used instead of the one that the job names, when it is loaded already.

    Raises InputError of every kind: SceneError, BandError, ResolutionError, RegionError, ModelError, OutputError,
    ResourceError.
    """
    task = get_task(job.task) if job.task else None
    reference = job.model or (task.default_model() if task else "")
    outputs = _outputs(job, reference)
    scene = open_scene(SceneSource(**dict(job.scene)))
    card = model.card if model else read_card(resolve(reference))
    if task and card.task not in (task.name, "any"):
        raise ModelError(f"model {card.name} is for the task {card.task!r}; expected one for {task.name!r}")
    task = task or TASKS.get(card.task)
    grid = grid_for(scene, card, job)
    bidx = scene.bidx_for(card.bands)
    _check_formats(job, grid, outputs)
    check_augmentation(card, job)
    tiling = tiling_for(grid, card, job)
    margin = _first_margin(grid, tiling, scene, resolved(job.postprocess, task, None))
    area = _region(job, scene, 0.0)
    if area is not None and not all(span.size for span in area.spans(grid)):
        raise RegionError(
            f"the region only touches the edge of the scene {scene.name}; choose one that holds pixels of it"
        )
    region = _region(job, scene, margin)
    block = _block(region, grid, tiling)
    decision = Decision.of(card, job.inference.threshold)
    compute = choose(job.inference.device, job.inference.precision, job.inference.threads)
    draft = Plan(
        job=job,
        scene=scene,
        card=card,
        model=model,
        task=task,
        bidx=bidx,
        grid=grid,
        tiling=tiling,
        block=block,
        area=area,
        region=region,
        margin_m=margin,
        stretch=None,
        decision=decision,
        compute=compute,
        batch_size=job.inference.batch_size or 1,
        network_bytes=0,
        outputs=outputs,
    )
    draft.product.check()
    draft.check()
    draft = replace(draft, stretch=stretch_for(scene, bidx, card, job.stretch), model=model or load_model(reference))
    ready = _network(draft)
    found = probe(ready, tiling.y.tile, job.inference.batch_size)
    final = replace(draft, network=ready, batch_size=found.batch_size, network_bytes=found.host_bytes)
    final.check()
    return final


def _outputs(job: PredictJob, model: str) -> dict[str, Path]:
    """The outputs by kind; OutputError for those that cannot be written, or would replace what the job reads."""
    asked = {kind: getattr(job.output, kind) for kind in ("vector", "raster", "scores", "preview")}
    read = [*source_files([*job.scene.paths, *job.scene.bands.values()]), model]
    return check_outputs(asked, job.output.overwrite, [*read, job.region.aoi] if job.region.aoi else read)


def _check_formats(job: PredictJob, grid: GeoBox, outputs: Mapping[str, Path]) -> None:
    """Raise OutputError for creation options and CRSs that the outputs cannot take."""
    RasterOptions(creation_options=job.output.creation_options)
    if "vector" in outputs:
        plan_reprojection(outputs["vector"], grid.crs, job.output.dst_crs)


def _network(plan: Plan) -> Network:
    """The plan's model on its device, in its backend, with the job's test-time augmentation."""
    asked = plan.job.inference
    augmentation = Augmentation(asked.tta, asked.scales)
    return Network(plan.loaded.module, plan.card, plan.compute, augmentation, asked.backend)


def seconds(plan: Plan) -> float:
    """About how long the network will take for the plan's tiles, from one batch that is measured now."""
    batches = -(-len(plan.block.rows) * len(plan.block.columns) // plan.batch_size)
    return batches * time_batch(plan.ready, plan.tiling.y.tile, plan.batch_size)


def grown(plan: Plan) -> Plan:
    """The same plan with twice the margin around its area. Raises ResourceError when it needs more than there is."""
    margin = 2 * plan.margin_m
    region = _region(plan.job, plan.scene, margin)
    block = _block(region, plan.grid, plan.tiling)
    larger = replace(plan, region=region, block=block, margin_m=margin)
    larger.check()
    return larger


def _first_margin(grid: GeoBox, tiling: Tiling, scene: Scene, wanted: Postprocess) -> float:
    scale = scene.grid.shape[0] / grid.shape[0]
    pixel = (scene.resolution or 1.0) * scale
    reach = 0.0
    if wanted.shape == "lines":
        reach = 2 * wanted.max_width_m + wanted.gap_m
    elif wanted.small == "merge":  # what is merged depends on what it is merged with
        reach = 2 * min(wanted.min_area_m2 / pixel, MERGED * pixel)
    return max(float(max(32, tiling.y.overlap) * pixel), reach)


def _region(job: PredictJob, scene: Scene, margin_m: float) -> RegionMask | None:
    spec = job.region
    if spec.aoi is None and spec.bounds is None:
        return None
    return read_region(spec.aoi, spec.bounds, spec.bounds_crs, scene, margin_m)


def _block(region: RegionMask | None, grid: GeoBox, tiling: Tiling) -> Block:
    if region is None:
        return tiling.whole()
    return tiling.block(*region.spans(grid))


def _stretch_text(stretch: Stretch | None) -> dict[str, Any] | None:
    if stretch is None:
        return None
    return {"low": list(stretch.low), "high": list(stretch.high), "origin": stretch.origin}
