"""Rasters of classes or scores made elsewhere to polygons or lines: the plan and the run."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

import geoseg
from geoseg.core.classes import NODATA
from geoseg.core.protocols import Progress, Silent
from geoseg.core.tiling import Tiling
from geoseg.errors import BandError, SceneError, SpecError
from geoseg.io.legend import read_legend
from geoseg.io.outputs import Staging, check_outputs
from geoseg.io.raster import session
from geoseg.io.region import read_region
from geoseg.io.reproject import plan_reprojection
from geoseg.io.scene import Scene, SceneSource, open_scene
from geoseg.io.sources import source_files
from geoseg.jobs.codes import Codes
from geoseg.jobs.masks import NO_INSTANCE, ClassMask, InstanceMask, Layer, Mask, ScoreMask, strips_of
from geoseg.jobs.metadata import job_metadata
from geoseg.jobs.naming import CardNaming, CodeNaming, InstanceNaming, Naming
from geoseg.jobs.outlet import Outlets
from geoseg.jobs.parts import MaskSpec
from geoseg.jobs.product import Product, described, resolved
from geoseg.jobs.result import Result
from geoseg.jobs.spec import VectorizeJob
from geoseg.jobs.vectors import Target, open_vectors

READERS = 2


@dataclass(frozen=True, slots=True)
class VectorizePlan:
    """A job that can run: the raster is open, and everything is checked that can be before it is read."""

    job: VectorizeJob
    scene: Scene
    mask: Mask
    product: Product
    outputs: dict[str, Path]
    threads: int

    def describe(self) -> dict[str, Any]:
        """The plan as JSON-able values."""
        scene = self.scene
        return {
            "geoseg": geoseg.__version__,
            "kind": self.job.kind,
            "scene": {
                "paths": list(scene.paths),
                "shape": list(scene.grid.shape),
                "crs": str(scene.grid.crs) if scene.grid.crs else None,
                "resolution_m": scene.resolution,
                "bidx": self.job.mask.bidx,
                "dtype": str(scene.dtype),
            },
            "holds": {ClassMask: "classes", ScoreMask: "scores", InstanceMask: "instances"}[type(self.mask)],
            "tiles": {"planned": len(strips_of(scene))},
            "postprocess": described(self.product.postprocess),
            "threads": self.threads,
            "outputs": {kind: str(path) for kind, path in self.outputs.items()},
        }

    def metadata(self) -> dict[str, str]:
        """What the output says of how it was made."""
        return {
            **job_metadata(self.job, self.scene.name),
            "GEOSEG_POSTPROCESS": json.dumps(described(self.product.postprocess)),
        }


def plan_vectorize(job: VectorizeJob) -> VectorizePlan:
    """The job's plan. Raises SceneError, BandError, RegionError, OutputError, SpecError, ResolutionError."""
    asked = job.mask
    read = [*source_files([asked.path, *([asked.scores] if asked.scores else [])])]
    outputs = check_outputs(
        {"vector": job.output.vector}, job.output.overwrite, [*read, job.region.aoi] if job.region.aoi else read
    )
    scene = open_scene(SceneSource(paths=(asked.path,), bidx=None, nodata=asked.nodata, resolution=asked.resolution))
    _check_band(scene, asked.bidx)
    plan_reprojection(outputs["vector"], scene.grid.crs, job.output.dst_crs)
    mask = _mask(asked, scene)
    product = _product(job, scene, mask)
    product.check()
    threads = job.threads or psutil.cpu_count(logical=True) or 1
    return VectorizePlan(job, scene, mask, product, outputs, threads)


def run_vectorize(plan: VectorizePlan, progress: Progress | None = None) -> Result:
    """Carry out a plan. Raises ReadError, WriteError, SceneError; then, and on Ctrl-C, no output is left."""
    told = progress or Silent()
    told.plan(plan.describe())
    started = time.monotonic()
    warnings: list[str] = []

    def warn(message: str) -> None:
        warnings.append(message)
        told.warn(message)

    with session(), Staging(plan.outputs.values(), plan.job.output.overwrite) as staging:
        with Outlets() as outlets:
            target = Target(
                staging, plan.outputs["vector"], plan.job.output.dst_crs, plan.metadata(), warn, plan.threads
            )
            drawn = open_vectors(plan.product, plan.scene.name, target)
            outlets.add(drawn, "vectors")
            for strip in plan.mask.strips(READERS):
                outlets.put(strip)
                told.advance(1, strip.class_ids.size)
            told.stage("writing")
            outlets.commit()
        staging.commit()
    seconds = time.monotonic() - started
    summary = {
        "outputs": {kind: str(path) for kind, path in plan.outputs.items()},
        **drawn.totals(),
        "seconds": round(seconds, 2),
        "mpx_per_second": round(plan.product.block.y.size * plan.product.block.x.size / seconds / 1e6, 3),
        "warnings": warnings,
    }
    return Result(dict(plan.outputs), summary, plan.metadata(), classes=plan.product.naming.classes())


def _check_band(scene: Scene, bidx: int) -> None:
    if bidx > len(scene.bands):
        raise BandError(f"{scene.name}: there is no band {bidx}; found {len(scene.bands)}; choose with --bidx")


def _mask(asked: MaskSpec, scene: Scene) -> Mask:
    """How the raster is read."""
    if asked.instances:
        return InstanceMask(Layer(scene, asked.bidx), asked.background)
    if asked.threshold is not None:
        scale = asked.scale or read_legend(asked.path, asked.bidx).scale
        return ScoreMask(Layer(scene, asked.bidx, scale), asked.threshold)
    legend = read_legend(asked.path, asked.bidx)
    if legend.numbers:
        raise SpecError(
            f"{scene.name}: band {asked.bidx} holds the numbers of objects, found no --instances; expected classes; "
            "give --instances, or the band of classes with --bidx"
        )
    if legend.scale != 1:
        raise SpecError(
            f"{scene.name}: its values have a scale, as scores do; expected classes; give --threshold, for instance 0.5"
        )
    if len(set(asked.names.values())) < len(asked.names):
        raise SpecError(f"{scene.name}: two values have the same --name; give each value a name of its own")
    scores = None if asked.scores is None else _scores(asked.scores, asked.scale, scene)
    codes = Codes(scene.name)
    if asked.background is not None:
        codes.code(asked.background)
    return ClassMask(Layer(scene, asked.bidx), codes, asked.background, scores)


def _scores(path: str, scale: float | None, lead: Scene) -> Layer:
    """The raster of scores, which has to lie on the classes' grid."""
    scores = open_scene(SceneSource(paths=(path,)))
    pixel = abs(lead.grid.affine.determinant) ** 0.5
    near = scores.grid.affine.almost_equals(lead.grid.affine, pixel / 1000)
    if not (near and scores.grid.shape == lead.grid.shape and scores.grid.crs == lead.grid.crs):
        raise SceneError(
            f"{path}: found {scores.grid.shape[1]} x {scores.grid.shape[0]} pixels at {tuple(scores.grid.affine[:6])}; "
            f"expected the grid of {lead.name}, {lead.grid.shape[1]} x {lead.grid.shape[0]} at "
            f"{tuple(lead.grid.affine[:6])}, in its CRS; resample one of them first"
        )
    if len(scores.bands) > 1:
        raise BandError(f"{path}: found {len(scores.bands)} bands; expected one band of scores; extract it first")
    return Layer(scores, 1, scale or read_legend(path).scale)


def _product(job: VectorizeJob, scene: Scene, mask: Mask) -> Product:
    """What becomes of the raster; all of its objects are things, whole unless they are clipped."""
    asked, region = job.mask, job.region
    area = None
    if region.aoi is not None or region.bounds is not None:
        area = read_region(region.aoi, region.bounds, region.bounds_crs, scene)
    naming, background = _naming(asked, mask)
    height, width = scene.grid.shape
    return Product(
        grid=scene.grid,
        block=Tiling.over((height, width), max(height, width), 0).whole(),
        naming=naming,
        postprocess=resolved(job.postprocess, None, scene.resolution),
        resolution=scene.resolution,
        scored=isinstance(mask, ScoreMask) or asked.scores is not None,
        background=background,
        nodata=NO_INSTANCE if asked.instances else NODATA,
        threshold=asked.threshold,
        area=area,
        clip=region.clip,
    )


def _naming(asked: MaskSpec, mask: Mask) -> tuple[Naming, int | None]:
    """What ids are called, and the one of background."""
    if isinstance(mask, ClassMask):
        background = None if asked.background is None else mask.codes.code(asked.background)
        return CodeNaming(mask.codes, read_legend(asked.path, asked.bidx), asked.names, background), background
    name = asked.names.get(1, "object")
    if isinstance(mask, ScoreMask):
        return CardNaming(InstanceNaming(name).classes()), 0
    return InstanceNaming(name), asked.background
