"""Bundles: a network's weights with its card, in one safetensors file. No pickle is ever read."""

from __future__ import annotations

import hashlib
import json
import mmap
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from geoseg.core.card import ModelCard
from geoseg.errors import ModelError, WriteError
from geoseg.models import containers
from geoseg.models.header import CARD_KEY, CHECKSUM_KEY, BundleHeader, canonical, read_header
from geoseg.models.network import check_fit, network_of, remedy_of, skeleton_of
from geoseg.models.packaged import resolve
from geoseg.models.placing import scratch


@dataclass(frozen=True, slots=True, eq=False)
class LoadedModel:
    """A network that is ready to predict: `module` is in eval mode, float32, on the CPU.

    `sha256` is the checksum of the model's file (with those beside it that belong to it): it identifies weights and
    card together. `backend` is what the module runs on: "torch" for bundles, else the kind of file that it came in
    ("onnx", "torchscript", "pt2", "openvino").
    """

    card: ModelCard
    module: nn.Module
    path: Path
    sha256: str
    backend: str = "torch"


def load_model(reference: str | Path) -> LoadedModel:
    """The model that `reference` names: a packaged one ("buildings"), or the path of a bundle or another container.

    Raises UnknownNameError or ModelError: no such model, a damaged file, weights that do not fit the card's
    architecture (checked before memory for them is taken), or weights that are not finite; MissingExtraError when the
    runtime of a container is not installed.
    """
    path = resolve(reference)
    container = containers.container_of(path)
    if container is not None:
        card = containers.read_card(path)
        module = containers.load_module(path, card)
        return LoadedModel(card, module, path.absolute(), containers.checksum(path), container)
    header = read_header(path)
    check_fit(path, skeleton_of(header.card), header.tensors)
    file_sum = checked_sum(header)
    with torch.random.fork_rng(devices=[]):  # random initial weights must not change the caller's random numbers
        module = network_of(header.card)
    weights = read_weights(path)
    check_finite(path, weights)
    module.load_state_dict(weights, strict=True)
    return LoadedModel(header.card, module.float().eval().requires_grad_(False), path.absolute(), file_sum)


def read_weights(path: Path) -> dict[str, Tensor]:
    """All tensors of a bundle, in the file's dtypes. Raises ModelError when the file is damaged."""
    try:
        return safetensors.torch.load_file(path)
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise ModelError(
            f"{path}: the weights cannot be read ({error}); the file is damaged: fetch or export it again"
        ) from error


def checked_sum(header: BundleHeader) -> str:
    """The SHA-256 of the whole file, in hexadecimal. Raises ModelError when the content is not what was written."""
    found = hashlib.sha256(header.canonical)
    with header.path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        whole = hashlib.sha256(content).hexdigest()
        with memoryview(content) as view, view[header.data_start :] as data:
            found.update(data)
    if header.checksum is not None and header.checksum != found.hexdigest():
        raise ModelError(
            f"{header.path}: found the checksum {found.hexdigest()[:12]}, expected {header.checksum[:12]}; "
            "the file is damaged: fetch or export it again"
        )
    return whole


def check_finite(path: Path | str, weights: dict[str, Tensor]) -> None:
    """Raise ModelError when a weight is NaN or infinite."""
    bad = [name for name, tensor in weights.items() if tensor.is_floating_point() and not tensor.isfinite().all()]
    if bad:
        raise ModelError(
            f"{path}: found NaN or infinite weights in {len(bad)} tensors ({', '.join(bad[:4])}); "
            "expected finite numbers: the training diverged or the file is damaged"
        )


def save_bundle(path: str | Path, module: nn.Module, card: ModelCard, half: bool = True) -> None:
    """Write `module`'s weights and `card` to `path`, in a folder of its own first: the file is complete or absent.

    With `half`, matrices and kernels are stored as float16 where their values fit it; vectors (biases, normalisation)
    stay float32. Equal weights and card give equal bytes. Raises ModelError when the weights do not fit the card's
    architecture or are not finite, WriteError when the file cannot be written.
    """
    destination = Path(path)
    tensors = {name: _stored(tensor, half) for name, tensor in module.state_dict().items()}
    check_finite(destination, tensors)
    content = _encoded(tensors, card)
    try:
        with scratch(destination) as folder:
            temporary = folder / destination.name
            temporary.write_bytes(content)
            check_fit(destination, skeleton_of(card), read_header(temporary).tensors, remedy_of(card))
            temporary.replace(destination)
    except OSError as error:
        raise WriteError(f"{destination}: the bundle cannot be written ({error.strerror or error})") from error


def _stored(tensor: Tensor, half: bool) -> Tensor:
    kept = tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
    if not kept.is_floating_point():
        return kept
    if half and kept.ndim > 1:
        small = kept.half()
        if bool(small.isfinite().all()):
            return small
    return kept.float()


def _encoded(tensors: dict[str, Tensor], card: ModelCard) -> bytes:
    """The file's bytes; keys are sorted, since the order that safetensors writes metadata in is not fixed."""
    raw = safetensors.torch.save(tensors)
    length = int.from_bytes(raw[:8], "little")
    header, data = json.loads(raw[8 : 8 + length]), raw[8 + length :]
    header["__metadata__"] = {CARD_KEY: card.model_dump_json()}
    header["__metadata__"][CHECKSUM_KEY] = hashlib.sha256(canonical(header) + data).hexdigest()
    text = canonical(header)
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data
