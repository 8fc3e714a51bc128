"""Lightning's side of a run. Imported where it is needed: Lightning takes a second to import."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor

from geoseg.training.batch import Batch
from geoseg.training.fitting.run import Run


class Learner(pl.LightningModule):
    """What Lightning drives: a run's network with its optimiser. All state is the run's."""

    def __init__(self, run: Run) -> None:
        """Take the run."""
        super().__init__()
        self.network = run.network
        self._run, self._accumulate = run, run.course.options.loop.accumulate
        self._first = run.record.step * self._accumulate

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """The run's optimiser; its rates are set before each step."""
        return self._run.optimizer

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """The batch on the device."""
        return batch.to(device)

    def training_step(self, batch: Batch, index: int) -> Tensor:
        """The loss of a batch."""
        if index % self._accumulate == 0:
            self._run.begin()
        return self._run.loss(batch, self._first + index)

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Clip."""
        self._run.before_update()

    def optimizer_step(
        self, epoch: int, batch_idx: int, optimizer: Any, optimizer_closure: Callable[[], Any] | None = None
    ) -> None:
        """Make the step, and count it."""
        super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)
        self._run.after_update()

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        """Do what follows a step."""
        if (batch_idx + 1) % self._accumulate == 0:
            self._run.after_step()
            self.trainer.should_stop = self._run.over


class Watched:
    """Batches in order, with the time that waiting for them takes."""

    def __init__(self, run: Run) -> None:
        """Take the run whose batches these are, from its step on."""
        self._run = run

    def __iter__(self) -> Iterator[Batch]:
        """The batches from the run's step to its end."""
        run, loop = self._run, self._run.course.options.loop
        first = run.record.step * loop.accumulate
        last = loop.steps * loop.accumulate if not run.schedule.by_clock else first + (1 << 40)
        batches = run.course.batches(run.crew.number(first), run.crew.number(last))
        try:
            while True:
                started = time.monotonic()
                batch = next(batches, None)
                run.record.waited += time.monotonic() - started
                if batch is None:
                    return
                yield batch
        finally:
            close = getattr(batches, "close", None)
            if close is not None:
                close()
