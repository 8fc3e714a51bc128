"""Whether a TorchScript file only computes: looked through before torch loads it, and again once it is compiled.

Loading TorchScript runs nothing but `__setstate__` methods and the constructors of custom classes: files with these are
refused unread. Then its graphs are refused when they hold anything but tensor arithmetic, however their code spells it.
"""

from __future__ import annotations

import pickletools
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from geoseg.errors import ModelError

_LARGEST_TEXT = 64 * 2**20
_SAFE = "expected a network of tensor operations; this file is not used: ask its author for its weights, or for ONNX"
_FORBIDDEN = frozenset({
    "from_file", "save", "load", "set_", "set_data", "storage", "fork", "wait", "print", "_print", "Print",
    "rpc_async", "rpc_sync", "rpc_remote", "PythonOp", "IgnoredPythonOp", "CreateObject", "CallMethod",
})  # fmt: skip
_PRIVATE = (
    "_convolution",
    "_softmax",
    "_log_softmax",
    "_unsafe",
    "_upsample",
    "_set_item",
    "_shape",
    "_scaled",
    "_trans",
)


def check_archive(path: Path) -> None:
    """Raise ModelError when loading the file would run something: `__setstate__`, custom classes, twofold entries."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if len(set(names)) < len(names):
                raise ModelError(f"{path}: found entries of the same name in its archive; {_SAFE}")
            for entry in archive.infolist():
                if entry.filename.endswith((".py", ".pkl")):
                    if entry.file_size > _LARGEST_TEXT:
                        raise ModelError(f"{path}: found {entry.file_size} bytes of code in {entry.filename}; {_SAFE}")
                    _check_entry(path, entry.filename, archive.read(entry))
    except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError, IndexError) as error:
        raise ModelError(f"{path}: cannot be read ({error}); the file is damaged: fetch it again") from error


def check_graph(path: Path, scripted: Any) -> None:
    """Raise ModelError when the compiled network could do more than arithmetic with tensors."""
    for kind in sorted(set(_kinds(scripted.inlined_graph))):
        space, _, name = kind.partition("::")
        private = space == "aten" and name.startswith("_") and not name.startswith(("__", *_PRIVATE))
        if name in _FORBIDDEN or private or not (space in ("aten", "prim") or kind in _VISION):
            raise ModelError(f"{path}: found a call of {kind} in it, which does more than compute; {_SAFE}")


_VISION = frozenset(
    f"torchvision::{name}" for name in ("nms", "roi_align", "roi_pool", "deform_conv2d", "ps_roi_align")
)


def _check_entry(path: Path, name: str, content: bytes) -> None:
    if name.endswith(".py"):
        bad = next((word for word in ("__setstate__", "torch.classes") if word.encode() in content), None)
    else:
        globals_ = (str(arg).replace(" ", ".") for op, arg, _ in pickletools.genops(content) if op.name == "GLOBAL")
        stacked = any(
            op.name in ("STACK_GLOBAL", "INST", "EXT1", "EXT2", "EXT4") for op, _, _ in pickletools.genops(content)
        )
        bad = "an unusual pickle" if stacked else next((g for g in globals_ if "torch.classes" in g), None)
    if bad:
        raise ModelError(f"{path}: found {bad} in {name}, which runs while the file is loaded; {_SAFE}")


def _kinds(block: Any) -> Iterator[str]:
    for node in block.nodes():
        yield node.kind()
        for name in node.attributeNames():
            if node.kindOf(name) == "g":
                yield from _kinds(node.g(name))
        for inner in node.blocks():
            yield from _kinds(inner)
