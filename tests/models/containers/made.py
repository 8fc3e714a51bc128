"""Toy models in every kind of container, as the tools that make such files write them."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch

from geoseg.core.card import ModelCard
from geoseg.models import create_model, load_model
from tests.toy import write_toy_bundle

ENDINGS = {"onnx": ".onnx", "torchscript": ".pt", "pt2": ".pt2", "openvino": ".xml"}


def toy_module(path: Path, **changes: Any) -> tuple[torch.nn.Module, ModelCard]:
    """The network and the card of a toy bundle, which is written to `path`."""
    loaded = load_model(write_toy_bundle(path, **changes))
    return loaded.module, loaded.card


def bare_file(container: str, folder: Path, module: torch.nn.Module, chip: torch.Tensor) -> Path:
    """The network as a file without a card, for chips of any number and size."""
    path = folder / f"bare{ENDINGS[container]}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if container == "onnx":
            free = {0: "batch", 2: "height", 3: "width"}
            axes = {"pixels": free, "scores": free}
            names = {"input_names": ["pixels"], "output_names": ["scores"]}
            torch.onnx.export(module, (chip,), path, dynamo=False, dynamic_axes=axes, **names)
        elif container == "torchscript":
            torch.jit.save(torch.jit.trace(module, chip), path)
        elif container == "pt2":
            sizes = dict.fromkeys((0, 2, 3), torch.export.Dim.AUTO)
            torch.export.save(torch.export.export(module, (chip,), dynamic_shapes=(sizes,), strict=False), path)
        else:
            import openvino

            model = openvino.convert_model(module, example_input=chip, input=[-1, chip.shape[1], -1, -1])
            openvino.save_model(model, path, compress_to_fp16=False)
    return path


def small_network(classes: int = 2) -> torch.nn.Module:
    """A network with every step that backends rewrite: the smallest U-Net there is."""
    torch.manual_seed(0)
    network = create_model(
        "unet", encoder="tu-mobilenetv3_small_050", in_channels=3, classes=classes, decoder_channels=(16, 8, 8, 8, 8)
    )
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    return network.eval().requires_grad_(False)
