"""What this machine can compute on."""

from __future__ import annotations

from typing import Any

import torch


def accelerators() -> dict[str, Any]:
    """What PyTorch finds: its build and its devices; JSON-able. Memory is in bytes.

    `cuda` is the CUDA version that PyTorch was built with, None for a build without CUDA.
    """
    devices = [_cuda(index) for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0)]
    if torch.backends.mps.is_available():
        devices.append({"name": "mps", "title": "Apple Metal"})
    return {"cuda": torch.version.cuda, "threads": torch.get_num_threads(), "devices": devices}


def _cuda(index: int) -> dict[str, Any]:
    properties = torch.cuda.get_device_properties(index)
    with torch.cuda.device(index):
        free, total = torch.cuda.mem_get_info()
    return {
        "name": f"cuda:{index}",
        "title": properties.name,
        "capability": f"{properties.major}.{properties.minor}",
        "memory_bytes": total,
        "free_bytes": free,
    }
