"""Weights alone: the network is told by names and shapes, or named, and answers as it did before."""

import pytest
import safetensors.torch
import torch

from geoseg.errors import ModelError, UnknownNameError
from geoseg.models import read_card
from geoseg.models.importing import Hints, detect, import_model
from tests.models.importing.foreign import answer, facts, noise, said, unet


@pytest.mark.parametrize(
    ("options", "arguments"),
    [
        ({}, {"decoder_channels": [256, 128, 64, 32, 16]}),
        (
            {"decoder_channels": (64, 32, 32, 16, 16), "decoder_attention_type": "scse"},
            {"decoder_channels": [64, 32, 32, 16, 16], "decoder_attention_type": "scse"},
        ),
    ],
)
def test_a_unet_is_known_by_its_tensors(tmp_path, options, arguments):
    network = unet(**options)
    torch.save(network.state_dict(), tmp_path / "net.bin")
    assert detect(tmp_path / "net.bin") == "a torch checkpoint"
    card = import_model(tmp_path / "net.bin", tmp_path / "net.safetensors", facts())
    assert (card.architecture, card.activation, card.name) == ("unet", "softmax", "net")
    stored = read_card(tmp_path / "net.safetensors")
    assert stored.arguments == {"encoder": "resnet18", **arguments}
    assert torch.equal(answer(tmp_path / "net.safetensors", noise()), said(network, noise()))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["net.bin", "net.safetensors"]


def test_wrappers_of_trainers_are_taken_off_and_losses_left_out(tmp_path):
    network = unet()
    wrapped = {f"model._orig_mod.{name}": tensor for name, tensor in network.state_dict().items()}
    content = {"epoch": 3, "state_dict": {**wrapped, "criterion.weight": torch.ones(2)}, "optimizer_states": []}
    torch.save(content, tmp_path / "last.ckpt")
    import_model(tmp_path / "last.ckpt", tmp_path / "net.safetensors", facts())
    assert torch.equal(answer(tmp_path / "net.safetensors", noise()), said(network, noise()))


def test_safetensors_without_a_card_tell_four_bands_and_one_channel(tmp_path):
    network = unet(in_channels=4, classes=1)
    safetensors.torch.save_file(network.state_dict(), tmp_path / "net")
    bands = ("red", "green", "blue", "nir")
    given = facts(bands=bands, mean=(0.5,) * 4, std=(0.2,) * 4, classes=("building",))
    card = import_model(tmp_path / "net", tmp_path / "net.safetensors", given)
    assert (card.activation, card.bands, card.dtype) == ("sigmoid", bands, "uint8")
    assert [(c.id, c.name) for c in card.classes.classes] == [(0, "background"), (1, "building")]
    assert torch.equal(answer(tmp_path / "net.safetensors", noise(4)), said(network, noise(4)))


def test_mask_rcnn_of_torchvision_is_known_and_finds_things(tmp_path):
    from torchvision.models.detection import maskrcnn_resnet50_fpn

    network = maskrcnn_resnet50_fpn(weights=None, weights_backbone=None, num_classes=2)
    torch.save(network.state_dict(), tmp_path / "net.pth")
    card = import_model(tmp_path / "net.pth", tmp_path / "net.safetensors", facts(classes=("building",)))
    assert (card.kind, card.architecture, card.arguments["version"]) == ("instance", "mask-rcnn", 1)
    assert (card.object_ids, card.classes.by_id(1).kind) == ((1,), "thing")


def test_lraspp_of_torchvision_is_known(tmp_path):
    from torchvision.models.segmentation import lraspp_mobilenet_v3_large

    network = lraspp_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=3).eval()
    torch.save({"model": network.state_dict()}, tmp_path / "net.pth")
    card = import_model(tmp_path / "net.pth", tmp_path / "net.safetensors", facts(classes=("background", "a", "b")))
    assert card.architecture == "lraspp"
    assert torch.equal(answer(tmp_path / "net.safetensors", noise()), said(network, noise())["out"])


def test_everything_missing_is_asked_for_at_once(tmp_path):
    torch.save(unet().state_dict(), tmp_path / "net.pth")
    with pytest.raises(ModelError) as raised:
        import_model(tmp_path / "net.pth", tmp_path / "net.safetensors", Hints(resolution=0.3))
    message = str(raised.value)
    for flag in ("--task", "--bands", "--classes", "--value-range", "--mean", "--std", "--license"):
        assert flag in message
    assert "--resolution" not in message
    assert "--architecture" not in message
    assert "3 band(s) and 2 channel(s)" in message
    assert not (tmp_path / "net.safetensors").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bands": ("red", "green")}, r"found a network of 3 band\(s\); expected 2"),
        ({"classes": ("background", "a", "b", "c")}, r"found a network of 2 channel\(s\) of scores; expected 4"),
        ({"mean": (0.5, 0.5)}, "mean has 2 entries for 3 bands"),
        ({"activation": "none"}, r"net.pth: .*fails the check 'chip': .*set it to softmax or sigmoid"),
    ],
)
def test_facts_that_do_not_fit_are_refused(tmp_path, changes, message):
    network = unet()
    torch.nn.init.constant_(network.segmentation_head[0].bias, 5)
    torch.save(network.state_dict(), tmp_path / "net.pth")
    with pytest.raises(ModelError, match=message):
        import_model(tmp_path / "net.pth", tmp_path / "net.safetensors", facts(**changes))
    assert [p.name for p in tmp_path.iterdir()] == ["net.pth"]


def test_misfits_are_told_tensor_by_tensor(tmp_path):
    weights = unet().state_dict()
    del weights["segmentation_head.0.bias"]
    torch.save(weights, tmp_path / "net.pth")
    given = facts(architecture="unet", arguments={"encoder": "resnet18"})
    with pytest.raises(ModelError, match=r"1 tensors missing \(segmentation_head.0.bias\)"):
        import_model(tmp_path / "net.pth", tmp_path / "net.safetensors", given)
    with pytest.raises(ModelError, match=r"of no network that geoseg knows.*--architecture NAME"):
        import_model(tmp_path / "net.pth", tmp_path / "net.safetensors", facts())
    assert [p.name for p in tmp_path.iterdir()] == ["net.pth"]


def test_an_unknown_architecture_lists_near_ones(tmp_path):
    torch.save(unet().state_dict(), tmp_path / "net.pth")
    with pytest.raises(UnknownNameError, match="unet"):
        import_model(tmp_path / "net.pth", tmp_path / "net.safetensors", facts(architecture="unett"))
