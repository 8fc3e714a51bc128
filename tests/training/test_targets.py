import pytest
import torch

from geoseg.core.classes import ClassInfo, ClassSet
from geoseg.errors import SpecError
from geoseg.training.options import SeparatorOptions
from geoseg.training.targets import edge_distances, object_targets, semantic_target, separator_pixels
from tests.toy import toy_card
from tests.training.windows import building_classes, make_batch

SOFTMAX = (0, 4, 7, 9)


def marked(row, kind, width=1.0, resolution=1.0):
    batch = make_batch(torch.tensor(row)[None, None], resolution=resolution)
    pixels = separator_pixels(batch, SeparatorOptions(kind=kind, width_m=width))
    return "".join("x" if p else "." for p in pixels[0, 0].tolist())


def test_channels_of_softmax_and_sigmoid():
    batch = make_batch(torch.zeros(1, 1, 5))
    batch.classes[0, 0] = torch.tensor([0, 4, 9, 255, 7])
    classes = building_classes()
    assert semantic_target(batch, classes, None, SOFTMAX)[0, 0].tolist() == [0, 1, 3, 255, 2]
    assert semantic_target(batch, classes, None, (4, 9))[0, 0].tolist() == [2, 0, 1, 255, 255]


def test_boundary_is_the_inner_rim_and_the_window_cuts_no_object():
    #              edge of the window: nothing known to end there
    assert marked([1, 1, 1, 0, 0, 2, 2, 2, 2, 0], "boundary") == "..x..x..x."
    assert marked([1, 1, 1, 2, 2, 2], "boundary") == "..xx.."
    assert marked([0, 1, 1, 1, 1, 1, 1, 0], "boundary", width=2.0) == ".xx..xx."


def test_contact_lies_within_the_width_of_two_objects():
    assert marked([1, 1, 1, 2, 2, 2], "contact") == "..xx.."
    assert marked([1, 1, 0, 2, 2, 2], "contact") == "..x..."
    assert marked([1, 1, 0, 0, 2, 2], "contact") == "......"
    assert marked([1, 1, 0, 0, 0, 2, 2], "contact", width=2.0) == "...x..."  # 1 m and 3 m are not within 2 m of both
    assert marked([1, 1, 0, 0, 0, 0, 1, 1], "contact", width=3.0) == "........"  # one object on both sides
    assert marked([0, 1, 1, 0, 2, 2, 0, 0], "both") == ".xxxxx.."


def test_widths_are_metres_and_a_pixel_at_least():
    row = [0, *[1] * 8, 0]
    assert marked(row, "boundary", width=1.0, resolution=0.5) == ".xx....xx."
    assert marked(row, "boundary", width=1.0, resolution=4.0) == ".x......x."


def test_windows_of_one_batch_have_their_own_resolution():
    batch = make_batch(torch.tensor([[[0, 1, 1, 1, 1, 1, 1, 0]]] * 2))
    batch.resolution[1] = 0.5
    pixels = separator_pixels(batch, SeparatorOptions(kind="boundary", width_m=1.0))
    assert pixels[:, 0].sum(1).tolist() == [2, 4]


def test_unknown_ground_ends_nothing_and_stays_unknown():
    batch = make_batch(torch.tensor([[[1, 1, 1, 0, 0]]]))
    batch.classes[0, 0, 3] = 255
    target = semantic_target(batch, building_classes(), SeparatorOptions(kind="both"), SOFTMAX)
    assert target[0, 0].tolist() == [1, 1, 1, 255, 0]


def test_separator_lies_over_the_classes():
    batch = make_batch(torch.tensor([[[0, 1, 1, 1, 0, 2, 2, 2]]]))
    separator = SeparatorOptions(kind="contact", width_m=1.0)
    assert semantic_target(batch, building_classes(), separator, SOFTMAX)[0, 0].tolist() == [0, 1, 1, 1, 2, 1, 1, 1]
    with pytest.raises(SpecError, match="name it as the separator"):
        semantic_target(batch, building_classes(separator=False), separator, SOFTMAX)


def test_edges_are_as_far_as_said_in_metres():
    batch = make_batch(torch.tensor([[[0, 0, 0, 0, 1, 1]]]), resolution=0.5)
    assert edge_distances(batch, 1.0)[0, 0].tolist() == [torch.inf, torch.inf, 0.75, 0.25, 0.25, 0.75]
    assert torch.isinf(edge_distances(make_batch(torch.zeros(1, 2, 2)), 5.0)).all()


def thing_card(kind):
    classes = [
        ClassInfo(id=0, name="background", colour="#000000"),
        ClassInfo(id=4, name="building", colour="#ff0000", kind="thing"),
        ClassInfo(id=5, name="tree", colour="#00ff00", kind="thing"),
    ]
    water = [ClassInfo(id=9, name="water", colour="#0000ff")] if kind == "panoptic" else []
    return toy_card(kind="one-hot").model_copy(
        update={"kind": kind, "classes": ClassSet(classes=tuple(classes + water)), "activation": "softmax"}
    )


def test_objects_have_masks_and_labels():
    batch = make_batch(torch.tensor([[[9, 9, 0, 3, 3], [9, 0, 0, 6, 6]], [[0, 0, 0, 0, 0], [0, 0, 0, 0, 0]]]))
    batch.classes[0, :, 3:] = torch.tensor([[5, 5], [255, 255]])  # a tree, and something that nobody knows
    first, second = object_targets(batch, thing_card("instance"))
    assert first.labels.tolist() == [1, 0]  # in the order of their numbers
    assert first.masks.int().tolist() == [[[0, 0, 0, 1, 1], [0, 0, 0, 0, 0]], [[1, 1, 0, 0, 0], [1, 0, 0, 0, 0]]]
    assert first.stuff is None
    assert second.masks.shape == (0, 2, 5)
    assert second.masks.dtype == torch.bool
    assert second.labels.shape == (0,)
    assert second.labels.dtype == torch.int64


def test_panoptic_targets_hold_the_stuff():
    batch = make_batch(torch.tensor([[[0, 1, 1, 0, 0]]]))
    batch.classes[0, 0] = torch.tensor([9, 4, 4, 0, 255])
    (target,) = object_targets(batch, thing_card("panoptic"))
    assert target.stuff.tolist() == [[1, 255, 255, 0, 255]]
    assert target.labels.tolist() == [0]


def test_an_object_of_two_classes_is_of_the_larger():
    batch = make_batch(torch.tensor([[[1, 1, 1, 0]]]))
    batch.classes[0, 0] = torch.tensor([5, 4, 4, 0])
    (target,) = object_targets(batch, thing_card("instance"))
    assert target.labels.tolist() == [0]
    assert target.masks.int().tolist() == [[[1, 1, 1, 0]]]
