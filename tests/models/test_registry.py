"""Architectures by name."""

import importlib.util
import tomllib
from pathlib import Path

import pytest
import torch

from geoseg.core.classes import ClassInfo, ClassSet
from geoseg.errors import MissingExtraError, ModelError, UnknownNameError
from geoseg.models import architectures, create_model, register
from geoseg.models import network as network_module
from geoseg.models.network import network_of, without_memory
from tests.toy import toy_card

ROOT = Path(__file__).parents[2]


def test_every_architecture_is_described():
    for name, found in architectures().items():
        assert found.name == name
        assert found.description
        assert found.paper or name == "pixel-linear"


def test_every_architecture_says_whose_code_it_is_and_what_it_needs():
    extras = {None, *tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]}
    for found in architectures().values():
        assert found.licence
        assert found.extra in extras
        assert not found.encoders or found.encoder in found.encoders
        assert set(found.options).isdisjoint({"in_channels", "classes", "things", "encoder", "bands"})


@pytest.mark.parametrize("package", ["transformers", "scipy"])
def test_a_missing_extra_is_told_with_the_command_before_anything_is_built(monkeypatch, package):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == package else find(name, *rest))
    with pytest.raises(MissingExtraError, match=r"pip install 'geoseg\[transformers\]'") as caught:
        create_model("mask2former", in_channels=3, classes=2, things=1)
    assert "mask2former" in str(caught.value)
    assert package in str(caught.value)


def test_names_of_own_encoders_may_leave_out_where_they_are_from():
    with torch.device("meta"):
        networks = [create_model("hrnet", encoder=e, in_channels=1, classes=1) for e in ("hrnet_w32", "tu-hrnet_w32")]
    assert len({sum(p.numel() for p in network.parameters()) for network in networks}) == 1


def test_numbers_of_things_and_stuff_reach_the_builder():
    with without_memory():
        network = create_model("panoptic-fpn", in_channels=4, classes=3, things=5)
    assert network.roi_heads.box_predictor.cls_score.out_features == 1 + 5
    assert network.stuff == 3


@pytest.mark.parametrize("bands", [None, ("red", "green", "blue", "nir")])
def test_encoder_weights_are_put_into_the_network_that_was_built(monkeypatch, bands):
    asked = []
    monkeypatch.setattr("geoseg.models.pretrained.load_encoder", lambda *given: asked.append(given))
    network = create_model("linknet", in_channels=4, classes=2, encoder="resnet18", encoder_weights="w", bands=bands)
    assert asked == [(network, "w", bands)]


def card_of(architecture, kind, things, stuff):
    infos = [ClassInfo(id=0, name="ground", colour="#000000")]
    infos += [ClassInfo(id=i + 1, name=f"c{i}", colour="#ff0000", kind="thing") for i in range(things)]
    infos += [ClassInfo(id=i + 9, name=f"s{i}", colour="#00ff00") for i in range(stuff)]
    classes = ClassSet(classes=tuple(infos))
    return toy_card(kind="one-hot").model_copy(
        update={"architecture": architecture, "arguments": {}, "kind": kind, "classes": classes}
    )


@pytest.mark.parametrize(
    ("kind", "things", "stuff", "told"),
    [("semantic", 2, 1, (4, 0)), ("instance", 2, 0, (2, 0)), ("panoptic", 2, 3, (4, 2))],
)
def test_a_card_tells_how_many_classes_and_things_its_network_has(monkeypatch, kind, things, stuff, told):
    names = {"semantic": "unet", "instance": "mask-rcnn", "panoptic": "panoptic-fpn"}
    given = []
    monkeypatch.setattr(network_module, "create_model", lambda name, **counts: given.append((name, counts)))
    network_of(card_of(names[kind], kind, things, stuff))
    assert given == [(names[kind], {"in_channels": 3, "classes": told[0], "things": told[1]})]


def test_a_card_of_one_kind_with_an_architecture_of_another_is_refused():
    with pytest.raises(ModelError, match="found kind semantic with the architecture mask-rcnn, which is instance"):
        network_of(card_of("mask-rcnn", "semantic", 1, 0))


@pytest.mark.parametrize("key", ["in_channels", "classes", "things", "encoder_weights", "bands"])
def test_a_card_cannot_say_again_what_follows_from_it(key):
    with pytest.raises(ModelError, match=f"found {key} in arguments"):
        network_of(card_of("unet", "semantic", 1, 0).model_copy(update={"arguments": {key: 3}}))


def test_a_taken_name_cannot_be_registered():
    with pytest.raises(ModelError, match="'unet' is taken"):
        register("unet", kind="semantic", paper="")(lambda **_: None)


def test_the_registry_cannot_be_changed_from_outside():
    with pytest.raises(TypeError):
        architectures()["mine"] = None


@pytest.mark.parametrize(
    ("name", "options", "error", "said"),
    [
        ("unetplus", {}, UnknownNameError, "unetplusplus"),
        ("unet", {"encoder": "resnt34"}, UnknownNameError, "resnet34"),
        ("unet", {"encoder": "tu-convnext_tny"}, UnknownNameError, "tu-convnext_tiny"),
        ("unet", {"encoder": "tu-local-dir:/tmp"}, UnknownNameError, "unknown encoder"),
        ("unet", {"decoder_chanels": (8,)}, ModelError, "did you mean decoder_channels"),
        ("unet", {"things": 2}, ModelError, "found things=2, but this architecture is semantic"),
        ("unet", {"decoder_attention_type": "loud"}, ModelError, "cannot be built"),
        ("panoptic-fpn", {}, ModelError, "things=0"),
        ("hrnet", {"encoder": "resnet18"}, UnknownNameError, "tu-hrnet_w18"),
        ("unet", {"decoder_channels": [[1]]}, ModelError, "decoder_channels"),
        ("unet", {"in_channels": 0}, ModelError, "in_channels=0"),
        ("unet", {"in_channels": 5000}, ModelError, "1 to 4096"),
        ("unet", {"classes": True}, ModelError, "classes=True"),
        ("unet", {"classes": 2.0}, ModelError, "classes=2.0"),
        ("fpn", {"decoder_pyramid_channels": float("nan")}, ModelError, "decoder_pyramid_channels"),
        ("linknet", {"encoder": "mit_b0"}, ModelError, "not supported"),
        ("pixel-linear", {"encoder": "resnet18"}, ModelError, "leave it out"),
    ],
)
def test_wrong_requests_are_explained(name, options, error, said):
    with pytest.raises(error) as caught:
        create_model(name, **{"in_channels": 3, "classes": 2, **options})
    assert said in str(caught.value)
