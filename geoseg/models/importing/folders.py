"""Folders as the hubs hold them: config.json beside the weights, of segmentation-models-pytorch or of transformers."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from geoseg.errors import ModelError
from geoseg.models.importing import tensors
from geoseg.models.importing.cards import class_set
from geoseg.models.importing.detection import Form, read_object
from geoseg.models.importing.facts import Found, Hints
from geoseg.models.registry import architectures
from geoseg.models.semantic.configured import CLASSES, own_names, plain_config

_OWN = frozenset({"in_channels", "classes", "encoder_name", "encoder_weights", "activation", "aux_params"})
_ACTIVATIONS = {"sigmoid": "sigmoid", "logsigmoid": "sigmoid", "softmax": "softmax", "softmax2d": "softmax"}
_BYTE = 1 / 255


def read_smp(path: Path, hints: Hints) -> Found:
    """What a folder of segmentation-models-pytorch holds. Raises ModelError for what the registry cannot build."""
    folder = _folder(path)
    config = read_object(folder / "config.json")
    name = str(config["_model_class"]).lower()
    known = architectures()
    if name not in known:
        raise ModelError(f"{folder}: found the network {config['_model_class']}; expected one of {', '.join(known)}")
    facts = Hints(
        architecture=name,
        arguments=_arguments(folder, config, known[name].options),
        activation=_ACTIVATIONS.get(str(config.get("activation")).lower()),
    )
    return Found(
        Form.SMP,
        facts,
        weights=tensors.unwrapped(path, _weights(path)),
        in_channels=_count(folder, config, "in_channels", 3),
        channels=_count(folder, config, "classes", 1),
    )


def read_transformers(path: Path, hints: Hints) -> Found:
    """What a folder of transformers holds. Raises ModelError for networks that give no class for each pixel."""
    folder = _folder(path)
    config = read_object(folder / "config.json")
    named = config.get("architectures")
    kind = str(named[0]) if isinstance(named, list) and named else "None"
    if kind not in CLASSES:
        raise ModelError(f"{folder}: found the network {kind}; expected one of {', '.join(CLASSES)}")
    classes = _labels(folder, config)
    facts = Hints(
        architecture="transformers-semantic",
        arguments={"network": kind, "config": json.dumps(plain_config(config), sort_keys=True)},
        classes=classes,
        activation="softmax",
        description=f"Imported from {folder.name}, a {kind} of transformers.",
    )
    labels = len(config.get("id2label") or ()) or None
    plain = {**plain_config(config), **({"num_labels": labels} if labels else {})}
    weights, misfits = own_names(kind, plain, _weights(path))
    if misfits:
        raise ModelError(f"{path}: the weights do not fit config.json: tensors {misfits}; fetch both files again")
    bands = int(config.get("num_channels") or (config.get("backbone_config") or {}).get("num_channels") or 3)
    return Found(
        Form.TRANSFORMERS,
        facts.over(_preprocessing(folder)),
        weights=weights,
        in_channels=bands,
        channels=labels,
    )


def _folder(path: Path) -> Path:
    return path if path.is_dir() else path.parent


def _weights(path: Path) -> dict[str, Tensor]:
    """The tensors of the file that was named, or those in a folder."""
    found: dict[str, Tensor] = {}
    for part in files_of(path):
        found.update(tensors.read_tensors(part))
    return found


def files_of(path: Path) -> tuple[Path, ...]:
    """The files of weights that `path` stands for: the file itself, or those in the folder, whole or in parts.

    Raises ModelError for a folder without weights, and for parts outside of it.
    """
    return (path,) if path.is_file() else tuple(_inside(path))


def _inside(folder: Path) -> Iterator[Path]:
    index = folder / "model.safetensors.index.json"
    whole = [folder / "model.safetensors", folder / "pytorch_model.bin"]
    if index.is_file():
        named = {str(name) for name in dict(read_object(index).get("weight_map") or {}).values()}
        if any("/" in name or "\\" in name or name.startswith("..") for name in named):
            raise ModelError(f"{index}: found parts outside its folder; expected names of files beside it")
        yield from (folder / name for name in sorted(named))
        return
    present = next((file for file in whole if file.is_file()), None)
    if present is None:
        raise ModelError(f"{folder}: found config.json without weights; expected {whole[0].name}; fetch it too")
    yield present


def _arguments(folder: Path, config: Mapping[str, Any], options: tuple[str, ...]) -> dict[str, Any]:
    """Arguments for the registry's builder. Raises ModelError for settings that it does not have."""
    usual = _defaults(str(config["_model_class"]))
    arguments = {key: value for key, value in config.items() if key in options and value is not None}
    if config.get("encoder_name"):
        arguments["encoder"] = config["encoder_name"]
    if isinstance(config.get("decoder_channels"), list) and "encoder_depth" in config:
        usual["encoder_depth"] = len(config["decoder_channels"])
    for key, value in config.items():
        known = key in _OWN or key in arguments or key.startswith("_") or value in (None, {})
        if not known and value != usual.get(key, value) and _same(usual.get(key)) != _same(value):
            raise ModelError(
                f"{folder}: found {key}={value!r} in config.json; expected {usual[key]!r}, which is what geoseg builds"
            )
    return arguments


def _same(value: Any) -> Any:
    """The value as JSON has it; older releases said true where newer ones say "batchnorm"."""
    if isinstance(value, (list, tuple)):
        return list(value)
    return "batchnorm" if value is True else value


def _defaults(kind: str) -> dict[str, Any]:
    import segmentation_models_pytorch as smp

    parameters = inspect.signature(getattr(smp, kind).__init__).parameters
    return {name: p.default for name, p in parameters.items() if p.default is not inspect.Parameter.empty}


def _count(folder: Path, config: Mapping[str, Any], key: str, usual: int) -> int:
    value = config.get(key, usual)
    if not isinstance(value, int):
        raise ModelError(f"{folder}: found {key}={value!r} in config.json; expected a whole number")
    return value


def _labels(folder: Path, config: Mapping[str, Any]) -> Any:
    """The classes by id2label; None where the labels are only numbered."""
    labels = config.get("id2label")
    if not isinstance(labels, Mapping):
        return None
    try:
        names = [str(labels[str(i)]) for i in range(len(labels))]
    except KeyError as error:
        raise ModelError(f"{folder}: found id2label without the number {error}; expected 0, 1, 2 and so on") from error
    if names == [f"LABEL_{i}" for i in range(len(names))]:
        return None
    return class_set([name if names.count(name) == 1 else f"{name} {i}" for i, name in enumerate(names)])


def _preprocessing(folder: Path) -> Hints:
    """Mean, standard deviation and values by preprocessor_config.json, where there is one."""
    file = folder / "preprocessor_config.json"
    if not file.is_file():
        return Hints()
    told = read_object(file)
    if not told.get("do_normalize", True):
        return Hints()
    scaled = told.get("do_rescale", True) and abs(float(told.get("rescale_factor", _BYTE)) - _BYTE) < 1e-9
    mean, std = told.get("image_mean"), told.get("image_std")
    if not scaled or not isinstance(mean, list) or not isinstance(std, list):
        return Hints()
    return Hints(value_range=(0.0, 255.0), mean=tuple(map(float, mean)), std=tuple(map(float, std)))
