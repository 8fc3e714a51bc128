"""`geoseg predict`: a scene in, polygons out."""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import click

from geoseg_cli.options import SectionedCommand, examples, flags_named, nested, run_options, scene_options, together
from geoseg_cli.products import dst_crs_option, overwrite_option, postprocess_options, region_options, vector_option
from geoseg_cli.values import NUMBERS, POSITIVE, RANGE, Pair, mapping

if TYPE_CHECKING:
    from geoseg.jobs.spec import JobSpec


def device_name(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """The device's name; raises click.BadParameter."""
    if value is not None and not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", value):
        raise click.BadParameter(f"{value!r} is not one of auto, cpu, cuda, cuda:N, mps", ctx=ctx, param=param)
    return value


def _limits(ctx: click.Context, param: click.Parameter, pairs: tuple[tuple[float, float], ...]) -> Any:
    for low, high in pairs:
        if not low < high:
            raise click.BadParameter(f"{low:g},{high:g} is empty; expected LOW below HIGH", ctx=ctx, param=param)
    return pairs


model_options = together(
    click.option(
        "--task",
        metavar="NAME",
        help="What to look for: buildings, clouds, fields or trees. Chooses the model and the postprocess; roads, "
        "water and landcover need a --model.",
    ),
    click.option(
        "-m",
        "--model",
        metavar="NAME|FILE|REFERENCE",
        help="A packaged model, a model's file, or one that `geoseg models pull` knows, in place of the task's.",
    ),
)

output_options = together(
    vector_option,
    click.option(
        "--raster",
        "output__raster",
        metavar="FILE",
        help="Class raster: .tif, cloud-optimized; with a second band of numbers where objects are told apart.",
    ),
    click.option("--scores", "output__scores", metavar="FILE", help="Scores from 0 to 1, stored as 0 to 254: .tif"),
    click.option("--preview", "output__preview", metavar="FILE", help="The polygons drawn over the scene: .png"),
    dst_crs_option,
    click.option(
        "--native-grid", "output__native_grid", is_flag=True, help="Rasters on the scene's grid, not on the model's."
    ),
    click.option(
        "--co",
        "output__creation_options",
        type=Pair("KEY=VALUE"),
        multiple=True,
        callback=mapping,
        help="GDAL creation option of the rasters; repeatable.",
    ),
    overwrite_option,
)

stretch_options = together(
    click.option(
        "--stretch",
        "stretch__mode",
        type=click.Choice(["auto", "none", "percentile"]),
        help="How values beyond the model's range are brought into it, once for the whole scene.",
    ),
    click.option("--percentiles", "stretch__percentiles", type=RANGE, help="Stretch between these, in percent: 2,98."),
    click.option(
        "--limits",
        "stretch__limits",
        type=RANGE,
        multiple=True,
        callback=_limits,
        help="Stretch between these values; given once, or once for each band in the model's order.",
    ),
)

inference_options = together(
    click.option(
        "--threshold",
        "inference__threshold",
        type=float,
        metavar="SCORE",
        help="From which score on a pixel is an object: 0.5.",
    ),
    click.option(
        "--resolution",
        "inference__resolution",
        type=POSITIVE,
        metavar="METRES",
        help="Resample the scene to this, in place of the model's resolution.",
    ),
    click.option(
        "--any-resolution",
        "inference__any_resolution",
        is_flag=True,
        help="Accept scenes outside the model's range of resolutions.",
    ),
    click.option(
        "--tta",
        "inference__tta",
        type=click.Choice(["none", "flips", "d4"]),
        help="Average over mirrored tiles (4 times the work), or mirrored and turned ones (8 times).",
    ),
    click.option("--scales", "inference__scales", type=NUMBERS, help="Average over zoom factors: 0.75,1,1.5."),
    click.option(
        "--tile-size", "inference__tile_size", type=click.IntRange(1), metavar="PIXELS", help="In place of the model's."
    ),
    click.option(
        "--overlap",
        "inference__overlap",
        type=click.IntRange(0),
        metavar="PIXELS",
        help="Between neighbouring tiles, in place of the model's; at most half a tile.",
    ),
    click.option(
        "--device", "inference__device", callback=device_name, metavar="NAME", help="auto, cpu, cuda, cuda:1, mps."
    ),
    click.option(
        "--backend",
        "inference__backend",
        type=click.Choice(["auto", "torch", "compile", "onnx", "openvino"]),
        help="What runs the network; onnx and openvino are extras.",
    ),
    click.option(
        "--precision",
        "inference__precision",
        type=click.Choice(["auto", "fp32", "bf16", "fp16"]),
        help="Of the network's arithmetic.",
    ),
    click.option(
        "--batch-size",
        "inference__batch_size",
        type=click.IntRange(1),
        metavar="N",
        help="Tiles at a time; probed if not given.",
    ),
    click.option("--threads", "inference__threads", type=click.IntRange(1), metavar="N", help="Cores to use."),
)


bad_block_option = click.option(
    "--on-bad-block",
    "on_bad_block",
    type=click.Choice(["error", "nodata"]),
    help="Where the file cannot be read: end with an error, or leave nodata and list it at the end.",
)


@click.command(cls=SectionedCommand)
@scene_options
@model_options
@output_options
@region_options
@postprocess_options
@stretch_options
@inference_options
@bad_block_option
@run_options
@click.option("--print-job", is_flag=True, help="Print these flags as a job for `geoseg run`, and stop.")
@examples(
    """
    geoseg predict scene.tif --task buildings
    geoseg predict scene.tif --task buildings -o buildings.geojson --preview look.png
    geoseg predict scene.tif --task buildings --dry-run
    geoseg predict west.tif east.tif --task buildings -o town.fgb
    geoseg predict scene.tif -m town.safetensors --raster classes.tif --preview look.png
    geoseg predict --band red=r.tif --band green=g.tif --band blue=b.tif \\
        --task buildings -o stack.parquet
    geoseg predict scene.tif --task buildings -o part.geojson --aoi district.gpkg --clip
    geoseg predict scene.tif --task buildings -o large.gpkg --min-area 50 --threshold 0.6
    geoseg predict scene.tif --task buildings -o buildings.gpkg --print-job > job.json
    """
)
def predict(progress: str, dry_run: bool, as_json: bool, print_job: bool, **flags: Any) -> None:
    """Find objects in SCENE and write them as polygons.

    SCENE is anything that GDAL opens: a GeoTIFF, a VRT, a COG behind https:// or s3://. Several files in one CRS are
    one mosaic, the first on top. Scenes of any size run in bounded memory. Without -o, --raster, --scores or --preview
    the polygons of scene.tif go to scene_buildings.gpkg in the folder you are in.
    """
    from geoseg_cli.execution import Asked, execute

    values = predict_values(flags)
    if print_job:
        click.echo(_job(values).model_dump_json(indent=2, exclude_unset=True))
        return
    values["command"] = click.get_current_context().obj
    execute(lambda: _job(values), Asked(progress, dry_run, as_json))


def predict_values(flags: dict[str, Any]) -> dict[str, Any]:
    """The values of a predict job from those of its flags; limits and percentiles imply the stretch's mode."""
    values: dict[str, Any] = {"kind": "predict", "scene": {}, **nested(flags)}
    output = values.setdefault("output", {})
    if not {"vector", "raster", "scores", "preview"} & set(output):
        output["vector"] = default_output(values)
    stretch_implied(values)
    return values


def stretch_implied(values: dict[str, Any]) -> None:
    """Put the mode of the stretch into the values, where limits or percentiles imply it; raises click.UsageError."""
    stretch = values.get("stretch", {})
    limits = stretch.pop("limits", None)
    if limits and stretch:
        raise click.UsageError("give --limits without --stretch and --percentiles")
    if limits:
        low, high = zip(*limits, strict=True)
        stretch.update(mode="limits", low=low, high=high)
    elif "percentiles" in stretch and stretch.setdefault("mode", "percentile") != "percentile":
        raise click.UsageError(f"--percentiles has no meaning with --stretch {stretch['mode']}")


def default_output(values: dict[str, Any]) -> str:
    """The name of the polygons' file when none is given: the first scene file's, and the task's or the model's."""
    scene = values["scene"]
    first = next(iter([*scene.get("paths", ()), *scene.get("bands", {}).values()]), "scene")
    what = values.get("task") or values.get("model", "polygons")
    stems = [PurePath(str(name).replace("\\", "/").partition("?")[0]).stem for name in (first, what)]
    return "_".join(re.sub(r"[^\w.-]+", "-", stem) for stem in stems) + ".gpkg"


def _job(values: dict[str, Any]) -> JobSpec:
    from geoseg.errors import SpecError
    from geoseg.jobs.spec import job_from

    try:
        return job_from(values, "geoseg predict")
    except SpecError as error:
        raise SpecError(flags_named(str(error), predict)) from None
