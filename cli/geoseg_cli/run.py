"""`geoseg run` and `geoseg schema`: jobs as JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from geoseg_cli.options import examples, run_options

if TYPE_CHECKING:
    from geoseg.jobs.spec import JobSpec


@click.command()
@click.argument("job", metavar="JOB.json|-")
@click.option("--overwrite", is_flag=True, help="Replace outputs that exist, whatever the job says.")
@run_options
@examples(
    """
    geoseg run job.json
    geoseg run job.json --overwrite
    geoseg run job.json --dry-run --json
    geoseg predict scene.tif --task buildings -o b.gpkg --print-job | geoseg run - --progress jsonl
    """
)
def run(job: str, overwrite: bool, progress: str, dry_run: bool, as_json: bool) -> None:
    """Run a job described as JSON, from a file or standard input (-).

    `geoseg schema` prints what a job may hold, `geoseg predict ... --print-job` writes one. Relative paths in a job
    start at the current folder. --progress jsonl is meant for programs: docs/progress.md describes it.
    """
    from geoseg_cli.execution import Asked, execute

    execute(lambda: _read(job, overwrite), Asked(progress, dry_run, as_json))


@click.command()
@examples(
    """
    geoseg schema
    geoseg schema > job.schema.json
    """
)
def schema() -> None:
    """Print the JSON Schema of a job."""
    from geoseg.jobs.spec import schema as job_schema

    click.echo(json.dumps(job_schema(), indent=2))


def _read(source: str, overwrite: bool) -> JobSpec:
    from geoseg.errors import SpecError
    from geoseg.jobs.spec import job_from_json

    try:
        with click.open_file(source, encoding="utf-8-sig") as stream:
            text = stream.read()
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(
            f"{source}: cannot be read as a job ({error}); expected a JSON file, or - for standard input"
        ) from None
    job = job_from_json(text, "standard input" if source == "-" else source)
    return job.model_copy(update={"output": job.output.model_copy(update={"overwrite": True})}) if overwrite else job
