"""Training as one call."""

from __future__ import annotations

import logging
import signal
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, Literal

import torch

from geoseg.core.protocols import Progress, Silent
from geoseg.errors import OutputError, TrainingError
from geoseg.inference.device import Compute, choose, device_memory, torch_settings
from geoseg.training.fitting import checkpoint
from geoseg.training.fitting.course import Course, Fitted
from geoseg.training.fitting.crew import Crew
from geoseg.training.fitting.finder import find_rate
from geoseg.training.fitting.run import Run

_PRECISIONS: Mapping[str, Literal["bf16-mixed", "16-mixed"]] = MappingProxyType(
    {"bf16": "bf16-mixed", "fp16": "16-mixed"}
)
_TALKERS = ("lightning", "lightning.pytorch", "lightning.fabric")


def fit(course: Course, progress: Progress | None = None) -> Fitted:
    """Train the course's network (in place) and return the weights to keep.

    A run that was interrupted goes on from its checkpoint, and on a CPU ends with the same weights, to the bit, as one
    that was not. An interruption (KeyboardInterrupt) writes a checkpoint and goes on upwards. A step whose loss or
    gradient is no number is left out, as with loss scaling; twenty in a row end the run. Raises TrainingError for that,
    and for a checkpoint of another recipe; OutputError for a folder that holds a run already; SpecError, ModelError,
    ResourceError, MissingExtraError, DeviceMemoryError and WriteError as their names say.
    """
    progress = progress or Silent()
    loop = course.options.loop
    compute = choose(loop.device, loop.precision)
    found = _found(course)
    with _own_random_numbers(compute), torch_settings(compute):
        course.network.to(compute.device, memory_format=torch.channels_last)
        run = _run(course, compute, found, progress)
        progress.plan(_plan(run))
        run.catch_up()
        if not run.over:
            with device_memory(compute.device, f"with {loop.batch_size} windows of {course.options.data.crop_size}"):
                _train(run)
        fitted = run.finish()
        run.log.end("success")
        return fitted


def _found(course: Course) -> dict[str, Any] | None:
    """The state that the run goes on from; None where it starts anew. Raises TrainingError or OutputError."""
    path = checkpoint.checkpoint_path(course.folder)
    try:
        course.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{course.folder}: cannot be made ({error.strerror}); choose another folder") from error
    if not path.exists():
        return None
    if course.existing == "replace":
        path.unlink()
        return None
    if course.existing == "refuse":
        raise OutputError(
            f"{course.folder}: holds a run already; expected an empty folder: pass --resume to go on with it, "
            "--overwrite to start anew, or name another folder with --run"
        )
    state = checkpoint.read(path)
    checkpoint.check_same(path, state["recipe"], checkpoint.recipe_of(course))
    return state


def _run(course: Course, compute: Compute, found: dict[str, Any] | None, progress: Progress) -> Run:
    rate = course.options.loop.learning_rate
    run = Run(course, compute, Crew(), progress, 0.0 if rate == "find" else rate)
    if found is not None:
        run.restore(found)
    elif rate == "find":
        progress.stage("finding the learning rate")
        run.record.rate = find_rate(course, run.terms, compute.device, run.autocast)
    run.log.begin(run.record.history)
    return run


def _plan(run: Run) -> dict[str, Any]:
    loop = run.course.options.loop
    length = {"steps": loop.steps} if loop.minutes is None else {"minutes": loop.minutes}
    return {
        **length,
        "step": run.record.step,
        "batch_size": loop.batch_size * loop.accumulate * run.crew.size,
        "crop_size": run.course.options.data.crop_size,
        "device": str(run.compute.device),
        "precision": run.compute.precision,
        "learning_rate": run.record.rate,
        "folder": str(run.course.folder),
    }


def _train(run: Run) -> None:
    """Let Lightning make the steps that are left. An interruption leaves a checkpoint and comes out as it went in."""
    from geoseg.training.fitting.learner import Learner, Watched

    run.progress.stage("training")
    before = signal.getsignal(signal.SIGINT)
    try:
        with _quiet():
            trainer = _trainer(run)
            trainer.fit(Learner(run), train_dataloaders=Watched(run))
    except BaseException as error:
        interrupted = _interruption(error)
        if not run.updating and interrupted is not None:
            run.save()
        run.log.end("failed")
        if interrupted is not None:
            raise interrupted from None
        raise
    finally:
        if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) is not before:
            signal.signal(signal.SIGINT, before)
        if run.unlabelled is not None:
            run.unlabelled.close()
    if not run.over:
        raise TrainingError(
            f"step {run.record.step}: found no more batches; expected {run.course.options.loop.steps} steps: this is a "
            "fault of whoever draws them"
        )


def _interruption(error: BaseException) -> BaseException | None:
    """The KeyboardInterrupt that Lightning made a SystemExit of, or what else ends the process; None for errors."""
    if isinstance(error, SystemExit) and isinstance(error.__context__, KeyboardInterrupt):
        return error.__context__
    return error if isinstance(error, KeyboardInterrupt | SystemExit) else None


def _trainer(run: Run) -> Any:
    import lightning.pytorch as pl
    from lightning.fabric.plugins.environments import LightningEnvironment
    from lightning.pytorch.plugins.precision import MixedPrecision, Precision

    device = run.compute.device
    precision = Precision()
    if run.compute.precision != "fp32":
        precision = MixedPrecision(_PRECISIONS[run.compute.precision], device.type, run.scaler)
    kind = {"cuda": "gpu"}.get(device.type, device.type)
    return pl.Trainer(
        accelerator=kind,
        devices=[device.index or 0] if kind == "gpu" else 1,
        accumulate_grad_batches=run.course.options.loop.accumulate,
        max_epochs=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        default_root_dir=run.course.folder,
        plugins=[LightningEnvironment(), precision],
    )


@contextmanager
def _own_random_numbers(compute: Compute) -> Iterator[None]:
    """Leaves torch's random numbers to the caller as they were."""
    devices = [compute.device] if compute.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        yield


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps Lightning from writing to the terminal: what there is to say, geoseg says."""
    levels = {name: logging.getLogger(name).level for name in _TALKERS}
    for name in _TALKERS:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"lightning\.")
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
