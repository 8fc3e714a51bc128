"""Many scenes with their labels from one line: names with a star, and the labels that go with each."""

from __future__ import annotations

import fnmatch
import glob
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

from geoseg.errors import SpecError

STEM = "{stem}"  # stands for the scene's file name without its ending
FILES = ("path", "aoi", "ignore")  # what labels name


def spread(entries: Sequence[Any], source: str) -> list[Any]:
    """The labelled scenes that `entries` describe: one for each file that a path with a star stands for, by name.

    `{stem}` in the labels' paths is the name of the scene's file without its ending. `without` lists patterns of names
    that are left out; a file that holds another one's labels is no scene. What is of another form stays as it is.
    Raises SpecError where no file is left.
    """
    found: list[Any] = []
    for index, entry in enumerate(entries):
        pattern = _pattern(entry)
        if pattern is None:
            found.append(entry)
        else:
            found += _each(entry, pattern, f"{source}: scenes.{index}")
    return found


def with_stem(text: str, scene: Mapping[str, Any]) -> str:
    """The text with `{stem}` replaced by the name of the scene's first file without its ending."""
    paths = scene.get("paths") or list(scene.get("bands", {}).values())
    return text.replace(STEM, PurePath(paths[0]).stem) if paths else text


def _pattern(entry: Any) -> str | None:
    scene = entry.get("scene") if isinstance(entry, Mapping) else None
    paths: Sequence[Any] = scene.get("paths", ()) if isinstance(scene, Mapping) else ()
    if len(paths) != 1 or not isinstance(paths[0], str):
        return None
    local = "://" not in paths[0] and not paths[0].startswith("/vsi")
    return paths[0] if local and "*" in paths[0] else None


def _each(entry: Mapping[str, Any], pattern: str, where: str) -> list[dict[str, Any]]:
    without = entry.get("without", ())
    names = sorted(glob.glob(pattern.replace("[", "[[]")))  # noqa: PTH207  a pattern with folders of its own
    kept = [name for name in names if not any(fnmatch.fnmatch(PurePath(name).name, each) for each in without)]
    scenes = [_one(entry, name) for name in kept]
    known = [scene["labels"] for scene in scenes if isinstance(scene.get("labels"), Mapping)]
    labels = {Path(each["path"]) for each in known if isinstance(each.get("path"), str)}
    left = [scene for scene in scenes if Path(scene["scene"]["paths"][0]) not in labels]
    if not left:
        raise SpecError(
            f"{where}: found {len(names)} files for {pattern!r}, and none that is a scene; "
            "expected at least one: check the path, and what `without` leaves out"
        )
    return left


def _one(entry: Mapping[str, Any], name: str) -> dict[str, Any]:
    scene = {**entry["scene"], "paths": [name]}
    made = {**{key: value for key, value in entry.items() if key != "without"}, "scene": scene}
    labels = entry.get("labels")
    if isinstance(labels, Mapping):
        made["labels"] = {key: _named(key, value, scene) for key, value in labels.items()}
    return made


def _named(key: str, value: Any, scene: Mapping[str, Any]) -> Any:
    return with_stem(value, scene) if key in FILES and isinstance(value, str) else value
