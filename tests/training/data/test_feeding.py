"""Batches come in order, whoever draws them."""

from __future__ import annotations

import itertools
import threading
from pathlib import Path

import pytest
import torch

from geoseg.errors import ReadError
from geoseg.training.batch import Batch
from geoseg.training.data import Feeder, Sampler, feeding
from geoseg.training.data.plot import make_plot
from geoseg.training.options import DataOptions
from tests.toy import toy_card
from tests.training.data.scenes import make_ground


def numbered(step: int) -> Batch:
    """A batch that tells its step."""
    empty = torch.zeros(1)
    return Batch(empty, empty, empty, empty, empty, torch.tensor([step]))


def test_the_number_of_readers_changes_nothing(tmp_path: Path) -> None:
    plot = make_plot(0, make_ground(tmp_path), (), None)
    sampler = Sampler([plot], toy_card(classes=3), DataOptions(crop_size=32), 4, 0)
    alone = [sampler.draw(step) for step in range(3, 11)]
    for readers in (1, 4):
        with Feeder(sampler.draw, 3, 11, readers) as feeder:
            together = list(feeder)
        assert len(together) == 8
        for first, second in zip(alone, together, strict=True):
            assert torch.equal(first.images, second.images)
            assert torch.equal(first.classes, second.classes)
            assert torch.equal(first.objects, second.objects)


def test_an_error_comes_where_its_batch_would_have_come() -> None:
    def draw(step: int) -> Batch:
        if step == 2:
            raise ReadError("broken")
        return numbered(step)

    with Feeder(draw, 0, 9, 3) as feeder:
        assert [int(next(feeder).scene) for _ in range(2)] == [0, 1]
        with pytest.raises(ReadError, match="broken"):
            next(feeder)
        assert list(feeder) == []


def test_closing_ends_all_threads_and_draws_no_more() -> None:
    drawn = []

    def draw(step: int) -> Batch:
        drawn.append(step)
        return numbered(step)

    feeder = Feeder(draw, 0, 1000, 2)
    next(feeder)
    feeder.close()
    assert len(drawn) <= 1 + 2 + feeding.AHEAD
    assert not [t for t in threading.enumerate() if t.name.startswith("geoseg-draw")]
    assert list(feeder) == []


def test_only_so_many_batches_are_drawn_ahead() -> None:
    begun = []
    go = threading.Event()

    def draw(step: int) -> Batch:
        begun.append(step)
        go.wait(30)
        return numbered(step)

    with Feeder(draw, 0, 100, 2) as feeder:
        go.set()
        for step in range(5):
            assert int(next(feeder).scene) == step
            assert max(begun) <= step + 1 + 2 + feeding.AHEAD


def test_waiting_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = itertools.chain([0.0, 3.0, 10.0, 11.0, 19.0, 20.0], itertools.repeat(20.0))
    monkeypatch.setattr(feeding.time, "monotonic", lambda: next(ticks))
    with Feeder(numbered, 0, 3, 1) as feeder:
        assert feeder.share_waited == 0
        assert len(list(feeder)) == 3
        assert feeder.waited == pytest.approx(5.0)
        assert feeder.share_waited == pytest.approx(0.25)
