"""Every member of torchgeo's enums: what it eats, and that its tensors fit an encoder."""

import functools

import pytest
import timm
import torch
import torchvision

from geoseg.core.bands import COMMON, undated
from geoseg.core.card import ModelCard
from geoseg.errors import MissingExtraError, ModelError, UnknownNameError
from geoseg.models import create_model
from geoseg.models.network import _RatesOnCpu
from geoseg.models.pretrained import card_facts, inflate, load_encoder, torchgeo_weights
from geoseg.models.pretrained.encoder import encoder_of
from geoseg.models.pretrained.loading import fit
from geoseg.models.pretrained.source import Pretrained
from geoseg.models.pretrained.swin import from_torchvision
from tests.conftest import needed
from tests.toy import toy_card

needed("torchgeo.models")
torchgeo = needed("torchgeo")

NAMES = torchgeo_weights.names()
ENCODERS = {
    "ResNet18_Weights": ("mask-rcnn", "resnet18"),
    "ResNet50_Weights": ("fpn", "tu-resnet50"),
    "ResNet152_Weights": ("unet", "resnet152"),
    "Swin_V2_T_Weights": ("upernet", "tu-swinv2_tiny_window8_256"),
    "Swin_V2_B_Weights": ("upernet", "tu-swinv2_base_window8_256"),
    "ViTSmall16_Weights": ("dpt", "tu-vit_small_patch16_224"),
    "ViTBase16_Weights": ("dpt", "tu-vit_base_patch16_224"),
    "ViTLarge16_Weights": ("dpt", "tu-vit_large_patch16_224"),
}


def meta_of(name):
    """The member's own network, as torchgeo builds it, without memory: its tensors by name."""
    family, member = name.split(".")
    meta = getattr(torchgeo.models, family)[member].meta
    return _theirs(family, meta["in_chans"], meta.get("encoder"), meta.get("num_classes", 1))


@functools.cache
def _theirs(family, bands, encoder, classes):
    with torch.device("meta"), _RatesOnCpu():
        if family == "Unet_Weights":
            return create_model("unet", encoder=encoder, in_channels=bands, classes=classes).state_dict()
        if family.startswith("Swin"):
            network = getattr(torchvision.models, family.removesuffix("_Weights").lower())(weights=None)
            network.features[0][0] = torch.nn.Conv2d(bands, network.features[0][0].out_channels, 4, 4)
            return from_torchvision(network.state_dict())
        model = ENCODERS[family][1].removeprefix("tu-")
        return timm.create_model(model, in_chans=bands, pretrained=False).state_dict()


@functools.cache
def ours(family, encoder, bands):
    architecture, name = ENCODERS.get(family, ("unet", encoder))
    with torch.device("meta"), _RatesOnCpu():
        return encoder_of(create_model(architecture, encoder=name, in_channels=bands, classes=2))


@pytest.mark.parametrize("name", NAMES)
def test_a_member_says_everything_that_a_card_needs(name):
    source = torchgeo_weights.member(name).source
    meta = getattr(torchgeo.models, name.split(".")[0])[name.split(".")[1]].meta
    assert len(source.bands) == len(set(source.bands)) == meta["in_chans"]
    assert all(undated(band) in COMMON for band in source.bands)
    facts = source.facts()
    card = ModelCard(**{**toy_card().model_dump(), **facts, "license": source.licence})
    assert card.bands == source.bands
    assert source.licence != "unknown" or "GASSL" in name
    assert source.attribution.startswith(meta["dataset"])


@pytest.mark.parametrize("name", NAMES)
def test_values_are_normalised_as_torchgeos_own_transforms_do(name):
    facts = card_facts(f"torchgeo:{name}")
    family, member = name.split(".")
    steps = [
        s for s in getattr(torchgeo.models, family)[member].transforms.modules() if type(s).__name__ == "Normalize"
    ]
    low, high = facts["value_range"]
    raw = torch.linspace(low, high, 16).reshape(1, 1, 4, 4).repeat(1, len(facts["bands"]), 1, 1)
    expected = raw.clone()
    for step in steps:
        expected = step(expected.clone())
    mean, std = (torch.tensor(facts[what]).reshape(1, -1, 1, 1) for what in ("mean", "std"))
    assert torch.allclose(((raw - low) / (high - low) - mean) / std, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", [name for name in NAMES if name.split(".")[0] in (*ENCODERS, "Unet_Weights")])
def test_a_members_tensors_fit_an_encoder_of_any_bands(name):
    pretrained = Pretrained(torchgeo_weights.member(name).source, lambda: dict(meta_of(name)))
    family, member = name.split(".")
    encoder = ours(family, getattr(torchgeo.models, family)[member].meta.get("encoder"), 4)
    fitted = fit(encoder, pretrained, ("red", "green", "blue", "nir"))
    needed = {n for n, p in encoder.module.named_parameters() if not n.startswith(("model.head.", "model.norm."))}
    assert needed <= fitted.keys()
    expected = encoder.module.state_dict()
    assert all(tensor.shape == expected[n].shape for n, tensor in fitted.items())


def test_a_member_is_fetched_by_its_checksum_and_fitted_by_the_names_of_bands(tmp_path, monkeypatch):
    tensors = timm.create_model("resnet18", in_chans=13, pretrained=False).state_dict()
    torch.save(tensors, tmp_path / "weights.pth")
    asked = []

    def fetch(url, *, named=None):
        asked.append((url.rpartition("/")[2], named))
        return tmp_path / "weights.pth"

    monkeypatch.setattr(torchgeo_weights, "fetch", fetch)
    bands = ("nir", "red", "green", "blue")
    network = create_model("unet", encoder="resnet18", in_channels=4, classes=2)
    source = load_encoder(network, "torchgeo:ResNet18_Weights.SENTINEL2_ALL_MOCO", bands)
    assert asked == [("resnet18_sentinel2_all_moco-59bfdff9.pth", "59bfdff9")]
    found = encoder_of(network).module.state_dict()
    assert torch.equal(found["conv1.weight"], inflate(tensors["conv1.weight"], source.bands, bands))
    assert torch.equal(found["layer4.1.bn2.running_var"], tensors["layer4.1.bn2.running_var"])
    assert source.facts(bands)["value_range"] == (0.0, 10000.0)


def test_swin_of_torchvision_answers_alike_in_timm():
    torch.manual_seed(0)
    theirs = torchvision.models.swin_v2_t(weights=None).eval()
    for parameter in theirs.parameters():
        torch.nn.init.normal_(parameter, std=0.02)
    network = timm.create_model("swinv2_tiny_window8_256", pretrained=False).eval()
    left = network.load_state_dict(from_torchvision(theirs.state_dict()), strict=False)
    assert left.missing_keys == ["head.fc.weight", "head.fc.bias"]
    chip = torch.rand(1, 3, 256, 256)
    with torch.inference_mode():
        assert torch.allclose(theirs.norm(theirs.features(chip)), network.forward_features(chip), atol=1e-5)


def test_dates_are_numbered_where_bands_stand_twice():
    bands = torchgeo_weights.member("Unet_Weights.SENTINEL2_3CLASS_FTW").source.bands
    assert bands == tuple(f"{name}@{date}" for date in (1, 2) for name in ("red", "green", "blue", "nir"))


def test_a_licence_with_conditions_is_asked_about_before_anything_is_fetched(cache):
    network = create_model("unet", encoder="resnet34", in_channels=3, classes=2)
    with pytest.raises(ModelError, match=r"licence 'CC-BY-NC-4\.0'.*your consent.*accept_license=True"):
        load_encoder(network, "torchgeo:Unet_Weights.OAM_RGB_RESNET34_TCD", ("red", "green", "blue"))
    assert not cache.exists()


def test_near_names_are_listed():
    with pytest.raises(UnknownNameError, match=r"did you mean ResNet50_Weights\.SENTINEL2_ALL_MOCO"):
        card_facts("torchgeo:ResNet50_Weights.SENTINEL2_ALL_MOKO")


def test_without_torchgeo_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(torchgeo_weights.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"geoseg\[torchgeo\]"):
        card_facts("torchgeo:ResNet50_Weights.SENTINEL2_ALL_MOCO")
