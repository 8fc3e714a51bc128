from __future__ import annotations

import importlib.util
import re
import shlex
from pathlib import Path
from types import ModuleType

import pytest

from geoseg.jobs.recipe import recipe_values
from geoseg.jobs.spec import LabelledSpec, TrainJob, job_of

DOCS = Path(__file__).parents[2] / "docs"
TEXT = (DOCS / "training.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, flags=re.DOTALL)


def commands() -> list[str]:
    lines = "\n".join(blocks("bash")).replace("\\\n", " ").splitlines()
    return [line.partition(" > ")[0] for line in lines if line.startswith("geoseg train --image")]


@pytest.fixture(scope="module")
def hooks() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_hooks", DOCS / "hooks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def towns(tmp_path, monkeypatch) -> Path:
    """Files for the stars of the manual."""
    monkeypatch.chdir(tmp_path)
    for name in ("tiles/1.tif", "data/towns/banepa.tif", "data/towns/kampala_a.tif"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize("line", commands())
def test_commands_of_the_manual_are_jobs(geoseg, towns, line):
    answer = geoseg(*shlex.split(line)[1:], *(() if "--print-recipe" in line else ("--print-job",)))
    assert answer.code == 0, answer.err


def test_the_recipe_of_the_manual_is_a_job(towns):
    (text,) = blocks("toml")
    job = job_of(TrainJob, recipe_values(text, "manual", towns, {"DATA": "data"}), "manual")
    assert [Path(s.scene.paths[0]).name for s in job.scenes] == ["banepa.tif", "kampala_a.tif"]
    assert job.scenes[1].use == "validation"


def test_the_fields_of_recipes_are_listed(hooks):
    page = hooks.on_page_markdown(TEXT)
    told = re.findall(r"^### (\w+)$", page, flags=re.MULTILINE)
    assert told[0] == "TrainJob"
    assert {"LoopOptions", "LossTerm", "LabelledSpec", "LabelSpec"} <= set(told)
    assert "PredictJob" not in told
    assert "| `value_range` | 2 times number |" in page
    assert all(f"| `{name}` | " in page for name in LabelledSpec.model_fields)


def test_the_fields_of_jobs_are_listed(hooks):
    page = hooks.on_page_markdown((DOCS / "jobs.md").read_text(encoding="utf-8"))
    assert {"PredictJob", "TrainJob", "EvaluateJob", "RegionSpec"} <= set(
        re.findall(r"^### (\w+)$", page, re.MULTILINE)
    )
