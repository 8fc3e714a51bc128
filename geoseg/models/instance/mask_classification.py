"""Networks that classify masks: MaskFormer and Mask2Former, built by transformers from a configuration."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from geoseg.models.answers import Answer, Target
from geoseg.models.instance.mask_rcnn import padded
from geoseg.models.instance.queries import Extent, Queries, likely, query_objects, query_scores, segments

ENCODERS = ("resnet18", "resnet34", "resnet50", "resnet101", "swin_tiny")
LOSSES = ("cross_entropy", "mask", "dice")
_STAGES = ("stage1", "stage2", "stage3", "stage4")
_DEPTHS = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3), "resnet50": (3, 4, 6, 3), "resnet101": (3, 4, 23, 3)}
_BASIC = frozenset({"resnet18", "resnet34"})


@dataclass(frozen=True, slots=True)
class QueryOptions:
    """How large a network of queries is.

    `queries` of width `hidden_size` pass `decoder_layers`, with `heads` of attention and `feedforward` inner features.
    `encoder_layers` and `points` are Mask2Former's: layers of deformable attention over pixels, and points at which
    masks are compared while training.
    """

    queries: int = 100
    hidden_size: int = 256
    heads: int = 8
    decoder_layers: int = 6
    feedforward: int = 2048
    encoder_layers: int = 6
    points: int = 12544


class MaskClassifier(nn.Module):
    """A network of queries whose first `stuff` classes are stuff and whose others are things.

    `network` is transformers' own; its tensors keep the names that they have there, after "network.".
    """

    def __init__(self, network: nn.Module, stuff: int) -> None:
        """Take transformers' network and the number of classes that are stuff, 0 for an instance model."""
        super().__init__()
        self.network = network
        self.stuff = stuff

    @property
    def encoder(self) -> nn.Module:
        """The part that pretrained weights are for."""
        body: nn.Module = self.network.get_submodule("model.pixel_level_module.encoder")
        return body

    def forward(self, chips: Tensor) -> Answer:
        """The objects of each chip, best first, and the scores of its stuff; `chips` (batch, band, y, x) float32."""
        whole = padded(chips).contiguous()
        said = self._queries(whole)
        extent = Extent((whole.shape[2], whole.shape[3]), (chips.shape[2], chips.shape[3]))
        with torch.autocast(chips.device.type, enabled=False):
            return self._answer(said, extent)

    def _answer(self, said: Queries, extent: Extent) -> Answer:
        objects, scores = [], []
        for logits, coarse in zip(said.classes.float(), said.masks, strict=True):  # all masks of a batch are large
            classes = logits.softmax(-1)
            if not self.stuff:  # most queries see nothing: their masks are not worth enlarging
                classes, coarse = likely(classes, coarse)
            masks = extent.probabilities(coarse)
            objects.append(query_objects(classes, masks, self.stuff))
            if self.stuff:
                scores.append(query_scores(classes, masks, self.stuff))
        return Answer(objects, torch.stack(scores) if scores else None)

    def losses(self, chips: Tensor, targets: Sequence[Target]) -> dict[str, Tensor]:
        """The papers' losses, summed over the layers of the decoder: cross_entropy, mask and dice."""
        whole = padded(chips).contiguous()
        learnt = segments(targets, self.stuff, whole)
        network: Any = self.network
        found = network(whole, output_hidden_states=True, output_auxiliary_logits=True)
        listed = network.get_loss_dict(*_full(found), learnt.masks, learnt.labels, _auxiliary(found))
        return {
            kind: sum((loss for name, loss in listed.items() if name.startswith(f"loss_{kind}")), torch.zeros(()))
            for kind in LOSSES
        }

    def _queries(self, chips: Tensor) -> Queries:
        network: Any = self.network
        found = network(chips)
        return Queries(found.class_queries_logits, found.masks_queries_logits)


class MaskFormer(MaskClassifier):
    """MaskFormer; the masks of the decoder's inner layers, which only its losses need, are left out of answers."""

    def _queries(self, chips: Tensor) -> Queries:
        network: Any = self.network
        found = network.model(chips)
        last = found.transformer_decoder_last_hidden_state
        masks = torch.einsum("bqc,bcyx->bqyx", network.mask_embedder(last), found.pixel_decoder_last_hidden_state)
        return Queries(network.class_predictor(last), masks)


def _full(found: Any) -> tuple[Tensor, Tensor]:
    """Masks and classes in float32: matching does not work in half precision."""
    return found.masks_queries_logits.float(), found.class_queries_logits.float()


def _auxiliary(found: Any) -> list[dict[str, Tensor]]:
    return [{name: logits.float() for name, logits in layer.items()} for layer in found.auxiliary_logits]


def mask2former_network(encoder: str, in_channels: int, classes: int, options: QueryOptions) -> nn.Module:
    """The Mask2Former of transformers with random weights, for chips of `in_channels` bands and `classes` classes."""
    import transformers

    with _without_advice():
        config = _new(
            transformers.Mask2FormerConfig,
            backbone_config=_backbone(encoder, in_channels),
            num_queries=options.queries,
            feature_size=options.hidden_size,
            mask_feature_size=options.hidden_size,
            hidden_dim=options.hidden_size,
            num_attention_heads=options.heads,
            encoder_layers=options.encoder_layers,
            decoder_layers=options.decoder_layers + 1,  # it counts the masks before the first layer
            dim_feedforward=options.feedforward,
            encoder_feedforward_dim=options.feedforward // 2,
            train_num_points=options.points,
            num_labels=classes,
        )
    network: nn.Module = transformers.Mask2FormerForUniversalSegmentation(config)
    return network


@contextmanager
def _without_advice() -> Iterator[None]:
    """Keeps transformers from warning of encoders other than Swin: the paper's first is ResNet."""
    logger = logging.getLogger("transformers.models.mask2former.configuration_mask2former")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def maskformer_network(encoder: str, in_channels: int, classes: int, options: QueryOptions) -> nn.Module:
    """The MaskFormer of transformers with random weights, for chips of `in_channels` bands and `classes` classes."""
    import transformers
    from transformers.models.maskformer.configuration_maskformer import MaskFormerDetrConfig

    decoder = _new(
        MaskFormerDetrConfig,
        num_queries=options.queries,
        d_model=options.hidden_size,
        decoder_layers=options.decoder_layers,
        decoder_attention_heads=options.heads,
        decoder_ffn_dim=options.feedforward,
    )
    config = _new(
        transformers.MaskFormerConfig,
        backbone_config=_backbone(encoder, in_channels),
        decoder_config=decoder,
        fpn_feature_size=options.hidden_size,
        mask_feature_size=options.hidden_size,
        use_auxiliary_loss=True,
        num_labels=classes,
    )
    network: nn.Module = transformers.MaskFormerForInstanceSegmentation(config)
    return network


def _backbone(encoder: str, in_channels: int) -> Any:
    """The configuration of an encoder. Liu et al. 2021, arXiv:2103.14030, for swin_tiny."""
    import transformers

    if encoder == "swin_tiny":
        return _new(transformers.SwinConfig, num_channels=in_channels, out_features=list(_STAGES))
    widths = (64, 128, 256, 512) if encoder in _BASIC else (256, 512, 1024, 2048)
    return _new(
        transformers.ResNetConfig,
        num_channels=in_channels,
        depths=list(_DEPTHS[encoder]),
        hidden_sizes=list(widths),
        layer_type="basic" if encoder in _BASIC else "bottleneck",
        out_features=list(_STAGES),
    )


def _new(configuration: Any, **values: Any) -> Any:
    """A configuration of transformers; most of what it takes is not in its signature."""
    return configuration(**values)
