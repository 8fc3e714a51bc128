"""Swin transformers v2: torchvision's names of tensors into timm's."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

_BLOCK = re.compile(r"features\.(\d+)\.(\d+)\.(.+)")
_MERGE = re.compile(r"features\.(\d+)\.(reduction|norm)\.(.+)")
_STEM = {"features.0.0": "patch_embed.proj", "features.0.2": "patch_embed.norm"}
_COMPUTED = ("relative_coords_table", "relative_position_index")  # follow from the window's size


def from_torchvision(found: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of torchvision's swin_v2 under timm's names; others are left as they are.

    timm keeps the biases of queries and values only: torchvision never uses that of the keys.
    """
    named: dict[str, Tensor] = {}
    for name, tensor in found.items():
        if name.endswith(_COMPUTED):
            continue
        renamed = _renamed(name)
        if renamed.endswith("attn.qkv.bias") and renamed != name:
            query, _, value = tensor.chunk(3)
            named[renamed.replace("qkv.bias", "q_bias")] = query
            named[renamed.replace("qkv.bias", "v_bias")] = value
        else:
            named[renamed] = tensor
    return named


def _renamed(name: str) -> str:
    stem = next((new + name[len(old) :] for old, new in _STEM.items() if name.startswith(f"{old}.")), None)
    if stem:
        return stem
    if merge := _MERGE.fullmatch(name):
        return f"layers.{int(merge[1]) // 2}.downsample.{merge[2]}.{merge[3]}"
    if block := _BLOCK.fullmatch(name):
        rest = block[3].replace("mlp.0.", "mlp.fc1.") if ".cpb_" not in f".{block[3]}" else block[3]
        rest = rest.replace("mlp.3.", "mlp.fc2.") if "cpb_" not in rest else rest
        return f"layers.{int(block[1]) // 2}.blocks.{block[2]}.{rest}"
    return name
