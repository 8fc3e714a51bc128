from __future__ import annotations

import json

import pytest

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


def test_list_names_what_is_packaged(geoseg):
    from geoseg.models import packaged

    cards = packaged()
    assert cards
    lines = geoseg("models", "list").out.splitlines()
    assert len(lines) == len(cards) + 1
    for card, line in zip(cards, lines[1:], strict=True):
        assert line.startswith(f"{card.name} {card.version}")
        assert card.license in line
    assert [card["name"] for card in json.loads(geoseg("models", "list", "--json").out)] == [c.name for c in cards]


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
