"""Folders of the hubs: networks answer as those that wrote them, and their settings reach the card."""

import hashlib
import json

import pytest
import safetensors.torch
import torch
from torch.nn import functional

from geoseg.errors import ModelError
from geoseg.models.importing import detect, import_model
from geoseg.models.importing.conversion import check_sum
from tests.conftest import needed
from tests.models.importing.foreign import answer, facts, noise, said, unet


def _edit(folder, **changes):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **changes}))


def test_a_folder_of_smp(tmp_path):
    network = unet(classes=1, activation="sigmoid", decoder_channels=(64, 32, 16, 16, 16))
    network.save_pretrained(tmp_path / "hub")
    assert detect(tmp_path / "hub") == "a folder of segmentation-models-pytorch"
    assert detect(tmp_path / "hub" / "model.safetensors") == "a folder of segmentation-models-pytorch"
    card = import_model(tmp_path / "hub", tmp_path / "net.safetensors", facts(classes=("building",)))
    assert (card.architecture, card.activation) == ("unet", "sigmoid")
    scores = answer(tmp_path / "net.safetensors", noise()).sigmoid()
    assert torch.equal(scores, said(network, noise()))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"_model_class": "Mystery"}, "found the network Mystery; expected one of"),
        ({"decoder_interpolation": "bilinear"}, "found decoder_interpolation='bilinear'.*expected 'nearest'"),
        ({"in_channels": 4}, r"found a network of 4 band\(s\); expected 3"),
        ({"encoder_name": "resnet34"}, "tensors missing"),
    ],
)
def test_settings_of_smp_that_do_not_fit(tmp_path, changes, message):
    unet().save_pretrained(tmp_path / "hub")
    _edit(tmp_path / "hub", **changes)
    with pytest.raises(ModelError, match=message):
        import_model(tmp_path / "hub", tmp_path / "net.safetensors", facts())
    assert [p.name for p in tmp_path.iterdir()] == ["hub"]


@pytest.mark.parametrize("name", ["other.safetensors", "pytorch_model.bin"])
def test_the_file_that_was_named_is_the_one_that_is_read(tmp_path, name):
    hub = tmp_path / "hub"
    unet().save_pretrained(hub)
    bias = "segmentation_head.0.bias"
    other = {**unet().state_dict(), bias: torch.tensor([3.0, 4.0])}
    if name.endswith(".bin"):
        torch.save(other, hub / name)
    else:
        safetensors.torch.save_file(other, hub / name)
    assert detect(hub / name) == "a folder of segmentation-models-pytorch"
    for source, read in ((hub / name, hub / name), (hub, hub / "model.safetensors")):
        card = import_model(source, tmp_path / "net.safetensors", facts())
        assert card.arguments["encoder"] == "resnet18"
        found = safetensors.torch.load_file(tmp_path / "net.safetensors")[bias]
        assert torch.equal(found, other[bias] if read.name == name else unet().state_dict()[bias])
        assert check_sum(source) == hashlib.sha256(read.read_bytes()).hexdigest()


def test_weights_in_parts_have_no_one_checksum(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"_model_class": "Unet"}))
    index = {"weight_map": {"a": "1.safetensors", "b": "2.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    assert check_sum(tmp_path) is None
    with pytest.raises(ModelError, match="found 2 files of weights; expected one"):
        check_sum(tmp_path, "0" * 64)


@pytest.fixture(scope="module")
def segformer(tmp_path_factory):
    """A small SegFormer of transformers, and the folder that it was saved in."""
    transformers = needed("transformers")
    torch.manual_seed(0)
    config = transformers.SegformerConfig(
        hidden_sizes=[16, 32, 48, 64],
        depths=[1, 1, 1, 1],
        decoder_hidden_size=32,
        id2label={0: "background", 1: "road", 2: "roof"},
    )
    network = transformers.SegformerForSemanticSegmentation(config).eval()
    folder = tmp_path_factory.mktemp("segformer")
    network.save_pretrained(folder)
    told = {"do_normalize": True, "image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6], "do_rescale": True}
    (folder / "preprocessor_config.json").write_text(json.dumps(told))
    return network, folder


def test_a_folder_of_transformers(tmp_path, segformer):
    network, folder = segformer
    assert detect(folder) == "a folder of transformers"
    given = facts(classes=None, mean=None, std=None, value_range=None)
    card = import_model(folder, tmp_path / "net.safetensors", given)
    assert (card.architecture, card.activation) == ("transformers-semantic", "softmax")
    assert (card.mean, card.std, card.value_range) == ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6), (0.0, 255.0))
    assert [c.name for c in card.classes.classes] == ["background", "road", "roof"]
    logits = said(network, noise()).logits
    assert logits.shape[2:] == (16, 16)
    expected = functional.interpolate(logits, (64, 64), mode="bilinear", align_corners=False)
    assert torch.equal(answer(tmp_path / "net.safetensors", noise()), expected)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architectures": ["BertModel"]}, "found the network BertModel; expected one of Segformer"),
        ({"decoder_hidden_size": 16}, "the weights do not fit config.json: tensors mismatched"),
        ({"backbone": "microsoft/resnet-50"}, "whose backbone is elsewhere"),
    ],
)
def test_settings_of_transformers_that_do_not_fit(tmp_path, segformer, changes, message):
    hub = tmp_path / "hub"
    hub.mkdir()
    for file in segformer[1].iterdir():
        (hub / file.name).write_bytes(file.read_bytes())
    _edit(hub, **changes)
    with pytest.raises(ModelError, match=message):
        import_model(hub, tmp_path / "net.safetensors", facts(classes=("background", "road", "roof")))
    assert not (tmp_path / "net.safetensors").exists()


def test_weights_that_are_missing_or_elsewhere(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"_model_class": "Unet"}))
    with pytest.raises(ModelError, match=r"config.json without weights"):
        import_model(tmp_path, tmp_path / "net.safetensors", facts())
    index = {"weight_map": {"a": "../../secret.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ModelError, match="parts outside its folder"):
        import_model(tmp_path, tmp_path / "net.safetensors", facts())
