"""Batches follow from seed and step, and hold what was asked for."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from geoseg.errors import SpecError
from geoseg.training.batch import Batch
from geoseg.training.data import Role, Sampler, class_frequencies, split
from geoseg.training.data.plot import Plot, make_plot
from geoseg.training.options import DataOptions
from tests.factory import ORIGIN
from tests.toy import toy_card
from tests.training.data.scenes import asked_for, make_ground, squares

PARTS = ("images", "valid", "classes", "objects", "resolution", "scene")


def sampler(plots: list[Plot], batch_size: int = 8, seed: int = 0, **changes) -> Sampler:
    return Sampler(plots, toy_card(classes=3), DataOptions(**{"crop_size": 32, **changes}), batch_size, seed)


def same(first: Batch, second: Batch) -> bool:
    return all(torch.equal(getattr(first, name), getattr(second, name)) for name in PARTS)


def test_a_batch_follows_from_seed_and_step_alone(tmp_path: Path) -> None:
    plots = split([make_ground(tmp_path)], DataOptions(crop_size=32), 32, 0).training
    first, second = sampler(plots), sampler(plots)
    batches = [first.draw(step) for step in range(4)]
    assert all(same(second.draw(step), batches[step]) for step in (3, 0, 2, 1))
    assert not same(batches[0], batches[1])
    assert not same(sampler(plots, seed=1).draw(0), batches[0])


def test_a_batch_is_what_it_says(tmp_path: Path) -> None:
    ground = make_ground(tmp_path)
    batch = sampler([make_plot(5, ground, (), None)], 16).draw(0)
    assert batch.images.shape == (16, 3, 32, 32)
    assert [getattr(batch, name).dtype for name in PARTS] == [
        torch.float32, torch.bool, torch.int64, torch.int32, torch.float32, torch.int64,
    ]  # fmt: skip
    assert (batch.scene == 5).all()
    assert batch.valid.all()  # the scene is large enough for every window
    assert 0 <= batch.images.min() < batch.images.max() <= 1
    assert ((batch.objects > 0) == (batch.classes == 1)).all()


def test_resolutions_are_even_by_their_logarithm(tmp_path: Path) -> None:
    ground = make_ground(tmp_path)
    draws = sampler([make_plot(0, ground, (), None)], 32)
    found = torch.cat([draws.draw(step).resolution for step in range(20)]).numpy()
    assert found.min() >= 0.7 - 1e-6
    assert found.max() <= 1.4 + 1e-6
    assert np.log(found).mean() == pytest.approx(np.log(0.7 * 1.4) / 2, abs=0.03)


def test_a_coarse_scene_is_not_drawn_out_of_nothing(tmp_path: Path) -> None:
    ground = make_ground(tmp_path, pixel=2.0)
    found = sampler([make_plot(0, ground, (), None)], 64).draw(0).resolution
    assert found.min() >= 1.0 - 1e-3
    assert found.max() <= 1.4 + 1e-6


def test_pixels_of_a_class_are_all_drawn_alike(tmp_path: Path) -> None:
    classes = np.zeros((130, 140), np.uint8)
    classes[60:70, 120:140] = 1
    classes[0, 0] = classes[129, 139] = 1
    plot = make_plot(0, make_ground(tmp_path, shape=(130, 140), classes=classes), (), None)
    count = plot.counts[1]
    found = {plot.pixel(1, (i + 0.5) / count) for i in range(count)}
    assert found == set(zip(*np.nonzero(classes == 1), strict=True))
    assert plot.pixel(1, 0.0) == (0, 0)
    assert plot.pixel(1, np.nextafter(1.0, 0.0)) == (129, 139)


def test_balance_gives_rare_classes_their_part(tmp_path: Path) -> None:
    classes = np.zeros((256, 256), np.uint8)
    classes[200:204, 30:34] = 1
    classes[:, 128:] = 2
    plot = make_plot(0, make_ground(tmp_path, classes=classes), (), None)
    for balance, low, high in ((1.0, 0.28, 0.45), (0.0, 0.0, 0.06)):
        draws = sampler([plot], 64, balance=balance)
        with_rare = [bool((w == 1).any()) for step in range(6) for w in draws.draw(step).classes]
        assert low <= np.mean(with_rare) <= high


def test_scenes_are_drawn_by_area_and_weight(tmp_path: Path) -> None:
    west, north = ORIGIN
    plots = [
        make_plot(0, make_ground(tmp_path, "a"), (), None),
        make_plot(
            1, make_ground(tmp_path, "b", shape=(256, 128), at=(west + 900, north), role=Role(weight=6.0)), (), None
        ),
    ]
    found = torch.cat([sampler(plots, 64, balance=0.5).draw(step).scene for step in range(8)])
    assert found.float().mean().item() == pytest.approx(0.75, abs=0.06)
    frequencies = class_frequencies(plots, toy_card(classes=3))
    counts = [np.bincount(plot.ground.classes.ravel(), minlength=3) for plot in plots]
    assert frequencies[2] == 0
    for class_id in (0, 1):
        assert frequencies[class_id] == pytest.approx(counts[0][class_id] + 6 * counts[1][class_id], rel=2e-3)


def test_a_scene_without_labels_is_drawn_where_it_is_valid(tmp_path: Path) -> None:
    data = np.full((3, 128, 128), 90, np.uint8)
    data[:, :, 64:] = 0
    ground = make_ground(tmp_path, shape=(128, 128), data=data, nodata=0, labelled=False)
    batch = sampler([make_plot(0, ground, (), None)], 32).draw(0)
    assert (batch.classes == 255).all()
    assert batch.valid.flatten(1).any(1).all()
    assert batch.images[:, 0][batch.valid].numpy() == pytest.approx(90 / 255, abs=1e-4)


def test_windows_wider_than_the_scene_are_filled_up(tmp_path: Path) -> None:
    ground = make_ground(tmp_path, shape=(20, 200))
    batch = sampler([make_plot(0, ground, (), None)], 16).draw(0)
    assert not batch.valid.flatten(1).all(1).any()
    assert batch.valid.any(1).all()
    assert not batch.images[:, 0][~batch.valid].any()
    assert (batch.classes[~batch.valid] == 255).all()


def test_nothing_to_draw_is_an_error(tmp_path: Path) -> None:
    ground = make_ground(tmp_path, classes=np.full((256, 256), 255, np.uint8))
    with pytest.raises(SpecError, match=r"scene\.tif: found nothing to train on"):
        sampler([make_plot(0, ground, (), None)])


def test_many_bands_and_values_beyond_bytes(tmp_path: Path) -> None:
    names = ("blue", "green", "red", "nir", "swir16")
    card = toy_card(classes=3, bands=names, value_range=(0.0, 10000.0), dtype="uint16")
    data = np.arange(5 * 96 * 96).reshape(5, 96, 96).astype(np.uint16) % 10000
    asked = dataclasses.replace(asked_for(tmp_path), card=card)
    ground = make_ground(tmp_path, shape=(96, 96), data=data, descriptions=names, asked=asked)
    draws = Sampler([make_plot(0, ground, (), None)], card, DataOptions(crop_size=32, resolutions=(1.0, 1.0)), 4, 0)
    batch = draws.draw(0)
    assert batch.images.shape == (4, 5, 32, 32)
    assert 0 <= batch.images.min() < batch.images.max() < 1
    assert squares((96, 96))[0].any() == bool((batch.classes == 1).any())
