from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from geoseg.core.classes import ClassInfo, ClassSet
from geoseg.errors import MissingExtraError, ModelError, SpecError, WriteError
from geoseg.models import LoadedModel, create_model
from geoseg.models.answers import Answer, Objects
from geoseg.training.fitting import fit
from geoseg.training.fitting.answers import confident, shown_by, without_separator
from geoseg.training.fitting.average import Average
from geoseg.training.fitting.finder import steepest
from geoseg.training.fitting.log import Log
from geoseg.training.fitting.objective import ObjectsObjective
from geoseg.training.fitting.optimizer import encoder_of, optimizer_for, set_rate
from geoseg.training.fitting.pictures import Gallery, Window, coloured, rgb_of
from geoseg.training.fitting.schedule import Moment, Schedule
from geoseg.training.fitting.teaching import Teacher
from geoseg.training.options import DistillationOptions, LoopOptions
from tests.conftest import needed
from tests.toy import toy_classes
from tests.training.fitting.courses import card, course, options, small, squares


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("geoseg.inference.device.cores", lambda: 1)


def test_the_rate_rises_in_a_line_and_falls_as_half_a_cosine() -> None:
    schedule = Schedule(LoopOptions(steps=100, warmup=0.1))
    factors = [schedule.factor(schedule.share(Moment(step, 0.0))) for step in range(100)]
    assert factors[0] == pytest.approx(0.05)
    assert factors[9] == pytest.approx(0.95)
    assert factors[10] == pytest.approx(0.5 * (1 + math.cos(math.pi * 0.005 / 0.9)))
    assert factors[-1] == pytest.approx(0.5 * (1 + math.cos(math.pi * 0.895 / 0.9)))
    assert all(a > b for a, b in itertools.pairwise(factors[10:]))


def test_the_clock_keeps_time_for_a_last_validation() -> None:
    schedule = Schedule(LoopOptions(minutes=1, steps=5))
    assert not schedule.over(Moment(1000, 49.0, 10.0))
    assert schedule.over(Moment(1000, 50.0, 10.0))
    assert not schedule.over(Moment(0, 99.0, 10.0))
    assert schedule.share(Moment(3, 25.0, 10.0)) == pytest.approx(0.5)
    assert schedule.seconds_left(Moment(3, 25.0), 1.0) == pytest.approx(35.0)
    assert Schedule(LoopOptions(steps=5)).seconds_left(Moment(3, 25.0), 2.0) == pytest.approx(4.0)


def test_the_average_forgets_as_it_says() -> None:
    network = torch.nn.BatchNorm1d(1)
    average = Average(network, 0.5, 0.4)
    expected = 1.0
    for step, value in enumerate((3.0, 5.0, -1.0), start=1):
        with torch.no_grad():
            network.weight.fill_(value)
        network.num_batches_tracked.fill_(step)
        average.update(step)
        decay = min(0.5, 1 - 1 / (1 + 0.4 * step))
        expected = decay * expected + (1 - decay) * value
    assert float(average.network.weight) == pytest.approx(expected)
    assert int(average.network.num_batches_tracked) == 3
    plain = Average(network, 0.0, 0.4)
    with torch.no_grad():
        network.weight.fill_(0.3)
    plain.update(1)
    assert torch.equal(plain.network.weight, network.weight)


def test_the_average_looks_back_on_a_share_of_the_steps() -> None:
    network = torch.nn.Linear(1, 1)
    averages = {share: Average(network, 0.9999, share) for share in (0.1, 0.4)}
    for step in range(1, 2001):
        with torch.no_grad():
            network.weight.fill_(float(step))
        for average in averages.values():
            average.update(step)
    behind = {share: 2000 - float(average.network.weight) for share, average in averages.items()}
    assert behind[0.1] == pytest.approx(2000 * 0.1 / 1.1, rel=0.05)
    assert behind[0.4] == pytest.approx(2000 * 0.4 / 1.4, rel=0.05)


def test_the_rate_falls_to_its_floor() -> None:
    schedule = Schedule(LoopOptions(steps=100, warmup=0.1, floor=0.25))
    assert schedule.factor(0.05) == pytest.approx(0.5)
    assert schedule.factor(0.1) == pytest.approx(1.0)
    assert schedule.factor(0.55) == pytest.approx(0.625)
    assert schedule.factor(1.0) == pytest.approx(0.25)


def test_vectors_do_not_decay_and_the_encoder_has_its_own_rate() -> None:
    network = small()
    optimizer = optimizer_for(network, LoopOptions(encoder_factor=0.1, weight_decay=0.3))
    set_rate(optimizer, 0.5)
    told = {
        id(weight): (group["lr"], group["weight_decay"])
        for group in optimizer.param_groups
        for weight in group["params"]
    }
    assert told == {
        id(network.encoder[0].weight): (0.05, 0.3),
        id(network.encoder[0].bias): (0.05, 0.0),
        id(network.encoder[1].weight): (0.05, 0.0),
        id(network.encoder[1].bias): (0.05, 0.0),
        id(network.head.weight): (0.5, 0.3),
        id(network.head.bias): (0.5, 0.0),
    }


def test_the_encoder_is_found_inside_of_other_networks() -> None:
    network = create_model("multiscale", encoder="resnet18", in_channels=3, classes=2)
    assert encoder_of(network) is network.get_submodule("base.encoder")


def test_the_encoder_of_a_network_of_transformers_is_all_but_its_head() -> None:
    needed("transformers")
    network = create_model("transformers-semantic", in_channels=3, classes=2)
    encoder = encoder_of(network)
    assert encoder is network.get_submodule("network.segformer")
    head = sum(p.numel() for p in network.get_submodule("network.decode_head").parameters())
    assert sum(p.numel() for p in encoder.parameters()) + head == sum(p.numel() for p in network.parameters())


def test_an_encoder_that_is_not_there_cannot_be_treated_apart() -> None:
    network = create_model("pixel-linear", in_channels=3, classes=2)
    assert encoder_of(network) is None
    assert optimizer_for(network, LoopOptions())
    for loop in ({"frozen": 0.5}, {"encoder_factor": 0.1}):
        with pytest.raises(SpecError, match=r"loop\.frozen, loop\.encoder_factor: found .* and no encoder in Pixel"):
            optimizer_for(network, LoopOptions(**loop))


def test_the_rate_lies_below_where_the_loss_falls_fastest() -> None:
    rates = [1e-5, 1e-4, 1e-3, 1e-2, 1e-1]
    assert steepest(rates, [1.0, 0.99, 0.8, 0.75, 2.0]) == 3.3e-5  # each loss is that before its rate's step
    assert steepest(rates, [1.0, 1.1, 1.2]) == 1e-5  # falls nowhere


def test_scores_become_classes_as_in_predictions() -> None:
    logits = torch.zeros(1, 2, 1, 3)
    logits[0, 1, 0] = torch.tensor([-2.0, 0.5, 4.0])
    shown = shown_by(logits, card(), torch.Size((1, 3)))
    assert shown.classes.tolist() == [[[0, 1, 1]]]
    assert shown.sure[0, 0, 0].item() == pytest.approx(1 / (1 + math.exp(-2)))
    assert confident(shown, 0.9).tolist() == [[[255, 255, 1]]]
    strict = shown_by(logits, card(threshold=0.9), torch.Size((1, 3)))
    assert strict.classes.tolist() == [[[0, 0, 1]]]
    single = shown_by(logits[:, 1:], card(activation="sigmoid"), torch.Size((1, 3)))
    assert single.classes.tolist() == [[[0, 1, 1]]]


def separated() -> ClassSet:
    colours = {"colour": "#ff0000"}
    return ClassSet(
        classes=(
            ClassInfo(id=0, name="ground", **colours),
            ClassInfo(id=1, name="house", kind="thing", **colours),
            ClassInfo(id=2, name="rim", **colours),
            ClassInfo(id=5, name="tree", kind="thing", **colours),
        ),
        separator=2,
    )


def test_the_separator_counts_as_the_best_thing() -> None:
    logits = torch.tensor([[0.0, 9, 0, 0], [1, 0, 9, 2], [0, 0, 9, 1.0]]).T[None, :, None]
    told = card().model_copy(update={"classes": separated()})
    shown = shown_by(logits, told, torch.Size((1, 3)))
    assert shown.classes.tolist() == [[[1, 2, 2]]]
    assert without_separator(shown.classes, logits, told).tolist() == [[[1, 5, 5]]]


def test_logits_smaller_than_their_window_are_enlarged() -> None:
    logits = torch.tensor([[0.0, 9, 0, 0], [1, 0, 9, 2], [0, 0, 9, 1.0]]).T[None, :, None]
    told = card().model_copy(update={"classes": separated()})
    classes = shown_by(logits, told, torch.Size((2, 6))).classes
    assert without_separator(classes, logits, told).tolist() == [[[1, 1, 1, 5, 5, 5]] * 2]


def test_objects_lie_above_each_other_by_score() -> None:
    boxes = torch.tensor([[0, 0, 2, 2], [1, 0, 3, 1], [0, 0, 4, 4]])
    masks = [torch.ones(2, 2, dtype=torch.bool), torch.tensor([[True, False]]), torch.ones(4, 4, dtype=torch.bool)]
    found = Objects(boxes, torch.tensor([0, 0, 0]), torch.tensor([0.6, 0.9, 0.2]), masks)
    told = card().model_copy(update={"kind": "instance"})
    shown = shown_by(Answer([found]), told, torch.Size((4, 4)))
    assert shown.objects[0].tolist() == [[1, 2, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    assert torch.equal(shown.classes[0] == 1, shown.objects[0] > 0)
    assert shown.sure[0, 1].tolist() == pytest.approx([0.6, 0.6, 0.8, 0.8])  # a faint object may be one
    assert confident(shown, 0.9)[0, 1:].unique().tolist() == [255]


def test_networks_that_find_objects_see_no_ground_that_nobody_knows() -> None:
    class Seen:
        def losses(self, chips: torch.Tensor, targets: object) -> dict[str, torch.Tensor]:
            self.chips = chips
            return {}

    batch, seen = squares(1), Seen()
    batch.valid[:, :, :3] = False
    ObjectsObjective(card().model_copy(update={"kind": "instance"})).terms(seen, batch)  # type: ignore[arg-type]
    assert torch.equal((seen.chips != 0).all(1), batch.valid & (batch.classes != 255))
    assert (seen.chips == 0).all(1)[:, :2].all()


def test_the_sheet_shows_the_worst_and_always_the_same_others(tmp_path: Path) -> None:
    classes = toy_classes(2)
    sheets = []
    for shift in (0.0, 0.4):
        gallery = Gallery(seed=3)
        for number in range(40):
            image = np.full((32, 32, 3), number, np.uint8)
            iou = math.nan if number == 7 else ((number * 17) % 40 + shift) / 40
            gallery.add(Window(image, image[..., 0] * 0, image[..., 0] * 0 + 1, iou))
        sheets.append(gallery)
    assert [w.image[0, 0, 0] for w in sheets[0].worst] == [0, 33, 26, 19]
    assert [w.image[0, 0, 0] for w in sheets[0].random] == [w.image[0, 0, 0] for w in sheets[1].random]
    sheets[0].write(tmp_path / "pictures" / "a.png", classes)
    with Image.open(tmp_path / "pictures" / "a.png") as picture:
        assert picture.size == (3 * 262 + 6, 8 * (256 + 16 + 6) + 6)
    Gallery(seed=1).write(tmp_path / "none.png", classes)
    assert not (tmp_path / "none.png").exists()


def test_unknown_ground_is_grey_and_classes_have_their_colours() -> None:
    image = np.full((1, 3, 3), 100, np.uint8)
    shown = coloured(image, np.array([[0, 1, 255]], np.uint8), toy_classes(2))
    assert shown[0, 0].tolist() == [100, 100, 100]
    assert shown[0, 2].tolist() == [128, 128, 128]
    assert shown[0, 1].tolist() != [100, 100, 100]


def test_pictures_take_red_green_and_blue_by_name() -> None:
    told = card(bands=("nir", "blue", "green", "red"), mean=(0.0,) * 4, std=(1.0,) * 4)
    image = np.zeros((4, 2, 2), np.float32)
    image[1:] = np.array([0.2, 0.4, 0.6])[:, None, None]
    assert rgb_of(image, told)[0, 0].tolist() == [153, 102, 51]
    one = card(bands=("nir",), mean=(0.0,), std=(1.0,))
    assert rgb_of(image[:1] + 1, one)[0, 0].tolist() == [255, 255, 255]


def test_a_teacher_that_says_the_same_costs_nothing_and_normalises_for_itself() -> None:
    network = small().eval()
    other = card(mean=(0.4,) * 3, std=(0.5,) * 3, value_range=(0.0, 510.0))
    model = LoadedModel(other, network, Path("t"), "")
    teacher = Teacher(model, card(), DistillationOptions(teacher="t"), torch.device("cpu"))
    batch = squares(1)
    expected = network((batch.images * 255 / 510 - 0.4) / 0.5)
    assert torch.allclose(teacher.logits(batch), expected, atol=1e-5)
    assert teacher.term(expected, batch).item() == pytest.approx(0, abs=1e-6)
    soft = (expected / 2).softmax(1)
    flat = torch.full_like(soft, 0.5)
    by_hand = 4 * (soft * (soft / flat).log()).sum(1).mean()
    assert teacher.term(torch.zeros_like(expected), batch).item() == pytest.approx(by_hand.item(), rel=1e-4)


def test_a_teacher_has_to_fit() -> None:
    def taught(**changes: object) -> Teacher:
        model = LoadedModel(card(**changes), small(), Path("t"), "")
        return Teacher(model, card(), DistillationOptions(teacher="t"), torch.device("cpu"))

    with pytest.raises(ModelError, match="add nir to model"):
        taught(bands=("red", "green", "nir"))
    with pytest.raises(ModelError, match="name the classes alike"):
        taught(classes=3)
    with pytest.raises(SpecError, match="with the activation sigmoid"):
        taught(activation="sigmoid")


def test_a_log_that_is_not_installed_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"geoseg\[wandb\]"):
        Log(tmp_path, ("csv", "wandb"), "x")


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    log = Log(tmp_path / "run", ("csv",), "x")
    with pytest.raises(WriteError, match=r"log\.csv: could not be written"):
        log.begin([{"step": 1, "loss": 1.0}])
    (tmp_path / "run").mkdir()
    log.begin([{"step": 1, "loss": 1.0}])
    (tmp_path / "run" / "log.csv").unlink()
    (tmp_path / "run" / "log.csv").mkdir()
    with pytest.raises(WriteError, match=r"log\.csv: could not be written"):
        log.add([{"step": 2, "loss": 1.0}])
    gallery = Gallery(seed=1)
    gallery.add(Window(np.zeros((4, 4, 3), np.uint8), *np.zeros((2, 4, 4), np.uint8), 0.5))
    (tmp_path / "pictures").touch()
    with pytest.raises(WriteError, match=r"a\.png: could not be written"):
        gallery.write(tmp_path / "pictures" / "a.png", toy_classes(2))


def test_tensorboard_gets_the_rows(tmp_path: Path) -> None:
    needed("tensorboard")
    fit(course(tmp_path, options(logger=("tensorboard",))))
    assert not (tmp_path / "log.csv").exists()
    events = list((tmp_path / "tensorboard").rglob("events.out.tfevents.*"))
    assert len(events) == 1
    assert events[0].stat().st_size > 500


@pytest.mark.parametrize("name", ["mask-rcnn", "panoptic-fpn"])
def test_networks_that_find_objects_are_trained_alike(tmp_path: Path, name: str) -> None:
    kind = "instance" if name == "mask-rcnn" else "panoptic"
    told = card().model_copy(update={"kind": kind, "architecture": name})
    more = {"things": 1} if kind == "panoptic" else {}
    torch.manual_seed(0)
    network = create_model(name, encoder="resnet18", in_channels=3, classes=1, **more)
    recipe = options(steps=2, validate_every=2, learning_rate=1e-4)
    fitted = fit(course(tmp_path, recipe, card=told, network=network))
    row = fitted.history[-1]
    terms = set(row) - {"step", "seconds", "waited", "learning_rate", "loss"}
    own = {name for name in terms if not name.startswith("iou")}
    assert {"mask", "box_reg", "objectness"} <= own
    assert row["loss"] == pytest.approx(sum(row[name] for name in own))
    assert all(tensor.isfinite().all() for tensor in fitted.weights.values())
