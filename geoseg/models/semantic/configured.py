"""Semantic networks of transformers, built from their configuration: nothing is asked of a hub."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from geoseg.errors import MissingExtraError, ModelError
from geoseg.models.registry import register

# Networks that give logits for each pixel, with the class of their configuration.
CLASSES: Mapping[str, str] = MappingProxyType(
    {
        "SegformerForSemanticSegmentation": "SegformerConfig",
        "UperNetForSemanticSegmentation": "UperNetConfig",
        "DPTForSemanticSegmentation": "DPTConfig",
        "BeitForSemanticSegmentation": "BeitConfig",
        "Data2VecVisionForSemanticSegmentation": "Data2VecVisionConfig",
        "MobileNetV2ForSemanticSegmentation": "MobileNetV2Config",
        "MobileViTForSemanticSegmentation": "MobileViTConfig",
        "MobileViTV2ForSemanticSegmentation": "MobileViTV2Config",
    }
)
_LEFT_OUT = frozenset({
    "id2label", "label2id", "architectures", "transformers_version", "torch_dtype", "dtype",
    "auto_map", "attn_implementation", "experts_implementation", "quantization_config",
})  # fmt: skip  # what names classes and releases, and what could make transformers fetch or run code
_LONGEST = 65536  # characters of a configuration


class TransformersSemantic(nn.Module):
    """A network of transformers with scores of the input's size as the answer, as its own postprocessing makes them."""

    def __init__(self, network: nn.Module) -> None:
        """Take the network; its tensors keep their names, after "network."."""
        super().__init__()
        self.network = network

    @property
    def encoder(self) -> nn.Module | None:
        """The network without its head; None where transformers does not tell them apart."""
        base = getattr(self.network, "base_model", None)
        return base if isinstance(base, nn.Module) and base is not self.network else None

    def forward(self, pixels: Tensor) -> Tensor:
        """The scores (batch, channel, y, x) of `pixels` (batch, band, y, x)."""
        logits = self.network(pixel_values=pixels).logits
        return functional.interpolate(logits, pixels.shape[2:], mode="bilinear", align_corners=False)


@register(
    "transformers-semantic",
    kind="semantic",
    paper="Xie et al. 2021, arXiv:2105.15203",
    licence="Apache-2.0",
    extra="transformers",
)
def transformers_semantic(
    *, in_channels: int, classes: int, network: str = "SegformerForSemanticSegmentation", config: str = "{}"
) -> nn.Module:
    """A semantic network of transformers, by the name of its class and its configuration as JSON text.

    SegFormer as it is by default. Nothing is fetched: backbones are built from the configuration too.
    """
    found, made = _named(network, _with_counts(_parsed(config), in_channels, classes))
    return TransformersSemantic(found(made))


def own_names(network: str, config: Mapping[str, Any], weights: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], str]:
    """The weights under the names that the installed release of transformers gives them, and what does not fit.

    Files of the hub keep the names of the release that they were written with; transformers translates them.
    """
    found, made = _named(network, plain_config(config))
    with _quiet():
        module, report = found.from_pretrained(
            None, config=made, state_dict=dict(weights), output_loading_info=True, ignore_mismatched_sizes=True
        )
    wrong = [f"{what[:-5]}: {', '.join(sorted(map(str, report[what]))[:3])}" for what in sorted(report) if report[what]]
    return {f"network.{name}": tensor for name, tensor in module.state_dict().items()}, "; ".join(wrong)


def _named(network: str, values: Mapping[str, Any]) -> tuple[Any, Any]:
    """The class of a network, and its configuration."""
    if network not in CLASSES:
        raise ModelError(f"transformers-semantic: found network={network!r}; expected one of {', '.join(CLASSES)}")
    try:
        import transformers
    except ImportError as error:
        raise MissingExtraError("transformers", "transformers", f"the network {network}") from error
    return getattr(transformers, network), getattr(transformers, CLASSES[network]).from_dict(dict(values))


@contextmanager
def _quiet() -> Iterator[None]:
    """No bars and no reports of transformers meanwhile."""
    logging: Any = importlib.import_module("transformers.utils.logging")
    level, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bar:
            logging.enable_progress_bar()


def plain_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration without names of classes, notes of the release, and orders to fetch or run something."""
    kept = {k: v for k, v in config.items() if k not in _LEFT_OUT and not k.startswith("_") and v is not None}
    if isinstance(kept.get("backbone_config"), Mapping):
        kept["backbone_config"] = plain_config(kept["backbone_config"])
    return kept


def _parsed(config: str) -> dict[str, Any]:
    try:
        values = json.loads(config) if len(config) <= _LONGEST else None
    except ValueError:
        values = None
    if not isinstance(values, dict):
        raise ModelError(f"transformers-semantic: found config={config[:80]!r}; expected a JSON object")
    if values.get("backbone") or values.get("use_timm_backbone"):
        raise ModelError(
            "transformers-semantic: found a configuration whose backbone is elsewhere (backbone, use_timm_backbone); "
            "expected backbone_config: all of the network in itself"
        )
    return plain_config(values)


def _with_counts(values: dict[str, Any], in_channels: int, classes: int) -> dict[str, Any]:
    """The configuration for that many bands and classes, with nothing to be fetched."""
    backbone = values.get("backbone_config")
    inner = {"backbone_config": {**backbone, "num_channels": in_channels}} if isinstance(backbone, dict) else {}
    counts = {"num_channels": in_channels, "num_labels": classes, "use_pretrained_backbone": False}
    return {**values, **counts, **inner}
