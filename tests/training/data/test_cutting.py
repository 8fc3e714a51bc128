"""Windows are what `predict` would have shown, and show nothing that is hidden."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geoseg.core.tiling import Span
from geoseg.io.grid import resized
from geoseg.io.scene import open_scene
from geoseg.training.data import Ground
from geoseg.training.data.cutting import Frame, Sheets, cut, taps
from tests.factory import pixel_values
from tests.training.data.scenes import make_ground


def one(ground, frame: Frame, size: int, seen=None):
    """One window as arrays: images back in the file's values, valid, classes, objects."""
    sheets = Sheets.empty(1, len(ground.images), size)
    cut(ground, seen, frame, sheets, 0)
    return sheets.images[0] * 255, sheets.valid[0], sheets.classes[0], sheets.objects[0]


def test_a_window_on_whole_pixels_is_a_copy(tmp_path: Path) -> None:
    ground = make_ground(tmp_path)
    images, valid, classes, objects = one(ground, Frame(10, 20, 1.0), 64)
    assert images == pytest.approx(pixel_values(3, (256, 256))[:, 10:74, 20:84], abs=1e-3)
    assert valid.all()
    assert np.array_equal(classes, ground.classes[10:74, 20:84])
    assert np.array_equal(objects, ground.objects[10:74, 20:84])


def test_a_coarser_window_holds_means_and_the_classes_of_centres(tmp_path: Path) -> None:
    ground = make_ground(tmp_path)
    images, _, classes, _ = one(ground, Frame(4, 8, 2.0), 32)
    part = pixel_values(3, (256, 256))[:, 4:68, 8:72]
    assert images == pytest.approx(part.reshape(3, 32, 2, 32, 2).mean(axis=(2, 4)), abs=1e-3)
    assert np.array_equal(classes, ground.classes[5:69:2, 9:73:2])


@pytest.mark.parametrize("size", [50, 171, 250, 330])
def test_windows_are_resampled_as_predict_resamples(tmp_path: Path, size: int) -> None:
    ground = make_ground(tmp_path, shape=(250, 250))
    scene = open_scene(tmp_path / "scene.tif")
    rows = next(scene.reader((1, 2, 3), resized(scene.grid, (size, size))).rows([Span(0, size)], Span(0, size)))
    images, valid, _, _ = one(ground, Frame(0, 0, 250 / size), size)
    assert np.abs(images - rows.pixels).max() <= 0.51
    assert valid.all()


def test_invalid_and_unseen_pixels_do_not_leak(tmp_path: Path) -> None:
    data = np.full((3, 64, 64), 100, np.uint8)
    data[:, :, 30:] = 0
    ground = make_ground(tmp_path, shape=(64, 64), data=data, nodata=0)
    seen = np.ones((64, 64), np.bool_)
    seen[20:] = False
    painted = np.array(ground.images)
    painted[:, 20:] = 250
    ground = dataclasses.replace(ground, images=painted)
    for scale in (0.6, 1.0, 1.3, 2.7):
        images, valid, classes, objects = one(ground, Frame(1.3, 2.2, scale), 48, seen)
        assert images[:, valid] == pytest.approx(100, abs=1e-2)
        assert not images[:, ~valid].any()
        rows = 1.3 + (np.arange(48) + 0.5) * scale
        columns = 2.2 + (np.arange(48) + 0.5) * scale
        hidden = (rows[:, None] >= 20) | (columns[None] >= 30)
        assert (classes[hidden] == 255).all()
        assert not objects[hidden].any()
        assert valid[rows < 19][:, columns < 29].all()


def test_beyond_the_scene_nothing_is_valid(tmp_path: Path) -> None:
    ground = make_ground(tmp_path, shape=(40, 50))
    images, valid, classes, _ = one(ground, Frame(-12, -7, 1.0), 64)
    inside = np.zeros((64, 64), np.bool_)
    inside[12:52, 7:57] = True
    assert np.array_equal(valid, inside)
    assert np.array_equal(classes != 255, inside)
    assert images[:, inside].reshape(3, 40, 50) == pytest.approx(pixel_values(3, (40, 50)), abs=1e-3)
    assert not one(ground, Frame(100, 0, 1.0), 32)[1].any()


@settings(derandomize=True, max_examples=60, deadline=None)
@given(st.floats(-20, 60), st.floats(1, 4), st.integers(1, 20), st.integers(1, 40))
def test_weights_are_shares_of_area(start: float, scale: float, size: int, length: int) -> None:
    first, weights = taps(start, scale, size, length)
    for i in range(size):
        low, high = start + i * scale, start + (i + 1) * scale
        covered = max(0.0, min(high, length) - max(low, 0.0))
        assert weights[i].sum() == pytest.approx(covered / scale, abs=1e-4)
        used = first[i] + np.flatnonzero(weights[i])
        assert ((used >= 0) & (used < length)).all()
        assert all(min(high, p + 1) - max(low, p) > 0 for p in used)


@settings(derandomize=True, max_examples=60, deadline=None)
@given(st.floats(-5, 30), st.floats(0.2, 0.99), st.integers(1, 20))
def test_weights_of_smaller_pixels_are_bilinear(start: float, scale: float, size: int) -> None:
    first, weights = taps(start, scale, size, 25)
    for i in range(size):
        middle = start + (i + 0.5) * scale - 0.5
        if 0 <= middle <= 24:
            at = (weights[i] * (first[i] + np.arange(2))).sum() / weights[i].sum()
            assert at == pytest.approx(middle, abs=1e-3)
        if not -0.5 <= middle <= 24.5:
            assert not weights[i].any()


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    return make_ground(tmp_path_factory.mktemp("small"), shape=(40, 50))


@settings(derandomize=True, max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    top=st.floats(-30, 40),
    left=st.floats(-30, 50),
    scale=st.floats(0.3, 3),
    at=st.tuples(st.integers(0, 39), st.integers(0, 49)),
    side=st.integers(1, 30),
)
def test_what_is_hidden_changes_nothing(
    small: Ground, top: float, left: float, scale: float, at: tuple[int, int], side: int
) -> None:
    seen = np.ones((40, 50), np.bool_)
    seen[at[0] : at[0] + side, at[1] : at[1] + side] = False
    noise = np.random.default_rng(0).integers(0, 255, (3, 40, 50))
    other = dataclasses.replace(
        small,
        images=np.where(seen, small.images, noise).astype(np.uint8),
        classes=np.where(seen, small.classes, 2).astype(np.uint8),
        objects=np.where(seen, small.objects, 999).astype(np.int32),
    )
    frame = Frame(top, left, scale)
    for first, second in zip(one(small, frame, 24, seen), one(other, frame, 24, seen), strict=True):
        assert np.array_equal(first, second)
