"""Recipes on the command line: read, with what `--set` says, and written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from geoseg.jobs.spec import TrainJob


def assignments(words: Sequence[str]) -> tuple[dict[str, str], dict[str, Any]]:
    """What `NAME=VALUE` says: variables of paths by name, and fields (names with a dot) nested as in a recipe.

    A field's value is TOML where it can be read so, else text. Raises click.BadParameter.
    """
    variables: dict[str, str] = {}
    fields: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not all(part.strip() for part in name.split(".")):
            raise click.BadParameter(f"{word!r} is not of the form NAME=VALUE", param_hint="'--set'")
        if "." not in name:
            variables[name] = value
            continue
        *sections, field = name.split(".")
        place = fields
        for section in sections:
            place = place.setdefault(section, {})
            if not isinstance(place, dict):
                raise click.BadParameter(f"{word!r}: {section} has a value already", param_hint="'--set'")
        place[field] = _toml(value)
    return variables, fields


def _toml(text: str) -> Any:
    import tomllib

    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def checked_recipe(path: str, variables: dict[str, str], kind: str) -> dict[str, Any]:
    """The values of a recipe of one kind, from a file, or from standard input (-). Raises SpecError."""
    from geoseg.errors import SpecError

    values = recipe_from(path, variables)
    if values["kind"] != kind:
        raise SpecError(f"{path}: found a job of the kind {values['kind']!r}; expected {kind!r}, or use  geoseg run")
    return values


def recipe_from(path: str, variables: dict[str, str]) -> dict[str, Any]:
    """The values of a recipe of any kind, from a file, or from standard input (-). Raises SpecError."""
    import sys
    from pathlib import Path

    from geoseg.jobs.recipe import read_recipe, recipe_values

    if path != "-":
        return read_recipe(path, variables)
    text = sys.stdin.read()
    return recipe_values(text, "standard input", Path(), variables)


def recipe_of(job: TrainJob) -> str:
    """The recipe of a job, as TOML."""
    from geoseg.jobs.recipe import recipe_text

    return recipe_text(job)
