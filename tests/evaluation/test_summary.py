"""Figures of counts: by hand, their intervals, and calibration as torchmetrics and scikit-learn's curve have it."""

from __future__ import annotations

import numpy as np
import pytest

from geoseg.evaluation import summary
from geoseg.evaluation.calibration import calibration
from geoseg.evaluation.intervals import Draws, figure
from geoseg.evaluation.summary import figures
from tests.conftest import needed
from tests.evaluation.maps import HOUSES, LAND, counts_of, pairs_of


def test_ratios_of_pixels_are_those_made_by_hand() -> None:
    """Two cells are summed before anything is divided: 30 in both, 10 only in the map, 20 only in the truth."""
    scene = counts_of(
        [[[40, 10], [0, 10]], [[0, 0], [20, 20]]], boundary=[[[0, 0, 0], [2, 4, 3]], [[0, 0, 0], [1, 2, 2]]]
    )
    total, (each,), known = figures([scene], HOUSES, 0.5, 0)
    building = total.classes[1]
    values = {name: f.value for name, f in building.pixels.items()}
    assert values == pytest.approx(
        {"iou": 30 / 60, "dice": 60 / 90, "precision": 30 / 40, "recall": 30 / 50, "boundary_iou": 3 / 8}
    )
    assert total.pixel_accuracy.value == pytest.approx(70 / 100)
    assert total.mean["iou"].value == pytest.approx(0.5)
    assert building.counts["truth_pixels"] == 50
    assert building.objects is None
    assert known is None
    assert each.scores.confusion == ((40, 10), (20, 30))
    assert [(cell.known, cell.wrong, cell.iou) for cell in each.cells] == [(60, 10, 0.5), (40, 20, 0.5)]


def test_scenes_of_one_name_are_told_apart() -> None:
    names = ["a.tif", "b.tif", "a.tif", "a.tif (2)"]
    _, each, _ = figures([counts_of([[[5, 0], [0, 5]]], name=name) for name in names], HOUSES, 0.5, 0)
    assert [scene.scores.name for scene in each] == ["a.tif (1)", "b.tif", "a.tif (3)", "a.tif (2)"]


def test_objects_have_their_own_ratios() -> None:
    pairs = pairs_of([[0.8, 0, 0], [0, 0.6, 0]], [0.9, 0.8, 0.3])
    scene = counts_of([[[1, 0], [0, 1]]], pairs, objects=[[[0, 0, 0], [2, 1, 0]]])
    total, _, _ = figures([scene], HOUSES, 0.5, 0)
    values = {name: f.value for name, f in total.classes[1].objects.items()}
    assert values["precision"] == pytest.approx(2 / 3)
    assert values["recall"] == 1
    assert values["f1"] == pytest.approx(4 / 5)
    assert values["pq"] == pytest.approx(1.4 / 2.5)
    assert values["ap50"] == pytest.approx(1)
    assert values["ap"] == pytest.approx((3 * 1 + 4 * 51 / 101) / 10)  # one object of two from 0.65 to 0.8
    assert total.mean["f1"].value == pytest.approx(4 / 5)
    assert total.mean["object_recall"].value == 1
    assert total.mean["recall"].value == 1


def test_classes_that_do_not_occur_are_left_out_of_means() -> None:
    scene = counts_of([[[5, 0, 0], [5, 5, 0], [0, 0, 0]]], ids=(0, 1, 4))
    total, _, _ = figures([scene], LAND, 0.5, 0)
    assert total.classes[2].pixels["iou"].value is None
    assert total.mean["iou"].value == pytest.approx(0.5)


def test_stuff_beside_things_has_panoptic_quality() -> None:
    scene = counts_of([[[5, 0, 0], [0, 5, 0], [0, 1, 3]]], pairs_of([[0.8]]), ids=(0, 1, 4))
    total, _, _ = figures([scene], LAND, 0.5, 0)
    assert total.classes[2].objects["pq"].value == pytest.approx(0.75)
    assert total.classes[2].objects["f1"].value is None
    assert total.mean["pq"].value == pytest.approx((0.8 + 0.75) / 2)


def test_scenes_are_summed_and_not_averaged() -> None:
    scenes = [counts_of([[[0, 0], [0, 90]]]), counts_of([[[0, 10], [0, 0]]])]
    total, each, _ = figures(scenes, HOUSES, 0.5, 0)
    assert total.mean["iou"].value == pytest.approx(0.9)
    assert [one.scores.mean["iou"].value for one in each] == [1, 0]


def test_intervals_hold_the_value_and_come_from_the_seed() -> None:
    rng = np.random.default_rng(0)
    scene = counts_of(rng.integers(0, 100, (40, 2, 2)), pairs_of(np.eye(40) * rng.uniform(0.3, 1, 40), rng.random(40)))
    first, again, other = (figures([scene], HOUSES, 0.5, 300, seed)[0] for seed in (1, 1, 2))
    assert first == again
    iou = first.classes[1].pixels["iou"]
    assert iou.low < iou.value < iou.high
    assert iou.high - iou.low < 0.2
    assert other.classes[1].pixels["iou"] != iou
    ap = first.classes[1].objects["ap"]
    assert ap.low <= ap.value <= ap.high


def test_many_objects_take_fewer_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    cells = np.arange(40), np.arange(40)
    pairs = pairs_of(np.eye(40) * 0.8, np.random.default_rng(0).random(40), cells=cells)
    scene = counts_of([[[5, 1], [1, 5]]] * 40, pairs)
    for steps, known in ((40 * 10 * 120, True), (40 * 10 * 80, False)):
        monkeypatch.setattr(summary, "AP_STEPS", steps)
        ap = figures([scene], HOUSES, 0.5, 300)[0].classes[1].objects["ap"]
        assert (ap.low is not None) == known


def test_intervals_are_those_of_drawing_cells_again() -> None:
    """The spread of a mean over n cells is that of the cells over the root of n."""
    cells = np.random.default_rng(5).normal(10, 3, (200, 1))
    draws = Draws.of(np.ones(200, bool), 4000, 1)
    drawn = draws.sums(cells)[:, 0] / 200
    found = figure(float(cells.mean()), drawn)
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * cells.std() / np.sqrt(200), rel=0.06)


def test_few_cells_have_no_interval() -> None:
    """Four cells are known; those that hold nothing are never drawn."""
    total, _, _ = figures([counts_of([[[5, 1], [1, 5]]] * 4 + [np.zeros((2, 2))] * 30)], HOUSES, 0.5, 200)
    assert total.mean["iou"].value is not None
    assert total.mean["iou"].low is None
    assert (Draws.of(np.array([True, False] * 6), 50, 0).times[:, 1::2] == 0).all()


def scores(seed: int = 0):
    rng = np.random.default_rng(seed)
    stored = rng.integers(0, 255, 20_000)
    truth = (rng.random(20_000) < (stored / 254) ** 2).astype(int)
    return stored, truth, np.bincount(truth * 255 + stored, minlength=510).reshape(2, 255)


def test_calibration_is_that_of_torchmetrics() -> None:
    classification, torch = needed("torchmetrics.functional.classification"), needed("torch")
    stored, truth, counts = scores()
    known = calibration(counts, 0.5)
    theirs = classification.binary_calibration_error(torch.tensor(stored / 254), torch.tensor(truth), n_bins=15)
    assert known.ece == pytest.approx(float(theirs), abs=1e-6)
    assert sum(n for _, _, n in known.bins) == 20_000


def test_the_best_threshold_is_that_of_trying_all() -> None:
    stored, truth, counts = scores()

    def f1(threshold: float) -> float:
        found = stored >= threshold * 254 - 1e-9
        return 2 * (found & (truth == 1)).sum() / (found.sum() + truth.sum())

    known = calibration(counts, 0.5)
    assert known.f1 == pytest.approx(max(f1(i / 254) for i in range(1, 254)))
    assert known.f1 == pytest.approx(f1(known.threshold))
    assert known.f1_used == pytest.approx(f1(0.5))
    threshold, precision, recall, value = known.curve[99]
    found = stored >= threshold * 254 - 1e-9
    assert precision == pytest.approx(truth[found].mean())
    assert recall == pytest.approx(found[truth == 1].mean())
    assert value == pytest.approx(f1(threshold))


def test_among_equal_thresholds_the_nearest_to_the_used_one_is_best() -> None:
    counts = np.zeros((2, 255), int)
    counts[0, 10], counts[1, 240] = 5, 5
    assert calibration(counts, 0.5).threshold == 0.5
    assert calibration(counts, 0.01).threshold == pytest.approx(11 / 254)


def test_scores_without_foreground_say_nothing() -> None:
    counts = np.zeros((2, 255), int)
    counts[0] = 1
    assert calibration(counts, 0.5) is None
    assert figures([counts_of([np.eye(2)], scores=counts)], HOUSES, 0.5, 0)[2] is None
