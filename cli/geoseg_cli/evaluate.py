"""`geoseg evaluate`: a model, or a map made anywhere, compared with labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from geoseg_cli.labelled import image_options, label_options, take_scenes
from geoseg_cli.options import SectionedCommand, examples, flags_named, nested, run_options, together
from geoseg_cli.predict import inference_options, model_options, stretch_options
from geoseg_cli.products import postprocess_options
from geoseg_cli.values import NOT_NEGATIVE

if TYPE_CHECKING:
    from geoseg.jobs.spec import EvaluateJob

subject_options = together(
    model_options,
    click.option(
        "-p",
        "--predictions",
        metavar="FILE",
        multiple=True,
        help="Polygons or a raster of classes made anywhere, in place of a model; one an image, in their order. {stem} "
        "stands for the image's name.",
    ),
)

report_options = together(
    click.option("--report", "output__report", metavar="FILE", help="A page with figures, curves and pictures: .html"),
    click.option("--figures", "output__figures", metavar="FILE", help="The figures for programs: .json"),
    click.option("--overwrite", "output__overwrite", is_flag=True, help="Replace outputs that exist."),
)


@click.command(cls=SectionedCommand)
@subject_options
@image_options
@label_options
@report_options
@click.option(
    "--min-object",
    "min_area_m2",
    type=NOT_NEGATIVE,
    metavar="M2",
    help="Leave objects below this area out of truth and map.",
)
@click.option(
    "--resamples",
    type=click.IntRange(0, 100_000),
    metavar="N",
    help="How often squares of the scenes are drawn anew for the intervals: 1000; 0: no intervals.",
)
@postprocess_options
@stretch_options
@inference_options
@run_options
@click.option("--print-job", is_flag=True, help="Print these flags as a job for `geoseg run`, and stop.")
@examples(
    """
    geoseg evaluate --model town.safetensors --image other.tif --labels other.shp --report report.html
    geoseg evaluate --predictions buildings.gpkg --image other.tif --labels other.shp
    geoseg evaluate --task buildings --image town.tif --labels buildings.shp \\
        --image other.tif --labels other.shp --figures figures.json
    geoseg evaluate --task buildings --image other.tif --labels other.shp --threshold 0.4 --min-object 10
    """
)
def evaluate(progress: str, dry_run: bool, as_json: bool, print_job: bool, **flags: Any) -> None:
    """Compare a model, or a finished map, with labels.

    IoU, Dice, precision, recall, boundary IoU and the confusion of pixels; precision, recall and F1 of objects at IoU
    0.5, COCO's AP and panoptic quality: by class and by scene, with 95 % intervals. docs/evaluation.md says what each
    one means. Scenes of any size run in bounded memory.
    """
    from geoseg_cli.execution import Asked, execute

    if print_job:
        click.echo(_job(flags).model_dump_json(indent=2, exclude_unset=True))
        return
    typed = click.get_current_context().obj
    execute(lambda: _job(flags).model_copy(update={"command": typed}), Asked(progress, dry_run, as_json))


def evaluate_values(flags: dict[str, Any]) -> dict[str, Any]:
    """The values of an evaluate job from those of its flags."""
    from geoseg.jobs.spreading import spread, with_stem
    from geoseg_cli.predict import stretch_implied

    values: dict[str, Any] = {"kind": "evaluate", **nested(flags)}
    scenes = spread(take_scenes(values), "geoseg evaluate")
    if not scenes:
        raise click.UsageError("give --image FILE --labels FILE")
    predictions = values.get("predictions", ())
    if len(predictions) == 1:
        values["predictions"] = [with_stem(predictions[0], entry["scene"]) for entry in scenes]
    stretch_implied(values)
    return {**values, "scenes": scenes}


def _job(flags: dict[str, Any]) -> EvaluateJob:
    from geoseg.errors import SpecError
    from geoseg.jobs.spec import EvaluateJob, job_of

    try:
        return job_of(EvaluateJob, evaluate_values(flags), "geoseg evaluate")
    except SpecError as error:
        raise SpecError(flags_named(str(error), evaluate)) from None
