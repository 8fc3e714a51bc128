"""Weights from an encoder's own publisher, fetched from a hub on this machine."""

import json
import re

import pytest
import segmentation_models_pytorch as smp
import timm
import torch
from safetensors.torch import save

from geoseg.errors import ModelError
from geoseg.models import create_model
from geoseg.models.network import _RatesOnCpu
from geoseg.models.pretrained import card_facts, inflate, load_encoder
from geoseg.models.pretrained.encoder import encoder_of
from geoseg.models.pretrained.published import _as_smp_reads, _smp_encoder, hub_file

RGB = ("red", "green", "blue")
SMP = smp.encoders.encoders["resnet18"]["pretrained_settings"]["imagenet"]
TIMM = "mobilenetv3_small_050"


@pytest.fixture(autouse=True)
def _here(hub, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", hub.url)


def weights_of(network):
    return encoder_of(network).module.state_dict()


@pytest.fixture
def resnet(hub):
    """The tensors of a ResNet-18 that the hub publishes, with settings that are not the usual ones."""
    encoder = smp.encoders.get_encoder("resnet18", weights=None)
    tensors = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    told = {"mean": [0.4, 0.5, 0.6], "std": [0.1, 0.2, 0.3], "input_space": "BGR", "license": "bsd-3-clause"}
    place = f"/{SMP['repo_id']}/resolve/{SMP['revision']}"
    hub.put(f"{place}/config.json", json.dumps(told).encode())
    hub.put(f"{place}/model.safetensors", save(tensors))
    return tensors


def test_smps_weights_are_found_by_the_encoder_and_fetched_once(resnet, hub):
    network = create_model("unet", encoder="resnet18", in_channels=4, classes=2)
    source = load_encoder(network, "imagenet", (*RGB, "nir"))
    assert source.bands == ("blue", "green", "red")
    assert (source.mean, source.licence) == ((0.4, 0.5, 0.6), "BSD-3-Clause")
    found = weights_of(network)
    assert torch.equal(found["conv1.weight"], inflate(resnet["conv1.weight"], source.bands, (*RGB, "nir")))
    assert torch.equal(found["layer4.1.conv2.weight"], resnet["layer4.1.conv2.weight"])
    asked = len(hub.asked)
    create_model("fpn", encoder="resnet18", in_channels=3, classes=1, encoder_weights="imagenet", bands=RGB)
    assert len(hub.asked) == asked
    assert card_facts("imagenet", RGB, network)["mean"] == (0.6, 0.5, 0.4)


def test_weights_that_state_no_licence_are_told(resnet, hub, caplog, tmp_path):
    place = f"/{SMP['repo_id']}/resolve/{SMP['revision']}/config.json"
    network = create_model("unet", encoder="resnet18", in_channels=3, classes=2)
    (tmp_path / "own.safetensors").write_bytes(save(resnet))
    load_encoder(network, str(tmp_path / "own.safetensors"), RGB)
    assert caplog.records == []
    hub.put(place, b"{}")
    assert load_encoder(network, "imagenet", RGB).licence == "unknown"
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "found no licence of these weights" in caplog.text
    assert SMP["repo_id"] in caplog.text


def test_the_resnet_of_a_detector_has_the_same_weights(resnet):
    network = create_model("mask-rcnn", encoder="resnet18", in_channels=3, classes=1)
    load_encoder(network, "imagenet", RGB)
    assert torch.equal(weights_of(network)["layer3.0.downsample.0.weight"], resnet["layer3.0.downsample.0.weight"])


def test_older_names_are_read_as_smp_reads_them(hub):
    known = smp.encoders.encoders["densenet121"]
    whole = known["encoder"](**known["params"]).state_dict()
    tensors = {name: t for name, t in whole.items() if t.ndim}  # files of that age count no batches
    older = {re.sub(r"(denselayer\d+\.(?:norm|conv))([12])", r"\1.\2", name): t for name, t in tensors.items()}
    assert older.keys() != tensors.keys()
    read = _as_smp_reads("smp-hub/densenet121.imagenet", known, dict(older))
    assert all(torch.equal(tensor, read[name]) for name, tensor in tensors.items())
    with pytest.raises(ModelError, match="the published weights do not fit"):
        _as_smp_reads("smp-hub/densenet121.imagenet", known, {"a": torch.zeros(1)})


def test_timms_weights_go_through_its_own_conversion(hub):
    whole = timm.create_model(TIMM, pretrained=False)
    repository = timm.get_pretrained_cfg(TIMM).hf_hub_id
    hub.put(f"/{repository}/resolve/main/model.safetensors", save(whole.state_dict()))
    network = create_model("unet", encoder=f"tu-{TIMM}", in_channels=3, classes=2)
    state = torch.get_rng_state()
    source = load_encoder(network, "imagenet", RGB)
    assert torch.equal(torch.get_rng_state(), state)
    assert (source.licence, source.source) == ("Apache-2.0", f"https://huggingface.co/{repository}")
    expected = whole.state_dict()["blocks.3.1.conv_pw.weight"]
    assert torch.equal(weights_of(network)["model.blocks.3.1.conv_pw.weight"], expected)


def test_weights_that_bind_their_user_wait_for_consent_which_is_remembered(hub):
    name = "convnextv2_atto"
    config = timm.get_pretrained_cfg(name)
    assert "nc" in config.license
    hub.put(f"/{config.hf_hub_id}/resolve/main/model.safetensors", save(timm.create_model(name).state_dict()))
    network = create_model("unet", encoder=f"tu-{name}", in_channels=3, classes=2)
    with pytest.raises(ModelError, match=r"licence 'CC-BY-NC-4\.0' \(non-commercial\).*accept_license"):
        load_encoder(network, "imagenet", RGB)
    assert hub.asked == []
    load_encoder(network, "imagenet", RGB, accept_license=True)
    assert load_encoder(network, "imagenet", RGB).licence == "CC-BY-NC-4.0"


def test_an_encoder_that_nobody_published_is_told(hub):
    network = create_model("unet", encoder="tu-resnet14t", in_channels=3, classes=2)
    config = dict(encoder_of(network).module.model.pretrained_cfg)
    encoder_of(network).module.model.pretrained_cfg = {**config, "hf_hub_id": None}
    with pytest.raises(ModelError, match=r"encoder tu-resnet14t.*: timm publishes no weights for it"):
        load_encoder(network, "imagenet", RGB)
    bare = create_model("unet", encoder="mobilenet_v2", in_channels=3, classes=2)
    encoder_of(bare).module.features[0][0] = torch.nn.Conv2d(3, 7, 3)
    with pytest.raises(ModelError, match="found no weights published as 'imagenet'"):
        load_encoder(bare, "imagenet", RGB)


@pytest.mark.parametrize("name", ["resnet34", "mit_b1", "efficientnet-b2", "mobilenet_v2", "timm-skresnet18"])
@pytest.mark.filterwarnings("ignore:.*timm-.*:DeprecationWarning")
def test_an_encoder_of_smp_is_known_by_its_tensors_whatever_it_eats(name):
    encoder = encoder_of(skeleton(name))
    assert _smp_encoder(encoder) is smp.encoders.encoders[name]


def skeleton(name):
    with torch.device("meta"), _RatesOnCpu():
        return create_model("segformer" if "mit" in name else "fpn", encoder=name, in_channels=5, classes=2)


def test_settings_that_are_no_json_are_an_error(hub, resnet):
    hub.put(f"/{SMP['repo_id']}/resolve/{SMP['revision']}/config.json", b"<html>")
    network = create_model("unet", encoder="resnet18", in_channels=3, classes=2)
    with pytest.raises(ModelError, match=r"config\.json: found no JSON"):
        load_encoder(network, "imagenet", RGB)


def test_what_imagenet_weights_eat_is_known_without_a_network():
    assert card_facts("imagenet")["bands"] == RGB
    facts = card_facts("imagenet", ("nir", "red"))
    assert facts["mean"] == pytest.approx(((0.485 + 0.456 + 0.406) / 3, 0.485))
    assert (facts["dtype"], facts["value_range"]) == ("uint8", (0.0, 255.0))


def test_files_are_asked_of_the_hub_that_is_named(hub):
    assert hub_file("smp-hub/x", "main", "config.json") == f"{hub.url}/smp-hub/x/resolve/main/config.json"
