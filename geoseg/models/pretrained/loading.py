"""Pretrained weights into the encoder of a network."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from geoseg.core.bands import common_name
from geoseg.errors import ModelError, UnknownNameError
from geoseg.models.hub.licences import UNKNOWN, accepted, licence_of, require
from geoseg.models.pretrained import own, published, torchgeo_weights
from geoseg.models.pretrained.encoder import Encoder, encoder_of
from geoseg.models.pretrained.inflation import inflate
from geoseg.models.pretrained.matching import partners
from geoseg.models.pretrained.source import EncoderSource, Pretrained

_LOG = logging.getLogger("geoseg.models")
ENDINGS = (".safetensors", ".pth", ".pt", ".bin", ".ckpt")


def load_encoder(
    network: nn.Module, reference: str, bands: Sequence[str] | None = None, *, accept_license: bool = False
) -> EncoderSource:
    """What the weights eat that were put into the network's encoder, fitted to `bands`.

    `reference` is "imagenet" (the encoder's own published weights), `torchgeo:` and the name of a member of torchgeo's
    enums, or a file (.safetensors, or a checkpoint of tensors only). Without `bands`, those of the weights are meant
    where the number is the same. A classifier's layers in the file are left out; an encoder's tensor that the file
    lacks is an error. Licences with conditions need `accept_license` once: consent is remembered in the cache. Raises
    ModelError, UnknownNameError, MissingExtraError.
    """
    encoder = encoder_of(network)
    if bands is not None and len(bands) != encoder.in_channels:
        raise ModelError(
            f"found {len(bands)} bands ({', '.join(bands)}) for an encoder that eats {encoder.in_channels}; expected a "
            "name for each"
        )
    pretrained = _pretrained(encoder, reference)
    _check_licence(pretrained.source, accept_license)
    fitted = fit(encoder, pretrained, bands)
    state = encoder.module.state_dict()
    with torch.no_grad():
        for name, tensor in fitted.items():
            state[name].copy_(tensor)
    return pretrained.source


def card_facts(reference: str, bands: Sequence[str] | None = None, network: nn.Module | None = None) -> dict[str, Any]:
    """A card's bands, dtype, value_range, mean and std for weights that `reference` names, and for `bands` of them.

    Nothing is fetched, but for "imagenet" with a `network`, whose publisher may say other values than the usual ones.
    Raises as `load_encoder` does.
    """
    return describe(reference, network).facts(bands)


def describe(reference: str, network: nn.Module | None = None) -> EncoderSource:
    """What the weights eat that `reference` names, and whose they are, as `card_facts` finds it."""
    if reference == published.REFERENCE and network is None:
        return published.usual()
    return _pretrained(None if network is None else encoder_of(network), reference).source


def fit(encoder: Encoder, pretrained: Pretrained, bands: Sequence[str] | None) -> dict[str, Tensor]:
    """The tensor for each of the encoder's names: the weights' own, the first convolution fitted to `bands`.

    Raises ModelError where weights and encoder are not of one kind, or weights are not finite.
    """
    source, tensors = pretrained.source, pretrained.obtain()
    names = partners(encoder, tensors, source.reference, pretrained.ordered)
    fitted = {name: tensors[other] for name, other in names.items()}
    broken = [names[n] for n, t in fitted.items() if t.is_floating_point() and not t.is_meta and not t.isfinite().all()]
    if broken:
        raise ModelError(
            f"{source.reference}: found NaN or infinite weights ({', '.join(broken[:4])}); expected finite numbers: "
            "the file is damaged, fetch it again"
        )
    first = fitted[encoder.first]
    if bands is None and first.shape[1] == encoder.in_channels:
        return fitted
    wanted = [None] * encoder.in_channels if bands is None else [common_name(name) or name for name in bands]
    fitted[encoder.first] = inflate(first.float(), source.bands, wanted)
    return fitted


def _check_licence(source: EncoderSource, accept: bool) -> None:
    """Raise ModelError for a licence with conditions that nobody has agreed to.

    Weights that state no licence pass with a warning, but for the user's own files: most of what the field calls
    ImageNet weights states none.
    """
    licence = licence_of(source.licence)
    if licence.identifier == UNKNOWN:
        if not Path(source.reference).is_file():
            _LOG.warning(
                "%s: found no licence of these weights (%s); who may use models made from them is not said: ask the "
                "publisher",
                source.reference,
                source.source or "their publisher",
            )
        return
    if licence.permissive or accepted(source.reference, licence):
        return
    if not accept:
        raise ModelError(
            f"{source.reference}: found the licence {licence.text!r} ({licence.terms}), which binds what may be done "
            f"with the weights and with models made from them; expected your consent: read its terms "
            f"({source.source}), then pass accept_license=True to geoseg.models.pretrained.load_encoder once"
        )
    require(source.reference, licence, True, source.source)


def _pretrained(encoder: Encoder | None, reference: str) -> Pretrained:
    if reference == published.REFERENCE and encoder is not None:
        return published.published(encoder)
    if reference.startswith(torchgeo_weights.PREFIX):
        return torchgeo_weights.member(reference.removeprefix(torchgeo_weights.PREFIX))
    return own.of_file(_file(reference), encoder)


def _file(reference: str) -> Path:
    path = Path(reference)
    if path.is_file():
        return path
    if path.suffix in ENDINGS or path.name != reference:
        raise ModelError(
            f"{reference}: found no such file; expected encoder weights ({', '.join(ENDINGS)}), "
            f"{published.REFERENCE!r}, or torchgeo:FAMILY.MEMBER"
        )
    raise UnknownNameError("encoder weights", reference, [published.REFERENCE, f"{torchgeo_weights.PREFIX}..."])
