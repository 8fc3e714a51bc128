"""`geoseg train`: labelled scenes in, a model out."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import click

from geoseg_cli.labelled import image_options, label_options, take_scenes
from geoseg_cli.options import SectionedCommand, examples, flags_named, nested, run_options, together
from geoseg_cli.predict import device_name
from geoseg_cli.recipes import assignments, checked_recipe, recipe_of
from geoseg_cli.values import POSITIVE, RANGE

if TYPE_CHECKING:
    from geoseg.jobs.spec import TrainJob

SHARE = click.FloatRange(0, 1)


def _separator(ctx: click.Context, param: click.Parameter, value: str | None) -> Any:
    """The options of a separator from `KIND` or `KIND:METRES`."""
    if value is None:
        return None
    kind, colon, width = value.partition(":")
    try:
        return {"kind": kind, **({"width_m": float(width)} if colon else {})}
    except ValueError:
        raise click.BadParameter(f"{value!r} is not of the form KIND:METRES", ctx=ctx, param=param) from None


def _rate(ctx: click.Context, param: click.Parameter, value: str | None) -> Any:
    """A number above 0, or the word find."""
    if value is None or value == "find":
        return value
    try:
        rate = float(value)
    except ValueError:
        rate = 0.0
    if not rate > 0:
        raise click.BadParameter(f"{value!r} is neither a number above 0 nor find", ctx=ctx, param=param)
    return rate


network_options = together(
    click.option(
        "--from",
        "model__base",
        metavar="NAME|FILE|REFERENCE",
        help="The model to start from: bands, resolution, classes and network are its own unless given here.",
    ),
    click.option(
        "--architecture", "model__architecture", metavar="NAME", help="Of a new network: unet, segformer, mask-rcnn."
    ),
    click.option("--encoder", "model__encoder", metavar="NAME", help="Of a new network: resnet34, mit_b0, tu-..."),
    click.option(
        "--encoder-weights",
        "model__encoder_weights",
        metavar="NAME|FILE",
        help="What the encoder knows already: imagenet, a torchgeo: member, a file, or none.",
    ),
    click.option(
        "--accept-license",
        "model__accept_license",
        is_flag=True,
        help="Consent to weights whose licence is not permissive.",
    ),
    click.option(
        "--separator",
        "model__separator",
        callback=_separator,
        metavar="KIND[:METRES]",
        help="Tell touching objects apart by a class of its own, so wide: boundary:0.5, contact:0.5, both:0.5, none.",
    ),
    click.option(
        "--resolution",
        "model__resolution",
        type=POSITIVE,
        metavar="METRES",
        help="Per pixel, of what the network is to see.",
    ),
)

check_options = together(
    click.option(
        "--val-image",
        "validation__images",
        metavar="FILE",
        multiple=True,
        help="A scene to check the model on; repeatable. All of the others is learned from then.",
    ),
    click.option(
        "--val-labels", "validation__path", metavar="FILE", multiple=True, help="What is known of it, as --labels."
    ),
    click.option("--val-aoi", "validation__aoi", metavar="FILE", multiple=True, help="What was labelled there."),
    click.option("--val-ignore", "validation__ignore", metavar="FILE", multiple=True, help="What is not known there."),
)

window_options = together(
    click.option(
        "--crop-size", "data__crop_size", type=click.IntRange(32, 4096), metavar="PIXELS", help="Of a window: 256."
    ),
    click.option(
        "--resolutions",
        "data__resolutions",
        type=RANGE,
        help="Metres per pixel between which windows are drawn; 0.7 to 1.4 times the model's when not given.",
    ),
    click.option(
        "--validation",
        "data__validation",
        type=click.FloatRange(0, 0.5),
        metavar="SHARE",
        help="Of each scene, kept from training in square blocks to check the model on: 0.15.",
    ),
    click.option("--readers", "data__readers", type=click.IntRange(1), metavar="N", help="Threads that draw windows."),
)

loop_options = together(
    click.option("--steps", "loop__steps", type=click.IntRange(1), metavar="N", help="How long: 2000."),
    click.option("--minutes", "loop__minutes", type=POSITIVE, metavar="N", help="As many steps as fit into these."),
    click.option("--batch-size", "loop__batch_size", type=click.IntRange(1), metavar="N", help="Windows a step: 8."),
    click.option(
        "--lr", "loop__learning_rate", callback=_rate, metavar="RATE|find", help="Learning rate: 0.001; find searches."
    ),
    click.option(
        "--freeze", "loop__frozen", type=SHARE, metavar="SHARE", help="Of the steps, in which the encoder keeps still."
    ),
    click.option(
        "--patience",
        "loop__patience",
        type=click.IntRange(1),
        metavar="N",
        help="End when so many checks in a row found nothing better.",
    ),
    click.option("--seed", "loop__seed", type=int, metavar="N", help="Another one draws other windows: 0."),
    click.option("--device", "loop__device", callback=device_name, metavar="NAME", help="auto, cpu, cuda, mps."),
    click.option("--devices", "loop__devices", type=click.IntRange(1), metavar="N", help="How many GPUs to use: 1."),
    click.option(
        "--precision",
        "loop__precision",
        type=click.Choice(["auto", "fp32", "bf16", "fp16"]),
        help="Of the network's arithmetic.",
    ),
    click.option(
        "--logger",
        "loop__logger",
        type=click.Choice(["csv", "tensorboard", "mlflow", "wandb"]),
        multiple=True,
        help="Where figures go while it learns: csv; the others are extras. Repeatable.",
    ),
    click.option(
        "--teacher", "distillation__teacher", metavar="NAME|FILE", help="A bigger model to learn from as well."
    ),
    click.option(
        "--unlabelled",
        "adaptation__images",
        metavar="FILE",
        multiple=True,
        help="A scene without labels to get used to; repeatable.",
    ),
)

card_options = together(
    click.option("--name", "about__name", metavar="NAME", help="Of the model; the file's name when not given."),
    click.option("--license", "about__license", metavar="SPDX", help="Of the weights: MIT, CC-BY-4.0."),
    click.option("--attribution", "about__attribution", metavar="TEXT", help="Who is to be named."),
)

output_options = together(
    click.option("-o", "--output", "output__model", metavar="FILE", help="The model: .safetensors"),
    click.option(
        "--run",
        "output__run",
        metavar="FOLDER",
        help="For checkpoints, log and pictures; else beside the model.",
    ),
    click.option("--report", "output__report", metavar="FILE", help="Figures and pictures of the checks: .html"),
    click.option("--resume", "output__resume", is_flag=True, help="Go on where an interrupted run left off."),
    click.option("--overwrite", "output__overwrite", is_flag=True, help="Replace outputs that exist."),
)


@click.command(cls=SectionedCommand)
@click.argument("recipe", metavar="[RECIPE.toml]", required=False)
@image_options
@check_options
@label_options
@network_options
@output_options
@window_options
@loop_options
@card_options
@click.option(
    "--set",
    "assigned",
    multiple=True,
    metavar="NAME=VALUE",
    help="What ${NAME} stands for in the recipe's paths; or a value of one of its sections: loop.weight_decay=0.1. "
    "Repeatable.",
)
@run_options
@click.option("--print-job", is_flag=True, help="Print this as a job for `geoseg run`, and stop.")
@click.option("--print-recipe", is_flag=True, help="Print this as a recipe, and stop.")
@examples(
    """
    geoseg train --image town.tif --labels buildings.shp --from buildings -o mine.safetensors
    geoseg train --image town.tif --labels buildings.shp --from buildings \\
        --val-image other.tif --val-labels other.shp -o checked.safetensors --report training.html
    geoseg train recipe.toml
    geoseg train recipe.toml --set DATA=. --set loop.weight_decay=0.1 --seed 1 -o second.safetensors --dry-run
    geoseg train --image town.tif --labels buildings.shp --architecture unet --encoder resnet18 \\
        --encoder-weights none -o new.safetensors --dry-run
    geoseg train --image town.tif --labels buildings.shp --from buildings --print-recipe > mine.toml
    """
)
def train(progress: str, dry_run: bool, as_json: bool, print_job: bool, print_recipe: bool, **flags: Any) -> None:
    """Train a model on scenes with labels.

    Labels are polygons, lines or points with --buffer, or a raster of classes, in any CRS. With --from, a few minutes
    adapt a model to a new place. A part of the ground is kept back in blocks to check the model on, unless --val-image
    names scenes for that.

    RECIPE.toml holds all that flags say and more; flags count before it. docs/training.md describes recipes.
    """
    from geoseg_cli.execution import Asked, execute

    if print_job or print_recipe:
        job = _job(flags)
        click.echo(recipe_of(job) if print_recipe else job.model_dump_json(indent=2, exclude_unset=True), nl=print_job)
        return
    typed = click.get_current_context().obj
    execute(lambda: _job(flags).model_copy(update={"command": typed}), Asked(progress, dry_run, as_json))


def train_values(flags: dict[str, Any]) -> dict[str, Any]:
    """The values of a train job from those of its flags, which count before those of the recipe they name."""
    from geoseg.jobs.recipe import merged
    from geoseg.jobs.spreading import spread

    given = dict(flags)
    recipe, assigned = given.pop("recipe"), given.pop("assigned")
    variables, fields = assignments(assigned)
    values = nested(given)
    scenes = take_scenes(values)
    if variables and not recipe:
        raise click.UsageError(f"--set {min(variables)}=... belongs to a recipe's paths; give a recipe")
    base = checked_recipe(recipe, variables, "train") if recipe else {"kind": "train"}
    made = merged(merged(base, fields), values)
    if scenes:
        made["scenes"] = spread(scenes, "geoseg train")
    elif not recipe:
        raise click.UsageError("give --image FILE --labels FILE, or a recipe")
    output = made.setdefault("output", {})
    if isinstance(output, dict) and "model" not in output:
        output["model"] = default_output(recipe, made.get("scenes"))
    return made


def default_output(recipe: str | None, scenes: Any) -> str:
    """The model's file when none is given: named after the recipe, or the first scene's first file.

    Raises click.UsageError for a recipe from standard input, which has no name.
    """
    if recipe == "-":
        raise click.UsageError("a recipe from standard input does not say where the model goes; give -o FILE")
    first = recipe
    if first is None:
        scene = scenes[0]["scene"]
        first = [*scene.get("paths", ()), *scene.get("bands", {}).values()][0]
    return PurePath(str(first).replace("\\", "/").partition("?")[0]).stem + ".safetensors"


def _job(flags: dict[str, Any]) -> TrainJob:
    from geoseg.errors import SpecError
    from geoseg.jobs.spec import TrainJob, job_of

    recipe = flags["recipe"]
    try:
        return job_of(TrainJob, train_values(flags), recipe or "geoseg train")
    except SpecError as error:
        raise SpecError(str(error) if recipe else flags_named(str(error), train)) from None
