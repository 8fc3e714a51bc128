"""Chips to scores: normalising, forward pass, test-time augmentation and activation, all on the device."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import psutil
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from geoseg.core.card import ModelCard
from geoseg.core.values import Normalisation
from geoseg.errors import DeviceMemoryError, ModelError, ResourceError, SpecError
from geoseg.inference.device import Compute, device_memory, release, torch_settings
from geoseg.inference.kernels import clear_invalid, normalise_chip
from geoseg.inference.objects.checking import check_answer
from geoseg.models.answers import Answer
from geoseg.models.backends import prepared
from geoseg.models.settings import Settings

# On a CPU one chip at a time is the fastest: the layers of a larger batch leave the caches.
LARGEST_BATCH = {"cpu": 1, "mps": 8, "cuda": 64}

Symmetry = tuple[bool, bool, bool]  # transpose, then flip rows, then flip columns
_SYMMETRIES: dict[str, tuple[Symmetry, ...]] = {
    "none": ((False, False, False),),
    "flips": tuple((False, y, x) for y in (False, True) for x in (False, True)),
    "d4": tuple((t, y, x) for t in (False, True) for y in (False, True) for x in (False, True)),
}


@dataclass(frozen=True, slots=True)
class Augmentation:
    """Test-time augmentation: the symmetries ("none", "flips", "d4") and scales over which scores are averaged."""

    symmetries: str = "none"
    scales: tuple[float, ...] = (1.0,)


class Network:
    """A model on a device. Called with a batch of chips, it returns their scores."""

    def __init__(
        self,
        module: nn.Module,
        card: ModelCard,
        compute: Compute,
        augmentation: Augmentation,
        backend: str = "auto",
    ) -> None:
        """Prepare a copy of the module for the device and the backend ("auto", "torch", "compile", "onnx", ...).

        Raises what `geoseg.models.backends.prepared` raises.
        """
        self.card, self.compute, self._augmentation = card, compute, augmentation
        settings = Settings(compute.device, compute.precision, compute.threads)
        with device_memory(compute.device, "taking the network"):
            self._module = prepared(module, card, backend, settings)

    @torch.inference_mode()
    def answer(self, inputs: Tensor) -> Answer:
        """The objects of each chip, for `inputs` (batch, band, y, x) float32, normalised; scores float32, too.

        For instance and panoptic models. Raises SpecError with test-time augmentation, which averages scores: objects
        have none in common; ModelError when the network's answer does not fit the card.
        """
        if self._augmentation != Augmentation():
            raise SpecError(
                f"model {self.card.name}: found test-time augmentation (--tta, --scales) with a model that finds "
                "objects; it averages the scores of pixels: leave both out"
            )
        try:
            with device_memory(self.compute.device, f"with {inputs.shape[0]} chips of {tuple(inputs.shape[2:])}"):
                answer = check_answer(self._run(inputs), self.card, inputs.shape)
                scores = None if answer.scores is None else answer.scores.float()
                return Answer([replace(o, scores=o.scores.float()) for o in answer.objects], scores)
        except (RuntimeError, ValueError, TypeError, LookupError, AttributeError) as error:
            raise ModelError(
                f"model {self.card.name}: found a network that fails on chips {tuple(inputs.shape)}; expected their "
                f"objects: {error}; check it with `geoseg models verify`"
            ) from error

    @torch.inference_mode()
    def __call__(self, inputs: Tensor) -> Tensor:
        """Scores (batch, channel, y, x) float32 on the device, for `inputs` (batch, band, y, x) float32, normalised.

        Raises ModelError when the network's answer has another shape.
        """
        with device_memory(self.compute.device, f"with {inputs.shape[0]} chips of {tuple(inputs.shape[2:])}"):
            return self._scores(inputs)

    def try_out(self, shape: tuple[int, int, int, int]) -> None:
        """Answer a batch of empty chips (batch, band, y, x), whatever the kind, and wait for it."""
        inputs = torch.zeros(shape, device=self.compute.device)
        if self.card.kind == "semantic":
            self(inputs).sum().item()  # the sum waits for a GPU
            return
        for found in self.answer(inputs).objects:
            found.scores.sum().item()

    def _scores(self, inputs: Tensor) -> Tensor:
        total: Tensor | None = None
        views = 0
        for scale in self._augmentation.scales:
            scaled = self._rescale(inputs, scale)
            for symmetry in _SYMMETRIES[self._augmentation.symmetries]:
                logits = self._forward(_turn(scaled, symmetry))
                scores = self._activate(_fit(_turn_back(logits, symmetry), inputs))
                total = scores if total is None else total + scores
                views += 1
        if total is None:
            raise ResourceError("no scale was given; expected at least one, for instance --scales 1")
        if total.shape != (inputs.shape[0], len(self.card.channel_ids), *inputs.shape[2:]):
            raise ModelError(
                f"model {self.card.name}: the network returned {tuple(total.shape)} for {tuple(inputs.shape)}; "
                f"expected {len(self.card.channel_ids)} channels of the same size; check it with `geoseg models verify`"
            )
        return total if views == 1 else total / views

    def _rescale(self, inputs: Tensor, scale: float) -> Tensor:
        if scale == 1:
            return inputs
        divisor = self.card.divisor
        size = [max(divisor, round(n * scale / divisor) * divisor) for n in inputs.shape[2:]]
        return functional.interpolate(inputs, size, mode="bilinear", antialias=scale < 1)

    def _forward(self, inputs: Tensor) -> Tensor:
        answer: Tensor = self._run(inputs)
        return answer.float()

    def _run(self, inputs: Tensor) -> Any:
        return self._module(inputs)

    def _activate(self, logits: Tensor) -> Tensor:
        if self.card.activation == "softmax":
            return logits.softmax(1)
        return logits.sigmoid() if self.card.activation == "sigmoid" else logits


def _turn(values: Tensor, symmetry: Symmetry) -> Tensor:
    transpose, *flips = symmetry
    if transpose:
        values = values.transpose(2, 3)
    axes = [axis for axis, flip in zip((2, 3), flips, strict=True) if flip]
    return values.flip(axes) if axes else values


def _turn_back(values: Tensor, symmetry: Symmetry) -> Tensor:
    transpose, *flips = symmetry
    axes = [axis for axis, flip in zip((2, 3), flips, strict=True) if flip]
    values = values.flip(axes) if axes else values
    return values.transpose(2, 3) if transpose else values


def _fit(logits: Tensor, inputs: Tensor) -> Tensor:
    if logits.shape[2:] == inputs.shape[2:]:
        return logits
    return functional.interpolate(logits, inputs.shape[2:], mode="bilinear")


class HostFeeder:
    """Batches for a CPU device: raw pixels are normalised by a fused kernel, straight into channels-last float32."""

    def __init__(self, norm: Normalisation, shape: tuple[int, int, int, int]) -> None:
        """Batches have `shape` (batch, band, y, x)."""
        self._norm = np.stack([norm.low, norm.high, norm.scale, norm.offset])
        batch, bands, height, width = shape
        self._inputs = np.zeros((batch, height, width, bands), np.float32)

    def put(self, slot: int, pixels: NDArray[Any], valid: NDArray[np.bool_] | None, start: int) -> None:
        """Fill a slot from a row of tiles: `pixels` (band, y, x), columns from `start`; missing pixels become 0."""
        normalise_chip(pixels, start, self._norm, self._inputs[slot])
        if valid is not None:
            clear_invalid(valid, start, self._inputs[slot])

    def inputs(self) -> Tensor:
        """The batch (batch, band, y, x) float32, channels last, sharing memory."""
        return torch.from_numpy(self._inputs).permute(0, 3, 1, 2)


class DeviceFeeder:
    """Batches for a GPU: raw pixels travel in the file's own dtype, once a batch, and are normalised there."""

    def __init__(self, norm: Normalisation, shape: tuple[int, int, int, int], dtype: Any, device: torch.device) -> None:
        """Batches have `shape` (batch, band, y, x); `dtype` is the file's (float64 travels as float32)."""
        self._device = device
        held = np.float32 if dtype == np.float64 else dtype
        pinned = device.type == "cuda"
        self._pixels = torch.zeros(shape, dtype=torch.from_numpy(np.empty(0, held)).dtype, pin_memory=pinned)
        self._valid = torch.ones((shape[0], 1, *shape[2:]), dtype=torch.bool, pin_memory=pinned)
        self._masked: set[int] = set()
        self._copied: torch.cuda.Event | None = None

        def column(values: NDArray[np.float32]) -> Tensor:
            return torch.from_numpy(values).to(device)[:, None, None]

        self._low, self._high = column(norm.low), column(norm.high)
        self._scale, self._offset = column(norm.scale), column(norm.offset)

    def put(self, slot: int, pixels: NDArray[Any], valid: NDArray[np.bool_] | None, start: int) -> None:
        """Fill a slot from a row of tiles: `pixels` (band, y, x), columns from `start`; missing pixels become 0."""
        if self._copied is not None:  # the batch before may still be on its way to the device
            self._copied.synchronize()
            self._copied = None
        stop = start + self._pixels.shape[3]
        self._pixels[slot].copy_(torch.from_numpy(pixels[:, :, start:stop]))
        self._masked.discard(slot)
        if valid is not None:
            self._masked.add(slot)
            self._valid[slot, 0].copy_(torch.from_numpy(valid[:, start:stop]))

    def inputs(self) -> Tensor:
        """The batch (batch, band, y, x) float32 on the device."""
        values = self._pixels.to(self._device, non_blocking=True)
        valid = self._mask()
        if self._device.type == "cuda":
            self._copied = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._copied.record(torch.cuda.current_stream(self._device))
        values = torch.clamp(values.float(), self._low, self._high) * self._scale + self._offset
        return values if valid is None else torch.where(valid, values, 0.0)

    def _mask(self) -> Tensor | None:
        if not self._masked:
            return None
        for slot in range(len(self._valid)):
            if slot not in self._masked:
                self._valid[slot] = True
        return self._valid.to(self._device, non_blocking=True)


Feeder = HostFeeder | DeviceFeeder


def feeder(norm: Normalisation, shape: tuple[int, int, int, int], dtype: Any, device: torch.device) -> Feeder:
    """The feeder for a device. Both give the same values."""
    return HostFeeder(norm, shape) if device.type == "cpu" else DeviceFeeder(norm, shape, dtype, device)


def time_batch(network: Network, tile: int, batch: int) -> float:
    """Seconds that one batch takes: the best of three on empty chips, after a warm-up."""
    shape = (batch, len(network.card.bands), tile, tile)
    with torch_settings(network.compute):
        network.try_out(shape)
        best = float("inf")
        for _ in range(3):
            started = time.perf_counter()
            network.try_out(shape)
            best = min(best, time.perf_counter() - started)
    return best


@dataclass(frozen=True, slots=True)
class Probed:
    """What a probe found: how many chips fit at a time, and the bytes of host memory that a forward pass took."""

    batch_size: int
    host_bytes: int


def probe(network: Network, tile: int, batch_size: int | None = None) -> Probed:
    """The batch size for a job, found by running the network on empty chips; `batch_size` is tried alone when given.

    Sizes are powers of two, up to what still pays on the device. Raises ResourceError when not even one chip fits.
    """
    bands, device = len(network.card.bands), network.compute.device
    before, chosen = psutil.Process().memory_info().rss, 0
    sizes = [batch_size] if batch_size else [2**n for n in range(7) if 2**n <= LARGEST_BATCH[device.type]]
    with torch_settings(network.compute):
        for size in sizes:
            try:
                network.try_out((size, bands, tile, tile))
            except DeviceMemoryError:
                release(device)
                break
            if size > 1 and not batch_size and _nearly_full(device):
                break
            chosen = size
    release(device)
    if not chosen:
        raise ResourceError(
            f"model {network.card.name}: {sizes[0]} chip(s) of {tile} x {tile} do not fit into the memory of {device}; "
            "choose a smaller --tile-size or --batch-size, or another --device"
        )
    return Probed(chosen, max(0, psutil.Process().memory_info().rss - before))


def _nearly_full(device: torch.device) -> bool:
    """Whether a GPU has less than a third of its memory left for what is held besides the forward pass."""
    if device.type != "cuda":
        return False
    free, total = torch.cuda.mem_get_info(device)
    return free < total // 3
