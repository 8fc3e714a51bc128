"""ONNX, with the metadata of the QGIS plugin Deepness or without: run as it is, its card inside."""

from __future__ import annotations

import ast
import importlib
import json
import math
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from geoseg.core.card import ModelCard
from geoseg.errors import MissingExtraError, ModelError
from geoseg.models import containers
from geoseg.models.containers import onnx_file
from geoseg.models.importing.detection import Form
from geoseg.models.importing.facts import Found, Hints

_LAYOUT = "expected one input and one output of the layout (batch, channel, y, x)"
_PASSED = frozenset({"Identity", "Cast"})
_SEGMENTOR = "segmentor"
_PERCENT = 100
_SURE = 0.5  # from here on, at most one class reaches a threshold


def read_onnx(path: Path, hints: Hints) -> Found:
    """What an ONNX file without metadata holds. Raises ModelError, or MissingExtraError without the package onnx."""
    return _found(path, hints, Form.ONNX, {})


def read_deepness(path: Path, hints: Hints) -> Found:
    """What an ONNX file with Deepness's metadata holds.

    https://qgis-plugin-deepness.readthedocs.io. Its models eat values of 0 to 1, standardised where it says so;
    resolution is in centimetres per pixel, the overlap of tiles in percent. Raises ModelError for models that do not
    segment.
    """
    told = onnx_file.metadata(path)
    kind = str(_value(path, told, "model_type")).lower()
    if kind != _SEGMENTOR:
        raise ModelError(
            f"{path}: found a Deepness model of the type {kind!r}; expected 'Segmentor': only these are run"
        )
    return _found(path, hints, Form.DEEPNESS, told)


def _found(path: Path, hints: Hints, what: str, told: Mapping[str, str]) -> Found:
    model = _loaded(path)
    given, channels = _shapes(path, model)
    deepness = _facts(path, told, given) if told else Hints()
    classes: Any = hints.over(deepness).classes
    count = len(getattr(classes, "classes", classes) or ())
    last = _last(path, model)
    final = {"Softmax": "none", "Sigmoid": "sigmoid"}.get(last.op_type if last is not None else "")
    cut = None
    if final == "sigmoid" and hints.activation is None:
        if channels is not None and 1 < channels == count:
            final = "none"
        else:
            cut = last
    size = given[2] if given[2] == given[3] else None
    facts = Hints(activation=final, tile_size=size, overlap=_overlap(path, told, size), divisor=1 if size else None)
    return Found(
        what,
        facts.over(deepness),
        attach=partial(_attach, path, model, cut),
        in_channels=given[1],
        channels=channels,
    )


def _attach(path: Path, model: Any, cut: Any, card: ModelCard, destination: Path) -> None:
    """Write the model with its card, all weights inside, and without the last node where it is cut off."""
    outside = onnx_file.parts(path)
    if cut is None and not outside:
        containers.write_card(path, card, destination)
        return
    import onnx

    if outside:
        onnx.load_external_data_for_model(model, str(path.parent))
    if cut is not None:
        model.graph.output[0].name = cut.input[0]
        model.graph.node.remove(cut)
    whole = destination.with_name(f"{destination.stem}.whole.onnx")
    onnx.save_model(model, str(whole), save_as_external_data=False)
    containers.write_card(whole, card, destination)
    whole.unlink()


def _loaded(path: Path) -> Any:
    """The graph without its weights in other files. Raises ModelError for such files outside the model's folder."""
    try:
        import onnx

        damaged = importlib.import_module("google.protobuf.message").DecodeError
    except ImportError as error:
        raise MissingExtraError("onnx", "onnx", "importing ONNX models") from error
    onnx_file.parts(path)
    try:
        return onnx.load(str(path), load_external_data=False)
    except (damaged, OSError, ValueError) as error:
        raise ModelError(f"{path}: cannot be read as ONNX ({error}); the file is damaged: fetch it again") from error


def _shapes(path: Path, model: Any) -> tuple[list[int | None], int | None]:
    """The sizes of the input (batch, band, y, x) and the channels of the output; None where they are free."""
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    outputs = list(model.graph.output)
    if len(inputs) != 1 or len(outputs) != 1:
        raise ModelError(f"{path}: found {len(inputs)} inputs and {len(outputs)} outputs; {_LAYOUT}")
    given, answer = _sizes(inputs[0]), _sizes(outputs[0])
    if len(given) != 4 or (answer and len(answer) != 4):
        raise ModelError(f"{path}: found an input of the sizes {given} and an output of {answer}; {_LAYOUT}")
    if given[1] is None and given[3] is not None:
        raise ModelError(f"{path}: found an input of the sizes {given}, channels last; {_LAYOUT}")
    return given, answer[1] if answer else None


def _sizes(value: Any) -> list[int | None]:
    return [
        d.dim_value if d.HasField("dim_value") and d.dim_value > 0 else None for d in value.type.tensor_type.shape.dim
    ]


def _last(path: Path, model: Any) -> Any:
    """The node that decides the kind of scores: the last one that is more than a copy; None where it is not known."""
    makers = {name: node for node in model.graph.node for name in node.output}
    node = makers.get(model.graph.output[0].name)
    while node is not None and node.op_type in _PASSED:
        node = makers.get(node.input[0])
    if node is not None and node.op_type in ("ArgMax", "TopK"):
        raise ModelError(f"{path}: found classes as its answer ({node.op_type}); expected scores: export it without")
    if node is not None and node.op_type == "Softmax" and not _over_channels(model, node):
        return None
    return (
        node
        if node is not None and (node.op_type == "Softmax" or node.output[0] == model.graph.output[0].name)
        else None
    )


def _over_channels(model: Any, node: Any) -> bool:
    opset = max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=13)
    axis = next((a.i for a in node.attribute if a.name == "axis"), -1 if opset >= 13 else 1)
    return axis in (1, -3)


def _facts(path: Path, told: Mapping[str, str], given: list[int | None]) -> Hints:
    """What the metadata says, in the card's words."""
    count = given[1] or 3
    resolution = _number(path, told, "resolution")
    size = _number(path, told, "tiles_size", "tile_size")
    mean, std = (_numbers(path, told, f"standardization_{what}") for what in ("mean", "std"))
    names = _names(path, told)
    return Hints(
        resolution=None if resolution is None else resolution / _PERCENT,
        value_range=(0.0, 255.0),
        mean=(0.0,) * count if mean is None else mean,
        std=(1.0,) * count if std is None else std,
        classes=names,
        threshold=_threshold(_number(path, told, "seg_thresh"), names),
        tile_size=None if size is None else int(size),
    )


def _threshold(value: float | None, names: tuple[str, ...] | None) -> float | None:
    """The threshold where it means the same: Deepness drops lower scores before it takes the best class."""
    if value is None or not names or "background" not in names or not 0 < value < 1:
        return None
    return value if len(names) <= 2 or value >= _SURE else None


def _overlap(path: Path, told: Mapping[str, str], size: int | None) -> int | None:
    """The overlap in pixels, at most half a tile."""
    tile = size or int(_number(path, told, "tiles_size", "tile_size") or 0)
    percent = _number(path, told, "tiles_overlap") or 0.0
    return min(round(tile * percent / _PERCENT), tile // 2) if tile and percent else None


def _names(path: Path, told: Mapping[str, str]) -> tuple[str, ...] | None:
    """Names of classes by their number from 0; "_background" is what Deepness's own models call the background."""
    found = _value(path, told, "class_names", "names")
    if found is None:
        return None
    try:
        numbered = {int(key): str(value) for key, value in found.items()}
    except (AttributeError, TypeError, ValueError, OverflowError) as error:
        raise ModelError(f"{path}: found class_names {str(found)[:80]!r}; expected a name for each number") from error
    if sorted(numbered) != list(range(len(numbered))):
        raise ModelError(f"{path}: found class_names with the numbers {sorted(numbered)}; expected 0, 1, 2 and so on")
    names = [numbered[i] for i in sorted(numbered)]
    return tuple("background" if n.strip("_").lower() == "background" else n for n in names)


def _number(path: Path, told: Mapping[str, str], *keys: str) -> float | None:
    """The number under the first key that is there, or None. Raises ModelError for anything else."""
    found = _value(path, told, *keys)
    return None if found is None else _finite(path, keys[0], found)


def _numbers(path: Path, told: Mapping[str, str], key: str) -> tuple[float, ...] | None:
    """The numbers, one for each band, or None. Raises ModelError for anything else."""
    found = _value(path, told, key)
    if found is not None and not isinstance(found, (list, tuple)):
        raise ModelError(f"{path}: found {key} {str(found)[:80]!r} in its metadata; expected a list of numbers")
    return None if found is None else tuple(_finite(path, key, value) for value in found)


def _finite(path: Path, key: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise ModelError(f"{path}: found {key} {str(value)[:80]!r} in its metadata; expected a number")
    return number


def _value(path: Path, told: Mapping[str, str], *keys: str) -> Any:
    """The value of the first key that is there, or None: JSON, or a literal of Python as older models have it."""
    text = next((told[key] for key in keys if key in told), None)
    if text is None:
        return None
    try:
        return json.loads(text)
    except ValueError:
        pass
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError) as error:
        if text.isidentifier():
            return text
        raise ModelError(f"{path}: found {keys[0]} {text[:80]!r} in its metadata; expected JSON") from error
