"""`geoseg models`: what there is, what it says of itself, and whether it is whole."""

from __future__ import annotations

from typing import Any

import click

from geoseg.errors import ModelError
from geoseg_cli.importing import fact_options
from geoseg_cli.options import examples, json_option

_FORMS = {".onnx": "onnx", ".xml": "openvino", ".pt2": "pt2", ".json": "mlm"}
overwrite_option = click.option("--overwrite", is_flag=True, help="Replace a file that exists.")


@click.group(invoke_without_command=True)
@click.pass_context
def models(ctx: click.Context) -> None:
    """List, show, check, pull, import and export models."""
    from geoseg_cli.show_pull import tell_downloads

    tell_downloads()
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


@models.command("list")
@json_option
@examples("geoseg models list")
def list_models(as_json: bool) -> None:
    """List models and architectures.

    Models: those that come with geoseg or one of its extras, and those that were pulled. Architectures: every network
    that can be built and trained, with its size, and what it computes for a chip of 512 x 512 pixels.
    """
    from geoseg.models.zoo import available, zoo

    models, architectures = available(), zoo()["architectures"]
    if as_json:
        _print_json({"models": [model.describe() for model in models], "architectures": architectures})
        return
    from geoseg_cli.show_models import show_architectures, show_models

    show_models(models)
    show_architectures(architectures)


@models.command()
@click.argument("model", metavar="NAME|FILE")
@json_option
@examples(
    """
    geoseg models show buildings
    geoseg models show town.safetensors --json
    """
)
def show(model: str, as_json: bool) -> None:
    """Show a model's card.

    Bands, resolution, classes, licence, training data, metrics, limits.
    """
    from geoseg.models import read_card, resolve

    card = read_card(resolve(model))
    if as_json:
        _print_json(card.model_dump(mode="json"))
        return
    from geoseg_cli.show_models import show_card

    show_card(card)


@models.command()
@click.argument("model", metavar="NAME|FILE")
@json_option
@examples(
    """
    geoseg models verify buildings
    geoseg models verify town.safetensors
    """
)
def verify(model: str, as_json: bool) -> None:
    """Check that a model is whole and runs.

    Checksum, shapes, finite weights, and an answer to an empty chip.
    """
    from geoseg.models import verify as verify_model

    report = verify_model(model).describe()
    if as_json:
        _print_json(report)
    else:
        from geoseg_cli.show_models import show_verification

        show_verification(report)
    if not report["passed"]:
        raise ModelError(f"{report['path']}: a check failed; expected a whole model: fetch or export it again")


@models.command()
@click.argument("model", metavar="NAME|FILE")
@click.argument("destination", metavar="DESTINATION")
@click.option(
    "--format",
    "form",
    type=click.Choice(["onnx", "openvino", "pt2", "mlm"]),
    help="Default: what the ending says: .onnx, .xml (OpenVINO), .pt2, .json (mlm, a STAC item).",
)
@click.option("--any-size", is_flag=True, help="Let the file take chips of any size, not the card's alone.")
@overwrite_option
@json_option
@examples(
    """
    geoseg models export town.safetensors town.json --format mlm
    geoseg models export buildings buildings.pt2
    """
)
def export(model: str, destination: str, form: str | None, any_size: bool, overwrite: bool, as_json: bool) -> None:
    """Write a model for other programs, its card inside.

    The formats are ONNX, OpenVINO and torch.export; --format mlm describes the model as a STAC item.

    The file's answers are compared with torch's before it is kept, and the difference is printed. ONNX files also run
    in the QGIS plugin Deepness (with chips of one size). The STAC item follows the extension for machine-learning
    models (MLM).
    """
    chosen = form or _form_of(destination)
    _check_free(destination, overwrite)
    if chosen == "mlm":
        from geoseg.models import export_mlm

        export_mlm(model, destination)
        click.echo(destination)
        return
    from geoseg.models import export_model

    report = export_model(model, destination, chosen, any_size=any_size)
    if as_json:
        _print_json(report.describe())
        return
    click.echo(destination)
    click.echo(
        f"compared with torch on {report.checked} chips: scores differ by at most {report.difference:.2g}, "
        f"{report.agreement:.4%} of the labels are equal",
        err=True,
    )


@models.command()
@click.argument("reference", metavar="REFERENCE")
@click.option("--accept-license", is_flag=True, help="Consent to a licence that is not permissive.")
@click.option("--sha256", metavar="DIGITS", help="The checksum that the weights are to have.")
@click.option("-o", "--output", metavar="FILE", help="Put a copy of the model here too.")
@fact_options
@json_option
@examples(
    """
    geoseg models pull item.json
    geoseg models pull mlm:item.json -o copy.safetensors
    """
)
def pull(
    reference: str, accept_license: bool, sha256: str | None, output: str | None, as_json: bool, **flags: Any
) -> None:
    """Download a model into the cache, and print its licence.

    REFERENCE is https://host/model.safetensors (other files need --sha256), hf:owner/repository of Hugging Face (with
    @revision and :file behind it where needed), torchgeo:Unet_Weights.SENTINEL2_3CLASS_FTW and its like,
    torchvision:..._Weights.NAME, or mlm:item.json, a STAC item with the MLM extension, by its path or its address.

    The cache is the folder that GEOSEG_CACHE names, else one of the user's. With GEOSEG_OFFLINE=1 nothing is fetched.
    What a foreign model does not say of itself is asked for: the other flags add it, as for `geoseg models import`.
    """
    from geoseg.models.hub.pulling import check_free, copy_to
    from geoseg.models.hub.pulling import pull as pull_model
    from geoseg_cli.show_pull import describe, downloading, facts_told, show_pulled

    hints = facts_told(flags)
    if output:
        check_free(output)
    with downloading(reference) as progress:
        pulled = pull_model(reference, accept_license=accept_license, sha256=sha256, progress=progress, hints=hints)
    path = str(copy_to(pulled, output) if output else pulled.path)
    report = describe(pulled, path, output or pulled.reference)
    if sha256 is None and reference.startswith("http") and "#sha256" not in reference:
        click.echo(f"geoseg: warning: no checksum to compare with; pin it with --sha256 {pulled.sha256}", err=True)
    if as_json:
        _print_json(report)
    else:
        show_pulled(report, pulled.licence.terms)


@models.command("import")
@click.argument("source", metavar="FILE|FOLDER")
@click.option("-o", "--output", required=True, metavar="MODEL", help="The model to write.")
@click.option("--sha256", metavar="DIGITS", help="The checksum that the file of weights is to have.")
@fact_options
@overwrite_option
@json_option
@examples(
    """
    geoseg models import item.json -o imported.safetensors
    geoseg models import item.json -o renamed.safetensors --name town-roofs --attribution "Town of Banepa"
    """
)
def import_(source: str, output: str, sha256: str | None, overwrite: bool, as_json: bool, **flags: Any) -> None:
    """Make a geoseg model of a foreign file or folder.

    FILE is a torch checkpoint of weights, safetensors, TorchScript, ONNX (that of the QGIS plugin Deepness too) or a
    STAC item with the MLM extension; FOLDER holds config.json beside the weights, of segmentation-models-pytorch or
    transformers. What it does not say of itself is asked for: flags and --card add it, and count before it.

    Nothing in FILE is run: pickles that want to run code are refused. The model is checked as by `geoseg models verify`
    before it is put in its place.
    """
    from pathlib import Path

    from geoseg.models.importing import detect, import_model
    from geoseg.models.importing.conversion import check_sum
    from geoseg_cli.importing import hints_from, show_import

    path = Path(source)
    _check_free(output, overwrite)
    found = detect(path)
    checksum = check_sum(path, sha256)
    card = import_model(path, Path(output), hints_from(flags))
    report = {"found": found, "source_sha256": checksum, "path": output, "card": card.model_dump(mode="json")}
    if as_json:
        _print_json(report)
    else:
        show_import(report)


def _form_of(destination: str) -> str:
    """The format that the ending stands for."""
    from pathlib import PurePath

    ending = PurePath(destination).suffix.lower()
    if ending not in _FORMS:
        raise click.UsageError(f"{destination}: found the ending {ending!r}; expected {', '.join(_FORMS)}, or --format")
    return _FORMS[ending]


def _check_free(destination: str, overwrite: bool) -> None:
    """Raise OutputError when a file stands there that is not to be replaced."""
    from pathlib import Path

    from geoseg.errors import OutputError

    if not overwrite and Path(destination).exists():
        raise OutputError(f"{destination}: exists already; pass --overwrite to replace it, or choose another name")


def _print_json(value: Any) -> None:
    from geoseg_cli.jsonl import to_json

    click.echo(to_json(value, indent=2))
