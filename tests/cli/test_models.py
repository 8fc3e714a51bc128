from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.models.hub.server import serving
from tests.toy import write_toy_bundle


@pytest.fixture
def bundle(tmp_path):
    return write_toy_bundle(
        tmp_path / "town.safetensors",
        kind="threshold",
        limits="Only for tests.",
        training_data=("nothing at all",),
        metrics=({"name": "IoU", "value": 0.5, "data": "a square"},),
    )


@pytest.fixture
def pulled(tmp_path, monkeypatch):
    """A model in a cache of its own."""
    from geoseg.models.hub import pull

    path = write_toy_bundle(tmp_path / "town.safetensors", kind="threshold")
    monkeypatch.setenv("GEOSEG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    with serving() as hub:
        return pull(hub.put("/town.safetensors", path.read_bytes()))


def listed(geoseg, heading):
    """The lines of `geoseg models list` under a heading, without it."""
    lines = geoseg("models", "list").out.splitlines()
    start = next(i for i, line in enumerate(lines) if line.split()[:1] == [heading]) + 1
    stop = lines.index("", start) if "" in lines[start:] else len(lines)
    return [line.split() for line in lines[start:stop]]


def test_list_names_the_models_that_can_be_run(geoseg, tmp_path, monkeypatch):
    from geoseg.models import packaged
    from geoseg.models.clouds import NAMES

    monkeypatch.setenv("GEOSEG_CACHE", str(tmp_path))
    cards = packaged()
    assert cards
    lines = listed(geoseg, "model")
    assert [line[0] for line in lines] == [*(card.name for card in cards), *NAMES]
    for card, line in zip(cards, lines, strict=False):
        assert line[1:5] == [card.version, "packaged", card.task, card.kind]
        assert line[-1] == card.license
    told = json.loads(geoseg("models", "list", "--json").out)["models"]
    assert [(one["reference"], one["origin"]) for one in told][: len(cards)] == [(c.name, "packaged") for c in cards]
    assert [one["bands"] for one in told][: len(cards)] == [list(c.bands) for c in cards]


def test_list_names_what_was_pulled(geoseg, pulled):
    line = listed(geoseg, "model")[-1]
    assert line[:4] == [pulled.reference, pulled.card.version, "pulled", pulled.card.task]
    told = json.loads(geoseg("models", "list", "--json").out)["models"][-1]
    assert (told["reference"], told["origin"], told["name"]) == (pulled.reference, "pulled", pulled.card.name)


def test_list_names_every_architecture_with_its_size(geoseg, tmp_path, monkeypatch):
    from geoseg.models import architectures

    monkeypatch.setenv("GEOSEG_CACHE", str(tmp_path))
    lines = {line[0]: line for line in listed(geoseg, "architecture")}
    told = {one["name"]: one for one in json.loads(geoseg("models", "list", "--json").out)["architectures"]}
    assert set(lines) == set(told) == set(architectures())
    for name, found in architectures().items():
        facts = {key: told[name][key] for key in ("kind", "paper", "licence", "extra", "encoder")}
        assert facts == {key: getattr(found, key) for key in facts}
        assert lines[name][1] == found.kind
        assert found.licence.partition(" AND ")[0] in " ".join(lines[name])
    assert lines["unet"][2:5] == ["24.4", "M", "62.6"]
    assert told["unet"]["flops"] == 2 * told["unet"]["multiply_adds"]


def test_list_is_made_without_torch():
    program = "import sys; from geoseg_cli.main import main; main(['models', 'list']); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], stdout=subprocess.DEVNULL, check=False).returncode == 0


def test_show_tells_all_that_a_card_says(geoseg, bundle):
    out = geoseg("models", "show", bundle).out
    told = ("toy-threshold 1.0.0", "red, green, blue", "0.001 to 10000 m", "class-1", "CC0-1.0", "IoU 0.5 (a square)")
    for text in (*told, "Only for tests.", "nothing at all", "64 pixels, overlap 16"):
        assert text in out
    assert json.loads(geoseg("models", "show", bundle, "--json").out)["training_data"] == ["nothing at all"]


def test_verify_passes_what_is_whole(geoseg, bundle):
    answer = geoseg("models", "verify", bundle)
    assert answer.code == 0
    assert "PROBLEM" not in answer.out
    assert json.loads(geoseg("models", "verify", bundle, "--json").out)["passed"] is True


def test_verify_tells_what_is_damaged(geoseg, bundle):
    content = bytearray(bundle.read_bytes())
    content[-1] ^= 1
    bundle.write_bytes(content)
    answer = geoseg("models", "verify", bundle)
    assert answer.code == 2
    assert "PROBLEM checksum" in answer.out
    assert answer.err.startswith(f"geoseg: error: {bundle}: a check failed")
    assert json.loads(geoseg("models", "verify", bundle, "--json").out)["passed"] is False


def test_export_writes_a_stac_item(geoseg, bundle, tmp_path):
    answer = geoseg("models", "export", bundle, tmp_path / "town.json", "--format", "mlm")
    assert (answer.code, answer.out) == (0, f"{tmp_path / 'town.json'}\n")
    item = json.loads((tmp_path / "town.json").read_text())
    assert item["type"] == "Feature"
    assert item["properties"]["mlm:name"] == "toy-threshold"


def test_what_is_no_model_is_refused_in_one_line(geoseg, tmp_path):
    path = tmp_path / "town.safetensors"
    path.write_bytes(b"not a bundle")
    answer = geoseg("models", "show", path)
    assert answer.code == 2
    assert str(path) in answer.err
    assert answer.err.count("\n") == 1


def test_exports_replace_nothing_unasked_and_go_by_known_endings(geoseg, tmp_path):
    model, item = str(write_toy_bundle(tmp_path / "m.safetensors")), str(tmp_path / "m.json")
    assert geoseg("models", "export", model, item).code == 0
    again = geoseg("models", "export", model, item)
    assert again.code == 2
    assert "exists already; pass --overwrite" in again.err
    assert geoseg("models", "export", model, item, "--overwrite").code == 0
    odd = geoseg("models", "export", model, str(tmp_path / "m.onx"))
    assert odd.code == 2
    assert "found the ending '.onx'; expected .onnx, .xml, .pt2, .json" in odd.err
    imported = geoseg("models", "import", item, "-o", model)
    assert imported.code == 2
    assert "exists already" in imported.err
