from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from geoseg.core.protocols import Silent
from geoseg.errors import OutputError, ResourceError, SpecError, TrainingError
from geoseg.models import LoadedModel
from geoseg.training.fitting import Fitted, fit
from geoseg.training.fitting.checkpoint import checkpoint_path, read, steps_done
from geoseg.training.options import AdaptationOptions, AugmentationOptions, DistillationOptions
from tests.training.fitting.courses import Source, card, course, options, small, squares


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads that wait for each other on a busy machine make these small networks slow."""
    monkeypatch.setattr("geoseg.inference.device.cores", lambda: 1)


class Heard(Silent):
    """Progress that remembers, and can interrupt after so many steps."""

    def __init__(self, stop_after: int = 0) -> None:
        self.steps, self.pixels, self.notes, self.stages, self.warnings = 0, 0, [], [], []
        self.plans: list[dict[str, Any]] = []
        self._stop_after = stop_after

    def plan(self, plan: dict[str, Any]) -> None:
        self.plans.append(plan)

    def advance(self, tiles: int, pixels: int) -> None:
        self.steps += tiles
        self.pixels += pixels
        if self.steps == self._stop_after:
            raise KeyboardInterrupt("SIGINT")

    def stage(self, name: str) -> None:
        self.stages.append(name)

    def warn(self, message: str) -> None:
        self.warnings.append(message)

    def note(self, values: Any) -> None:
        self.notes.append(dict(values))


def same(one: Fitted, other: Fitted) -> bool:
    return one.weights.keys() == other.weights.keys() and all(
        torch.equal(tensor, other.weights[name]) for name, tensor in one.weights.items()
    )


def figures(fitted: Fitted) -> list[dict[str, float]]:
    """The history without what the clock says."""
    return [{k: v for k, v in row.items() if k not in ("seconds", "waited")} for row in fitted.history]


def test_the_network_learns_and_everything_is_told(tmp_path: Path) -> None:
    heard, source = Heard(), Source()
    fitted = fit(course(tmp_path, options(steps=60, pictures_every=1), batches=source), heard)
    assert fitted.step == 60
    assert fitted.best["iou"] > 0.9
    assert fitted.history[-1]["loss"] < 0.6 * fitted.history[0]["loss"]
    assert [row["step"] for row in fitted.history if "iou" in row] == [8, 16, 24, 32, 40, 48, 56, 60]
    assert heard.plans[0]["steps"] == heard.steps == 60
    assert heard.pixels == 60 * 4 * 32 * 32
    assert heard.notes[-1]["seconds_left"] == 0
    assert source.asked == list(range(60))
    assert source.closed == 1
    pictures = sorted(p.name for p in (tmp_path / "pictures").iterdir())
    assert pictures[0] == "step_00008.png"
    assert len(pictures) == 8
    assert sorted(p.name for p in tmp_path.iterdir()) == ["checkpoint.pt", "log.csv", "pictures"]


def test_the_log_holds_the_history(tmp_path: Path) -> None:
    fitted = fit(course(tmp_path))
    with (tmp_path / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == [row["step"] for row in fitted.history]
    for row, kept in zip(rows, fitted.history, strict=True):
        assert {k for k, v in row.items() if v} == set(kept)
        assert float(row["loss"]) == pytest.approx(kept["loss"], rel=1e-5)
        assert kept["loss"] == pytest.approx(kept["cross-entropy"] + kept["dice"])


def test_nothing_is_printed_and_nothing_left_anywhere(tmp_path: Path, capfd: Any, monkeypatch: Any) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    monkeypatch.setenv("TMPDIR", str(elsewhere))
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    state = torch.random.get_rng_state()
    fit(course(tmp_path / "run"))
    assert capfd.readouterr() == ("", "")
    assert list(elsewhere.iterdir()) == []
    assert {number: signal.getsignal(number) for number in handlers} == handlers
    assert torch.equal(state, torch.random.get_rng_state())


@pytest.mark.parametrize("stop", [1, 7, 8, 13, 23, 24])
def test_interrupted_and_resumed_gives_the_same_weights(tmp_path: Path, stop: int, capfd: Any) -> None:
    recipe = options(AugmentationOptions(), accumulate=2)
    whole = fit(course(tmp_path / "whole", recipe))
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt, match="SIGINT"):
        fit(course(tmp_path / "cut", recipe), Heard(stop))
    assert signal.getsignal(signal.SIGINT) is handler
    assert steps_done(tmp_path / "cut") == stop
    heard = Heard()
    resumed = fit(course(tmp_path / "cut", recipe, network=small(seed=5), existing="resume"), heard)
    assert heard.steps == 24 - stop
    assert same(whole, resumed)
    assert figures(whole) == figures(resumed)
    assert whole.best == resumed.best
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("number", [5, 16])
def test_interrupted_amid_a_forward_pass(tmp_path: Path, number: int) -> None:
    """The statistics of batch norms have changed already, and dropout has drawn."""

    class Cut(type(small())):  # type: ignore[misc]
        calls = 0

        def forward(self, chips: torch.Tensor) -> torch.Tensor:
            found = super().forward(chips)
            self.calls += self.training
            if self.calls == number:
                raise KeyboardInterrupt
            return found

    whole = fit(course(tmp_path / "whole"))
    network = small()
    network.__class__ = Cut
    with pytest.raises(KeyboardInterrupt):
        fit(course(tmp_path / "cut", network=network))
    assert steps_done(tmp_path / "cut") == number - 1
    assert same(whole, fit(course(tmp_path / "cut", existing="resume")))


def test_interrupted_amid_an_update_goes_back_to_the_last_checkpoint(tmp_path: Path, monkeypatch: Any) -> None:
    whole = fit(course(tmp_path / "whole"))
    step, calls = torch.optim.AdamW.step, []

    def cut(self: Any, closure: Any = None) -> Any:
        found = step(self, closure)
        calls.append(1)
        if len(calls) == 11:
            raise KeyboardInterrupt
        return found

    with monkeypatch.context() as patch:
        patch.setattr(torch.optim.AdamW, "step", cut)
        with pytest.raises(KeyboardInterrupt):
            fit(course(tmp_path / "cut"))
    assert steps_done(tmp_path / "cut") in (4, 8)
    assert same(whole, fit(course(tmp_path / "cut", existing="resume")))


def test_several_interruptions_and_a_loop_over_an_error(tmp_path: Path) -> None:
    whole = fit(course(tmp_path / "whole"))
    source = Source(stop={9: OSError("the disk is gone")})
    with pytest.raises(OSError, match="gone"):
        fit(course(tmp_path / "cut", batches=source))
    assert source.closed == 1
    for stop in (3, 5, 4):
        with pytest.raises(KeyboardInterrupt):
            fit(course(tmp_path / "cut", existing="resume"), Heard(stop))
    assert same(whole, fit(course(tmp_path / "cut", existing="resume")))


def test_a_finished_run_is_not_trained_again(tmp_path: Path) -> None:
    whole = fit(course(tmp_path))
    source = Source()
    again = fit(course(tmp_path, batches=source, network=small(seed=3), existing="resume"))
    assert same(whole, again)
    assert source.asked == []


def test_a_run_is_neither_mixed_with_another_nor_lost(tmp_path: Path) -> None:
    fit(course(tmp_path))
    with pytest.raises(OutputError, match="holds a run already"):
        fit(course(tmp_path))
    with pytest.raises(
        TrainingError, match=r"loop\.steps was 24 and is 30; .*loop.*--overwrite|loop\.steps was 24 and is 30"
    ):
        fit(course(tmp_path, options(steps=30), existing="resume"))
    with pytest.raises(TrainingError, match="data: town was nothing"):
        fit(course(tmp_path, existing="resume", data={"town": "1"}))
    assert fit(course(tmp_path, options(steps=9), existing="replace")).step == 9
    readers = options(steps=9, logger=(), pictures_every=3, checkpoint_every=7)
    assert fit(course(tmp_path, readers, existing="resume")).step == 9


def test_a_damaged_checkpoint_is_an_error(tmp_path: Path) -> None:
    fit(course(tmp_path))
    path = checkpoint_path(tmp_path)
    path.write_bytes(path.read_bytes()[:-3000])
    with pytest.raises(TrainingError, match="cannot be read as a checkpoint"):
        fit(course(tmp_path, existing="resume"))


def test_no_finite_loss_ends_the_run(tmp_path: Path) -> None:
    network = small()
    with torch.no_grad():
        network.head.bias[0] = float("nan")
    with pytest.raises(TrainingError, match=r"step 20: found no finite loss or gradient in 20 steps in a row"):
        fit(course(tmp_path, network=network))


@pytest.mark.parametrize("freeze_norms", [True, False])
def test_a_step_without_finite_gradients_is_left_out(tmp_path: Path, freeze_norms: bool) -> None:
    class Bad(Source):
        def __call__(self, first: int, last: int) -> Any:
            for batch, number in zip(super().__call__(first, last), range(first, last), strict=True):
                yield replace(batch, images=batch.images * (float("inf") if number in (3, 5) else 1))

    heard = Heard()
    fitted = fit(course(tmp_path, options(steps=40, freeze_norms=freeze_norms), batches=Bad()), heard)
    assert all(tensor.isfinite().all() for tensor in fitted.weights.values())
    assert fitted.best["iou"] > 0.8
    assert len(heard.warnings) == 1
    assert "step 4: found a loss or gradient that is no finite number" in heard.warnings[0]


def test_patience_ends_a_run_and_its_resumption(tmp_path: Path) -> None:
    recipe = options(steps=400, learning_rate=1e-9, patience=2, validate_every=5, ema=0.0, freeze_norms=True)
    fitted = fit(course(tmp_path, recipe))
    assert fitted.step == 15
    assert fitted.best["step"] == 5
    assert fit(course(tmp_path, recipe, existing="resume")).step == 15


def test_best_or_last(tmp_path: Path) -> None:
    """With a rate that ruins the network in the end the best is not the last."""
    best = fit(course(tmp_path, options(steps=40)))
    last = fit(course(tmp_path, options(steps=40, keep="last"), existing="resume"))
    state = read(checkpoint_path(tmp_path))
    assert all(torch.equal(t, state["best"][name]) for name, t in best.weights.items())
    assert all(torch.equal(t, state["average"][name]) for name, t in last.weights.items())


def test_without_validation_the_last_weights_are_kept(tmp_path: Path) -> None:
    fitted = fit(course(tmp_path, validation=None))
    assert fitted.best == {}
    assert all("iou" not in row for row in fitted.history)


def test_the_encoder_keeps_still_for_its_share(tmp_path: Path) -> None:
    start = small()
    fitted = fit(course(tmp_path, options(frozen=1.0, keep="last", ema=0.0)))
    for name, tensor in start.state_dict().items():
        assert torch.equal(tensor, fitted.weights[name]) == name.startswith("encoder"), name
    thawed = fit(course(tmp_path / "b", options(frozen=0.5, keep="last", ema=0.0)))
    assert not torch.equal(start.encoder[0].weight, thawed.weights["encoder.0.weight"])


def test_statistics_of_norms_can_be_kept(tmp_path: Path) -> None:
    fitted = fit(course(tmp_path, options(freeze_norms=True, keep="last")))
    assert torch.equal(fitted.weights["encoder.1.running_mean"], torch.zeros(8))
    assert not torch.equal(fitted.weights["encoder.1.weight"], torch.ones(8))


def test_minutes_end_a_run_by_the_clock(tmp_path: Path) -> None:
    heard = Heard()
    fitted = fit(course(tmp_path, options(minutes=2 / 60, validate_every=50)), heard)
    assert fitted.step > 24
    assert 1 <= fitted.seconds < 10
    assert fitted.history[-1]["learning_rate"] < 0.1 * max(row["learning_rate"] for row in fitted.history)
    assert "iou" in fitted.history[-1]


def test_a_learning_rate_is_found(tmp_path: Path) -> None:
    heard = Heard()
    fitted = fit(course(tmp_path, options(learning_rate="find", steps=60)), heard)
    assert 1e-4 <= heard.plans[0]["learning_rate"] <= 1e-2
    assert fitted.best["iou"] > 0.5
    state = read(checkpoint_path(tmp_path))
    assert state["record"]["rate"] == heard.plans[0]["learning_rate"]


def test_a_teacher_teaches_where_labels_do_not(tmp_path: Path) -> None:
    """Labels are unknown everywhere: whatever is learnt comes from the teacher."""
    taught = fit(course(tmp_path / "teacher", options(steps=60, keep="last")))
    module = small()
    module.load_state_dict(taught.weights)
    teacher = LoadedModel(card(), module.eval(), tmp_path, "")

    class Blind(Source):
        def __call__(self, first: int, last: int) -> Any:
            for batch in super().__call__(first, last):
                yield replace(batch, classes=torch.full_like(batch.classes, 255))

    recipe = options(steps=60).model_copy(update={"distillation": DistillationOptions(teacher="t", weight=0.9)})
    blind = fit(course(tmp_path / "student", recipe, batches=Blind(), network=small(seed=9), teacher=teacher))
    assert blind.best["iou"] > 0.8
    assert blind.history[0]["distillation"] > 3 * blind.history[-1]["distillation"]


def test_scenes_without_labels_are_learnt_from_what_the_average_says(tmp_path: Path) -> None:
    recipe = options(steps=40).model_copy(
        update={"adaptation": AdaptationOptions(images=("x",), confidence=0.6, start=0.5)}
    )
    other = Source()
    whole = fit(course(tmp_path / "whole", recipe, unlabelled=other))
    assert other.asked[0] == 20
    assert other.closed == 1
    assert all(("adaptation" in row) == (row["step"] > 20) for row in whole.history)
    with pytest.raises(KeyboardInterrupt):
        fit(course(tmp_path / "cut", recipe, unlabelled=Source()), Heard(31))
    assert same(whole, fit(course(tmp_path / "cut", recipe, unlabelled=Source(), existing="resume")))
    with pytest.raises(SpecError, match=r"adaptation\.images"):
        fit(course(tmp_path / "none", recipe))


def test_bf16(tmp_path: Path) -> None:
    fitted = fit(course(tmp_path, options(precision="bf16", steps=40)))
    assert fitted.best["iou"] > 0.8
    assert all(t.dtype in (torch.float32, torch.int64) for t in fitted.weights.values())


@pytest.mark.slow
def test_two_processes_train_together_and_go_on_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("geoseg.inference.device.cores", lambda: 2)
    monkeypatch.setattr("geoseg.training.fitting.spreading.cores", lambda: 2)
    recipe, heard = options(devices=2), Heard()
    whole = fit(course(tmp_path / "whole", recipe), heard)
    assert heard.steps == 24
    assert whole.best["iou"] > 0.8
    assert heard.plans[0]["batch_size"] == 16
    with pytest.raises(KeyboardInterrupt):
        fit(course(tmp_path / "cut", recipe), Heard(9))
    assert 9 <= (steps_done(tmp_path / "cut") or 0) < 24
    resumed = fit(course(tmp_path / "cut", recipe, existing="resume"))
    assert same(whole, resumed)
    alone = fit(course(tmp_path / "alone", options()))
    assert not same(whole, alone)


def test_more_devices_than_there_are(tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match=r"loop\.devices: found 99"):
        fit(course(tmp_path, options(devices=99)))


SCRIPT = """
import sys
from pathlib import Path
import geoseg.inference.device
from geoseg.training.fitting import fit
from tests.training.fitting.courses import course, options
geoseg.inference.device.cores = lambda: 1
fit(course(Path(sys.argv[1]), options(steps=120, checkpoint_every=1), existing="resume"))
"""


@pytest.mark.slow
def test_killed_at_any_moment_and_resumed(tmp_path: Path) -> None:
    """kill -9, thrice, then to the end; the weights are those of a run that nobody touched."""
    recipe = options(steps=120, checkpoint_every=1)
    whole = fit(course(tmp_path / "whole", recipe))
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    for wait in (0.0, 0.13, 0.29):
        process = subprocess.Popen([sys.executable, "-c", SCRIPT, str(tmp_path / "cut")], env=environment)
        before = checkpoint_path(tmp_path / "cut").stat().st_mtime_ns if wait else 0
        _await_change(checkpoint_path(tmp_path / "cut"), before, process)
        time.sleep(wait)
        process.kill()
        process.wait()
    assert same(whole, fit(course(tmp_path / "cut", recipe, existing="resume")))
    assert sorted(p.name for p in (tmp_path / "cut").iterdir()) == ["checkpoint.pt", "log.csv"]


def _await_change(path: Path, before: int, process: subprocess.Popen[bytes]) -> None:
    limit = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < limit:
        if path.exists() and path.stat().st_mtime_ns > before:
            return
        time.sleep(0.005)
    assert process.returncode == 0, "the run failed"


def test_squares_are_what_the_tests_say() -> None:
    batch = squares(3)
    assert torch.equal(batch.images, squares(3).images)
    assert not torch.equal(batch.images, squares(4).images)
