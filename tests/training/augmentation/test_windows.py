from dataclasses import fields

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from geoseg.training.augmentation import augment
from geoseg.training.batch import Batch
from geoseg.training.options import AugmentationOptions
from tests.training.windows import OFF, houses, make_batch

RGB = ("red", "green", "blue")
EVERYTHING = {
    "colour": 1.0,
    "hue": 20.0,
    "grey": 0.3,
    "mix": 0.2,
    "tint": 0.7,
    "shadow": 0.7,
    "haze": (0.7, 0.4),
    "noise": (0.7, 0.05),
    "blur": (0.7, 1.5),
    "jpeg": (0.7, 30),
    "copy_paste": 0.7,
    "cutmix": 0.5,
}
BANDS = [
    RGB,
    ("nir", "blue", "vv", "green", "red"),
    ("red@1", "green@1", "blue@1", "red@2", "green@2", "blue@2"),
    ("pan",),
]


def changed(batch, bands=RGB, seed=0, **options):
    return augment(batch, AugmentationOptions(**{**OFF, **options}), bands, torch.Generator().manual_seed(seed))


def same(first: Batch, second: Batch) -> bool:
    return all(torch.equal(getattr(first, f.name), getattr(second, f.name)) for f in fields(Batch))


def with_holes(batch: Batch) -> Batch:
    batch.valid[0, :9] = False
    batch.images[0, :, :9] = 0
    batch.classes[0, :12] = 255
    batch.objects[0, :12] = 0
    return batch


@pytest.mark.parametrize("bands", BANDS)
@given(seed=st.integers(0, 1000))
@settings(derandomize=True, deadline=None, max_examples=8)
def test_windows_stay_what_windows_are(bands, seed):
    batch = with_holes(make_batch(houses(seed=seed), bands=len(bands), seed=seed))
    before = {f.name: getattr(batch, f.name).clone() for f in fields(Batch)}
    after = changed(batch, bands, seed, flips=True, quarter_turns=True, **EVERYTHING)
    assert all(torch.equal(getattr(batch, name), value) for name, value in before.items())
    for f in fields(Batch):
        assert getattr(after, f.name).shape == before[f.name].shape
        assert getattr(after, f.name).dtype == before[f.name].dtype
    assert torch.isfinite(after.images).all()
    assert not after.images.permute(0, 2, 3, 1)[~after.valid].any()
    assert -1e-6 <= float(after.images.min()) <= float(after.images.max()) <= 1 + 1e-6
    assert torch.equal(after.objects > 0, after.classes == 4)  # pixels, classes and objects have moved together
    assert not (after.classes[~after.valid] != 255).any()
    assert torch.equal(after.resolution, batch.resolution)


def test_everything_follows_from_the_generator():
    batch = make_batch(houses())
    assert same(changed(batch, seed=3, **EVERYTHING), changed(batch, seed=3, **EVERYTHING))
    assert not same(changed(batch, seed=3, **EVERYTHING), changed(batch, seed=4, **EVERYTHING))


def test_without_options_nothing_happens():
    batch = with_holes(make_batch(houses()))
    batch.images[1, 0, 0, 0] = 1.2  # a little beyond is allowed, and stays where nothing was drawn
    assert same(changed(batch), batch)


def test_turns_and_flips_are_the_eight_ways_to_lie():
    batch = make_batch(torch.tensor([[[1, 2], [3, 4]]]))
    found = {
        tuple(changed(batch, seed=seed, flips=True, quarter_turns=True).objects.flatten().tolist())
        for seed in range(120)
    }
    assert len(found) == 8
    flips = {tuple(changed(batch, seed=s, flips=True).objects.flatten().tolist()) for s in range(60)}
    assert flips == {(1, 2, 3, 4), (2, 1, 4, 3), (3, 4, 1, 2), (4, 3, 2, 1)}
    oblong = make_batch(torch.tensor([[[1, 2, 3]]]))
    turns = {tuple(changed(oblong, seed=s, quarter_turns=True).objects.flatten().tolist()) for s in range(60)}
    assert turns == {(1, 2, 3), (3, 2, 1)}


def test_pixels_move_with_their_labels():
    batch = make_batch(houses())
    batch.images[:, 0] = batch.objects / 100
    after = changed(batch, seed=1, flips=True, quarter_turns=True)
    assert not torch.equal(after.objects, batch.objects)
    torch.testing.assert_close(after.images[:, 0] * 100, after.objects.float())


def test_windows_are_changed_each_in_their_own_way():
    batch = make_batch(torch.zeros(4, 16, 16))
    batch.images[:] = batch.images[:1]
    after = changed(batch, colour=1.0)
    assert all(not torch.allclose(after.images[0], after.images[i], atol=1e-3) for i in (1, 2, 3))


def test_probability_is_that_of_a_window():
    batch = make_batch(torch.zeros(400, 4, 4))
    after = changed(batch, noise=(0.3, 0.05))
    count = int((after.images != batch.images).flatten(1).any(1).sum())
    assert 85 < count < 155  # 120 expected, and 9 to either side usual


@pytest.mark.parametrize("options", [{"shadow": 1.0}, {"noise": (1.0, 0.01)}, {"jpeg": (1.0, 90)}, EVERYTHING])
def test_values_beyond_the_range_stay_there_as_predictions_see_them(options):
    batch = make_batch(torch.zeros(8, 32, 32))
    batch.images[:, 0, :4] = 1.9
    batch.images[:, 1, 4:8] = -0.4
    after = changed(batch, **{**options, "cutmix": 0.0, "tint": 0.0}).images
    assert (after[:, 0] <= 1.9).all()
    assert (after[:, 1] >= -0.4).all()
    assert (after[:, 2] >= 0).all()
    assert (after[:, 2] <= 1).all()
    if options is not EVERYTHING:
        assert (after[:, 0].amax((1, 2)) > 1.5).all()
        assert (after[:, 1].amin((1, 2)) < -0.1).all()
