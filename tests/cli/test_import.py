"""`geoseg models import`: facts from flags and files, what is printed, and one line for each error."""

from __future__ import annotations

import json

import pytest
import torch

from geoseg.models import create_model, export_mlm, read_card
from geoseg_cli.main import main
from tests.toy import write_toy_bundle

FLAGS = [
    *("--task", "kelp", "--architecture", "pixel-linear", "--argument", "shape=step", "--bands", "red,green"),
    *("--resolution", "0.05", "--classes", "background, bull kelp", "--value-range", "0,255", "--mean", "0.5,0.25"),
    *("--std", "0.2,0.1", "--activation", "none", "--threshold", "0.4", "--tile-size", "64", "--license", "MIT"),
    *("--attribution", "Somebody"),
]


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """Weights of a linear classifier of two bands, in the folder that the command runs in."""
    monkeypatch.chdir(tmp_path)
    network = create_model("pixel-linear", in_channels=2, classes=2, shape="step")
    torch.save(network.state_dict(), tmp_path / "net.pth")
    return tmp_path / "net.pth"


def test_flags_reach_the_card(weights, capsys):
    assert main(["models", "import", "net.pth", "-o", "kelp.safetensors", *FLAGS, "--name", "kelp", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    card = read_card("kelp.safetensors")
    assert report["found"] == "a torch checkpoint"
    assert len(report["source_sha256"]) == 64
    assert report["card"] == card.model_dump(mode="json")
    assert (card.name, card.task, card.bands, card.mean, card.std) == (
        "kelp",
        "kelp",
        ("red", "green"),
        (0.5, 0.25),
        (0.2, 0.1),
    )
    assert [c.name for c in card.classes.classes] == ["background", "bull kelp"]
    assert (card.threshold, card.tile_size, card.license, card.arguments) == (0.4, 64, "MIT", {"shape": "step"})


def test_a_file_of_facts_counts_less_than_flags(weights, capsys):
    told = {"task": "mussels", "classes": {"classes": [{"id": 0, "name": "a", "colour": "#000000"}]}, "limits": "none"}
    (weights.parent / "card.json").write_text(json.dumps(told))
    assert main(["models", "import", "net.pth", "-o", "m.safetensors", "--card", "card.json", *FLAGS]) == 0
    card = read_card("m.safetensors")
    assert (card.task, card.limits, len(card.classes.classes)) == ("kelp", "none", 2)
    printed = capsys.readouterr().out
    assert "a torch checkpoint" in printed
    assert "geoseg predict scene.tif --model m.safetensors -o kelp.gpkg" in printed


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["--sha256", "00"], "found the checksum"),
        (["--card", "none.json"], "none.json"),
        (["--bands", "red"], "expected 1, as many as were named"),
    ],
)
def test_errors_are_one_line_and_leave_nothing(weights, capsys, changes, message):
    assert main(["models", "import", "net.pth", "-o", "m.safetensors", *FLAGS, *changes]) == 2
    told = capsys.readouterr().err.strip()
    assert message in told
    assert len(told.splitlines()) == 1
    assert [p.name for p in weights.parent.iterdir()] == ["net.pth"]


def test_what_is_missing_is_asked_for_by_flags(weights, capsys):
    assert main(["models", "import", "net.pth", "-o", "m.safetensors"]) == 2
    told = capsys.readouterr().err
    for flag in ("--task", "--bands", "--resolution", "--classes", "--value-range", "--mean", "--std", "--license"):
        assert flag in told


def test_an_item_needs_no_flags(tmp_path, capsys):
    path = write_toy_bundle(tmp_path / "toy.safetensors")
    export_mlm(path, tmp_path / "item.json")
    assert main(["models", "import", str(tmp_path / "item.json"), "-o", str(tmp_path / "again.safetensors")]) == 0
    assert read_card(tmp_path / "again.safetensors") == read_card(path)
