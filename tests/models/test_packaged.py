"""The bundles that come with geoseg, and what a reference stands for."""

import subprocess
import sys

import pytest

from geoseg.errors import MissingExtraError, ModelError, UnknownNameError
from geoseg.models import load_model, packaged, resolve, verify
from geoseg.tasks import TASKS
from tests.toy import write_toy_bundle


def test_the_models_that_tasks_name_are_packaged_and_made_for_them():
    cards = {card.name: card for card in packaged()}
    named = [task for task in TASKS.values() if task.model in cards]
    assert named
    for task in named:
        assert cards[task.model].task == task.name


def test_a_task_without_a_model_says_what_to_do():
    with pytest.raises(ModelError, match="no model comes with it; name one with --model"):
        TASKS["roads"].default_model()
    with pytest.raises(ModelError, match="A published model: geoseg models pull hf:"):
        TASKS["landcover"].default_model()


@pytest.mark.parametrize("card", packaged(), ids=lambda card: card.name)
def test_packaged_models_are_whole_small_and_described(card):
    assert resolve(card.name).stat().st_size <= 15e6
    assert verify(card.name).passed
    assert card.license
    assert card.attribution
    assert card.training_data
    assert card.limits


def test_a_name_wins_over_a_folder_of_that_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "buildings").mkdir()
    assert resolve("buildings").suffix == ".safetensors"


def test_a_path_stands_for_itself(tmp_path):
    path = write_toy_bundle(tmp_path / "toy.safetensors")
    assert resolve(path) == path
    assert resolve(str(path)) == path
    assert load_model(str(path)).path == path


def test_models_that_an_extra_brings_have_names_too(tmp_path, monkeypatch):
    monkeypatch.setenv("GEOSEG_CACHE", str(tmp_path))
    with pytest.raises(UnknownNameError, match=r"did you mean .*clouds"):
        resolve("cloudss")
    monkeypatch.setattr("geoseg.models.clouds._PACKAGE", "no_such_package")
    with pytest.raises(MissingExtraError, match=r"pip install 'geoseg\[clouds\]'"):
        resolve("clouds")


@pytest.mark.parametrize(
    ("reference", "error", "said"),
    [
        ("bulidings", UnknownNameError, "did you mean buildings?"),
        ("town.safetensors", ModelError, "no such file"),
        ("models/town", ModelError, "no such file"),
        (".", ModelError, "a folder"),
        ("~nobody-of-that-name/x", ModelError, "no such file"),
        ("x" * 5000, ModelError, "cannot be read"),
        ("a\0b", UnknownNameError, "unknown model"),
        ("", ModelError, "a folder"),
    ],
)
def test_other_references_are_explained(tmp_path, monkeypatch, reference, error, said):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error) as caught:
        resolve(reference)
    assert said in str(caught.value)


def test_cards_are_read_without_torch():
    code = "import sys, geoseg.models as m; m.packaged(); m.resolve('buildings'); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
