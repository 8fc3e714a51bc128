"""Colour, air and camera: what changes, and what physics says must not."""

import pytest
import torch

from geoseg.training.augmentation.camera import blurred
from geoseg.training.augmentation.draws import Draws
from geoseg.training.augmentation.spectrum import Spectrum, at
from tests.training.augmentation.test_windows import RGB, changed
from tests.training.windows import houses, make_batch

PLAIN = {"gamma": 0.0, "contrast": 0.0, "saturation": 0.0, "gain": 0.0, "shift": 0.0}


def coloured(batch, bands=RGB, seed=0, **options):
    return changed(batch, bands, seed, colour=1.0, **{**PLAIN, **options}).images


@pytest.fixture
def batch():
    return make_batch(houses(1, 32))


def test_colour_of_no_amount_changes_nothing(batch):
    torch.testing.assert_close(coloured(batch), batch.images)


def test_gamma_is_one_power_for_all_bands(batch):
    power = (coloured(batch, gamma=0.3).log() / batch.images.log()).flatten()
    torch.testing.assert_close(power, power[:1].expand_as(power), rtol=1e-3, atol=1e-3)
    assert 0.01 < abs(float(power[0].log())) <= 0.3


def test_contrast_keeps_the_mean_of_valid_pixels(batch):
    batch.valid[0, :10] = False
    batch.images[0, :, :10] = 0
    after = coloured(batch, contrast=0.2)
    valid = batch.valid[:, None].expand_as(after)
    assert float(after[valid].mean()) == pytest.approx(float(batch.images[valid].mean()), abs=1e-4)
    assert float(after[valid].std()) != pytest.approx(float(batch.images[valid].std()), rel=0.01)


def test_shift_and_gain_are_linear_in_each_band(batch):
    after = coloured(batch, gain=0.1, shift=0.05)
    for band in range(3):
        slope = (after[0, band] - after[0, band].mean()) / (batch.images[0, band] - batch.images[0, band].mean())
        assert float(slope.median()) == pytest.approx(float(slope.flatten()[0]), rel=0.01)
        assert 0.9 <= float(slope.median()) <= 1.11


@pytest.mark.parametrize("option", [{"saturation": 0.4}, {"hue": 30.0}])
def test_saturation_and_hue_keep_grey_and_brightness(batch, option):
    batch.images[0, :, :5] = batch.images[0, :1, :5]  # grey rows
    after = coloured(batch, seed=5, **option)
    torch.testing.assert_close(after[0, :, :5], batch.images[0, :, :5])
    inside = ((after > 0) & (after < 1)).all(1)[0]
    torch.testing.assert_close(after[0].mean(0)[inside], batch.images[0].mean(0)[inside])
    assert not torch.allclose(after, batch.images, atol=0.01)


def test_grey_is_grey_at_last(batch):
    after = changed(batch, colour=1.0, grey=1.0, gain=0.3).images
    torch.testing.assert_close(after[:, 0], after[:, 1])
    torch.testing.assert_close(after[:, 0], after[:, 2])
    assert float(after.std()) > 0.02


@pytest.mark.parametrize(
    "options", [{"colour": 1.0, "hue": 40.0, "mix": 0.3}, {"haze": (1.0, 0.4)}, {"shadow": 1.0}, {"jpeg": (1.0, 30)}]
)
@pytest.mark.parametrize("others", [("vv", "lwir", "ndvi"), ("dsm", "elevation@2", "what")])
def test_radar_heat_and_heights_see_neither_colour_nor_air(options, others):
    bands = ("red", others[0], "green", others[1], "blue", others[2])
    batch = make_batch(houses(2, 32), bands=6)
    after = changed(batch, bands, **options).images
    assert torch.equal(after[:, [1, 3, 5]], batch.images[:, [1, 3, 5]])
    assert all(not torch.equal(after[:, band], batch.images[:, band]) for band in (0, 2, 4))


def test_saturation_of_rgb_leaves_near_infrared():
    batch = make_batch(houses(1, 32), bands=4)
    after = coloured(batch, ("nir", *RGB), saturation=0.5, hue=20.0)
    torch.testing.assert_close(after[:, 0], batch.images[:, 0])
    assert not torch.allclose(after[:, 1:], batch.images[:, 1:], atol=0.01)


def test_haze_thins_with_wavelength():
    batch = make_batch(torch.zeros(6, 32, 32), bands=4)
    after = changed(batch, ("blue", "red", "nir", "swir22"), haze=(1.0, 0.4)).images
    contrast = after.flatten(2).std(2) / batch.images.flatten(2).std(2)  # (window, band): what the haze lets through
    assert (contrast[:, 0] < 1).all()
    assert (contrast.diff(dim=1) >= -1e-4).all()
    assert (contrast[:, 3] - contrast[:, 0]).max() > 0.05


def test_shadows_are_dark_and_somewhere():
    batch = make_batch(torch.zeros(8, 64, 64))
    ratio = changed(batch, shadow=1.0).images / batch.images
    assert float(ratio.max()) <= 1 + 1e-5
    assert float(ratio.min()) < 0.7
    assert ((ratio - 1).abs() < 1e-5).float().mean() > 0.3
    dark = (ratio < 0.95).all(1)
    assert (ratio[:, 2][dark] >= ratio[:, 0][dark]).all()  # light of the sky is blue


def test_noise_is_as_strong_as_said():
    batch = make_batch(torch.zeros(8, 64, 64))
    noise = (changed(batch, noise=(1.0, 0.04)).images - batch.images).flatten(1)
    assert (noise.std(1) <= 0.041).all()
    assert (noise.std(1) > 0.005).all()
    assert noise.mean().abs() < 0.001


def test_blur_keeps_flat_ground_flat_and_the_void_out():
    image = torch.full((2, 20, 20), 0.6)
    valid = torch.ones(20, 20, dtype=torch.bool)
    draws = Draws(torch.Generator().manual_seed(0))
    torch.testing.assert_close(blurred(image, valid, 2.0, draws), image)
    valid[:, :7] = False
    half = image * valid
    torch.testing.assert_close(blurred(half, valid, 2.0, draws)[:, valid], image[:, valid])


def test_blur_is_a_gaussian():
    image = torch.zeros(1, 31, 31)
    image[0, 15, 15] = 1
    after = blurred(image, torch.ones(31, 31, dtype=torch.bool), 2.0, Draws(torch.Generator().manual_seed(1)))[0]
    away = torch.arange(31) - 15.0
    assert float(after.sum()) == pytest.approx(1, abs=1e-5)
    assert torch.equal(after, after.T)
    deviation = float((after.sum(0) * away**2).sum()) ** 0.5
    assert 0.3 <= deviation <= 2.0


def test_jpeg_is_near_and_not_the_same():
    batch = make_batch(torch.zeros(2, 32, 32))
    batch.images[:] = torch.linspace(0.1, 0.9, 32).expand_as(batch.images)
    after = changed(batch, jpeg=(1.0, 30)).images
    assert float((after - batch.images).abs().max()) < 0.1
    assert not torch.equal(after, batch.images)
    assert torch.equal(
        changed(make_batch(houses(1)), ("nir", "vv", "pan"), jpeg=(1.0, 30)).images, make_batch(houses(1)).images
    )


def test_spectrum_finds_colours_of_each_date():
    assert Spectrum.of(("red@1", "green@1", "blue@1", "blue@2", "red@2", "green@2")).rgb == ((0, 1, 2), (4, 5, 3))
    assert Spectrum.of(("red", "green", "nir")).rgb == ()
    assert Spectrum.of(("what", "vv", "pan")).light == (2,)
    assert at((1, 2, 3)) == slice(1, 4)
    assert at((3, 2, 1)) == [3, 2, 1]
