"""Whether a program of torch.export only computes: the JSON text that torch.export.load believes and makes code of.

torch evaluates sizes and guards as Python, writes names into the code of a function that it then runs, imports the
types that a tree of arguments names, and looks operations up in itself. So each text in a program has to be one of the
few forms that a graph of tensor operations needs; what a graph does without (notes on where a node came from) goes.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from typing import Any

_OPERATORS = (
    "getitem|add|sub|mul|floordiv|truediv|mod|pow|neg|pos|abs|eq|ne|lt|le|gt|ge|and_|or_|xor|not_|lshift|rshift"
)
_TARGET = re.compile(
    r"torch\.ops\.(aten|prim|prims|torchvision)\.(?!from_file|save|__(class|init|new|dict|module|doc)__)\w+(\.\w+)?"
    r"|torch\.ops\.higher_order\.(wrap_with_set_grad_enabled|wrap_with_autocast)"
    rf"|(torch\.)?_?operator\.({_OPERATORS})|math\.[a-z]+[0-9]*|torch\.(sym_[a-z_]+|_check\w*)",
    re.ASCII,
)
_WORD = re.compile(r"[\w.:+-]*", re.ASCII)  # a name, or a word: never a call
_ARGUMENT = re.compile(r"[\w .,:>+-]*", re.ASCII)
_GUARD = re.compile(r"[\w .,\[\]()'<>=!+*/%-]*", re.ASCII)  # no text that ends one, no comment, no second line
_TREES = frozenset({"builtins.tuple", "builtins.list", "builtins.dict", "collections.OrderedDict"})
_PARTS = frozenset({
    "Symbol", "Integer", "Add", "Mul", "Pow", "Mod", "PythonMod", "FloorDiv", "CeilDiv", "CleanDiv", "Max", "Min",
    "TruncToInt",
})  # fmt: skip
_PLAIN = (ast.Expression, ast.Call, ast.Name, ast.Load, ast.Constant, ast.keyword, ast.BinOp, ast.UnaryOp, ast.operator)
_FLAGS = frozenset({"positive", "integer", "nonnegative"})
_SYMBOL = re.compile(r"[a-z]+[0-9]+", re.ASCII)


def screened_program(content: bytes) -> bytes:
    """The program as JSON, without its notes. Raises ValueError for anything but a graph of tensor operations."""
    values = _without_notes(json.loads(content.decode("utf-8")))
    if not isinstance(values, dict):
        raise ValueError("a program that is no JSON object")
    for key, value in _texts(values):
        if key in _CHECKS:
            _CHECKS[key](value)
        elif not _WORD.fullmatch(value):
            raise ValueError(f"the text {value[:80]!r} in its program")
    return json.dumps(values).encode()


def screened_payloads(content: bytes, prefix: str) -> bytes:
    """The list of weights or constants as JSON. Raises ValueError unless all are plain bytes in files `prefix`N."""
    values = json.loads(content.decode("utf-8"))
    for name, payload in values["config"].items():
        if payload["use_pickle"] is not False or not re.fullmatch(rf"{prefix}[0-9]+", str(payload["path_name"])):
            raise ValueError(f"a pickled tensor or object {name[:80]!r}")
    return json.dumps(values).encode()


def _without_notes(value: Any) -> Any:
    """The values, what stands under "metadata" left out: torch looks names of functions and types up in it."""
    if isinstance(value, dict):
        return {key: {} if key == "metadata" else _without_notes(held) for key, held in value.items()}
    return [_without_notes(held) for held in value] if isinstance(value, list) else value


def _texts(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Every text with the key that it stands under, the keys themselves among them."""
    if isinstance(value, dict):
        for inner, held in value.items():
            yield "", inner
            yield from _texts(held, inner)
    elif isinstance(value, list):
        for held in value:
            yield from _texts(held, key)
    elif isinstance(value, str):
        yield key, value


def _check_target(text: str) -> None:
    if not _TARGET.fullmatch(text):
        raise ValueError(f"a call of {text[:80]!r}")


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
    """Raise ValueError unless the text compares sizes: no calls but `size()`, `torch.sym_max()` and the like."""
    allowed = (*_PLAIN, ast.unaryop, ast.Compare, ast.cmpop, ast.BoolOp, ast.boolop, ast.Subscript, ast.Attribute)
    if not _GUARD.fullmatch(text):
        raise ValueError(f"a guard {text[:80]!r}")
    for node in ast.walk(_parsed(text)):
        known = isinstance(node, allowed)
        if isinstance(node, ast.Attribute):
            known = node.attr in {"size", "shape", "stride", "sym_max", "sym_min"}
        if isinstance(node, ast.Call):
            known = isinstance(node.func, ast.Attribute)
        if isinstance(node, ast.Name):
            known = node.id in {"L", "torch"} or _SYMBOL.fullmatch(node.id) is not None
        if isinstance(node, ast.Constant):
            known = not isinstance(node.value, str) or _WORD.fullmatch(node.value) is not None
        if not known:
            raise ValueError(f"a guard {text[:80]!r}")


def _check_tree(text: str) -> None:
    """Raise ValueError unless the text is a tree of tuples, lists and dicts as JSON: others name what to import."""
    if text:
        version, tree = json.loads(text)
        if version != 1:
            raise ValueError(f"a tree of arguments {text[:80]!r}")
        _check_branch(tree)


def _check_branch(tree: Any) -> None:
    kind, context, inner = tree["type"], tree["context"], tree["children_spec"]
    names = [] if context is None else json.loads(context) or []
    plain = isinstance(names, list) and all(isinstance(name, str) and _WORD.fullmatch(name) for name in names)
    if not (kind is None or kind in _TREES) or not plain:
        raise ValueError(f"a tree of arguments of the type {str(kind)[:80]!r}, with {str(context)[:80]!r}")
    for branch in inner:
        _check_branch(branch)


def _parsed(text: str) -> ast.Expression:
    try:
        return ast.parse(text, mode="eval")
    except SyntaxError as error:
        raise ValueError(f"{text[:80]!r} where a size was to be") from error


def _check_argument(text: str) -> None:
    """Raise ValueError unless the text is one that operations take, such as "bilinear" or "bhc,dc->bhd"."""
    if not _ARGUMENT.fullmatch(text):
        raise ValueError(f"the text {text[:80]!r} in its program")


_CHECKS = {
    "as_string": _check_argument,
    "target": _check_target,
    "expr_str": _check_size,
    "guards_code": _check_guard,
    "in_spec": _check_tree,
    "out_spec": _check_tree,
}
