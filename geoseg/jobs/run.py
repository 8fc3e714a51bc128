"""A plan carried out: one streaming pass, every output at once, nothing under a final name before all are complete."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from geoseg.core.protocols import BadBlock, Progress, Silent, Strip
from geoseg.core.values import normalisation
from geoseg.errors import DeviceMemoryError, ResourceError, SpecError
from geoseg.inference.device import release, torch_settings
from geoseg.inference.passes import Pass, Tally
from geoseg.inference.semantic import predict_strips
from geoseg.inference.stitch import Canvas
from geoseg.io.outputs import Staging
from geoseg.io.preview import Picture, imagery, write_preview
from geoseg.io.raster import session
from geoseg.io.raster_sink import ClassRasterSink, PanopticRasterSink, RasterOptions, ScoreRasterSink
from geoseg.jobs.area import CutObjectError
from geoseg.jobs.guard import guarded
from geoseg.jobs.metadata import job_metadata
from geoseg.jobs.outlet import Outlets
from geoseg.jobs.plan import Plan, grown
from geoseg.jobs.result import Result
from geoseg.jobs.told import Told
from geoseg.jobs.vectors import Drawn, Target, open_vectors
from geoseg.jobs.window import OnGrid, WindowSink

READERS = 2  # threads that read and decode
COMPUTED_BY = ("backend", "device", "precision", "threads", "batch_size")
SCRATCH = "vectors.fgb"  # where they wait when only the preview needs them
PREVIEW_SIZE = 2000  # pixels of the picture's longer side, at most


@dataclass(slots=True)
class _Told(Told):
    """Progress in whole pixels of the scene."""

    pixels: float = 0.0  # of the scene, done
    whole: int = 0  # of them, told

    def advance(self, tiles: int, pixels: float) -> None:
        self.pixels += pixels
        self.progress.advance(tiles, round(self.pixels) - self.whole)
        self.whole = round(self.pixels)


@dataclass(frozen=True, slots=True)
class _Scaled:
    """Progress in pixels of the model's grid, told in those of the scene."""

    told: _Told
    scene_pixels: float

    def __call__(self, tiles: int, pixels: int) -> None:
        self.told.advance(tiles, pixels * self.scene_pixels)


def run(plan: Plan, progress: Progress | None = None) -> Result:
    """Carry out a plan. Raises ReadError, WriteError, ModelError; then, and on Ctrl-C, no output is left."""
    if not plan.outputs:
        raise SpecError("the job writes nothing; give at least one of the outputs vector, raster, scores and preview")
    told = _Told(progress or Silent())
    told.progress.plan(plan.describe())
    if plan.out_of_range:
        low, high = plan.card.resolution_range
        told.warn(
            f"{plan.scene.name}: {plan.scene.resolution:.3g} m per pixel are not the {low:g} to {high:g} m that model "
            f"{plan.card.name} was trained on: the result is worth little"
        )
    started = time.monotonic()
    while True:
        try:
            summary = _attempt(plan, told)
            break
        except CutObjectError:
            plan = grown(plan)
            told.warn(f"objects of the region reach beyond it: computing {plan.margin_m:.0f} m around it")
        except DeviceMemoryError as error:
            plan = _smaller(plan, error)
            release(plan.compute.device)
            told.warn(f"{plan.compute.device} ran out of memory: starting again with {plan.batch_size} chips at a time")
        told.progress.plan(plan.describe())
    seconds = time.monotonic() - started
    summary |= {
        "seconds": round(seconds, 2),
        "mpx_per_second": round(plan.block.y.size * plan.block.x.size * plan.scene_pixels / seconds / 1e6, 3),
        "warnings": told.warnings,
    }
    return Result(dict(plan.outputs), summary, metadata(plan), classes=plan.card.classes)


def _smaller(plan: Plan, error: DeviceMemoryError) -> Plan:
    if plan.batch_size == 1:
        raise ResourceError(str(error)) from error
    return replace(plan, batch_size=plan.batch_size // 2)


def _attempt(plan: Plan, told: _Told) -> dict[str, Any]:
    """One pass over the scene; returns its summary."""
    reader = plan.scene.reader(plan.bidx, plan.grid, threads=READERS, on_bad_block=plan.job.on_bad_block)
    canvas = Canvas(plan.tiling, plan.block, plan.decision, with_scores=plan.needs_scores)
    work = Pass(
        reader,
        normalisation(plan.card, plan.stretch),
        plan.ready,
        canvas,
        plan.batch_size,
        None if plan.region is None else OnGrid(plan.region, plan.grid),
    )
    # One setting of GDAL's cache around all threads: each restores what it found, and they find the same.
    with session(), Staging(plan.outputs.values(), plan.job.output.overwrite) as staging:
        with Outlets() as outlets, torch_settings(plan.compute):
            drawn = _open(plan, staging, outlets, told.warn)
            made = _strips(plan, work, _Scaled(told, plan.scene_pixels))
            with closing(guarded(made, plan.product)) as strips:
                for strip in strips:
                    outlets.put(strip)
            told.progress.stage("writing")
            outlets.commit()
        _draw(plan, staging, told.progress)
        staging.commit()
    if not work.tally.predicted:
        told.warn(f"{plan.scene.name}: no pixel of it was valid where it was looked at; check --nodata and the area")
    return _summary(plan, drawn, work.tally, _listed(reader.bad_blocks, told))


def _strips(plan: Plan, work: Pass, advance: Callable[[int, int], None]) -> Generator[Strip, None, None]:
    """The pass of the model's kind; objects are told apart where the model finds them, or a class separates them."""
    if plan.card.kind != "semantic":
        from geoseg.inference.objects.predict import predict_objects

        yield from predict_objects(work, advance)
        return
    with closing(predict_strips(work, advance)) as strips:
        if plan.card.classes.separator is None:
            yield from strips
            return
        from geoseg.inference.separation.rim import KnownRim
        from geoseg.inference.separation.separate import separate

        height, width = plan.grid.shape
        rim = None if plan.covers_scene else KnownRim((height, width), plan.block, work.region)
        yield from separate(strips, plan.card.classes, plan.block.x.size, plan.block.y, rim)


def _listed(bad: Sequence[BadBlock], told: _Told) -> list[dict[str, Any]]:
    if bad:
        told.warn(f"{len(bad)} block(s) could not be read and were left as nodata")
    return [
        {"path": b.path, "rows": [b.y.start, b.y.stop], "columns": [b.x.start, b.x.stop], "reason": b.reason}
        for b in bad
    ]


def _open(plan: Plan, staging: Staging, outlets: Outlets, warn: Callable[[str], None]) -> Drawn | None:
    """Every sink that the plan asks for; returns the one that draws, if any."""
    options = RasterOptions(metadata(plan), plan.job.output.creation_options, plan.target, plan.compute.threads)
    window, grid = plan.window, plan.window_grid
    if "raster" in plan.outputs:
        final = plan.outputs["raster"]
        kind = PanopticRasterSink if plan.card.finds_objects else ClassRasterSink
        classes = kind(staging.path(final), grid, plan.card.classes, replace(options, named=final))
        outlets.add(WindowSink(classes, window), "raster")
    if "scores" in plan.outputs:
        final = plan.outputs["scores"]
        scores = ScoreRasterSink(staging.path(final), grid, replace(options, named=final))
        outlets.add(WindowSink(scores, window), "scores")
    if not {"vector", "preview"} & set(plan.outputs):
        return None
    scratch = None if "vector" in plan.outputs else SCRATCH
    target = Target(
        staging,
        plan.outputs.get("vector") or plan.outputs["preview"],
        plan.job.output.dst_crs if "vector" in plan.outputs else None,
        metadata(plan),
        warn,
        scratch=scratch,
    )
    vectors = open_vectors(plan.product, plan.scene.name, target)
    outlets.add(vectors, "vectors")
    return vectors


def polygon_path(plan: Plan, staging: Staging) -> Path | None:
    """Where polygons are written: to the output, or to a temporary file when only the preview needs them."""
    if "vector" in plan.outputs:
        return staging.path(plan.outputs["vector"])
    return staging.scratch(plan.outputs["preview"], SCRATCH) if "preview" in plan.outputs else None


def _draw(plan: Plan, staging: Staging, progress: Progress) -> None:
    polygons = polygon_path(plan, staging)
    if "preview" not in plan.outputs or polygons is None:
        return
    progress.stage("drawing the preview")
    rows = plan.scene.overview(plan.bidx, PREVIEW_SIZE, plan.area)
    pixels, valid = imagery(rows)
    grid = plan.scene.overview_grid(PREVIEW_SIZE, plan.area)
    title = f"{plan.scene.name}: {plan.task.name if plan.task else plan.card.name}"
    area = None if plan.area is None else plan.area.polygons
    picture = Picture(pixels, grid, valid, title, plan.card.attribution, PREVIEW_SIZE, area)
    final = plan.outputs["preview"]
    write_preview(staging.path(final), picture, polygons, plan.card.classes, named=final)


def metadata(plan: Plan) -> dict[str, str]:
    """What every output says of how it was made."""
    described = plan.describe()
    made = {
        **job_metadata(plan.job, plan.scene.name),
        "GEOSEG_MODEL": f"{plan.card.name} {plan.card.version}",
        "GEOSEG_MODEL_SHA256": plan.loaded.sha256,
        "GEOSEG_ATTRIBUTION": plan.card.attribution,
        "GEOSEG_COMPUTE": json.dumps(
            {k: described[k] for k in ("backend", "device", "precision", "threads", "batch_size")}
        ),
        "GEOSEG_STRETCH": json.dumps(described["stretch"]),
    }
    return {key: value for key, value in made.items() if value}


def _summary(plan: Plan, drawn: Drawn | None, tally: Tally, bad: list[dict[str, Any]]) -> dict[str, Any]:
    described = plan.describe()
    return {
        "outputs": described["outputs"],
        **(drawn.totals() if drawn else {"polygons": None, "area_m2": None}),
        "tiles": {**described["tiles"], "predicted": tally.predicted, "skipped_empty": tally.skipped},
        "bad_blocks": bad,
        "stretch": described["stretch"],
        "attribution": plan.card.attribution,
        "computed_by": {name: described[name] for name in COMPUTED_BY},
    }
