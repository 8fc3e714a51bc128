"""`geoseg info`: what a scene is, and what can be done with it."""

from __future__ import annotations

from typing import Any

import click

from geoseg_cli.options import SectionedCommand, examples, json_option, nested, scene_options


@click.command(cls=SectionedCommand)
@scene_options
@json_option
@examples(
    """
    geoseg info scene.tif
    geoseg info scene.tif --json
    geoseg info --band red=r.tif --band green=g.tif --band blue=b.tif
    """
)
def info(as_json: bool, **flags: Any) -> None:
    """Say what a scene is, which tasks fit, and what a run would cost."""
    from geoseg.jobs.info import scene_info

    found = scene_info(nested(flags).get("scene", {}))
    if as_json:
        from geoseg_cli.jsonl import to_json

        click.echo(to_json(found, indent=2))
    else:
        from geoseg_cli.show_scene import show_scene

        show_scene(found)
