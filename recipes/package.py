r"""A trained model, put where the packaged ones are, with what its recipe says of it and what was measured of it.

    geoseg evaluate --model trained.safetensors --image other.tif --labels other.shp --figures other.json
    python recipes/package.py trained.safetensors recipes/buildings.toml \
        --measured 'another town, 0.3 m=other.json' [--figures left_out.json] [--log trained.run/log.csv]

`--measured` takes the figures of `geoseg evaluate`, and what to call the data; `--figures` what
leave_one_place_out.py wrote. The log goes to docs/runs, where docs/curves.py draws it.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tomllib
from pathlib import Path

from geoseg.core.card import Metric
from geoseg.evaluation.figures import Evaluation
from geoseg.jobs.validating import metrics_of
from geoseg.models import load_model, save_bundle

ROOT = Path(__file__).resolve().parents[1]
WEIGHTS = ROOT / "geoseg" / "models" / "weights"
RUNS = ROOT / "docs" / "runs"
MEASURED = ("iou", "precision", "recall", "f1")
SAID = ("name", "version", "task", "description", "license", "attribution", "training_data", "limits")


def packaged(trained: Path, recipe: Path, metrics: list[Metric]) -> Path:
    """Where the bundle was put: the trained weights, the recipe's words, the figures before those of the run itself."""
    model = load_model(str(trained))
    about = tomllib.loads(recipe.read_text())["about"]
    said = {key: tuple(value) if isinstance(value, list) else value for key, value in about.items() if key in SAID}
    measured = (*metrics, *model.card.metrics)
    card = model.card.model_copy(update={**said, "metrics": measured})
    place = WEIGHTS / f"{card.name}.safetensors"
    save_bundle(place, model.module, card)
    return place


def main() -> None:
    """Parse the command line, package, print where and how large."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trained", type=Path)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--measured", action="append", default=[], metavar="DATA=FILE")
    parser.add_argument("--figures", action="append", default=[], type=Path)
    parser.add_argument("--log", type=Path)
    asked = parser.parse_args()
    metrics: list[Metric] = []
    for text in asked.measured:
        data, _, path = text.rpartition("=")
        evaluation = Evaluation.model_validate_json(Path(path).read_text())
        metrics += metrics_of(evaluation.total, evaluation.classes.background, data, MEASURED)
    for path in asked.figures:
        metrics += [Metric(**entry) for entry in json.loads(path.read_text())]
    place = packaged(asked.trained, asked.recipe, metrics)
    if asked.log:
        RUNS.mkdir(exist_ok=True)
        shutil.copyfile(asked.log, RUNS / f"{place.stem}.csv")
    print(f"{place.relative_to(ROOT)}: {place.stat().st_size / 1e6:.1f} MB, {len(metrics)} figures")


if __name__ == "__main__":
    main()
