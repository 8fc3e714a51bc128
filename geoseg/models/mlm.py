"""Bundles described as STAC items with the Machine Learning Model (MLM) extension, version 1.4.

https://github.com/stac-extensions/mlm
"""

from __future__ import annotations

import json
import os
import re
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from geoseg.core.card import ModelCard
from geoseg.errors import MissingExtraError, WriteError
from geoseg.models.bundle import checked_sum
from geoseg.models.header import read_header
from geoseg.models.network import check_fit, skeleton_of
from geoseg.models.packaged import resolve

_TASK = "semantic-segmentation"
_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9_.\-\s]+[a-zA-Z0-9]")  # what the extension's schema asks of a name
_ACTIVATIONS = {"softmax": "torch.nn.functional.softmax", "sigmoid": "torch.nn.functional.sigmoid"}
_ANY_TIME = (datetime(1900, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC))


def export_mlm(reference: str | Path, destination: str | Path) -> None:
    """Write a STAC item that describes the bundle `reference` to `destination` (JSON).

    The item has no geometry and no end of time, since a card does not say where and when a model is right; the
    complete card stands under `geoseg:card`. Raises MissingExtraError without pystac's MLM extension, ModelError for a
    bundle that is not valid, WriteError when the file cannot be written.
    """
    source, target = resolve(reference), Path(destination)
    item = json.dumps(mlm_item(source, target.absolute().parent), indent=2) + "\n"
    temporary = target.with_name(f".{target.name}.part")
    try:
        try:
            temporary.write_text(item, encoding="utf-8")
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise WriteError(f"{target}: the STAC item cannot be written ({error.strerror or error})") from error


def mlm_item(path: Path, folder: Path) -> dict[str, Any]:
    """The item as JSON-able values; the bundle's address is relative to `folder` where that is possible."""
    try:
        import pystac
        from pystac.extensions.file import FileExtension
        from pystac.extensions.mlm import AssetGeneralMLMExtension, MLMExtension
    except ImportError as error:
        raise MissingExtraError("stac", "pystac-ext-mlm", "an export as STAC MLM item") from error
    header = read_header(path)
    card, skeleton = header.card, skeleton_of(header.card)
    check_fit(path, skeleton, header.tensors)
    item = pystac.Item(
        id=f"{card.name}-{card.version}",
        geometry=None,
        bbox=None,
        datetime=None,
        start_datetime=_ANY_TIME[0],
        end_datetime=_ANY_TIME[1],
        properties=_common(card),
    )
    asset = pystac.Asset(
        href=_address(path, folder),
        title=f"Weights and card of {card.name} {card.version}",
        media_type="application/octet-stream; application=safetensors",
        roles=["mlm:model", "mlm:weights", "data"],
        extra_fields={"bands": _bands(card)},  # STAC 1.1 allows them in the properties only where an asset has them
    )
    item.add_asset("model", asset)
    mlm = MLMExtension.ext(item, add_if_missing=True)
    parameters = sum(p.numel() for p in skeleton.parameters())
    _describe(mlm, card, parameters)
    AssetGeneralMLMExtension.ext(asset).apply(artifact_type="safetensors.torch.save_file")
    multihash = "1220" + checked_sum(header)  # 12: SHA-256, 20: 32 bytes
    FileExtension.ext(asset, add_if_missing=True).apply(checksum=multihash, size=path.stat().st_size)
    values: dict[str, Any] = item.to_dict(include_self_link=False, transform_hrefs=False)
    return values


def _common(card: ModelCard) -> dict[str, Any]:
    """STAC's own metadata, and the card."""
    return {
        "title": f"{card.name} {card.version}",
        "description": " ".join(filter(None, (card.description, card.limits, card.attribution))),
        "license": card.license,
        "gsd": card.resolution,
        "bands": _bands(card),
        "geoseg:card": card.model_dump(mode="json"),
    }


def _bands(card: ModelCard) -> list[dict[str, str]]:
    return [{"name": band, "data_type": card.dtype} for band in card.bands]


def _describe(mlm: Any, card: ModelCard, parameters: int) -> None:
    from pystac.extensions.mlm import Hyperparameters, TaskType

    release = re.match(r"\d+\.\d+\.\d+", version("torch"))
    mlm.apply(
        name=card.name if _NAME.fullmatch(card.name) else f"model {card.name}".rstrip("._-"),
        architecture=card.architecture,
        tasks=[TaskType(_TASK)],
        input=[_input(card)],
        output=[_output(card)],
        framework="PyTorch",
        framework_version=release[0] if release else None,
        memory_size=4 * parameters,
        total_parameters=parameters,
        pretrained=bool(card.training_data),
        pretrained_source="; ".join(card.training_data) or None,
        accelerator_constrained=False,
        hyperparameters=Hyperparameters(_settings(card)),
    )


def _settings(card: ModelCard) -> dict[str, Any]:
    kept = ("arguments", "resolution_range", "tile_size", "overlap", "divisor", "activation", "threshold")
    values = card.model_dump(mode="json", include=set(kept), exclude_none=True)
    return {f"geoseg.{key}": values[key] for key in kept if key in values}


def _input(card: ModelCard) -> Any:
    """The input in the file's own values: z-scores that hold both the value range and the normalisation."""
    from pystac.extensions.mlm import InputStructure, ModelInput
    from pystac.extensions.raster import DataType

    low, high = card.value_range
    scaling = [
        {"type": "z-score", "mean": low + mean * (high - low), "stddev": std * (high - low)}
        for mean, std in zip(card.mean, card.std, strict=True)
    ]
    structure = InputStructure.create(
        shape=[-1, len(card.bands), card.tile_size, card.tile_size],
        dim_order=["batch", "bands", "height", "width"],
        data_type=DataType.FLOAT32,
    )
    made = ModelInput.create(
        name="pixels",
        bands=list(card.bands),
        input=structure,
        description=f"Pixels of {card.resolution} m on the ground with values from {low:g} to {high:g}.",
    )
    made.properties["value_scaling"] = (
        scaling  # a list, one a band: pystac writes a lone object, which its schema refuses
    )
    return made


def _output(card: ModelCard) -> Any:
    from pystac.extensions.classification import Classification
    from pystac.extensions.mlm import ModelOutput, ProcessingExpression, ResultStructure, TaskType
    from pystac.extensions.raster import DataType

    classes = [
        Classification.create(
            value=info.id,
            name=re.sub(r"[^0-9A-Za-z_-]+", "-", info.name),
            title=info.name,
            color_hint=info.colour[1:].upper(),
        )
        for info in (card.classes.by_id(i) for i in card.channel_ids)
    ]
    activation = _ACTIVATIONS.get(card.activation)
    return ModelOutput.create(
        name="scores",
        tasks=[TaskType(_TASK)],
        result=ResultStructure.create(
            shape=[-1, len(classes), card.tile_size, card.tile_size],
            dim_order=["batch", "class", "height", "width"],
            data_type=DataType.FLOAT32,
        ),
        description="One channel a class, for each pixel of the input.",
        classes=classes,
        post_processing_function=ProcessingExpression.create("python", activation) if activation else None,
    )


def _address(path: Path, folder: Path) -> str:
    """`path` relative to `folder` with forward slashes, or as a file URL when they share no root."""
    try:
        return Path(os.path.relpath(path.absolute(), folder)).as_posix()
    except ValueError:
        return path.absolute().as_uri()
