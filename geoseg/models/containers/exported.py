"""Files of torch.export (.pt2): the card is the extra file `geoseg.card`; torch runs them.

torch.export.load believes what it reads: it unpickles, evaluates sizes as Python, and looks names up in torch. So the
archive is read here first, and whatever is more than a graph of tensor operations with plain weights is refused.
"""

from __future__ import annotations

import ast
import io
import json
import pickle
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

from geoseg.core.card import ModelCard
from geoseg.errors import ModelError
from geoseg.models.containers.archive import entries, extra_text, with_extra
from geoseg.models.containers.graph import Answering

_TARGET = re.compile(
    r"torch\.ops\.(aten|prim|prims|torchvision|higher_order)\.[A-Za-z0-9_.]+"
    r"|(torch\.)?_?operator\.[a-z_]+|math\.[a-z]+|torch\.(sym_[a-z_]+|_check\w*)|_operator\.[a-z_]+"
)
_HIGHER_ORDER = re.compile(r"torch\.ops\.higher_order\.(wrap_with_set_grad_enabled|wrap_with_autocast)")
_PARTS = frozenset(
    [
        "Symbol",
        "Integer",
        "Add",
        "Mul",
        "Pow",
        "Mod",
        "PythonMod",
        "FloorDiv",
        "CeilDiv",
        "CleanDiv",
        "Max",
        "Min",
        "TruncToInt",
    ]
)
_PLAIN = (ast.Expression, ast.Call, ast.Name, ast.Load, ast.Constant, ast.keyword, ast.BinOp, ast.UnaryOp, ast.operator)
_FLAGS = frozenset({"positive", "integer", "nonnegative"})
_SYMBOL = re.compile(r"[a-z]+[0-9]+")
_FOLDERS = ("data/weights/", "data/constants/", "data/sample_inputs/", "models/", "extra/", ".data/")
_NAMES = frozenset({"archive_format", "archive_version", "byteorder", "version"})


def card_text(path: Path) -> str | None:
    """The JSON text of the card, or None."""
    return extra_text(path)


def with_card(source: Path, text: str, destination: Path) -> None:
    """Write the model with another card."""
    with_extra(source, text, destination)


def parts(path: Path) -> list[Path]:
    """No other files."""
    return []


def load(path: Path, card: ModelCard) -> nn.Module:
    """The network. Raises ModelError for a damaged file, and for one that holds more than a network."""
    check_content(path)
    try:
        program = torch.export.load(io.BytesIO(path.read_bytes()))
        graph = program.module()
    except (RuntimeError, ValueError, OSError, KeyError, AttributeError, TypeError, AssertionError) as error:
        raise ModelError(
            f"{path}: torch {torch.__version__} cannot read it ({str(error)[:300]}); export the model again with this "
            "torch, from its bundle"
        ) from error
    _check_sizes(path, card, program)
    return Answering(path, card, graph.requires_grad_(False))


def check_content(path: Path) -> None:
    """Raise ModelError when an archive holds anything that torch.export.load would run, or pickles but tensors."""
    try:
        for name, content in entries(path).items():
            _check_entry(name, content)
    except (ValueError, RecursionError) as error:
        raise ModelError(
            f"{path}: found {str(error)[:300]}; expected a graph of tensor operations with plain weights: this file is "
            "not loaded, export the model from its bundle"
        ) from error
    except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise ModelError(f"{path}: cannot be read ({error}); the file is damaged: fetch or export it again") from error


def _check_entry(name: str, content: bytes) -> None:
    if name not in _NAMES and not name.startswith(_FOLDERS):
        raise ValueError(f"the entry {name[:80]!r}")
    if name.startswith("models/"):
        _check_program(json.loads(content))
    elif name.startswith(("data/weights/", "data/constants/")) and name.endswith(".json"):
        _check_payloads(json.loads(content))
    elif name.endswith(".pt"):
        _check_pickle(name, content)


def _check_pickle(name: str, content: bytes) -> None:
    if not content:
        return
    try:
        torch.load(io.BytesIO(content), weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise ValueError(f"a pickle of more than tensors in {name[:80]!r}") from error


def _check_payloads(values: Any) -> None:
    """Weights and constants have to be plain bytes: torch would unpickle all others."""
    for name, payload in values["config"].items():
        if payload["use_pickle"] or not str(payload["path_name"]).startswith(("weight_", "tensor_")):
            raise ValueError(f"a pickled tensor or object {name[:80]!r}")


def _check_program(values: Any) -> None:
    for key, value in _texts(values):
        if key == "target" and not (_TARGET.fullmatch(value) and _allowed(value)):
            raise ValueError(f"a call of {value[:80]!r}")
        if key == "expr_str":
            _check_size(value)
    for guard in values.get("guards_code") or []:
        _check_guard(guard)


def _allowed(target: str) -> bool:
    if target.startswith("torch.ops.higher_order."):
        return _HIGHER_ORDER.fullmatch(target) is not None
    return not target.startswith(("torch.ops.aten.from_file", "torch.ops.aten.save"))


def _texts(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for inner, held in value.items():
            yield from _texts(held, inner)
    elif isinstance(value, list):
        for held in value:
            yield from _texts(held, key)
    elif isinstance(value, str):
        yield key, value


def _check_size(text: str) -> None:
    """Raise ValueError unless the text is arithmetic on whole numbers and symbols, as torch writes sizes."""
    for node in ast.walk(_parsed(text)):
        if not isinstance(node, (*_PLAIN, ast.unaryop)):
            raise ValueError(f"a size {text[:80]!r}")
        if isinstance(node, ast.Name) and not (node.id in _PARTS or _SYMBOL.fullmatch(node.id)):
            raise ValueError(f"a size {text[:80]!r}")
        if isinstance(node, ast.keyword) and node.arg not in _FLAGS:
            raise ValueError(f"a size {text[:80]!r}")
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and not _SYMBOL.fullmatch(node.value):
            raise ValueError(f"a size {text[:80]!r}")


def _check_guard(text: str) -> None:
    """Raise ValueError unless the text compares sizes: no call but `size()`, no attribute but that, no other names."""
    allowed = (*_PLAIN, ast.unaryop, ast.Compare, ast.cmpop, ast.BoolOp, ast.boolop, ast.Subscript, ast.Attribute)
    for node in ast.walk(_parsed(text)):
        known = isinstance(node, allowed)
        if isinstance(node, ast.Attribute):
            known = node.attr in {"size", "shape", "stride"}
        if isinstance(node, ast.Call):
            known = isinstance(node.func, ast.Attribute)
        if isinstance(node, ast.Name):
            known = node.id == "L" or _SYMBOL.fullmatch(node.id) is not None
        if not known:
            raise ValueError(f"a guard {text[:80]!r}")


def _parsed(text: str) -> ast.Expression:
    try:
        return ast.parse(text, mode="eval")
    except SyntaxError as error:
        raise ValueError(f"{text[:80]!r} where a size was to be") from error


def _check_sizes(path: Path, card: ModelCard, program: Any) -> None:
    """Raise ModelError when the graph takes other chips than the card says."""
    names = set(program.graph_signature.user_inputs)
    shapes = [tuple(n.meta["val"].shape) for n in program.graph.nodes if n.op == "placeholder" and n.name in names]
    expected = (len(card.bands), card.tile_size, card.tile_size)
    fits = len(shapes) == 1 and len(shapes[0]) == 4
    if not fits or any(isinstance(f, int) and f != e for f, e in zip(shapes[0][1:], expected, strict=True)):
        found = "; ".join(str([s if isinstance(s, int) else "any" for s in shape]) for shape in shapes)
        raise ModelError(
            f"{path}: found the input {found}; expected (any, {', '.join(map(str, expected))}) as card {card.name} "
            "says: give the card these bands and this tile_size, or export the model again"
        )
