"""The state of a run, and what a step, a validation and a checkpoint make of it."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_

from geoseg.core.protocols import Progress
from geoseg.errors import TrainingError
from geoseg.inference.device import Compute
from geoseg.training.augmentation import augment
from geoseg.training.batch import Batch
from geoseg.training.fitting import checkpoint
from geoseg.training.fitting.adaptation import Unlabelled
from geoseg.training.fitting.average import Average
from geoseg.training.fitting.checking import Check, validate
from geoseg.training.fitting.course import Course, Fitted
from geoseg.training.fitting.crew import Crew
from geoseg.training.fitting.log import Log
from geoseg.training.fitting.objective import Terms, objective_for
from geoseg.training.fitting.optimizer import drop_gradients, encoder_of, optimizer_for, set_modes, set_rate
from geoseg.training.fitting.pictures import Gallery
from geoseg.training.fitting.record import Record
from geoseg.training.fitting.schedule import Moment, Schedule

ROW_EVERY = 10  # steps
NOTE_EVERY = 0.5  # seconds between figures for the progress bar
MOST_SKIPPED = 20  # steps in a row without finite gradients, after which a run has failed
_CHEAP = 20  # a checkpoint waits until the time since the last one is so many times what it takes


class Run:
    """One run of a course in this process. `updating` says that the weights are between two states."""

    def __init__(self, course: Course, compute: Compute, crew: Crew, progress: Progress, rate: float) -> None:
        """Take a course whose network lies on the device already, and the learning rate."""
        self.course, self.compute, self.crew, self.progress = course, compute, crew, progress
        loop = course.options.loop
        self.network, self.schedule = course.network, Schedule(loop)
        self.average = Average(self.network, loop.ema, loop.look_back)
        self.optimizer = optimizer_for(self.network, loop)
        self.objective = objective_for(course, compute.device)
        self.unlabelled = Unlabelled(course, crew, compute.device) if course.options.adaptation else None
        encoder = encoder_of(self.network)
        self._encoder = [p for p in encoder.parameters() if p.requires_grad] if encoder else []
        self.record, self.over = Record(rate), False
        self.best: dict[str, Tensor] | None = None
        self.scaler = torch.amp.GradScaler(compute.device.type) if compute.precision == "fp16" else None
        self.log = Log(course.folder, loop.logger if crew.leads else (), course.card.name)
        self.updating, self._midway, self._frozen = False, False, False
        self.rate, self._share = 0.0, 0.0
        self._held = {name: buffer.clone() for name, buffer in self._buffers().items()}
        self._terms: list[dict[str, Tensor]] = []
        self._due = self._rowed = self._stopped = False
        self._started = self._saved = self._noted = time.monotonic()
        self._before, self._steps_before, self._cost, self._pixels = 0.0, 0, 0.0, 0

    # The state and its file

    def state(self) -> dict[str, Any]:
        """Everything that the run goes on from, as after the last step that was made in full."""
        self.record.seconds = self._clock()
        network = self.network.state_dict()
        if self._midway:  # the forward pass has changed statistics already
            network = {**network, **self._held}
        return {
            "recipe": checkpoint.recipe_of(self.course),
            "record": self.record.values(),
            "network": network,
            "average": self.average.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict() if self.scaler else {},
            "best": self.best,
            "machine": self._machine(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state that `state` gave."""
        self.network.load_state_dict(state["network"])
        self.average.network.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.scaler and state["scaler"]:
            self.scaler.load_state_dict(state["scaler"])
        self.record, self.best = Record.of(state["record"]), state["best"]
        self._before, self._steps_before = self.record.seconds, self.record.step
        self._started = time.monotonic()
        self.over = self.record.done or self._impatient() or self._agreed()[0]
        if state["machine"] != self._machine():
            self.progress.warn(
                f"the run began on {_told(state['machine'])} and goes on on {_told(self._machine())}: its weights will "
                "not be those of an uninterrupted one to the last bit"
            )

    def _machine(self) -> dict[str, Any]:
        return {
            "device": self.compute.device.type,
            "precision": self.compute.precision,
            "threads": self.compute.threads if self.compute.device.type == "cpu" else 0,
        }

    def save(self) -> None:
        """Write the checkpoint, in the first process."""
        if self.crew.leads:
            started = time.monotonic()
            checkpoint.write(checkpoint.checkpoint_path(self.course.folder), self.state())
            self._saved = time.monotonic()
            self._cost = self._saved - started

    def _buffers(self) -> dict[str, Tensor]:
        kept = self.network.state_dict().keys()
        return {name: buffer for name, buffer in self.network.named_buffers() if name in kept}

    # One step

    def begin(self) -> None:
        """Prepare a step: learning rate, what keeps still, and a copy of what the forward pass will change."""
        self._share = self._current_share()
        self.rate = self.record.rate * self.schedule.factor(self._share)
        set_rate(self.optimizer, self.rate)
        self._frozen = self.schedule.frozen(self._share)
        set_modes(self.network, self._frozen, self.course.options.loop.freeze_norms)
        if self.crew.size == 1:  # several processes need every gradient: those are dropped afterwards
            for weight in self._encoder:
                weight.requires_grad_(not self._frozen)
        self._terms = []
        with torch.no_grad():
            for name, buffer in self._buffers().items():
                self._held[name].copy_(buffer)
        self._midway = True

    def _current_share(self) -> float:
        share = self.schedule.share(self.moment())
        return float(self.crew.agree(share)) if self.schedule.by_clock else share

    def loss(self, batch: Batch, number: int) -> Tensor:
        """The loss of a batch on the device; everything random follows from the seed and the batch's number."""
        terms = self.terms(self.network, batch, number)
        if self.unlabelled is not None and self.unlabelled.begun(self._share):
            terms |= {"adaptation": self._adapted(self.unlabelled, number)}
        self._terms.append({name: term.detach() for name, term in terms.items()})
        self._pixels += batch.valid.numel()
        return torch.stack(list(terms.values())).sum()

    def terms(self, network: nn.Module, batch: Batch, number: int) -> Terms:
        """The terms of the loss of labelled windows."""
        draws = self._seeded(number, 0)
        return self.objective.terms(network, self._changed(batch, draws))

    def _adapted(self, unlabelled: Unlabelled, number: int) -> Tensor:
        draws = self._seeded(number, 1)
        batch = self._changed(unlabelled.batch(number, self.average.network), draws)
        learnt = torch.stack(list(self.objective.told(self.network, batch).values())).sum()
        return unlabelled.weight * learnt

    def _seeded(self, number: int, kind: int) -> torch.Generator:
        """The generator of a batch of a kind; torch's own random numbers start from the batch too."""
        seed = self.course.options.loop.seed
        entropy = [abs(seed), int(seed < 0), self.crew.number(number), kind]
        own, others = (int(n) >> 1 for n in np.random.SeedSequence(entropy).generate_state(2, np.uint64))
        torch.default_generator.manual_seed(others)  # torch.manual_seed keeps a list of its callers
        if self.compute.device.type == "cuda":
            torch.cuda.manual_seed(others)
        elif self.compute.device.type == "mps":
            torch.mps.manual_seed(others)
        return torch.Generator().manual_seed(own)

    def _changed(self, batch: Batch, draws: torch.Generator) -> Batch:
        """The batch augmented, in full precision."""
        with torch.autocast(self.compute.device.type, enabled=False):
            return augment(batch, self.course.options.augmentation, self.course.card.bands, draws)

    def before_update(self) -> None:
        """Clip the gradients; a step without finite ones is left out. Raises TrainingError after too many of those."""
        if self._frozen:
            drop_gradients(self._encoder)
        limit = self.course.options.loop.clip or math.inf
        norm = clip_grad_norm_(self.network.parameters(), limit)
        if bool(norm.isfinite()):
            self.record.skipped = 0
        else:
            self._skip()
        self.updating = True

    def _skip(self) -> None:
        drop_gradients(self.network.parameters())
        with torch.no_grad():  # the forward pass has brought what is no number into the statistics of norms
            for name, buffer in self._buffers().items():
                buffer.copy_(self._held[name])
        self.record.skipped, self.record.lost = self.record.skipped + 1, self.record.lost + 1
        if self.record.lost == 1 and self.scaler is None:  # a scaler finds its scale by such steps
            self.progress.warn(
                f"step {self.record.step + 1}: found a loss or gradient that is no finite number; this step is left "
                "out, and so will others like it: check the values of the scenes if the loss does not fall"
            )
        if self.record.skipped >= MOST_SKIPPED:
            raise TrainingError(
                f"step {self.record.step + 1}: found no finite loss or gradient in {MOST_SKIPPED} steps in a row ("
                f"learning rate {self.rate:.2g}); expected numbers: start anew with a lower --lr or with --precision "
                "fp32; the weights before lie in the run's checkpoint"
            )

    def after_update(self) -> None:
        """Count the step that was just made."""
        record = self.record
        record.step += 1
        if not record.skipped:
            self.average.update(record.step)
            record.add(_means(self._terms))
        self.over, self._due, self._stopped = self._agreed()
        self._rowed = self._due or record.step % ROW_EVERY == 0
        if self._rowed:
            record.seconds = self._clock()
            record.history.append({**record.row(), "learning_rate": self.rate})
        self._midway = self.updating = False

    def _agreed(self) -> tuple[bool, bool, bool]:
        """Whether the run is over, a validation follows, and the processes are to end: by the first one's clock."""
        moment = self.moment()
        agreed: tuple[bool, bool, bool] = self.crew.agree(
            (self.schedule.over(moment), self.schedule.validates(moment), self.crew.stopped)
        )
        return agreed

    def after_step(self) -> None:
        """Whatever follows a step: a word to the user, a validation, a line of the log, a checkpoint."""
        self.progress.advance(1, self._pixels)
        self._pixels = 0
        if self._stopped:
            raise KeyboardInterrupt
        if self._due:
            self.check()
        if self._rowed and self.crew.leads:
            self.log.add(self.record.history)
        self._note()
        wanted = self.record.step % self.course.options.loop.checkpoint_every == 0
        if wanted and not self.over and time.monotonic() - self._saved >= _CHEAP * self._cost:
            self.save()

    @contextmanager
    def _at_once(self) -> Iterator[None]:
        """Marks changes that belong together: an interruption amid them leaves no state to write."""
        self.updating = True
        yield
        self.updating = False

    # Validation

    def check(self) -> None:
        """Validate the average of the weights, keep it where it is the best so far, and stop where patience ends."""
        if self.crew.leads and self.course.validation is not None:
            self.progress.stage("validating")
            self._keep(*self._validated())
            self.progress.stage("training")
        if self.course.options.loop.patience is not None:
            self.over = bool(self.crew.agree(self.over or self._impatient()))

    def _impatient(self) -> bool:
        patience = self.course.options.loop.patience
        return patience is not None and self.record.misses >= patience

    def _validated(self) -> tuple[dict[str, float], float]:
        """The figures, and the seconds that they took."""
        started, loop = time.monotonic(), self.course.options.loop
        validation = self.course.validation
        number = self.record.step // loop.validate_every
        wanted = loop.pictures_every and (number % loop.pictures_every == 0 or self.over)
        gallery = Gallery(loop.seed) if wanted else None
        check = Check(self.course.card, self.compute.device, self.autocast, gallery)
        figures = validate(self.average.network, validation() if validation else (), check)
        if gallery is not None:
            gallery.write(self.course.folder / "pictures" / f"step_{self.record.step:05}.png", self.course.card.classes)
        return figures, time.monotonic() - started

    def _keep(self, figures: dict[str, float], seconds: float) -> None:
        record = self.record
        better = bool(figures) and figures["iou"] > record.best.get("iou", -math.inf)
        best = _on_host(self.average.network.state_dict()) if better else self.best
        with self._at_once():
            record.checked, record.checking = record.step, seconds
            if record.history:
                record.history[-1] |= figures
            if better:
                record.best, self.best = {"step": record.step, **figures}, best
            record.misses = 0 if better else record.misses + 1

    def catch_up(self) -> None:
        """Do the validation that an interruption has cut off."""
        record = self.record
        if record.done or record.checked == record.step or not self._agreed()[1]:
            return
        self.check()
        if record.history and self.crew.leads:
            self.log.begin(record.history)

    def autocast(self) -> Any:
        """The context of a forward pass in the run's precision."""
        types = {"bf16": torch.bfloat16, "fp16": torch.half}
        if self.compute.precision not in types:
            return nullcontext()
        return torch.autocast(self.compute.device.type, types[self.compute.precision], cache_enabled=False)

    # The clock and the end

    def _clock(self) -> float:
        return self._before + time.monotonic() - self._started

    def moment(self) -> Moment:
        """Where the run is."""
        return Moment(self.record.step, self._clock(), self.record.checking)

    def _note(self) -> None:
        now = time.monotonic()
        if now - self._noted < NOTE_EVERY and not self.over:
            return
        self._noted = now
        moment, record = self.moment(), self.record
        pace = (now - self._started) / max(1, record.step - self._steps_before)
        values: dict[str, Any] = {"step": record.step, "learning_rate": self.rate}
        if self._terms:
            values["loss"] = sum(_means(self._terms).values())
        if record.best:
            values["best_iou"] = record.best["iou"]
        values["waited"] = record.waited / max(moment.seconds, 1e-9)
        values["seconds_left"] = self.schedule.seconds_left(moment, pace)
        self.progress.note(values)

    def finish(self) -> Fitted:
        """What the run came to; its last checkpoint says that it is done."""
        if not self.record.done:
            self.record.done = True
            self.save()
        record = self.record
        last = _on_host(self.average.network.state_dict())
        wanted = self.best if self.course.options.loop.keep == "best" and self.best is not None else last
        waited = record.waited / max(record.seconds, 1e-9)
        return Fitted(wanted, record.step, tuple(record.history), dict(record.best), waited, record.seconds)


def _means(terms: list[dict[str, Tensor]]) -> dict[str, float]:
    """Means over the batches of a step, in one trip to the device."""
    names = list(terms[0])
    values = torch.stack([torch.stack([part[name].float() for name in names]) for part in terms]).mean(0)
    return dict(zip(names, values.tolist(), strict=True))


def _on_host(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().to("cpu", copy=True) for name, tensor in weights.items()}


def _told(machine: dict[str, Any]) -> str:
    threads = f" with {machine['threads']} threads" if machine["threads"] else ""
    return f"{machine['device']} in {machine['precision']}{threads}"
