"""Reading a bundle's header: the card comes back, and whatever else a file may hold gives one clear error."""

import json
import pickle
from pathlib import Path

import pytest
import torch

from geoseg.errors import ModelError
from geoseg.models import read_card
from tests.models.bytes_of import edit, join
from tests.toy import toy_card, write_toy_bundle


@pytest.fixture
def bundle(tmp_path):
    return write_toy_bundle(tmp_path / "toy.safetensors", classes=3)


def test_the_card_comes_back(bundle):
    assert read_card(bundle) == toy_card(classes=3)


def test_only_the_header_is_read(bundle):
    content = bundle.read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    bundle.write_bytes(content[:end])
    assert read_card(bundle).name == "toy-one-hot"


CARD = toy_card().model_dump(mode="json")


def _with_card(text):
    return join({"__metadata__": {"geoseg.card": text if isinstance(text, str) else json.dumps(text)}})


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "0 bytes"),
        (b"1234567", "7 bytes"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "complete safetensors header"),
        (b"a GeoTIFF that was renamed, for instance", "complete safetensors header"),
        ((2**63).to_bytes(8, "little") + b"{}", "complete safetensors header"),
        ((17 * 2**20).to_bytes(8, "little") + bytes(17 * 2**20), "at most 16777216"),
        (join(b"\xff\xfe\xfd {"), "no JSON"),
        (join(b"[" * 200_000), "no JSON"),
        (join(b'{"a": ' + b"9" * 5000 + b"}"), "no JSON"),
        (join([1, 2]), "no JSON object"),
        (join({}), "without 'geoseg.card'"),
        (join({"__metadata__": {"format": "pt"}}), "without 'geoseg.card'"),
        (join({"__metadata__": ["geoseg.card"]}), "without 'geoseg.card'"),
        (join({"__metadata__": {"geoseg.card": {"name": "x"}}}), "card that is no text"),
        (_with_card("name: toy"), "card that is no JSON"),
        (_with_card("[1]"), "card that is no JSON object"),
        (_with_card({**CARD, "bands": []}), "bands"),
        (_with_card({k: v for k, v in CARD.items() if k != "license"}), "license"),
        (_with_card({**CARD, "surprise": 1}), "surprise"),
        (_with_card({**CARD, "card_version": 2}), "version 2; this geoseg reads version 1"),
        (_with_card(json.dumps({**CARD, "mean": [float("nan")] * 3})), "NaN"),
        (_with_card(json.dumps({**CARD, "mean": ["x"] * 3}).replace('"x"', "1e999")), "mean"),
        (join({"__metadata__": {"geoseg.card": json.dumps(CARD)}, "w": 3}), "'w' has no dtype"),
        (join({"__metadata__": {"geoseg.card": json.dumps(CARD)}, "w": {"dtype": "F32", "shape": [-1]}}), "cannot be"),
        (join({"__metadata__": {"geoseg.card": json.dumps(CARD)}, "w": {"dtype": 7, "shape": [1]}}), "cannot be"),
    ],
)
def test_other_files_are_refused(tmp_path, content, said):
    path = tmp_path / "wrong.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelError) as caught:
        read_card(path)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)


class _Trap:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("protocol", [2, 4])
def test_a_pickle_is_named_and_not_run(tmp_path, protocol):
    touched, path = tmp_path / "touched", tmp_path / "model.pth"
    path.write_bytes(pickle.dumps(_Trap(touched), protocol=protocol))
    with pytest.raises(ModelError, match="pickle"):
        read_card(path)
    assert not touched.exists()


def test_a_checkpoint_of_torch_is_named(tmp_path):
    path = tmp_path / "model.pth"
    torch.save({"weight": torch.ones(3)}, path)
    with pytest.raises(ModelError, match="pickle"):
        read_card(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"none\.safetensors: cannot be read"):
        read_card(tmp_path / "none.safetensors")


def test_unknown_metadata_does_no_harm(bundle):
    edit(bundle, __metadata__={"geoseg.card": json.dumps(CARD), "format": "pt"})
    assert read_card(bundle).name == "toy-one-hot"
