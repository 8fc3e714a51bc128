"""Options of the commands that take scenes with labels, and the scenes of a job from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from geoseg_cli.options import scene_facts, together
from geoseg_cli.values import POSITIVE, Pair, mapping

Entry = dict[str, Any]

image_options = together(
    click.option(
        "-i",
        "--image",
        "images",
        metavar="FILE",
        multiple=True,
        help="A scene; repeatable. 'tiles/*.tif' is every file of that kind.",
    ),
    click.option(
        "-l",
        "--labels",
        "labels__path",
        metavar="FILE",
        multiple=True,
        help="What is known of it: a vector file, or a raster of classes; one for all images, or one each in their "
        "order. {stem} stands for the image's name: 'tiles/{stem}.geojson'.",
    ),
)

label_options = together(
    click.option("--layer", "labels__layer", metavar="NAME", help="Of a vector file with several."),
    click.option("--class-column", "labels__column", metavar="NAME", help="The attribute that holds the class."),
    click.option(
        "--class-value",
        "labels__values",
        type=Pair("VALUE=NAME"),
        multiple=True,
        callback=mapping,
        help="The class that a value of that attribute, or of the raster, stands for; repeatable.",
    ),
    click.option(
        "--buffer",
        "labels__buffer_m",
        type=POSITIVE,
        metavar="METRES",
        help="To each side of lines and points, which have no area.",
    ),
    click.option(
        "--aoi",
        "labels__aoi",
        metavar="FILE",
        multiple=True,
        help="Polygons of what was labelled: outside nothing is known, inside what has no label is background.",
    ),
    click.option(
        "--ignore", "labels__ignore", metavar="FILE", multiple=True, help="Polygons of where the truth is not known."
    ),
    click.option(
        "--labels-bidx", "labels__bidx", type=click.IntRange(1), metavar="N", help="Which band of a raster, from 1."
    ),
    click.option(
        "--blank",
        "labels__blank",
        type=click.Choice(["white", "black"]),
        multiple=True,
        help="Pixels of this colour hold no imagery, whatever the file says.",
    ),
    scene_facts,
)

EACH = (("path", "--labels"), ("aoi", "--aoi"), ("ignore", "--ignore"))  # one for all scenes, or one each


def take_scenes(values: dict[str, Any]) -> list[Entry]:
    """The labelled scenes in the values of flags, which are taken out of them; raises click.UsageError."""
    images, known = values.pop("images", ()), values.pop("labels", {})
    checks = values.pop("validation", {})
    scene = values.pop("scene", {})
    check_images = checks.get("images", ())
    if not images and (known or scene or checks):
        raise click.UsageError("flags for scenes and labels belong to --image; give --image FILE too")
    if check_images and not checks.get("path") and len(known.get("path", ())) != 1:
        raise click.UsageError("--val-image needs --val-labels")
    entries = _entries(images, known, scene)
    if not check_images:
        if checks:
            raise click.UsageError("--val-labels needs --val-image")
        return entries
    own = {field: checks.get(field) or (known[field] if len(known.get(field, ())) == 1 else ()) for field, _ in EACH}
    to_check = _entries(check_images, {**known, **own}, scene, kind="val-")
    return [{**entry, "use": "train"} for entry in entries] + [{**entry, "use": "validation"} for entry in to_check]


def _entries(images: Sequence[str], known: dict[str, Any], scene: Entry, kind: str = "") -> list[Entry]:
    each = {field: _each(known.get(field, ()), len(images), flag.replace("--", f"--{kind}", 1)) for field, flag in EACH}
    if images and not known.get("path"):
        raise click.UsageError(f"--{kind}image needs --{kind}labels")
    same = {name: value for name, value in known.items() if name not in each}
    made = []
    for index, image in enumerate(images):
        labels = {**{field: each[field][index] for field in each if each[field][index] is not None}, **same}
        made.append({"scene": {"paths": [image], **scene}, "labels": labels})
    return made


def _each(given: Sequence[str], count: int, flag: str) -> list[str | None]:
    """One value for each of the images; raises click.UsageError when there are neither one nor as many."""
    if not given:
        return [None] * count
    if len(given) == 1:
        return [given[0]] * count
    if len(given) != count:
        raise click.UsageError(f"found {len(given)} {flag} for {count} images; expected one, or one each")
    return list(given)
