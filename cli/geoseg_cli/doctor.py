"""`geoseg doctor`: what a bug report needs."""

from __future__ import annotations

import click

from geoseg_cli.options import examples, json_option


@click.command()
@json_option
@examples(
    """
    geoseg doctor
    geoseg doctor --json > doctor.json
    """
)
@click.pass_context
def doctor(ctx: click.Context, as_json: bool) -> None:
    """Check the installation, and print what a bug report needs.

    Versions, GPU, GDAL drivers, memory, disk. Ends with exit code 1 when something does not work.
    """
    from geoseg.jobs.doctor import diagnose

    report = diagnose()
    if as_json:
        from geoseg_cli.jsonl import to_json

        click.echo(to_json(report, indent=2))
    else:
        from geoseg_cli.show_machine import show_machine

        show_machine(report)
    if not all(check["ok"] for check in report["checks"]):
        ctx.exit(1)
