"""`geoseg run` and `geoseg schema`: jobs as JSON or TOML."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from geoseg_cli.options import examples, run_options

if TYPE_CHECKING:
    from geoseg.jobs.spec import JobSpec


@click.command()
@click.argument("job", metavar="JOB.json|RECIPE.toml|-")
@click.option("--overwrite", is_flag=True, help="Replace outputs that exist, whatever the job says.")
@click.option(
    "--set",
    "assigned",
    multiple=True,
    metavar="NAME=VALUE",
    help="What ${NAME} stands for in a recipe's paths; or a value of one of its sections: loop.seed=1. Repeatable.",
)
@run_options
@examples(
    """
    geoseg run job.json
    geoseg run job.json --overwrite
    geoseg run job.json --dry-run --json
    geoseg run recipe.toml --set DATA=. --dry-run
    geoseg predict scene.tif --task buildings -o b.gpkg --print-job | geoseg run - --progress jsonl
    """
)
def run(job: str, overwrite: bool, assigned: tuple[str, ...], progress: str, dry_run: bool, as_json: bool) -> None:
    """Run a job described as JSON, or a recipe.

    The job comes from a file, or as JSON from standard input (-). `geoseg schema` prints what a job may hold,
    `geoseg predict ... --print-job` writes one. Relative paths in JSON start at the current folder, those in a recipe
    at its own. --progress jsonl is meant for programs: docs/progress.md describes it.
    """
    from geoseg_cli.execution import Asked, execute

    if assigned and not _is_recipe(job):
        raise click.UsageError("--set belongs to recipes, whose names end with .toml")
    typed = click.get_current_context().obj

    def asked_for() -> JobSpec:
        read = _read_recipe(job, assigned, typed) if _is_recipe(job) else _read(job)
        return _overwriting(read) if overwrite else read

    execute(asked_for, Asked(progress, dry_run, as_json))


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


def _is_recipe(source: str) -> bool:
    return source.lower().endswith(".toml")


def _overwriting(job: JobSpec) -> JobSpec:
    return job.model_copy(update={"output": job.output.model_copy(update={"overwrite": True})})


def _read_recipe(source: str, assigned: tuple[str, ...], typed: str) -> JobSpec:
    from geoseg.jobs.recipe import merged
    from geoseg.jobs.spec import job_from
    from geoseg_cli.recipes import assignments, recipe_from

    variables, fields = assignments(assigned)
    return job_from({**merged(recipe_from(source, variables), fields), "command": typed}, source)


def _read(source: str) -> JobSpec:
    from geoseg.errors import SpecError
    from geoseg.jobs.spec import job_from_json

    try:
        with click.open_file(source, encoding="utf-8-sig") as stream:
            text = stream.read()
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(
            f"{source}: cannot be read as a job ({error}); expected a JSON file, or - for standard input"
        ) from None
    return job_from_json(text, "standard input" if source == "-" else source)
