"""Networks that find objects: every one takes any bands, answers alike alone and in a batch, learns, can be bundled."""

import numpy as np
import pytest
import torch
from torch import nn

import geoseg
from geoseg.errors import ModelError, UnknownNameError
from geoseg.models import create_model, load_model, save_bundle
from geoseg.models.answers import Answer, ObjectNetwork, Objects
from geoseg.models.network import skeleton_of
from tests.factory import make_raster
from tests.models.drawn import SIDE, drawn, empty_target
from tests.models.object_networks import INSTANCE, NAMES, PANOPTIC, small, small_card

QUICK = ("mask2former-instance", "maskformer")  # one of each kind runs on a scene whenever tests run


def check(objects: Objects, height: int, width: int) -> None:
    """Raise AssertionError unless the objects are what Objects promises."""
    count = len(objects.labels)
    assert objects.boxes.shape == (count, 4)
    assert objects.boxes.dtype == objects.labels.dtype == torch.int64
    assert objects.scores.shape == (count,)
    assert objects.scores.dtype == torch.float32
    assert len(objects.masks) == count
    assert ((objects.scores >= 0) & (objects.scores <= 1)).all()
    assert (objects.scores.diff() <= 0).all(), "the best objects come first"
    assert ((objects.labels >= 0) & (objects.labels < 2)).all()
    for (left, top, right, bottom), mask in zip(objects.boxes.tolist(), objects.masks, strict=True):
        assert 0 <= left < right <= width
        assert 0 <= top < bottom <= height
        assert mask.shape == (bottom - top, right - left)
        assert mask.dtype == torch.bool
        for side in (mask[0], mask[-1], mask[:, 0], mask[:, -1]):
            assert side.any(), "the box is as tight as can be"


def same(one: Objects, other: Objects) -> None:
    """Raise AssertionError unless the objects are equal, but for the last bits of scores."""
    assert torch.equal(one.boxes, other.boxes)
    assert torch.equal(one.labels, other.labels)
    assert torch.allclose(one.scores, other.scores, atol=1e-4)
    for mask, wanted in zip(one.masks, other.masks, strict=True):
        assert torch.equal(mask, wanted)


def inclined(network: nn.Module) -> nn.Module:
    """The network, more inclined to see things where it has queries: random ones may see none."""
    if hasattr(network, "network"):
        network.network.class_predictor.bias.data[-3] += 3  # the first kind of things: before the second and "nothing"
    return network


@pytest.mark.parametrize(
    ("architecture", "bands"),
    [(name, bands) for name in NAMES for bands in ((1, 4, 13) if name in (*QUICK, "mask-rcnn") else (13,))],
)
def test_any_bands_give_objects_on_chips_of_any_size(architecture, bands):
    torch.manual_seed(0)
    network = inclined(small(architecture, bands)).eval()
    assert isinstance(network, ObjectNetwork)
    chips = torch.rand(2, bands, 72, 100)  # no multiples of 32
    with torch.inference_mode():
        answer = network(chips)
        again = network(chips)
        alone = [network(chip[None]) for chip in chips]
    assert len(answer.objects) == 2
    assert sum(len(objects.labels) for objects in answer.objects) > 0
    for objects, repeated, single in zip(answer.objects, again.objects, alone, strict=True):
        check(objects, 72, 100)
        same(objects, repeated)
        same(objects, single.objects[0])
    if architecture in INSTANCE:
        assert answer.scores is None
        return
    assert answer.scores.shape == (2, 2, 72, 100)
    assert answer.scores.dtype == torch.float32
    assert ((answer.scores >= 0) & (answer.scores <= 1)).all()
    assert torch.equal(answer.scores, again.scores)
    assert torch.allclose(answer.scores, torch.cat([single.scores for single in alone]), atol=1e-4)


def test_queries_that_see_nothing_become_no_objects():
    torch.manual_seed(0)
    network = small("mask2former-instance").eval()
    network.network.class_predictor.bias.data[-1] += 20
    with torch.inference_mode():
        objects = network(torch.rand(1, 3, SIDE, SIDE)).objects[0]
    check(objects, SIDE, SIDE)
    assert len(objects.labels) == 0
    assert len(objects.detections((3, 4))) == 0


@pytest.mark.parametrize("architecture", NAMES)
def test_half_precision_answers_in_full_and_learns(architecture):
    torch.manual_seed(0)
    stuff = architecture in PANOPTIC
    chips, targets = drawn(stuff=stuff)
    network = small(architecture).eval().to(memory_format=torch.channels_last)
    chips = chips.contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        with torch.inference_mode():
            answer = network(chips)
        losses = network.train().losses(chips, targets)
    for objects in answer.objects:
        check(objects, SIDE, SIDE)
    assert not stuff or answer.scores.dtype == torch.float32
    assert all(loss.isfinite() for loss in losses.values())


@pytest.mark.parametrize("architecture", NAMES)
def test_chips_without_objects_teach_that_there_are_none(architecture):
    torch.manual_seed(0)
    network = small(architecture).train()
    chips = torch.rand(2, 3, SIDE, SIDE)
    nobody = torch.full((SIDE, SIDE), 255) if architecture in PANOPTIC else None
    losses = network.losses(chips, [empty_target(stuff=nobody)] * 2)
    total = sum(losses.values())
    total.backward()
    assert total > 0
    assert all(loss.isfinite() and not loss.shape for loss in losses.values())
    assert all(p.grad is None or p.grad.isfinite().all() for p in network.parameters())
    assert all(buffer.isfinite().all() for buffer in network.buffers())


@pytest.mark.parametrize("architecture", NAMES)
def test_a_few_steps_of_training_lower_the_loss(architecture):
    torch.manual_seed(0)
    network = small(architecture).train()
    chips, targets = drawn(stuff=architecture in PANOPTIC)
    regions = architecture in ("mask-rcnn", "panoptic-fpn")
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-4 if regions else 1e-3)
    losses = []
    for _ in range(3 if regions else 8):
        loss = sum(network.losses(chips, targets).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert min(losses[1:]) < 0.95 * losses[0]


@pytest.mark.parametrize("architecture", NAMES)
def test_bundled_networks_answer_as_before(tmp_path, architecture):
    torch.manual_seed(1)
    card = small_card(architecture, 5)
    network = inclined(small(architecture, 5)).eval()
    save_bundle(tmp_path / "model.safetensors", network, card, half=False)
    loaded = load_model(tmp_path / "model.safetensors")
    assert loaded.card == card
    chips = torch.rand(1, 5, SIDE, SIDE)
    with torch.inference_mode():
        same(loaded.module(chips).objects[0], network(chips).objects[0])
    assert sum(p.numel() for p in skeleton_of(card).parameters() if not p.is_meta) < 100, "skeletons take no memory"


@pytest.mark.parametrize(
    ("architecture", "encoder"),
    [
        ("mask2former", "swin_tiny"),
        pytest.param("maskformer", "swin_tiny", marks=pytest.mark.slow),
        pytest.param("mask-rcnn", "resnet50", marks=pytest.mark.slow),
    ],
)
def test_other_encoders_can_be_bundled(tmp_path, architecture, encoder):
    card = small_card(architecture, 4)
    card = card.model_copy(update={"arguments": {**card.arguments, "encoder": encoder}})
    network = small(architecture, 4, encoder=encoder).eval()
    save_bundle(tmp_path / "model.safetensors", network, card)
    with torch.inference_mode():
        answer = load_model(tmp_path / "model.safetensors").module(torch.rand(1, 4, SIDE, SIDE))
    assert isinstance(answer, Answer)


@pytest.mark.parametrize(
    "architecture",
    [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in NAMES],
)
def test_each_runs_on_a_scene(tmp_path, architecture):
    torch.manual_seed(0)
    pixels = np.random.default_rng(0).integers(0, 255, (3, 64, 100), dtype=np.uint8)
    scene = make_raster(tmp_path / "scene.tif", data=pixels)
    named = {"bands": ("red", "green", "blue"), "threshold": 0.06}  # few random objects are surer than that
    card = small_card(architecture).model_copy(update=named)
    save_bundle(tmp_path / "model.safetensors", inclined(small(architecture)), card)
    found = geoseg.predict(scene, load_model(tmp_path / "model.safetensors")).polygons()
    assert len(found) > 0
    assert set(found["class"]) <= {c.name for c in card.classes.foreground}
    numbers = found["instance_id"][found["class_id"].isin(card.object_ids)]
    assert numbers.is_unique
    assert found.area.sum() <= 6400 + 1e-6, "a pixel belongs to one"


@pytest.mark.parametrize(
    ("architecture", "options", "millions"),
    [
        ("mask-rcnn", {"classes": 90, "version": 1}, 44.40),  # torchvision's published counts
        ("mask-rcnn", {"classes": 90, "version": 2}, 46.36),
        ("panoptic-fpn", {"classes": 53, "things": 80}, 46.0),
        ("maskformer", {"classes": 100, "things": 50}, 41.0),  # the paper's, without encoder layers
        ("mask2former", {"classes": 53, "things": 80}, 44.0),
        ("mask2former-instance", {"classes": 80}, 44.0),
    ],
)
def test_networks_are_as_large_as_the_papers_say(architecture, options, millions):
    with torch.device("meta"):
        network = create_model(architecture, encoder="resnet50", in_channels=3, **options)
    assert sum(p.numel() for p in network.parameters()) == pytest.approx(millions * 1e6, rel=0.03)


@pytest.mark.parametrize("architecture", NAMES)
def test_the_encoder_begins_with_the_bands(architecture):
    encoder = small(architecture, 7).encoder
    first = next(layer for layer in encoder.modules() if isinstance(layer, nn.Conv2d))
    assert first.in_channels == 7


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"anchor_sizes": [8, 16]}, "5 levels"),
        ({"anchor_sizes": [8, 16, 32, 64, -1]}, "positive"),
        ({"anchor_ratios": [0.5, 0]}, "positive ratios"),
        ({"version": 3}, "expected 1 or 2"),
        ({"norm": "group"}, "batch, frozen"),
        ({"detections": 0}, "at least one detection"),
        ({"nms": 0}, "above 0"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, expected):
    with pytest.raises(ModelError, match=expected):
        create_model("mask-rcnn", in_channels=3, classes=1, **options)


def test_unknown_encoders_are_refused():
    with pytest.raises(UnknownNameError, match="resnet34"):
        create_model("mask-rcnn", in_channels=3, classes=1, encoder="resnet35")
    with pytest.raises(ModelError, match="multiple of 32"):
        create_model("panoptic-fpn", in_channels=3, classes=1, things=1, semantic_width=48)
