"""`geoseg vectorize`: a raster of classes or scores in, polygons or lines out."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import click

from geoseg_cli.options import SectionedCommand, examples, flags_named, nested, run_options, together
from geoseg_cli.products import dst_crs_option, overwrite_option, postprocess_options, region_options, vector_option
from geoseg_cli.values import POSITIVE, Pair, mapping

if TYPE_CHECKING:
    from geoseg.jobs.spec import JobSpec


def _background(ctx: click.Context, param: click.Parameter, value: str | None) -> Any:
    """A whole number, or the word none."""
    if value is None or value == "none":
        return value
    try:
        return int(value)
    except ValueError:
        raise click.BadParameter(f"{value!r} is neither a whole number nor none", ctx=ctx, param=param) from None


mask_options = together(
    click.argument("mask__path", metavar="RASTER"),
    click.option("-b", "--bidx", "mask__bidx", type=click.IntRange(1), metavar="N", help="Which band, from 1."),
    click.option(
        "--background",
        "mask__background",
        callback=_background,
        metavar="VALUE",
        help="The value that becomes no polygon, 0 if not given; none: every value does.",
    ),
    click.option(
        "--nodata", "mask__nodata", type=float, metavar="VALUE", help="Of missing pixels, in place of the file's."
    ),
    click.option(
        "--name",
        "mask__names",
        type=Pair("VALUE=NAME"),
        multiple=True,
        callback=mapping,
        help="What a value is called; repeatable.",
    ),
    click.option("--instances", "mask__instances", is_flag=True, help="Every value is one object, not a class."),
    click.option(
        "--threshold",
        "mask__threshold",
        type=click.FloatRange(0, 1, min_open=True, max_open=True),
        metavar="SCORE",
        help="RASTER holds scores of one class: objects are pixels from this score on.",
    ),
    click.option("--scores", "mask__scores", metavar="FILE", help="A raster of scores that goes with the classes."),
    click.option(
        "--score-scale",
        "mask__scale",
        type=POSITIVE,
        metavar="FACTOR",
        help="By which values become scores between 0 and 1, in place of the file's own.",
    ),
    click.option(
        "--resolution",
        "mask__resolution",
        type=POSITIVE,
        metavar="METRES",
        help="Ground resolution (metres per pixel) of a raster that does not say it.",
    ),
)


@click.command(cls=SectionedCommand)
@mask_options
@vector_option
@dst_crs_option
@overwrite_option
@region_options
@postprocess_options
@click.option("--threads", type=click.IntRange(1), metavar="N", help="Cores to use.")
@run_options
@click.option("--print-job", is_flag=True, help="Print these flags as a job for `geoseg run`, and stop.")
@examples(
    """
    geoseg vectorize mask.tif -o polygons.gpkg
    geoseg vectorize mask.tif -o buildings.gpkg --postprocess buildings
    geoseg vectorize roads.tif -o roads.gpkg --postprocess roads
    geoseg vectorize landcover.tif -o landcover.gpkg --postprocess landcover --background none
    geoseg vectorize probability.tif -o water.gpkg --threshold 0.5 --outline subpixel
    geoseg vectorize ids.tif -o objects.gpkg --instances --outline square
    """
)
def vectorize(progress: str, dry_run: bool, as_json: bool, print_job: bool, **flags: Any) -> None:
    """Turn RASTER, of classes or of scores, into polygons or lines.

    Without --postprocess the polygons are exact: they follow the pixels' edges, and rasterised again they equal RASTER.
    RASTER may come from anywhere and be of any size. Without -o the polygons of mask.tif go to mask.gpkg in the folder
    you are in.
    """
    from geoseg_cli.execution import Asked, execute

    values = vectorize_values(flags)
    if print_job:
        click.echo(_job(values).model_dump_json(indent=2, exclude_unset=True))
        return
    values["command"] = click.get_current_context().obj
    execute(lambda: _job(values), Asked(progress, dry_run, as_json))


def vectorize_values(flags: dict[str, Any]) -> dict[str, Any]:
    """The values of a vectorize job from those of its flags."""
    values: dict[str, Any] = {"kind": "vectorize", **nested(flags)}
    mask = values["mask"]
    if mask.get("background") == "none":
        mask["background"] = None
    output = values.setdefault("output", {})
    if "vector" not in output:
        path = str(mask["path"]).replace("\\", "/").partition("?")[0]
        output["vector"] = PurePath(path).stem + ".gpkg"
    return values


def _job(values: dict[str, Any]) -> JobSpec:
    from geoseg.errors import SpecError
    from geoseg.jobs.spec import job_from

    try:
        return job_from(values, "geoseg vectorize")
    except SpecError as error:
        raise SpecError(flags_named(str(error), vectorize)) from None
