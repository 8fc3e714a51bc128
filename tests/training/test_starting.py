"""Where training starts: the base's weights, as far as they mean the same."""

import pytest
import torch

from geoseg.core.classes import ClassInfo, ClassSet
from geoseg.models import load_model, network_of, save_bundle
from geoseg.training.drafting import with_separator
from geoseg.training.options import ModelOptions, SeparatorOptions
from geoseg.training.starting import class_aware, start
from tests.toy import toy_card

GROUND = ClassInfo(id=0, name="background", colour="#000000")
HOUSE = ClassInfo(id=1, name="building", colour="#ffb000", kind="thing")
POOL = ClassInfo(id=2, name="pool", colour="#0000ff", kind="thing")
SMALL = {"encoder": "tu-mobilenetv3_small_050", "decoder_channels": (16, 16, 16, 8, 8)}


def unet(classes):
    return toy_card(architecture="unet", arguments=SMALL, divisor=32, activation="softmax", tile_size=64).model_copy(
        update={"classes": classes}
    )


@pytest.fixture
def base(tmp_path):
    card = unet(ClassSet(classes=(GROUND, HOUSE)))
    torch.manual_seed(3)
    save_bundle(tmp_path / "base.safetensors", network_of(card), card, half=False)
    return load_model(tmp_path / "base.safetensors")


def test_the_same_classes_start_from_every_weight(base):
    network, said = start(base.card, ModelOptions(), base, seed=0)
    for name, tensor in base.module.state_dict().items():
        assert torch.equal(network.state_dict()[name], tensor), name
    assert "all of its weights" in said
    assert network.training


def test_the_head_keeps_the_channels_of_classes_that_both_have(base):
    card = unet(ClassSet(classes=(GROUND, POOL, HOUSE)))
    network, said = start(card, ModelOptions(), base, seed=0)
    known, own = base.module.state_dict(), network.state_dict()
    aware = class_aware(card)
    assert aware == {"segmentation_head.0.weight", "segmentation_head.0.bias"}
    for name in known.keys() - aware:
        assert torch.equal(own[name], known[name]), name
    for name in aware:
        assert torch.equal(own[name][0], known[name][0])  # ground
        assert torch.equal(own[name][2], known[name][1])  # building
    assert not torch.equal(own["segmentation_head.0.weight"][1], known["segmentation_head.0.weight"][1])
    assert "all but 2" in said


def test_classes_in_another_order_are_told_apart(base):
    card = unet(
        ClassSet(classes=(HOUSE.model_copy(update={"id": 0}), GROUND.model_copy(update={"id": 1})), background=1)
    )
    own, known = start(card, ModelOptions(), base, seed=0)[0].state_dict(), base.module.state_dict()
    head = "segmentation_head.0.weight"
    assert torch.equal(own[head], known[head].flip(0))


def test_a_separator_is_new_and_the_rest_is_kept(base):
    card = unet(with_separator(base.card.classes, SeparatorOptions(kind="boundary")))
    own, known = start(card, ModelOptions(), base, seed=0)[0].state_dict(), base.module.state_dict()
    head = "segmentation_head.0.weight"
    assert torch.equal(own[head][:2], known[head])


def test_random_weights_follow_the_seed_and_leave_the_callers_random_numbers():
    card = unet(ClassSet(classes=(GROUND, HOUSE)))
    torch.manual_seed(11)
    before = torch.random.get_rng_state()
    first, said = start(card, ModelOptions(encoder_weights="none"), None, seed=5)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(12)
    second, _ = start(card, ModelOptions(encoder_weights="none"), None, seed=5)
    other, _ = start(card, ModelOptions(encoder_weights="none"), None, seed=6)
    head = "segmentation_head.0.weight"
    assert torch.equal(first.state_dict()[head], second.state_dict()[head])
    assert not torch.equal(first.state_dict()[head], other.state_dict()[head])
    assert said == "random weights"


def test_encoder_weights_come_from_a_file(base, tmp_path):
    card = base.card
    donor = network_of(card)
    path = tmp_path / "encoder.pt"
    torch.save(donor.encoder.state_dict(), path)
    network, said = start(card, ModelOptions(encoder_weights=str(path)), None, seed=0)
    for name, tensor in donor.encoder.state_dict().items():
        assert torch.equal(network.encoder.state_dict()[name], tensor), name
    assert str(path) in said
