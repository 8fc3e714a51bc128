"""Networks that find objects: their answers reach the caller, and wrong ones are told."""

import pytest
import torch
from torch import nn

from geoseg.core.card import ModelCard
from geoseg.core.classes import ClassInfo, ClassSet
from geoseg.errors import ModelError, SpecError
from geoseg.inference.device import choose
from geoseg.inference.network import Augmentation, Network
from geoseg.models.answers import Answer, Objects
from geoseg.models.verification import run_zeros
from tests.toy import toy_card


def _card(kind: str) -> ModelCard:
    classes = [("ground", "stuff"), ("house", "thing"), ("tree", "thing")]
    listed = tuple(ClassInfo(id=i, name=name, colour=f"#00000{i}", kind=what) for i, (name, what) in enumerate(classes))
    values = toy_card().model_dump() | {"kind": kind, "classes": ClassSet(classes=listed), "activation": "softmax"}
    return ModelCard.model_validate(values)


class Finder(nn.Module):
    """One object in every chip; `changes` spoil it."""

    def __init__(self, kind, **changes):
        super().__init__()
        self.kind, self.changes = kind, changes

    def forward(self, chips):
        if "fails" in self.changes:
            raise self.changes["fails"]
        parts = {
            "boxes": torch.tensor([[1, 2, 5, 4]]),
            "labels": torch.tensor([1]),
            "scores": torch.tensor([0.75], dtype=torch.float64),
            "masks": [torch.ones(2, 4, dtype=torch.bool)],
        }
        scores = self.changes.get("stuff", torch.full((len(chips), 1, *chips.shape[2:]), 0.5, dtype=torch.bfloat16))
        found = Objects(**{**parts, **{k: v for k, v in self.changes.items() if k in parts}})
        return Answer([found] * self.changes.get("chips", len(chips)), scores if self.kind == "panoptic" else None)


def _network(kind, augmentation=None, **changes):
    compute = choose("cpu", "fp32", 1)
    return Network(Finder(kind, **changes), _card(kind), compute, augmentation or Augmentation())


@pytest.mark.parametrize("kind", ["instance", "panoptic"])
def test_objects_come_back(kind):
    answer = _network(kind).answer(torch.zeros(2, 3, 64, 64))
    assert len(answer.objects) == 2
    assert answer.objects[0].scores.dtype == torch.float32
    detections = answer.objects[1].detections(_card(kind).object_ids)
    assert detections.class_ids.tolist() == [2]
    assert detections.boxes.tolist() == [[1, 2, 5, 4]]
    if kind == "panoptic":
        assert answer.scores.dtype == torch.float32
        assert answer.scores.shape == (2, 1, 64, 64)
    else:
        assert answer.scores is None
    run_zeros(Finder(kind), _card(kind))


@pytest.mark.parametrize("asked", [Augmentation("flips"), Augmentation("none", (0.5, 1.0))])
def test_augmentation_is_refused(asked):
    with pytest.raises(SpecError, match=r"--tta, --scales"):
        _network("instance", asked).answer(torch.zeros(1, 3, 64, 64))


@pytest.mark.parametrize(
    ("kind", "changes", "said"),
    [
        ("instance", {"chips": 3}, "the objects of 3 chips; expected those of 1"),
        ("instance", {"labels": torch.tensor([2])}, "label 2; expected labels from 0 to 1"),
        ("instance", {"labels": torch.tensor([-1])}, "label -1; expected"),
        ("instance", {"labels": torch.tensor([[1]])}, r"labels \(1, 1\)"),
        ("instance", {"labels": torch.tensor([1.0])}, "labels of torch.float32; expected whole"),
        ("instance", {"boxes": torch.tensor([[1.0, 2, 5, 4]])}, "boxes of torch.float32; expected whole"),
        ("instance", {"boxes": torch.tensor([[61, 2, 65, 4]])}, r"a box \[61, 2, 65, 4\].*in chips of 64 x 64"),
        ("instance", {"boxes": torch.tensor([[1, -2, 5, 0]])}, r"a box \[1, -2, 5, 0\]"),
        ("instance", {"boxes": torch.tensor([[1, 2, 1, 4]])}, r"a box \[1, 2, 1, 4\]"),
        ("instance", {"masks": [torch.ones(4, 2, dtype=torch.bool)]}, r"a mask \(4, 2\).*expected a mask \(2, 4\)"),
        ("instance", {"masks": [torch.ones(2, 4)]}, "a mask of torch.float32; expected masks of torch.bool"),
        ("instance", {"masks": []}, "1,\\) and 0 masks"),
        ("instance", {"scores": torch.tensor([1.75])}, "score 1.75; expected scores from 0 to 1"),
        ("instance", {"scores": torch.tensor([1])}, "scores of torch.int64"),
        ("instance", {"fails": RuntimeError("boom")}, r"fails on chips \(1, 3, 64, 64\).*boom"),
        ("panoptic", {"stuff": None}, "returned scores None"),
        ("panoptic", {"stuff": torch.zeros(1, 2, 64, 64)}, r"returned scores \(1, 2, 64, 64\)"),
    ],
)
def test_wrong_answers_are_told(kind, changes, said):
    with pytest.raises(ModelError, match=said):
        _network(kind, **changes).answer(torch.zeros(1, 3, 64, 64))


@pytest.mark.parametrize(
    ("kind", "changes", "said"),
    [
        ("instance", {"chips": 2}, "objects of 2 chips; expected an Answer with the objects of 1"),
        ("instance", {"labels": torch.tensor([2])}, "labels reach from 2 to 2; expected 0 to 1"),
        ("instance", {"labels": torch.tensor([-1])}, "labels reach from -1"),
        ("instance", {"boxes": torch.tensor([[61, 2, 65, 4]])}, "boxes leave the chip of 64 x 64"),
        ("instance", {"boxes": torch.tensor([[1, -2, 5, 0]])}, "boxes leave the chip"),
        ("instance", {"boxes": torch.tensor([[1, 2, 1, 4]])}, "boxes are empty"),
        ("instance", {"masks": [torch.ones(4, 2, dtype=torch.bool)]}, "masks are not of their boxes' sizes"),
        ("instance", {"masks": []}, "1 scores come with boxes of shape"),
        ("instance", {"scores": torch.tensor([1.5])}, "scores are not between 0 and 1"),
        ("panoptic", {"stuff": torch.full((1, 1, 64, 64), 2.0)}, "scores from 2 to 2; expected 0 to 1"),
        ("panoptic", {"stuff": torch.zeros(1, 1, 32, 32)}, r"shape \[1, 1, 32, 32\]"),
    ],
)
def test_verification_finds_what_is_wrong(kind, changes, said):
    with pytest.raises(ModelError, match=said):
        run_zeros(Finder(kind, **changes), _card(kind))
