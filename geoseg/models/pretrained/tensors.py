"""Tensors from a file of weights; nothing in it is executed."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from geoseg.models.importing.tensors import read_checkpoint, read_safetensors


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a .safetensors file, or of a torch checkpoint that holds tensors only, in the file's order.

    Raises ModelError when the file is unreadable, wants to run code, or holds no tensors.
    """
    return read_safetensors(path) if path.suffix == ".safetensors" else read_checkpoint(path)
