"""Training never sees ground that it is validated on, in whatever scene that lies."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from pyproj import Transformer

from geoseg.errors import SpecError, WriteError
from geoseg.training.data import Ground, Regular, Role, Sampler, Split, split, validation_windows
from geoseg.training.data.places import shared_m2
from geoseg.training.data.store import ArrayFile
from geoseg.training.options import DataOptions
from tests.factory import ORIGIN
from tests.toy import toy_card
from tests.training.data.scenes import asked_for, make_ground, squares

SECRET, PLAIN = 250, 100
WEST, NORTH = ORIGIN


def options(**changes) -> DataOptions:
    return DataOptions(**{"crop_size": 32, **changes})


def inside_blocks(result: Split, ground: Ground, margin_m: float = 0.0) -> np.ndarray:
    """Which pixels of a ground lie in any scene's blocks: their centres, moved into each scene's pixels."""
    rows, columns = np.mgrid[: ground.shape[0], : ground.shape[1]] + 0.5
    east, north = ground.grid.affine * (columns, rows)
    found = np.zeros(ground.shape, np.bool_)
    for plot in result.validation:
        other = plot.ground
        x, y = east, north
        if other.grid.crs != ground.grid.crs:
            x, y = Transformer.from_crs(ground.grid.crs.proj, other.grid.crs.proj, always_xy=True).transform(
                east, north
            )
        x, y = ~other.grid.affine * (x, y)
        margin = margin_m / other.resolution
        for block_y, block_x in plot.blocks:
            found |= (
                (y >= block_y.start - margin) & (y < block_y.stop + margin)
                & (x >= block_x.start - margin) & (x < block_x.stop + margin)
            )  # fmt: skip
    return found


def with_secrets(result: Split, margin_m: float = 0.0) -> list:
    """The training plots, with another colour and class 2 wherever a block lies."""
    plots = []
    for plot in result.training:
        secret = inside_blocks(result, plot.ground, margin_m)
        images = np.where(secret, SECRET, PLAIN)[None].repeat(3, axis=0).astype(np.uint8)
        classes = np.where(secret, 2, plot.ground.classes).astype(np.uint8)
        plots.append(dataclasses.replace(plot, ground=dataclasses.replace(plot.ground, images=images, classes=classes)))
    return plots


def check_secrets(plots: list, batches: int = 12) -> None:
    sampler = Sampler(plots, toy_card(classes=3), options(), 8, 0)
    for step in range(batches):
        batch = sampler.draw(step)
        assert (batch.images * 255)[:, 0][batch.valid].numpy() == pytest.approx(PLAIN, abs=1e-2)
        assert not (batch.classes == 2).any()
        assert not batch.images[:, 0][~batch.valid].any()


@pytest.mark.parametrize("gap", [0.0, 7.0])
def test_no_window_shows_a_block(tmp_path: Path, gap: float) -> None:
    result = split([make_ground(tmp_path)], options(gap_m=gap), 32, 0)
    plot = result.plots[0]
    assert plot.blocks
    hidden = inside_blocks(result, plot.ground, gap)
    assert not (plot.seen & hidden).any()
    wider = inside_blocks(result, plot.ground, gap + 2)
    assert plot.seen[~wider].all()
    check_secrets(with_secrets(result, gap))


def test_a_tenth_of_a_window_around_blocks_is_used_for_nothing(tmp_path: Path) -> None:
    plot = split([make_ground(tmp_path)], options(), 40, 0).plots[0]
    wide = split([plot.ground], options(gap_m=4.0), 40, 0).plots[0]
    assert plot.blocks == wide.blocks
    assert np.array_equal(plot.seen, wide.seen)
    assert np.count_nonzero(~plot.seen) > plot.validation_pixels


@pytest.mark.parametrize("crs", ["EPSG:32634", "EPSG:4326", "EPSG:3857"])
def test_no_window_shows_a_block_of_another_scene(tmp_path: Path, crs: str) -> None:
    move = Transformer.from_crs("EPSG:32633", crs, always_xy=True)
    east, north = move.transform(WEST + 60, NORTH - 50)
    near = move.transform(WEST + 61, NORTH - 50), move.transform(WEST + 60, NORTH - 51)
    steps = [float(np.hypot(x - east, y - north)) for x, y in near]
    transform = Affine(steps[0], 0, east, 0, -steps[1], north)
    first = make_ground(tmp_path)
    second = make_ground(tmp_path, "other", crs=crs, transform=transform, shape=(160, 160), role=Role("train"))
    result = split([first, second], options(), 32, 1)
    hidden = inside_blocks(result, second)
    assert hidden.any()
    assert not (result.plots[1].seen & hidden).any()
    assert not result.plots[1].blocks
    check_secrets(with_secrets(result))


def test_the_same_ground_twice_is_kept_once(tmp_path: Path) -> None:
    grounds = [make_ground(tmp_path), make_ground(tmp_path, "again")]
    result = split(grounds, options(), 32, 0)
    assert [bool(plot.blocks) for plot in result.plots] == [True, False]
    for plot in result.plots:
        assert not (plot.seen & inside_blocks(result, plot.ground)).any()
    assert result.facts[1]["hidden_share"] == pytest.approx(result.facts[0]["hidden_share"], abs=0.01)


def test_the_date_line_is_no_end_of_the_ground(tmp_path: Path) -> None:
    pixel = 360 / 2**25
    beyond = Affine(pixel, 0, 180 - 64 * pixel, 0, -pixel, 0.001)
    other = Affine(pixel, 0, -180 - 64 * pixel, 0, -pixel, 0.001)
    asked = asked_for(tmp_path, resolutions=(0.9, 1.6))
    first = make_ground(tmp_path, crs="EPSG:4326", transform=beyond, shape=(192, 192), asked=asked)
    second = make_ground(
        tmp_path, "other", crs="EPSG:4326", transform=other, shape=(192, 192), asked=asked, role=Role("train")
    )
    result = split([first, second], options(), 38, 0)
    assert np.array_equal(result.plots[0].seen, result.plots[1].seen)
    assert not result.plots[1].seen.all()
    zone = Transformer.from_crs("EPSG:4326", "EPSG:32660", always_xy=True).transform(180 - 40 * pixel, 0.0009)
    third = make_ground(tmp_path, "zone", crs="EPSG:32660", at=zone, shape=(192, 192), role=Role("train"))
    assert shared_m2(first, third) == pytest.approx(shared_m2(third, second), rel=0.05)
    assert not split([first, third], options(), 38, 0).plots[1].seen.all()


def test_a_share_of_ground_and_of_objects_is_kept_and_every_class_on_both_sides(tmp_path: Path) -> None:
    classes, _ = squares((512, 512))
    classes[300:330, 20:50] = 2
    classes[100:130, 400:430] = 2
    ground = make_ground(tmp_path, shape=(512, 512), classes=classes)
    seen = []
    for seed in range(4):
        result = split([ground], options(), 32, seed)
        plot = result.plots[0]
        assert result.facts[0]["validation_share"] == pytest.approx(0.15, abs=0.03)
        assert not result.warnings
        assert set(plot.ids) == {0, 1, 2}
        kept = np.unique(np.concatenate([ground.classes_at(y, x).ravel() for y, x in plot.blocks]))
        assert set(kept) == {0, 1, 2}
        assert all(y.size >= 32 and x.size >= 32 for y, x in plot.blocks)
        assert split([ground], options(), 32, seed).plots[0].blocks == plot.blocks
        seen.append(plot.blocks)
    assert len(set(seen)) > 1


def test_scenes_declared_for_both_may_not_share_ground(tmp_path: Path) -> None:
    first = make_ground(tmp_path, "learn", role=Role("train"))
    second = make_ground(tmp_path, "check", at=(WEST + 200, NORTH - 100), role=Role("validation"))
    with pytest.raises(SpecError, match=r"learn\.tif is for training and check\.tif for validation") as caught:
        split([first, second], options(), 32, 0)
    area = float(str(caught.value).split("share ")[1].split(" m2")[0].replace(",", ""))
    assert area == pytest.approx(56 * 156, rel=0.02)


def test_neighbours_are_no_clash_and_a_validation_scene_is_validated_as_a_whole(tmp_path: Path) -> None:
    first = make_ground(tmp_path, "learn", role=Role("train"))
    second = make_ground(tmp_path, "check", at=(WEST + 256, NORTH), shape=(64, 96), role=Role("validation"))
    result = split([first, second], options(), 32, 0)
    assert [len(plot.blocks) for plot in result.plots] == [0, 1]
    assert result.plots[1].validation_pixels == 64 * 96
    assert [plot.index for plot in result.training] == [0]
    assert result.facts[0]["hidden_share"] < 0.01


def test_files_without_a_place_share_ground_only_with_themselves(tmp_path: Path) -> None:
    place = {"crs": None, "transform": Affine.identity(), "shape": (64, 64)}
    first = make_ground(tmp_path, "one", role=Role("train"), **place)
    second = make_ground(tmp_path, "two", role=Role("validation"), **place)
    assert split([first, second], options(), 32, 0).plots[0].seen is None
    same = dataclasses.replace(first, role=Role("validation"))
    with pytest.raises(SpecError, match=r"share 4,096 m2"):
        split([first, same], options(), 32, 0)
    folder, name = os.path.split(first.paths[0])
    written = dataclasses.replace(same, paths=(f"{folder}/./{name}",))
    with pytest.raises(SpecError, match=r"share 4,096 m2"):
        split([first, written], options(), 32, 0)
    (tmp_path / "linked.tif").symlink_to(first.paths[0])
    with pytest.raises(SpecError, match=r"share 4,096 m2"):
        split([first, dataclasses.replace(same, paths=(str(tmp_path / "linked.tif"),))], options(), 32, 0)


def test_the_user_is_told_of_scenes_whose_ground_cannot_be_compared(tmp_path: Path) -> None:
    nowhere = {"crs": None, "transform": Affine.identity(), "shape": (64, 64)}
    lost = [make_ground(tmp_path, f"lost{i}", role=Role("train"), **nowhere) for i in range(5)]
    placed = make_ground(tmp_path)
    (told,) = split([*lost, placed], options(), 32, 0).warnings
    assert told.startswith("lost0.tif, lost1.tif, lost2.tif and 2 more: whether they show ground that is kept")
    assert not split(lost, options(validation=0.0), 32, 0).warnings
    checked = make_ground(tmp_path, "check", role=Role("validation"), **nowhere)
    assert not split([*lost, checked], options(), 32, 0).warnings
    assert split([dataclasses.replace(placed, role=Role("train")), checked], options(), 32, 0).warnings


def test_what_is_seen_leaves_no_half_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ground = make_ground(tmp_path)
    before = sorted(ground.folder.iterdir())

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ArrayFile, "write", full)
    with pytest.raises(WriteError, match="No space left"):
        split([ground], options(), 32, 0)
    assert sorted(ground.folder.iterdir()) == before


def test_a_scene_too_small_to_be_split_is_refused_with_a_remedy(tmp_path: Path) -> None:
    small = make_ground(tmp_path, shape=(60, 60))
    remedy = r"scene\.tif: found 60 x 60 m .* 40 m.*use = 'validation'.*block_m.*validation to 0"
    with pytest.raises(SpecError, match=remedy):
        split([small], options(block_m=40.0), 32, 0)
    assert split([small], options(validation=0.0), 32, 0).plots[0].seen is None
    assert split([small], options(block_m=20.0), 32, 0).plots[0].blocks
    with pytest.raises(SpecError, match="found 14 x 14 m"):
        split([make_ground(tmp_path, "tiny", shape=(14, 14))], options(), 32, 0)


@pytest.mark.parametrize("shape", [(90, 90), (70, 130), (40, 200)])
def test_a_small_scene_is_cut_finer_to_meet_the_share(tmp_path: Path, shape: tuple[int, int]) -> None:
    result = split([make_ground(tmp_path, shape=shape)], options(), 32, 0)
    assert 0.1 <= result.facts[0]["validation_share"] <= 0.2
    assert not result.warnings
    assert all(min(y.size, x.size) >= 8 for y, x in result.plots[0].blocks)


def test_of_many_small_scenes_whole_ones_are_kept(tmp_path: Path) -> None:
    grounds = [make_ground(tmp_path, f"s{i}", shape=(48, 48), at=(WEST + 100 * i, NORTH)) for i in range(7)]
    result = split(grounds, options(), 32, 0)
    assert len(result.validation) == 1
    (kept,) = result.validation
    assert not kept.known_pixels
    assert kept.validation_pixels == 48 * 48
    assert len([p for p in result.training if p.known_pixels]) == 6


def test_a_small_scene_beside_a_large_one_is_for_training(tmp_path: Path) -> None:
    grounds = [make_ground(tmp_path), make_ground(tmp_path, "small", shape=(14, 14), at=(WEST + 1000, NORTH))]
    result = split(grounds, options(), 32, 0)
    assert result.plots[1].seen is None or result.plots[1].seen.all()
    assert any("small.tif: too small to be split" in text for text in result.warnings)


def test_the_user_is_told_where_much_more_is_kept_than_asked(tmp_path: Path) -> None:
    result = split([make_ground(tmp_path, shape=(70, 70))], options(block_m=35.0), 32, 0)
    assert any("25%" in text and "block_m" in text for text in result.warnings)


def test_unlabelled_scenes_do_not_show_blocks_either(tmp_path: Path) -> None:
    grounds = [make_ground(tmp_path), make_ground(tmp_path, "bare", labelled=False)]
    result = split(grounds, options(), 32, 0)
    (bare,) = result.unlabelled
    assert not bare.blocks
    assert not (bare.seen & inside_blocks(result, bare.ground)).any()


def test_without_any_ground_left_there_is_no_training(tmp_path: Path) -> None:
    ground = make_ground(tmp_path)
    with pytest.raises(SpecError, match="no labelled ground to train on"):
        split([ground, dataclasses.replace(ground, role=Role("validation"))], options(), 32, 0)


def test_validation_windows_show_each_known_pixel_once(tmp_path: Path) -> None:
    ground = make_ground(tmp_path)
    (plot,) = split([ground], options(), 32, 0).plots
    batches = list(validation_windows([plot], Regular(ground.resolution, 32, 5)))
    assert all(len(batch) == 5 for batch in batches[:-1])
    known = sum(int((batch.classes != 255).sum()) for batch in batches)
    assert known == plot.validation_pixels
    for class_id in (0, 1):
        expected = sum(int((ground.classes_at(y, x) == class_id).sum()) for y, x in plot.blocks)
        assert sum(int((batch.classes == class_id).sum()) for batch in batches) == expected
    assert all(bool((batch.classes != 255).flatten(1).any(1).all()) for batch in batches)
    assert all((batch.objects[batch.classes != 1] == 0).all() for batch in batches)
    few = list(validation_windows([plot], Regular(ground.resolution, 32, 2, most=3)))
    assert [len(batch) for batch in few] == [2, 1]


def test_validation_windows_have_their_part_in_the_middle_and_look_around_it(tmp_path: Path) -> None:
    ground = make_ground(tmp_path)
    (plot,) = split([ground], options(block_m=50.0), 32, 0).plots
    for batch in validation_windows([plot], Regular(ground.resolution, 48, 4)):
        assert batch.valid.all()
        assert (batch.classes[:, 24, 24] != 255).all()
        assert (batch.classes == 255).flatten(1).any(1).all()
