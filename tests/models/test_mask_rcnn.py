"""Mask R-CNN is torchvision's: its weights load by name and give its answers; trained on two squares, it finds them."""

import pytest
import torch
from torchvision.models import detection

from geoseg.models import create_model
from geoseg.models.instance.regions import region_targets
from tests.models.drawn import SQUARES, drawn, empty_target
from tests.models.object_networks import small

PUBLISHED = {1: detection.maskrcnn_resnet50_fpn, 2: detection.maskrcnn_resnet50_fpn_v2}


def published(version, **options):
    """torchvision's own network with random weights, told neither to resize nor to normalise."""
    return PUBLISHED[version](
        weights=None,
        weights_backbone=None,
        num_classes=2,
        image_mean=[0.0] * 3,
        image_std=[1.0] * 3,
        min_size=64,
        max_size=64,
        rpn_pre_nms_top_n_test=20,
        rpn_post_nms_top_n_test=20,
        box_detections_per_img=10,
        box_nms_thresh=0.5,
        **options,
    )


def overlap(box, other):
    """Intersection over union of two boxes."""
    left, top, right, bottom = (
        max(box[0], other[0]),
        max(box[1], other[1]),
        min(box[2], other[2]),
        min(box[3], other[3]),
    )
    shared = max(0, right - left) * max(0, bottom - top)
    return shared / ((box[2] - box[0]) * (box[3] - box[1]) + (other[2] - other[0]) * (other[3] - other[1]) - shared)


@pytest.mark.parametrize("version", [1, 2])
def test_torchvisions_weights_load_by_name_and_give_its_objects(version):
    torch.manual_seed(2)
    theirs = published(version).eval()
    ours = create_model("mask-rcnn", in_channels=3, classes=1, version=version, proposals=20, detections=10).eval()
    ours.load_state_dict(theirs.state_dict(), strict=True)
    found: list[dict[str, torch.Tensor]] = []
    for network in (theirs, ours):
        network.roi_heads.register_forward_hook(lambda module, inputs, answer: found.append(dict(answer[0][0])))
    chip = torch.rand(3, 64, 64)
    with torch.inference_mode():
        theirs([chip])
        objects = ours(chip[None]).objects[0]
    expected, answered = found
    assert len(expected["scores"]) > 0
    assert expected.keys() == answered.keys()
    for what, values in expected.items():
        assert torch.allclose(answered[what].float(), values.float(), atol=1e-4), what
    kept = torch.isin(expected["scores"], objects.scores)
    assert torch.equal(objects.labels, expected["labels"][kept] - 1)


def test_weights_with_the_old_names_and_frozen_statistics_load_too():
    old = published(1).state_dict()
    for name in list(old):
        if name.endswith("num_batches_tracked"):
            del old[name]
        for new, before in (("mask_head.0.0", "mask_head.mask_fcn1"), ("rpn.head.conv.0.0", "rpn.head.conv")):
            if new in name:
                old[name.replace(new, before)] = old.pop(name)
    plain = dict(old)
    network = create_model("mask-rcnn", in_channels=3, classes=1, version=1, norm="frozen", epsilon=0.0)
    assert network.encoder.bn1.eps == 0
    network.load_state_dict(plain, strict=True)
    batch = create_model("mask-rcnn", in_channels=3, classes=1, version=1)
    batch.load_state_dict(plain, strict=True)
    assert torch.equal(batch.encoder.layer1[0].conv1.weight, network.encoder.layer1[0].conv1.weight)


def test_frozen_statistics_stay():
    torch.manual_seed(0)
    network = small("mask-rcnn", norm="frozen").train()
    before = network.encoder.bn1.running_mean.clone()
    chips, targets = drawn()
    sum(network.losses(chips, targets).values()).backward()
    assert torch.equal(network.encoder.bn1.running_mean, before)
    assert network.encoder.conv1.weight.grad.abs().sum() > 0


def test_targets_hold_boxes_around_the_pixels_and_labels_from_one():
    _, targets = drawn()
    targets[0].masks[1] = False
    targets[0].masks[1, 3, 5] = True
    first, second = region_targets([targets[0], empty_target()], torch.device("cpu"))
    assert first["boxes"].tolist() == [list(SQUARES[0]), [5, 3, 6, 4]]
    assert first["boxes"].dtype == torch.float32
    assert first["labels"].tolist() == [1, 2]
    assert second["boxes"].shape == (0, 4)
    targets[0].masks[1] = False
    assert region_targets(targets, torch.device("cpu"))[0]["labels"].tolist() == [1], "no pixel, no object"


@pytest.mark.slow
def test_squares_are_found_after_training_on_them():
    torch.manual_seed(0)
    network = small("mask-rcnn").train()
    chips, targets = drawn()
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-4)
    for _ in range(120):
        loss = sum(network.losses(chips, targets).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.inference_mode():
        first, second = network.eval()(chips).objects
    for square, label in zip(SQUARES, (0, 1), strict=True):
        sure = [
            i
            for i in range(len(first.scores))
            if first.scores[i] > 0.5 and overlap(first.boxes[i].tolist(), square) > 0.7
        ]
        assert [first.labels[i].item() for i in sure] == [label]
    assert not (second.scores > 0.5).any()
