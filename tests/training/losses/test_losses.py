import math

import pytest
import segmentation_models_pytorch as smp
import torch
from torch.nn import functional
from torchvision.ops import sigmoid_focal_loss

from geoseg.core.classes import ClassInfo, ClassSet
from geoseg.errors import SpecError, UnknownNameError
from geoseg.training.losses import class_weights, make_loss
from geoseg.training.options import LossOptions, LossTerm
from tests.training.windows import building_classes

CLASSES = building_classes()  # four channels with softmax, three with sigmoid
EVEN = ClassSet(classes=CLASSES.classes, background=None)


def value(
    name, logits, target, *, classes=CLASSES, activation="softmax", weights=None, edges=None, smoothing=0.0, **term
):
    options = LossOptions(terms=(LossTerm(name=name, **term),), label_smoothing=smoothing)
    (loss,) = make_loss(options, classes, weights, activation)(logits, target, edges).values()
    return loss


def sample(channels=4, unknown=True, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(2, channels, 6, 5, generator=generator)
    target = torch.randint(0, 4, (2, 6, 5), generator=generator)
    if unknown:
        target[0, :2] = 255
    return logits, target


def near(found, expected):
    assert float(found) == pytest.approx(float(expected), rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("unknown", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weights", [None, torch.tensor([1.0, 2.0, 0.5, 3.0])])
def test_cross_entropy_is_torchs(unknown, smoothing, weights):
    logits, target = sample(unknown=unknown)
    expected = functional.cross_entropy(logits, target, weights, ignore_index=255, label_smoothing=smoothing)
    near(value("cross-entropy", logits, target, weights=weights, smoothing=smoothing), expected)


def sigmoid_truth(target):
    """What channels 0, 1 and 2 should say, (window, channel, y, x), where 3 is the background."""
    return functional.one_hot(target.clamp_max(3), 4)[..., :3].permute(0, 3, 1, 2).float()


@pytest.mark.parametrize("weights", [None, torch.tensor([1.0, 2.0, 0.5])])
def test_sigmoid_cross_entropy_is_torchs(weights):
    logits, target = sample(3)
    pos_weight = None if weights is None else weights.view(3, 1, 1)
    all_of_them = functional.binary_cross_entropy_with_logits(
        logits, sigmoid_truth(target), pos_weight=pos_weight, reduction="none"
    )
    expected = all_of_them.mean(1)[target != 255].mean()
    near(value("cross-entropy", logits, target, activation="sigmoid", weights=weights), expected)


def test_sigmoid_focal_is_torchvisions():
    logits, target = sample(3)
    each = sigmoid_focal_loss(logits, sigmoid_truth(target), alpha=-1, gamma=1.5)
    near(value("focal", logits, target, activation="sigmoid", gamma=1.5), each.mean(1)[target != 255].mean())


def test_focal_weighs_by_what_is_missing():
    logits = torch.log(torch.tensor([0.8, 0.1, 0.05, 0.05])).view(1, 4, 1, 1).repeat(1, 1, 1, 2)
    target = torch.tensor([[[0, 1]]])
    expected = (-math.log(0.8) * 0.2**2 - math.log(0.1) * 0.9**2) / 2
    near(value("focal", logits, target, gamma=2.0), expected)
    near(value("focal", logits, target, gamma=0.0), functional.cross_entropy(logits, target))


@pytest.mark.parametrize("unknown", [False, True])
def test_dice_is_smps(unknown):
    logits, target = sample(unknown=unknown)
    expected = smp.losses.DiceLoss("multiclass", classes=[1, 2, 3], ignore_index=255)(logits, target)
    near(value("dice", logits, target), expected)


def test_dice_by_hand():
    scores = torch.tensor([[0.9, 0.2], [0.1, 0.8]])  # of background and building, at two pixels
    classes = ClassSet(classes=CLASSES.classes[:2])
    logits, target = scores.log().view(1, 2, 1, 2), torch.tensor([[[0, 1]]])
    near(value("dice", logits, target, classes=classes), 1 - 2 * 0.8 / (0.9 + 1))
    near(
        value("tversky", logits, target, classes=classes, alpha=0.3, beta=0.7), 1 - 0.8 / (0.8 + 0.3 * 0.1 + 0.7 * 0.2)
    )


def test_tversky_is_smps():
    logits, target = sample()
    expected = smp.losses.TverskyLoss("multiclass", classes=[1, 2, 3], ignore_index=255, alpha=0.3, beta=0.7)
    near(value("tversky", logits, target, alpha=0.3, beta=0.7), expected(logits, target))


def test_regions_leave_out_classes_that_do_not_occur():
    logits, target = sample(unknown=False)
    target = target.clamp_max(1)
    near(value("dice", logits, target), smp.losses.DiceLoss("multiclass", classes=[1])(logits, target))
    assert float(value("dice", logits, torch.zeros_like(target))) == 0


@pytest.mark.parametrize("unknown", [False, True])
def test_lovasz_softmax_is_smps(unknown):
    logits, target = sample(unknown=unknown)
    expected = smp.losses.LovaszLoss("multiclass", ignore_index=255)(logits, target)
    near(value("lovasz", logits, target, classes=EVEN), expected)


def test_lovasz_of_hard_answers_is_the_jaccard_loss():
    target = torch.tensor([[[0, 1, 1, 1, 0, 255]]])
    said = torch.tensor([1, 1, 1, 0, 0, 1])
    logits = 100 * functional.one_hot(said, 2).float().T.reshape(1, 2, 1, 6)
    near(value("lovasz", logits, target, classes=ClassSet(classes=CLASSES.classes[:2])), 1 - 2 / 4)


@pytest.mark.parametrize("unknown", [False, True])
def test_lovasz_hinge_is_smps(unknown):
    logits, target = sample(1, unknown=unknown)
    classes = ClassSet(classes=CLASSES.classes[:2])
    binary = torch.where(target == 255, 255, (target > 1).long())
    expected = smp.losses.LovaszLoss("binary", ignore_index=255)(
        logits[:, 0], (binary == 0).long() + 255 * (binary == 255)
    )
    near(value("lovasz", logits, binary, classes=classes, activation="sigmoid"), expected)


def test_the_hardest_pixels_alone():
    logits, target = sample()
    each = functional.cross_entropy(logits, target, reduction="none", ignore_index=255)[target != 255]
    expected = each.sort(descending=True).values[: round(0.25 * len(each))].mean()
    near(value("cross-entropy", logits, target, hardest=0.25), expected)


def test_pixels_near_edges_count_more():
    logits, target = sample(unknown=True)
    edges = torch.rand(target.shape) * 4
    edges[1, 0] = torch.inf
    weights = (1 + 3 * (1 - edges / 2).clamp_min(0)) * (target != 255)
    each = functional.cross_entropy(logits, target, reduction="none", ignore_index=255)
    near(value("cross-entropy", logits, target, edges=edges, edge=3, edge_m=2), (each * weights).sum() / weights.sum())
    scores, truth = logits.softmax(1), functional.one_hot(target.clamp_max(4), 5)[..., :4].permute(0, 3, 1, 2)
    weights = weights[:, None]
    hit = (scores * truth * weights).sum((0, 2, 3))
    whole = (scores * weights).sum((0, 2, 3)) + (truth * weights).sum((0, 2, 3))
    near(value("dice", logits, target, edges=edges, edge=3, edge_m=2), (1 - 2 * hit / whole)[1:].mean())


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
@pytest.mark.parametrize("name", ["cross-entropy", "focal", "dice", "tversky", "lovasz"])
def test_unknown_pixels_have_no_say_and_known_ones_do(name, activation):
    logits, target = sample(4 if activation == "softmax" else 3)
    logits.requires_grad_()
    loss = value(name, logits, target, activation=activation)
    loss.backward()
    assert torch.isfinite(loss)
    assert not logits.grad[0, :, :2].any()
    assert logits.grad[0, :, 2:].any()


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_a_batch_that_nobody_knows_gives_nothing_to_learn(activation):
    logits = sample(4 if activation == "softmax" else 3)[0].requires_grad_()
    terms = tuple(LossTerm(name=n) for n in ("cross-entropy", "focal", "dice", "tversky", "lovasz"))
    losses = make_loss(LossOptions(terms=terms), CLASSES, None, activation)(logits, torch.full((2, 6, 5), 255))
    total = sum(losses.values())
    total.backward()
    assert total.item() == 0
    assert not logits.grad.any()


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
@pytest.mark.parametrize("name", ["cross-entropy", "focal", "dice", "tversky", "lovasz"])
def test_every_term_can_be_learnt_from(name, activation):
    logits, target = sample(4 if activation == "softmax" else 3)
    logits = torch.nn.Parameter(0.1 * logits)
    optimizer = torch.optim.Adam([logits], 0.3)
    for _ in range(60):
        optimizer.zero_grad()
        loss = value(name, logits, target, activation=activation, classes=EVEN if activation == "softmax" else CLASSES)
        loss.backward()
        optimizer.step()
    best = logits.argmax(1) if activation == "softmax" else torch.where(logits.amax(1) > 0, logits.argmax(1), 3)
    known = target != 255
    assert (best == target)[known].float().mean() > 0.95


def test_terms_are_weighted_and_named():
    logits, target = sample()
    terms = (
        LossTerm(name="dice", weight=2.0),
        LossTerm(name="cross-entropy"),
        LossTerm(name="dice", edge=2.0, edge_m=3.0),
    )
    loss = make_loss(LossOptions(terms=terms, label_smoothing=0), CLASSES)
    assert loss.reach_m == 3.0
    found = loss(logits, target, torch.full(target.shape, torch.inf))
    assert list(found) == ["dice", "cross-entropy", "dice-2"]
    near(found["dice"], 2 * value("dice", logits, target))
    near(found["dice-2"], value("dice", logits, target))
    assert make_loss(LossOptions(), CLASSES).reach_m == 0


def test_half_precision_is_counted_in_full():
    logits, target = sample()
    half = value("cross-entropy", logits.bfloat16(), target)
    assert half.dtype == torch.float32
    near(half, functional.cross_entropy(logits.bfloat16().float(), target, ignore_index=255))


def test_what_cannot_be_is_refused():
    with pytest.raises(SpecError, match="activation"):
        make_loss(LossOptions(), CLASSES, None, "none")
    with pytest.raises(SpecError, match="edge"):
        make_loss(LossOptions(terms=(LossTerm(name="lovasz", edge=1.0),)), CLASSES)
    with pytest.raises(SpecError, match="hardest"):
        make_loss(LossOptions(terms=(LossTerm(name="dice", hardest=0.5),)), CLASSES)
    with pytest.raises(SpecError, match="4 channels"):
        make_loss(LossOptions(), CLASSES, torch.ones(3))


def test_class_weights():
    ids = (0, 4, 7, 9)
    assert class_weights(LossOptions(), CLASSES, ids, {}) is None
    balanced = class_weights(LossOptions(class_weights="balanced"), CLASSES, ids, {0: 600, 4: 290, 9: 10})
    torch.testing.assert_close(balanced, torch.tensor([0.5**0.5, (300 / 290) ** 0.5, 1.0, 30**0.5]))
    rare = class_weights(LossOptions(class_weights="balanced"), CLASSES, ids, {0: 10**6, 4: 1})
    assert float(rare[1]) == 10
    named = class_weights(LossOptions(class_weights={"building": 3.0}), CLASSES, (4, 7, 9), {})
    assert named.tolist() == [3, 1, 1]
    with pytest.raises(UnknownNameError, match="building"):
        class_weights(LossOptions(class_weights={"bulding": 3.0}), CLASSES, ids, {})


def test_classes_of_one_kind_without_background():
    classes = ClassSet(classes=(ClassInfo(id=0, name="field", colour="#000000"),))
    logits, target = torch.randn(1, 1, 2, 2), torch.zeros(1, 2, 2, dtype=torch.int64)
    near(value("dice", logits, target, classes=classes), 0.0)
