"""Where a network runs, in which precision, and with how many threads."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch

from geoseg.errors import ResourceError

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True, slots=True)
class Compute:
    """A device and a precision ("fp32", "bf16" or "fp16"), and the number of threads a CPU device uses."""

    device: torch.device
    precision: str
    threads: int


def choose(device: str = "auto", precision: str = "auto", threads: int | None = None) -> Compute:
    """The compute that was asked for; "auto" takes the best there is. Raises ResourceError for what is not there."""
    named = {"auto": _best_device(), "cuda": "cuda:0"}
    chosen = torch.device(named.get(device, device))
    _check(chosen)
    return Compute(chosen, _precision(chosen, precision), threads or cores())


def cores() -> int:
    """Number of processors that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _best_device() -> str:
    if torch.cuda.is_available():
        return "cuda:0"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _check(device: torch.device) -> None:
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device.type == "cuda" and device.index >= count:
        raise ResourceError(
            f"device {device}: found {count} CUDA device(s); choose --device cpu or auto, or see `geoseg doctor`"
        )
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise ResourceError("device mps: this machine has none; choose --device cpu or auto")


def _precision(device: torch.device, asked: str) -> str:
    if asked != "auto":
        if device.type == "cpu" and asked == "fp16":
            raise ResourceError("precision fp16 is for GPUs; choose --precision fp32 or bf16 on the CPU")
        return asked
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    if device.type == "cpu" and torch.cpu.get_capabilities().get("avx512_bf16", False):
        return "bf16"
    return "fp32"
