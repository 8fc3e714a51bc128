"""Options that commands share. A name such as `scene__bidx` says which field of the job description a flag fills."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable, Mapping
from typing import Any

import click

from geoseg_cli.values import INTEGERS, NAMES, POSITIVE, Pair, mapping

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

SECTIONS: Mapping[str, str] = {
    "task": "Model",
    "model": "Model",
    "predictions": "Model",
    "images": "Scenes and their labels",
    "labels": "Scenes and their labels",
    "validation": "Scenes and their labels",
    "scene": "Scene",
    "output": "Outputs",
    "min_area_m2": "Comparison",
    "resamples": "Comparison",
    "data": "Windows of the scenes",
    "loop": "Training (each is as docs/training.md says when not given)",
    "distillation": "Training (each is as docs/training.md says when not given)",
    "adaptation": "Training (each is as docs/training.md says when not given)",
    "about": "The model's card",
    "mask": "Raster",
    "region": "Area of interest",
    "postprocess": "Polygons and lines (each is the task's own when not given)",
    "stretch": "Values",
    "inference": "Inference (each is the model's own, or the machine's, when not given)",
    "on_bad_block": "Inference (each is the model's own, or the machine's, when not given)",
}


class SectionedCommand(click.Command):
    """A command whose help lists its options under headings: by the part of the job that they fill."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write one section a heading, in the order of `SECTIONS`; what fills no part of the job comes last."""
        sections: dict[str, list[tuple[str, str]]] = {heading: [] for heading in [*SECTIONS.values(), "Options"]}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None and isinstance(param, click.Option):
                part = (param.name or "").partition("__")[0]
                sections[SECTIONS.get(part, "Options")].append(record)
        for heading, records in sections.items():
            if records:
                with formatter.section(heading):
                    formatter.write_dl(records, col_max=28)


def together(*decorators: Decorator) -> Decorator:
    """One decorator from several; the first one given is the first in the help."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


def examples(text: str) -> Decorator:
    """A decorator that adds runnable examples to a command's help, one command line a line."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        shown = textwrap.indent(inspect.cleandoc(text), "  ")
        function.__doc__ = f"{inspect.cleandoc(function.__doc__ or '')}\n\n\b\nExamples:\n{shown}\n"
        return function

    return decorate


scene_facts = together(
    click.option(
        "-b", "--bidx", "scene__bidx", type=INTEGERS, help="Bands by index, from 1, in the model's order: 4,3,2."
    ),
    click.option(
        "--band-names", "scene__band_names", type=NAMES, help="What the scene's bands are: blue,green,red,nir."
    ),
    click.option(
        "--sensor", "scene__sensor", metavar="NAME", help="What took the picture, so that B04 means red: sentinel-2."
    ),
    click.option(
        "--nodata", "scene__nodata", type=float, metavar="VALUE", help="Of missing pixels, in place of the file's."
    ),
    click.option(
        "--scene-resolution",
        "scene__resolution",
        type=POSITIVE,
        metavar="METRES",
        help="Ground resolution (metres per pixel) of a scene that does not say it.",
    ),
)

scene_options = together(
    click.argument("scene__paths", metavar="[SCENE]...", nargs=-1),
    click.option(
        "--band",
        "scene__bands",
        type=Pair("NAME=FILE"),
        multiple=True,
        callback=mapping,
        help="One file a band, in place of SCENE; repeatable. Resolutions may differ.",
    ),
    scene_facts,
)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON in place of tables.")

run_options = together(
    click.option("--dry-run", is_flag=True, help="Check everything, print the plan, and stop."),
    click.option(
        "--progress",
        type=click.Choice(["auto", "bar", "jsonl", "none"]),
        default="auto",
        help="jsonl: one JSON object a line on stdout, for programs; auto: a bar on a terminal.",
    ),
    json_option,
)


def flags_named(message: str, command: click.Command) -> str:
    """The message with the command's flags in place of the job's fields: `--threshold`, not `inference.threshold`."""
    message = re.sub(r"(?<![\w.])scenes\.\d+\.(?=(labels|scene)\.)", "", message)  # flags say it for all scenes
    flags = {
        (param.name or "").replace("__", "."): param.opts[-1] if isinstance(param, click.Option) else "SCENE"
        for param in command.params
        if "__" in (param.name or "")
    }
    flags |= {"stretch.low": "--limits", "stretch.high": "--limits"}
    fields = "|".join(map(re.escape, sorted(flags, key=len, reverse=True)))
    return re.sub(rf"(?<![\w.])({fields})(\.\w+)*(?=: )", lambda found: flags[found[1]], message)


def nested(flags: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a job from those of flags, leaving out what was not given.

    `scene__bidx` goes to `["scene"]["bidx"]`.
    """
    values: dict[str, Any] = {}
    for name, value in flags.items():
        if value is None or value is False or value == () or value == {}:
            continue
        section, _, field = name.rpartition("__")
        (values.setdefault(section, {}) if section else values)[field] = value
    return values
