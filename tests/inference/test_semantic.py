import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from geoseg.core.card import ModelCard
from geoseg.core.classes import ClassInfo, ClassSet
from geoseg.core.tiling import Tiling
from geoseg.core.values import Decision, Stretch, normalisation
from geoseg.errors import GeosegError, ModelError
from geoseg.inference import network as networks
from geoseg.inference.ahead import ahead
from geoseg.inference.device import choose
from geoseg.inference.network import Augmentation, Network
from geoseg.inference.passes import Pass
from geoseg.inference.semantic import predict_strips
from geoseg.inference.stitch import Canvas, KernelStitcher, TensorStitcher
from tests.inference.array_reader import ArrayReader

CPU = choose("cpu", "fp32", 1)


def card(classes=4, activation="none", **changes):
    infos = tuple(ClassInfo(id=i, name=f"class {i}", colour="#112233") for i in range(classes))
    values = {
        "name": "toy", "version": "1", "task": "toy", "description": "", "architecture": "none", "license": "MIT",
        "bands": ("red",), "resolution": 1.0, "resolution_range": (0.5, 2.0), "value_range": (0, 1), "mean": (0.0,),
        "std": (1.0,), "classes": ClassSet(classes=infos), "activation": activation, "divisor": 1, "tile_size": 8,
        "overlap": 2,
    }  # fmt: skip
    return ModelCard(**(values | changes))


class OneHot(nn.Module):
    """Score 1 for the class that the pixel's value names."""

    def __init__(self, classes):
        super().__init__()
        self.classes = classes

    def forward(self, inputs):
        return torch.stack([(inputs[:, 0] == k).float() for k in range(self.classes)], 1)


class Place(nn.Module):
    """Scores that depend on the place in the chip, so that every blend weight matters; never zero, never tied."""

    def __init__(self, classes, tile):
        super().__init__()
        self.field = torch.rand((classes, tile, tile), generator=torch.Generator().manual_seed(3))

    def forward(self, inputs):
        return (inputs[:, :1] + self.field).softmax(1)


def run(pixels, module, the_card, *, tile, overlap, batch=3, valid=None, block=None, threshold=None):
    tiling = Tiling.over(pixels.shape[1:], tile, overlap)
    canvas = Canvas(tiling, block or tiling.whole(), Decision.of(the_card, threshold), True)
    network = Network(module, the_card, CPU, Augmentation())
    work = Pass(ArrayReader(pixels, valid), normalisation(the_card, None), network, canvas, batch)
    told = []
    strips = list(predict_strips(work, lambda tiles, count: told.append((tiles, count))))
    assert sum(t for t, _ in told) == len(canvas.block.rows) * len(canvas.block.columns)
    stops = [canvas.block.y.start, *(s.y.stop for s in strips)]
    assert [s.y.start for s in strips] == stops[:-1], "strips follow each other"
    assert stops[-1] == canvas.block.y.stop
    return np.concatenate([s.class_ids for s in strips]), np.concatenate([s.scores for s in strips])


shapes = st.tuples(st.integers(1, 40), st.integers(1, 40))
tilings = st.integers(1, 16).flatmap(lambda tile: st.tuples(st.just(tile), st.integers(0, tile // 2)))


@settings(max_examples=150, deadline=None)
@given(shape=shapes, tiling=tilings, batch=st.integers(1, 5), seed=st.integers(0, 99))
def test_one_hot_scores_come_out_as_the_whole_scene_would(shape, tiling, batch, seed):
    pixels = np.random.default_rng(seed).integers(0, 4, (1, *shape), dtype=np.uint8)
    classes, scores = run(pixels, OneHot(4), card(), tile=tiling[0], overlap=tiling[1], batch=batch)
    np.testing.assert_array_equal(classes, pixels[0])
    assert (scores == 254).all(), "the weights of neighbouring tiles sum to one exactly"


@settings(max_examples=80, deadline=None)
@given(shape=shapes, tiling=tilings, seed=st.integers(0, 99), density=st.sampled_from([0.02, 0.3, 0.9]))
def test_missing_pixels_are_nodata_and_change_nothing_else(shape, tiling, seed, density):
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 4, (1, *shape), dtype=np.uint8)
    valid = rng.random(shape) < density
    classes, scores = run(pixels, OneHot(4), card(), tile=tiling[0], overlap=tiling[1], valid=valid)
    np.testing.assert_array_equal(classes, np.where(valid, pixels[0], 255))
    np.testing.assert_array_equal(scores, np.where(valid, 254, 255))


@settings(max_examples=60, deadline=None)
@given(
    shape=shapes,
    tiling=st.integers(2, 12).flatmap(lambda tile: st.tuples(st.just(tile), st.integers(0, tile // 2))),
    tiles=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    batch=st.integers(1, 4),
    seed=st.integers(0, 99),
)
def test_blocks_and_batches_change_no_bit(shape, tiling, tiles, batch, seed):
    pixels = np.random.default_rng(seed).integers(0, 4, (1, *shape), dtype=np.uint8)
    module = Place(4, tiling[0])
    whole = run(pixels, module, card(), tile=tiling[0], overlap=tiling[1], batch=1)
    seen = np.zeros(shape, int)
    for block in Tiling.over(shape, *tiling).blocks(tiles):
        part = run(pixels, module, card(), tile=tiling[0], overlap=tiling[1], batch=batch, block=block)
        where = (slice(block.y.start, block.y.stop), slice(block.x.start, block.x.stop))
        seen[where] += 1
        for got, expected in zip(part, whole, strict=True):
            np.testing.assert_array_equal(got, expected[where])
    assert (seen == 1).all(), "blocks own every pixel exactly once"


@settings(max_examples=60, deadline=None)
@given(shape=shapes, tiling=tilings, threshold=st.sampled_from([None, 0.3, 0.5]), seed=st.integers(0, 99))
def test_both_stitchers_agree_to_the_bit(shape, tiling, threshold, seed):
    plan = Tiling.over(shape, *tiling)
    canvas = Canvas(plan, plan.whole(), Decision((0, 1, 2), 0, threshold), True)
    both = KernelStitcher(canvas), TensorStitcher(canvas, torch.device("cpu"))
    generator = torch.Generator().manual_seed(seed)
    for row in range(plan.y.count):
        for column in range(plan.x.count):
            scores = torch.rand((3, tiling[0], tiling[0]), generator=generator).softmax(0)
            for stitch in both:
                stitch.add(row, column, scores)
        one, other = (stitch.finish_row(row, None) for stitch in both)
        np.testing.assert_array_equal(one.class_ids, other.class_ids)
        np.testing.assert_array_equal(one.scores, other.scores)


def test_a_threshold_moves_the_decision_and_the_score_raster_shows_the_foreground():
    module, pixels = Place(2, 8), np.zeros((1, 8, 8), np.uint8)
    expected = module(torch.zeros(1, 1, 8, 8))[0, 1].numpy()
    classes, scores = run(pixels, module, card(2), tile=8, overlap=0, threshold=0.6)
    np.testing.assert_array_equal(classes, expected >= 0.6)
    np.testing.assert_array_equal(scores, np.floor(expected * 254 + 0.5))


@pytest.mark.parametrize("channel", [0, 2, 3])
@pytest.mark.parametrize("device", [False, True])
def test_scores_that_are_not_numbers_end_the_run(channel, device, monkeypatch):
    class Broken(nn.Module):
        def forward(self, inputs):
            scores = torch.full((len(inputs), 4, *inputs.shape[2:]), 0.25)
            scores[:, channel, 3, 5] = torch.nan
            return scores

    if device:
        monkeypatch.setattr("geoseg.inference.semantic.stitcher", TensorStitcher)
    with pytest.raises(GeosegError, match="not numbers"):
        run(np.ones((1, 8, 8), np.uint8), Broken(), card(), tile=8, overlap=2)


def test_a_network_with_the_wrong_number_of_channels_is_named():
    with pytest.raises(ModelError, match="expected 4 channels"):
        run(np.ones((1, 8, 8), np.uint8), OneHot(3), card(), tile=8, overlap=2)


def test_both_feeders_normalise_alike():
    rng = np.random.default_rng(0)
    the_card = card(bands=("red", "nir"), mean=(0.4, 0.5), std=(0.2, 0.3), value_range=(0, 255))
    norm = normalisation(the_card, Stretch((10.0, 20.0), (900.0, 800.0), "test"))
    pixels, valid = rng.integers(0, 1000, (2, 6, 9), dtype=np.uint16), rng.random((6, 9)) < 0.7
    shape = (1, 2, 6, 6)
    host = networks.HostFeeder(norm, shape)
    device = networks.DeviceFeeder(norm, shape, pixels.dtype, torch.device("cpu"))
    for feeder in (host, device):
        feeder.put(0, pixels, valid, 2)
    torch.testing.assert_close(host.inputs(), device.inputs(), rtol=0, atol=0)
    clipped = np.clip(pixels[0, 0, 2], 10, 900)
    value = ((clipped - 10) / 890 - 0.4) / 0.2 if valid[0, 2] else 0
    assert host.inputs()[0, 0, 0, 0].item() == pytest.approx(value, abs=1e-5)


@pytest.mark.parametrize(("name", "views"), [("none", 1), ("flips", 4), ("d4", 8)])
def test_augmentation_turns_every_view_back(name, views):
    calls = []

    class Follow(nn.Module):
        def forward(self, inputs):
            calls.append(inputs)
            return torch.stack([(inputs[:, 0] == k).float() for k in range(4)], 1)

    pixels = np.random.default_rng(1).integers(0, 4, (1, 1, 8, 8)).astype(np.float32)
    scores = Network(Follow(), card(), CPU, Augmentation(name))(torch.from_numpy(pixels))
    assert len({c.numpy().tobytes() for c in calls}) == len(calls) == views
    np.testing.assert_array_equal(scores.argmax(1), pixels[:, 0])


def test_scales_are_averaged_at_the_chips_size():
    sizes = []

    class Size(nn.Module):
        def forward(self, inputs):
            sizes.append(tuple(inputs.shape[2:]))
            return torch.full((1, 4, *inputs.shape[2:]), inputs.shape[2] / 32)

    scores = Network(Size(), card(divisor=8), CPU, Augmentation("none", (0.5, 1, 2)))(torch.zeros(1, 1, 16, 16))
    assert sizes == [(8, 8), (16, 16), (32, 32)]
    torch.testing.assert_close(scores, torch.full((1, 4, 16, 16), (0.25 + 0.5 + 1) / 3))


def test_work_done_ahead_hands_on_errors_and_ends_with_its_consumer():
    closed = []

    def numbers():
        try:
            yield from range(1000)
        finally:
            closed.append(True)

    items = ahead(numbers(), 2, "test")
    assert [next(items) for _ in range(3)] == [0, 1, 2]
    items.close()
    assert closed == [True]

    def broken():
        yield 1
        raise ValueError("in the thread")

    with pytest.raises(ValueError, match="in the thread"):
        list(ahead(broken(), 2, "test"))
