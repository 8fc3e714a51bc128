"""The report as one file of HTML."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from geoseg.evaluation.figures import Evaluation, SceneFigures
from geoseg.evaluation.report import words
from geoseg.evaluation.report.curves import calibration_charts, curve_rows, history_charts
from geoseg.evaluation.report.exhibit import Exhibit
from geoseg.evaluation.report.facts import Fact, card_facts, facts
from geoseg.evaluation.report.maps import ErrorMap, error_map, legend
from geoseg.evaluation.report.tables import headlines, matrix, object_table, pixel_table, scene_rows
from geoseg.io.outputs import Staging, writing

THUMBNAIL_BYTES = 1_100_000  # of all thumbnails together, as they stand in the page
TILE_BYTES = 3_000_000  # of all tiles
SCENES = 30  # scenes that are shown by themselves; the table lists all of them
OPEN = 1  # with more scenes, what is known of each is folded away


@dataclass(frozen=True, slots=True)
class ScenePart:
    """What the page shows of one scene."""

    figures: SceneFigures
    errors: ErrorMap | None
    facts: tuple[Fact, ...]


def write_report(
    path: Path,
    evaluation: Evaluation,
    exhibits: Sequence[Exhibit],
    history: Sequence[Mapping[str, Any]] | None = None,
    named: Path | None = None,
) -> None:
    """Write the page of an evaluation: one HTML file of at most 5 MB that asks nothing of the network.

    `exhibits` are the pictures (of all scenes; those that do not fit are left out, and the page says how many),
    `history` the rows of a training's log, with a `step` each. An older file is replaced, once the new one is whole.
    `named` is the final name, where `path` is a temporary one: messages tell it. Raises WriteError, and OutputError
    where the folder cannot be written to.
    """
    text = page(evaluation, exhibits, history)
    with Staging([path], overwrite=True, named=named) as staging:
        with writing(named or path):
            staging.path(path).write_text(text, encoding="utf-8")
        staging.commit()


def page(
    evaluation: Evaluation,
    exhibits: Sequence[Exhibit],
    history: Sequence[Mapping[str, Any]] | None = None,
) -> str:
    """The page's text; whatever comes from a user or a file is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("geoseg.evaluation.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "ratio": words.ratio,
        "percent": words.percent,
        "count": words.count,
        "interval": words.interval,
        "moment": words.moment,
    }
    return environment.get_template("report.html").render(_shown(evaluation, exhibits, history or ()))


def _shown(evaluation: Evaluation, exhibits: Sequence[Exhibit], history: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The template's names."""
    thumbnails = _fitting((e for e in exhibits if e.kind == "thumbnail"), THUMBNAIL_BYTES)
    tiles = [e for e in exhibits if e.kind != "thumbnail"]
    kept = _fitting(_by_turns(tiles), TILE_BYTES)
    total, calibration = evaluation.total, evaluation.calibration
    return {
        "evaluation": evaluation,
        "headlines": headlines(evaluation),
        "pixels": pixel_table(total),
        "objects": object_table(total),
        "matrix": matrix(evaluation, total),
        "calibration": calibration,
        "calibration_charts": calibration_charts(calibration) if calibration else (),
        "curve_rows": curve_rows(calibration) if calibration else (),
        "scene_rows": scene_rows(evaluation),
        "scenes": _scenes(evaluation.scenes, {e.scene: e for e in thumbnails}),
        "open": len(evaluation.scenes) <= OPEN,
        "legend": legend(),
        "tiles": [(title, [e for e in kept if e.kind == kind]) for kind, title in _TILES],
        "left_out": len(tiles) - len(kept),
        "history": history_charts(history),
        "card": card_facts(evaluation.card) if evaluation.card else (),
        "settings": facts(evaluation.settings),
        "terms": (words.PIXELS, words.OBJECTS),
        "nothing": words.NOTHING,
    }


_TILES = (("worst", "The worst places"), ("best", "The best places"), ("tile", "Other places"))


def _scenes(scenes: Sequence[SceneFigures], pictures: Mapping[str, Exhibit]) -> tuple[ScenePart, ...]:
    """The scenes that are shown by themselves: all of them, or those with the most wrong pixels."""
    shown = sorted(scenes, key=_wrong, reverse=True)[:SCENES] if len(scenes) > SCENES else scenes
    return tuple(ScenePart(scene, error_map(scene, pictures), facts(scene.facts)) for scene in shown)


def _wrong(scene: SceneFigures) -> float:
    return 1 - (scene.scores.pixel_accuracy.value or 0.0)


def _by_turns(exhibits: Sequence[Exhibit]) -> list[Exhibit]:
    """The first of each scene and kind, then the second of each, and so on: what is left out is left out evenly."""
    groups: dict[tuple[str, str], list[Exhibit]] = {}
    for exhibit in exhibits:
        groups.setdefault((exhibit.scene, exhibit.kind), []).append(exhibit)
    return [e for turn in zip_longest(*groups.values()) for e in turn if e is not None]


def _fitting(exhibits: Iterable[Exhibit], budget: int) -> list[Exhibit]:
    """The exhibits that fit into so many bytes of page, first come first served."""
    kept, left = [], budget
    for exhibit in exhibits:
        size = len(exhibit.image) * 4 // 3
        if size <= left:
            kept.append(exhibit)
            left -= size
    return kept
