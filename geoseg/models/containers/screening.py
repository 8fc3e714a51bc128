"""Whether a TorchScript file only computes: looked through before torch loads it, and again once it is compiled.

Loading TorchScript runs nothing but `__setstate__` methods and the constructors of custom classes: files with these are
refused unread. Then its graphs are refused when they hold anything but tensor arithmetic, however their code spells it.
"""

from __future__ import annotations

import io
import pickletools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from geoseg.errors import ModelError
from geoseg.models.containers.archive import LARGEST_CODE, opened, rebuilt

# torch finds entries whatever their case is, so that any other name could stand for one of these.
_KNOWN = re.compile(
    r"code/[^\0]+\.py|(data|constants)\.pkl|(data|constants)/[0-9]+"
    r"|version|byteorder|\.data/version|\.data/serialization_id"
)
_LEFT_OUT = re.compile(r"code/[^\0]+\.debug_pkl|traced_inputs(\.pkl|/[0-9]+)|extra/[^\0]+")
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


def screened(path: Path) -> io.BytesIO:
    """The archive as torch is to read it: what was looked at, in a new one.

    Raises ModelError when loading the file would run something: `__setstate__`, custom classes, entries of other names
    than torch writes. Notes on where code came from, traced inputs and extra files are left out: nothing needs them.
    """
    with opened(path) as archive:
        contents: dict[str, bytes | None] = {}
        for name in archive.entries:
            if _LEFT_OUT.fullmatch(name):
                continue
            if not _KNOWN.fullmatch(name):
                raise ModelError(f"{path}: found the entry {name[:80]!r} in it; {_SAFE}")
            if name.endswith((".py", ".pkl")):
                contents[name] = archive.read(name, LARGEST_CODE)
                _check_entry(path, name, contents[name] or b"")
            else:
                contents[name] = None
        return rebuilt(archive, contents)


def check_graph(path: Path, scripted: Any) -> None:
    """Raise ModelError when the compiled network could do more than arithmetic with tensors.

    Hooks are refused: they run beside the network's own graph, which does not show them.
    """
    for part in scripted.modules():
        if part._c._get_forward_hooks() or part._c._get_forward_pre_hooks():
            raise ModelError(f"{path}: found hooks, which run beside its network; {_SAFE}")
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
