"""What `geoseg models import` asks and prints: facts of a foreign model, and what was made of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from geoseg_cli.options import together
from geoseg_cli.values import INTEGERS, NAMES, NUMBERS, POSITIVE, RANGE, Pair, mapping

if TYPE_CHECKING:
    from geoseg.models.importing import Hints

fact_options = together(
    click.option(
        "--card", metavar="FILE", help="Facts as JSON, named as in a card; the flags below count before them."
    ),
    click.option("--name", metavar="NAME", help="Of the model; the file's name when not given."),
    click.option("--task", metavar="NAME", help="What it is for: buildings, water, kelp."),
    click.option("--architecture", metavar="NAME", help="Of weights alone, where their names do not tell it."),
    click.option(
        "--argument",
        "arguments",
        type=Pair("KEY=VALUE"),
        multiple=True,
        callback=mapping,
        help="Of the architecture: encoder=resnet34, version=1; repeatable.",
    ),
    click.option("--bands", type=NAMES, help="In the network's order: red,green,blue,nir."),
    click.option("--resolution", type=POSITIVE, metavar="METRES", help="Metres per pixel that it learned from."),
    click.option("--classes", metavar="NAME,NAME,...", help="In the order of its channels: background,building."),
    click.option("--value-range", type=RANGE, help="Values that are mapped to 0 and 1 before mean and std: 0,255."),
    click.option("--mean", type=NUMBERS, help="Taken off each band, after that mapping: 0.485,0.456,0.406."),
    click.option("--std", type=NUMBERS, help="What each band is divided by then: 0.229,0.224,0.225."),
    click.option("--dtype", type=click.Choice(["uint8", "uint16", "int16", "float32"]), help="Of the scenes it reads."),
    click.option(
        "--activation",
        type=click.Choice(["softmax", "sigmoid", "none"]),
        help="What makes scores of its answer; none: they are scores already.",
    ),
    click.option("--threshold", type=click.FloatRange(0, 1, min_open=True, max_open=True), help="Of the scores."),
    click.option("--tile-size", type=INTEGERS, metavar="PIXELS", help="Of the chips it reads; 512 when not given."),
    click.option("--license", "license_", metavar="SPDX", help="Of the weights: MIT, CC-BY-4.0."),
    click.option("--attribution", metavar="TEXT", help="Who is to be named."),
)


def hints_from(flags: Mapping[str, Any]) -> Hints:
    """The facts that flags and a file of facts say. Raises ModelError for a file that cannot be read."""
    from geoseg.models.importing import Hints
    from geoseg.models.importing.cards import hints_of
    from geoseg.models.importing.detection import read_object

    given = {key.rstrip("_"): value for key, value in flags.items() if value not in (None, (), {})}
    card = given.pop("card", None)
    if "classes" in given:
        given["classes"] = tuple(name.strip() for name in given["classes"].split(",") if name.strip())
    if "arguments" in given:
        given["arguments"] = {key: _plain(text) for key, text in given["arguments"].items()}
    if "tile_size" in given:
        given["tile_size"] = given["tile_size"][0]
    told = hints_of(read_object(Path(card)), card) if card else Hints()
    return Hints(**given).over(told)


def _plain(text: str) -> Any:
    """A number, a list or true where the text is one in JSON, else the text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def show_import(report: Mapping[str, Any]) -> None:
    """Print what was found and what was made of it."""
    from geoseg_cli.tables import facts
    from geoseg_cli.words import phrase

    card = report["card"]
    facts(
        [
            ("found", report["found"]),
            ("sha256", report["source_sha256"] or "-"),
            ("model", f"{card['name']} {card['version']}"),
            ("task", card["task"]),
            ("architecture", f"{card['architecture']} {phrase(card['arguments'])}".strip()),
            ("bands", ", ".join(card["bands"])),
            ("classes", ", ".join(c["name"] for c in card["classes"]["classes"])),
            ("scores", card["activation"]),
            ("licence", card["license"]),
            ("file", report["path"]),
            ("use", f"geoseg predict scene.tif --model {report['path']} -o {card['task']}.gpkg"),
        ]
    )
