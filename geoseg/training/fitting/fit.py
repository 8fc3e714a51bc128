"""Training as one call."""

from __future__ import annotations

import logging
import signal
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Literal

import torch

from geoseg.core.protocols import Progress, Silent
from geoseg.errors import OutputError, TrainingError
from geoseg.inference.device import Compute, choose, device_memory
from geoseg.training.fitting import checkpoint
from geoseg.training.fitting.course import Course, Fitted
from geoseg.training.fitting.crew import Crew
from geoseg.training.fitting.finder import find_rate
from geoseg.training.fitting.run import Run
from geoseg.training.fitting.speed import at_full_speed
from geoseg.training.fitting.spreading import check_devices, spread

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
    with _own_random_numbers(compute), at_full_speed(compute):
        if loop.devices == 1:
            return go_on(course, compute, Crew(), progress)
        check_devices(compute, loop.devices)
        found = _found(course)
        if found is None or not found["record"]["done"]:
            rate = loop.learning_rate if loop.learning_rate != "find" else _sought(course, compute, progress)
            spread(course, compute, rate, progress)
        run = _run(replace(course, existing="resume"), compute, Crew(size=loop.devices), Silent(), 0.0)
        return run.finish()


def go_on(course: Course, compute: Compute, crew: Crew, progress: Progress, rate: float | None = None) -> Fitted:
    """What `fit` returns, from one process of a crew; `rate` is the learning rate where it is known already."""
    loop = course.options.loop
    run = _run(course, compute, crew, progress, rate)
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


def _run(course: Course, compute: Compute, crew: Crew, progress: Progress, rate: float | None) -> Run:
    """The run where it stands: at its checkpoint, or at its beginning."""
    found = _found(course)
    if rate is None:
        wanted = course.options.loop.learning_rate
        rate = wanted if wanted != "find" else 0.0 if found else _sought(course, compute, progress)
    course.network.to(compute.device).to(memory_format=torch.channels_last)
    run = Run(course, compute, crew, progress, rate)
    if found is not None:
        run.restore(found)
    run.log.begin(run.record.history)
    return run


def _sought(course: Course, compute: Compute, progress: Progress) -> float:
    """A learning rate for the course; its network stays as it is."""
    progress.stage("finding the learning rate")
    course.network.to(compute.device).to(memory_format=torch.channels_last)
    run = Run(course, compute, Crew(), progress, 0.0)
    return find_rate(course, run.terms, compute.device, run.autocast)


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
    from lightning.fabric.plugins.environments.lightning import LightningEnvironment
    from lightning.pytorch.plugins.precision import MixedPrecision, Precision
    from lightning.pytorch.strategies import DDPStrategy

    device = run.compute.device
    precision = Precision()
    if run.compute.precision != "fp32":
        precision = MixedPrecision(_PRECISIONS[run.compute.precision], device.type, run.scaler)
    kind = {"cuda": "gpu"}.get(device.type, device.type)
    devices: list[int] | int = [device.index or 0] if kind == "gpu" else 1
    if run.crew.size > 1:
        devices = list(range(run.crew.size)) if kind == "gpu" else run.crew.size
    return pl.Trainer(
        accelerator=kind,
        devices=devices,
        strategy=DDPStrategy(find_unused_parameters=True) if run.crew.size > 1 else "auto",
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
