"""Where a network runs, in which precision, and with how many threads."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from geoseg.errors import DeviceMemoryError, ResourceError


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
    return "bf16" if device.type == "cpu" and _multiplies_bf16() else "fp32"


def _multiplies_bf16() -> bool:
    """Whether the processor has instructions for bf16; an older PyTorch that cannot tell counts as no."""
    capabilities: Mapping[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16"))


_ENTERING = threading.Lock()
_found: list[tuple[int, bool, bool]] = []  # torch's settings as each running job found them, the first one's first


@contextmanager
def torch_settings(compute: Compute) -> Iterator[None]:
    """Run with the threads asked for and, in fp32, without TF32; the first settings are back when the last job ends."""
    with _ENTERING:
        tf32 = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
        _found.append(_found[0] if _found else (torch.get_num_threads(), *tf32))
        torch.set_num_threads(compute.threads)
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = compute.precision != "fp32"
    try:
        yield
    finally:
        with _ENTERING:
            threads, convolutions, products = _found.pop()
            if not _found:
                torch.set_num_threads(threads)
                torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = convolutions, products


@contextmanager
def device_memory(device: torch.device, what: str) -> Iterator[None]:
    """Turns every way of running out of memory into a DeviceMemoryError that names the device and `what` was done."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise _out_of_memory(device, what) from error
    except RuntimeError as error:
        if "DefaultCPUAllocator" in str(error):
            raise _out_of_memory(device, what) from error
        raise


def _out_of_memory(device: torch.device, what: str) -> DeviceMemoryError:
    return DeviceMemoryError(f"{device} ran out of memory {what}; choose a smaller --batch-size or --tile-size")


def release(device: torch.device) -> None:
    """Give memory that torch holds but does not use back to the device."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
