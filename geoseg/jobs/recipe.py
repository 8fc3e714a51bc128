"""Recipes: jobs as TOML, with short forms, paths from the recipe's own folder, and names for places that differ."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

from geoseg.errors import SpecError
from geoseg.jobs.spec import TrainJob
from geoseg.jobs.spreading import spread
from geoseg.jobs.toml import to_toml

VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")  # ${NAME}, or ${NAME:-what stands there without it}
FILES = (  # fields of jobs that name a file
    "scenes.*.scene.paths.*",
    "scenes.*.scene.bands.*",
    "scenes.*.labels.path",
    "scenes.*.labels.aoi",
    "scenes.*.labels.ignore",
    "scene.paths.*",
    "scene.bands.*",
    "mask.path",
    "mask.scores",
    "region.aoi",
    "predictions.*",
    "adaptation.images.*",
    "output.model",
    "output.run",
    "output.report",
    "output.figures",
    "output.vector",
    "output.raster",
    "output.scores",
    "output.preview",
)
NAMES = ("model", "model.base", "model.encoder_weights", "distillation.teacher")  # a file, or a name of something else
PATTERNS = ("scenes.*.without.*",)
ELSEWHERE = re.compile(r"\w{2,}(\+\w+)*:|/vsi|//|\\\\|<")  # https://, NETCDF:"a.nc":b, a share's name, GDAL's XML
Values = dict[str, Any]


def read_recipe(path: str | Path, variables: Mapping[str, str] | None = None) -> Values:
    """The values of the job in a recipe's file, as `job_from` takes them. Raises SpecError.

    `variables` are what `${NAME}` in its paths stands for, before the environment.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"{path}: cannot be read as a recipe ({error}); expected a TOML file") from None
    return recipe_values(text, str(path), Path(path).parent, variables or {})


def recipe_values(text: str, source: str, folder: Path, variables: Mapping[str, str]) -> Values:
    """The values of the job in a recipe's text: a train job where it names no kind. Raises SpecError naming `source`.

    Relative paths start at `folder`. `scene` and `labels` may be a path (or several paths) in place of a table, and
    `output` of a train job the model's file. A variable that stands in none of the paths is an error, and so is one of
    the environment in an address: who wrote the recipe may not be who may read it.
    """
    try:
        values: Values = {"kind": "train", **tomllib.loads(text)}
    except tomllib.TOMLDecodeError as error:
        raise SpecError(f"{source}: not TOML ({error}); docs/training.md says what a recipe holds") from None
    values = _places(_long(values), source, folder, variables)
    if isinstance(values.get("scenes"), list):
        values["scenes"] = spread(values["scenes"], source)
    return values


def merged(values: Mapping[str, Any], over: Mapping[str, Any]) -> Values:
    """The values with those of `over` in their place; tables are merged, lists are replaced."""
    made = dict(values)
    for name, value in over.items():
        both = isinstance(value, Mapping) and isinstance(made.get(name), Mapping)
        made[name] = merged(made[name], value) if both else value
    return made


def recipe_text(job: TrainJob) -> str:
    """The recipe of a job, as TOML: what was given, and nothing that was left to its default."""
    values = job.model_dump(mode="json", exclude_unset=True, exclude={"kind", "command"})
    values["scenes"] = [{**scene, **_short(scene)} for scene in values["scenes"]]
    values["output"] = dict(sorted(values["output"].items(), key=lambda item: item[0] != "model"))
    order = ["output", "model", "about", "data", "augmentation", "loss", "loop", "distillation", "adaptation", "scenes"]
    return to_toml({name: values[name] for name in order if values.get(name)})


def _short(scene: Mapping[str, Any]) -> Values:
    made: Values = {}
    paths, labels = scene["scene"].get("paths", ()), scene["labels"]
    if set(scene["scene"]) == {"paths"}:
        made["scene"] = paths[0] if len(paths) == 1 else paths
    if set(labels) == {"path"}:
        made["labels"] = labels["path"]
    return made


def _long(values: Values) -> Values:
    """The values with tables in place of short forms; what is of no known form stays, to be refused by the job."""
    made = dict(values)
    if "scene" in made:
        made["scene"] = _scene(made["scene"])
    if made["kind"] == "train" and isinstance(made.get("output"), str):
        made["output"] = {"model": made["output"]}
    if isinstance(made.get("scenes"), list):
        made["scenes"] = [_labelled(entry) if isinstance(entry, Mapping) else entry for entry in made["scenes"]]
    return made


def _labelled(entry: Mapping[str, Any]) -> Values:
    made = dict(entry)
    if "scene" in made:
        made["scene"] = _scene(made["scene"])
    if isinstance(made.get("labels"), str):
        made["labels"] = {"path": made["labels"]}
    return made


def _scene(value: Any) -> Any:
    if isinstance(value, str):
        return {"paths": [value]}
    return {"paths": value} if isinstance(value, list) else value


def _places(values: Values, source: str, folder: Path, variables: Mapping[str, str]) -> Values:
    """The values with `${NAME}` replaced in what names files, and relative paths made to start at `folder`."""
    named: set[str] = set()

    def place(field: str, text: str) -> str:
        generic = re.sub(r"\.\d+(?=\.|$)", ".*", field)
        known = {generic, re.sub(r"(bands)\..+", r"\1.*", generic)}
        if known.isdisjoint((*FILES, *NAMES, *PATTERNS)):
            return text
        where = f"{source}: {field}"
        full = _filled(text, where, variables)
        is_file = not known.isdisjoint(FILES) or (not known.isdisjoint(NAMES) and _is_path(full))
        made = _from(folder, full) if is_file else full
        asked = [found[1] for found in VARIABLE.finditer(text)]
        _check_sent(made, [name for name in asked if name not in variables and name in os.environ], where)
        named.update(asked)
        return made

    changed: Values = _changed(values, "", place)
    _check_named(set(variables) - named, source)
    return changed


def _changed(value: Any, field: str, change: Callable[[str, str], str]) -> Any:
    """The value with every text in it changed, by the name of its field."""
    if isinstance(value, str):
        return change(field, value)
    if isinstance(value, Mapping):
        return {name: _changed(item, f"{field}.{name}".lstrip("."), change) for name, item in value.items()}
    if isinstance(value, list):
        return [_changed(item, f"{field}.{index}", change) for index, item in enumerate(value)]
    return value


def _filled(text: str, where: str, variables: Mapping[str, str]) -> str:
    def value(found: re.Match[str]) -> str:
        name, otherwise = found.groups()
        known = variables.get(name, os.environ.get(name, otherwise))
        if known is None:
            raise SpecError(
                f"{where}: ${{{name}}} stands for nothing; "
                f"give --set {name}=..., or set {name} in the environment, and it is put in its place"
            )
        return known

    return VARIABLE.sub(value, text)


def _check_sent(made: str, environment: Sequence[str], where: str) -> None:
    """Raise SpecError where an address holds what stands in the environment, which may be secret."""
    if environment and ELSEWHERE.match(made):
        name = environment[0]
        raise SpecError(
            f"{where}: found ${{{name}}} of the environment in an address, whose server would be told it; expected a "
            f"path; if it is meant, give --set {name}=..."
        )


def _check_named(left: Collection[str], source: str) -> None:
    if left:
        name = min(left)
        raise SpecError(
            f"{source}: found no path with ${{{name}}}, which --set {name}=... would fill; expected a name that stands "
            "in a path, or a value with its section, as in --set loop.steps=100"
        )


def _is_path(name: str) -> bool:
    """Whether the name of a model or of weights is a file's: no plain word, and no reference to a hub."""
    return not ELSEWHERE.match(name) and (PurePath(name).suffix != "" or PurePath(name).name != name)


def _from(folder: Path, text: str) -> str:
    """The path as it is where it is absolute or an address, else from `folder`."""
    if ELSEWHERE.match(text) or text == "" or Path(text).is_absolute():
        return text
    return os.path.normpath(folder / text)
