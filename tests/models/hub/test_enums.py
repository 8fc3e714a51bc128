"""Weights that torchgeo and torchvision name: their facts, licences and files."""

from __future__ import annotations

import hashlib
import io
import sys

import pytest
import torch

from geoseg.core.card import ModelCard
from geoseg.errors import MissingExtraError, ModelError, UnknownNameError
from geoseg.models import load_model, resolve
from geoseg.models.hub import pull
from geoseg.models.hub.facts import dated
from geoseg.models.hub.pulling import look_up
from geoseg.models.hub.references import parse
from geoseg.models.importing import Hints
from geoseg.models.network import skeleton_of
from geoseg.tasks import TASKS

FREE = ("SENTINEL2_2CLASS_FTW", "SENTINEL2_3CLASS_FTW")
BOUND = (
    "SENTINEL2_2CLASS_NC_FTW",
    "SENTINEL2_3CLASS_NC_FTW",
    "SENTINEL2_FTW_PRUE_EFNETB3",
    "SENTINEL2_FTW_PRUE_EFNETB5",
    "SENTINEL2_FTW_PRUE_EFNETB7",
    "OAM_RGB_RESNET50_TCD",
    "OAM_RGB_RESNET34_TCD",
)
DATES = tuple(f"{band}@{date}" for date in (1, 2) for band in ("red", "green", "blue", "nir"))


def offered(name):
    return look_up(parse(f"torchgeo:Unet_Weights.{name}"))


def card_of(facts):
    return ModelCard(**facts)


@pytest.fixture
def weights():
    """Torchgeo's enum, whose members may be changed for the length of a test."""
    from torchgeo.models import Unet_Weights

    return Unet_Weights


def test_every_segmenter_of_torchgeo_is_known_with_its_licence(weights):
    assert {member.name for member in weights} == {*FREE, *BOUND}
    for name in FREE:
        assert offered(name).licence.identifier == "CC-BY-4.0"
        assert offered(name).licence.permissive
    for name in BOUND:
        assert offered(name).licence.terms == "non-commercial"


@pytest.mark.parametrize("name", [n for n in (*FREE, *BOUND) if "FTW" in n])
def test_fields_of_the_world_eat_two_dates(name, weights):
    card = card_of(offered(name).facts)
    assert card.task == "fields"
    assert card.bands == DATES
    assert (card.resolution, card.dtype) == (10.0, "uint16")
    assert card.arguments == {"encoder": weights[name].meta["encoder"]}
    assert len(card.channel_ids) == weights[name].meta["num_classes"]
    assert card.finds_objects == (len(card.channel_ids) == 3)
    chip = torch.tensor([0.0, 1500.0, 3000.0, 12000.0]).reshape(1, 1, 2, 2).expand(1, 8, 2, 2)
    assert torch.allclose(eaten(card, chip), weights[name].transforms(chip.clone()))


@pytest.mark.parametrize("name", [n for n in BOUND if "TCD" in n])
def test_tree_cover_eats_bytes_as_they_are(name, weights):
    card = card_of(offered(name).facts)
    assert (card.task, card.bands, card.resolution) == ("trees", ("red", "green", "blue"), 0.1)
    assert [c.name for c in card.classes.classes] == ["background", "tree-canopy"]
    chip = torch.tensor([0.0, 1.0, 128.0, 255.0]).reshape(1, 1, 2, 2).expand(1, 3, 2, 2)
    assert torch.allclose(eaten(card, chip), chip, atol=1e-4)


def eaten(card, chip):
    """What the network gets for raw values, as the card says it."""
    low, high = card.value_range
    mean, std = (torch.tensor(values)[None, :, None, None] for values in (card.mean, card.std))
    return ((chip - low) / (high - low) - mean) / std


def test_every_segmenter_has_a_network(weights):
    for name in (*FREE, *BOUND):
        card = card_of(offered(name).facts)
        skeleton = skeleton_of(card)
        first = next(tensor for tensor in skeleton.state_dict().values() if tensor.ndim == 4)
        assert first.shape[1] == len(card.bands)
        assert skeleton.state_dict()["segmentation_head.0.bias"].shape == (len(card.channel_ids),)


def test_the_tasks_name_weights_that_are_for_them():
    for task in ("fields", "trees"):
        reference = TASKS[task].default_model()
        assert look_up(parse(reference)).facts["task"] == task


def test_trees_are_refused_without_consent_and_nothing_is_kept(kept):
    reference = TASKS["trees"].default_model()
    for call in (pull, resolve):
        with pytest.raises(ModelError, match=f"geoseg models pull {reference} --accept-license"):
            call(reference)
    assert kept() == []


def test_fields_are_pulled_converted_and_found_offline(hub, weights, monkeypatch):
    from torchgeo.models import unet

    member = weights.SENTINEL2_3CLASS_FTW
    network = unet(encoder_name="efficientnet-b3", encoder_weights=None, in_channels=8, classes=3)
    content = saved(network.state_dict())
    name = f"sentinel2_unet_effb3-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    monkeypatch.setattr(member.value, "url", hub.put(f"/torchgeo/ftw/resolve/main/{name}", content))
    told = []
    path = resolve("torchgeo:Unet_Weights.SENTINEL2_3CLASS_FTW", told.append)
    assert len(told) == 1
    assert "CC-BY-4.0" in told[0]
    monkeypatch.setenv("GEOSEG_OFFLINE", "1")
    model = load_model("torchgeo:Unet_Weights.SENTINEL2_3CLASS_FTW")
    assert model.path == path
    assert model.card.name == "sentinel2-3class-ftw"
    assert model.card.classes.separator == 2
    for key, tensor in network.state_dict().items():
        assert torch.equal(model.module.state_dict()[key], tensor)


def test_weights_of_another_checksum_than_their_name_says_are_refused(hub, weights, monkeypatch, kept):
    url = hub.put("/sentinel2_unet_effb3-9c04b7c6.pth", b"something else")
    monkeypatch.setattr(weights.SENTINEL2_2CLASS_FTW.value, "url", url)
    with pytest.raises(ModelError, match="expected 9c04b7c6"):
        pull("torchgeo:Unet_Weights.SENTINEL2_2CLASS_FTW")
    assert kept() == []


def saved(state):
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("reference", "near"),
    [
        ("torchgeo:Unet_Weights.SENTINEL2_3CLAS_FTW", "Unet_Weights.SENTINEL2_3CLASS_FTW"),
        ("torchgeo:Unet_Weight.OAM_RGB_RESNET50_TCD", "Unet_Weights.OAM_RGB_RESNET50_TCD"),
        ("torchgeo:Unet_Weights", "Unet_Weights.SENTINEL2_3CLASS_FTW"),
        ("torchvision:MaskRCNN_ResNet50_FPN_Weights.COCO_V2", "MaskRCNN_ResNet50_FPN_Weights.COCO_V1"),
    ],
)
def test_an_unknown_weight_lists_the_near_ones(reference, near):
    with pytest.raises(UnknownNameError, match=near):
        pull(reference)


@pytest.mark.parametrize(
    "reference", ["torchgeo:ResNet50_Weights.SENTINEL2_ALL_MOCO", "torchvision:ResNet50_Weights.IMAGENET1K_V2"]
)
def test_weights_of_encoders_are_no_model(reference):
    with pytest.raises(ModelError, match=f"encoder_weights='{reference}'"):
        pull(reference)


def test_without_torchgeo_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchgeo.models", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'geoseg\[torchgeo\]'"):
        pull("torchgeo:Unet_Weights.SENTINEL2_3CLASS_FTW")


def test_torchvision_says_no_licence_of_its_weights():
    reference = "torchvision:MaskRCNN_ResNet50_FPN_V2_Weights.COCO_V1"
    with pytest.raises(ModelError, match=rf"\(not stated\).*geoseg models pull {reference} --accept-license"):
        pull(reference)


@pytest.mark.slow
def test_a_segmenter_of_torchvision_is_pulled_with_what_the_user_adds(hub, monkeypatch):
    from torchvision.models.segmentation import LRASPP_MobileNet_V3_Large_Weights, lraspp_mobilenet_v3_large

    content = saved(lraspp_mobilenet_v3_large(weights=None, weights_backbone=None).state_dict())
    name = f"lraspp-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    monkeypatch.setattr(LRASPP_MobileNet_V3_Large_Weights.DEFAULT.value, "url", hub.put(f"/{name}", content))
    reference = "torchvision:LRASPP_MobileNet_V3_Large_Weights.COCO_WITH_VOC_LABELS_V1"
    with pytest.raises(ModelError, match="--resolution METRES"):
        pull(reference, accept_license=True)
    added = Hints(
        task="start", resolution=0.1, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), license="unknown"
    )
    found = pull(reference, hints=added)
    assert found.card.classes.by_id(15).name == "person"
    assert found.card.classes.background == 0
    assert found.card.license == "unknown"


@pytest.mark.parametrize(
    ("bands", "expected"),
    [
        (["B4", "B3", "B4", "B3", "B4"], ("red@1", "green@1", "red@2", "green@2", "red@3")),
        (["B4", "B8A", "odd"], ("red", "nir08", "odd")),
    ],
)
def test_a_band_that_comes_again_is_of_the_next_date(bands, expected):
    assert dated(bands, "sentinel-2") == expected
