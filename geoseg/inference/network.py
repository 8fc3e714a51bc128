"""Chips to scores: normalising, forward pass, test-time augmentation and activation, all on the device."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import psutil
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from geoseg.core.card import ModelCard
from geoseg.core.values import Normalisation
from geoseg.errors import DeviceMemoryError, ModelError, ResourceError
from geoseg.inference.device import DTYPES, Compute
from geoseg.inference.kernels import clear_invalid, normalise_chip

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

    def __init__(self, module: nn.Module, card: ModelCard, compute: Compute, augmentation: Augmentation) -> None:
        """Move the module to the device, channels last."""
        self.card, self.compute, self._augmentation = card, compute, augmentation
        self._module = module.eval().to(compute.device)
        self._module.to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def __call__(self, inputs: Tensor) -> Tensor:
        """Scores (batch, channel, y, x) float32 on the device, for `inputs` (batch, band, y, x) float32, normalised.

        Raises ModelError when the network's answer has another shape.
        """
        try:
            return self._scores(inputs)
        except torch.OutOfMemoryError as error:
            raise DeviceMemoryError(
                f"{self.compute.device} ran out of memory with {inputs.shape[0]} chips of {tuple(inputs.shape[2:])}; "
                "choose a smaller --batch-size or --tile-size"
            ) from error

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
        device, precision = self.compute.device, self.compute.precision
        inputs = inputs.contiguous(memory_format=torch.channels_last)
        with torch.autocast(device.type, dtype=DTYPES[precision], enabled=precision != "fp32"):
            answer: Tensor = self._module(inputs)
        return answer.float()

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
        """Batches have `shape` (batch, band, y, x); `dtype` is the file's."""
        self._device = device
        pinned = device.type == "cuda"
        self._pixels = torch.zeros(shape, dtype=torch.from_numpy(np.empty(0, dtype)).dtype, pin_memory=pinned)
        self._valid = torch.ones((shape[0], 1, *shape[2:]), dtype=torch.bool, pin_memory=pinned)

        def column(values: NDArray[np.float32]) -> Tensor:
            return torch.from_numpy(values).to(device)[:, None, None]

        self._low, self._high = column(norm.low), column(norm.high)
        self._scale, self._offset = column(norm.scale), column(norm.offset)

    def put(self, slot: int, pixels: NDArray[Any], valid: NDArray[np.bool_] | None, start: int) -> None:
        """Fill a slot from a row of tiles: `pixels` (band, y, x), columns from `start`; missing pixels become 0."""
        stop = start + self._pixels.shape[3]
        self._pixels[slot].copy_(torch.from_numpy(pixels[:, :, start:stop]))
        part = np.True_ if valid is None else valid[:, start:stop]
        self._valid[slot, 0].copy_(torch.from_numpy(np.broadcast_to(part, self._valid.shape[2:]).copy()))

    def inputs(self) -> Tensor:
        """The batch (batch, band, y, x) float32 on the device."""
        values = self._pixels.to(self._device, non_blocking=True).float()
        valid = self._valid.to(self._device, non_blocking=True)
        values = torch.clamp(values, self._low, self._high) * self._scale + self._offset
        return torch.where(valid, values, 0.0)


Feeder = HostFeeder | DeviceFeeder


def feeder(norm: Normalisation, shape: tuple[int, int, int, int], dtype: Any, device: torch.device) -> Feeder:
    """The feeder for a device. Both give the same values."""
    return HostFeeder(norm, shape) if device.type == "cpu" else DeviceFeeder(norm, shape, dtype, device)


_THREADS = threading.Lock()


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Run with `count` threads inside torch, one job at a time, and restore the number afterwards."""
    with _THREADS:
        before = torch.get_num_threads()
        torch.set_num_threads(count)
        try:
            yield
        finally:
            torch.set_num_threads(before)


def time_batch(network: Network, tile: int, batch: int) -> float:
    """Seconds that one batch takes, measured on empty chips after a warm-up."""
    inputs = torch.zeros((batch, len(network.card.bands), tile, tile), device=network.compute.device)
    with torch_threads(network.compute.threads):
        network(inputs)
        started = time.perf_counter()
        network(inputs).sum().item()  # the sum waits for a GPU
        return time.perf_counter() - started


def probe_batch(network: Network, tile: int, available: int | None = None) -> int:
    """The batch size for a job: the largest power of two that fits, up to what still pays on the device.

    A network is run once on empty chips for each size. On the CPU a size fits when twice the memory that the size
    before it took is free (`available` bytes; measured when None). Raises ResourceError when not even one chip fits.
    """
    bands, device = len(network.card.bands), network.compute.device
    fits = _fits_on_gpu if device.type == "cuda" else _FitsInMemory(available)
    chosen, size = 0, 1
    while size <= LARGEST_BATCH[device.type]:
        inputs = torch.zeros((size, bands, tile, tile), device=device)
        if not fits(lambda inputs=inputs: network(inputs)):  # type: ignore[misc]
            break
        chosen, size = size, size * 2
    if not chosen:
        raise ResourceError(
            f"model {network.card.name}: not even one chip of {tile} x {tile} fits into the memory of {device}; "
            "choose a smaller --tile-size, or another --device"
        )
    return chosen


def _fits_on_gpu(run: Callable[[], Tensor]) -> bool:
    try:
        run()
    except DeviceMemoryError:
        torch.cuda.empty_cache()
        return False
    free, total = torch.cuda.mem_get_info()
    torch.cuda.empty_cache()
    return free > total // 5


class _FitsInMemory:
    """Whether a forward pass fits: it may grow the process by at most half of what is available."""

    def __init__(self, available: int | None) -> None:
        self._available, self._needed = available, 0

    def __call__(self, run: Callable[[], Tensor]) -> bool:
        free = psutil.virtual_memory().available if self._available is None else self._available
        if 2 * self._needed > free // 2:
            return False
        before = psutil.Process().memory_info().rss
        run()
        self._needed = max(self._needed, psutil.Process().memory_info().rss - before)
        return True
