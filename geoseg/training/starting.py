"""The network that training starts from."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from geoseg.core.card import ModelCard
from geoseg.models import LoadedModel, architectures, create_model, network_of
from geoseg.models.network import without_memory
from geoseg.models.pretrained import load_encoder
from geoseg.training.drafting import IMAGENET, NONE
from geoseg.training.options import ModelOptions


def start(card: ModelCard, options: ModelOptions, base: LoadedModel | None, seed: int) -> tuple[nn.Module, str]:
    """The card's network with the weights it starts from, in training mode, and a sentence that says which.

    Every tensor of the base with the same name and shape is taken; of the layers that know the classes, what belongs to
    classes that both have. Without a base the encoder's weights are those of `encoder_weights`, ImageNet's where
    nothing is said. Random numbers come from `seed`. Raises as `load_encoder` and `network_of` do.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = network_of(card)
    if base is not None:
        taken = adopt(network, card, base)
        return network.train(), f"{base.card.name} {base.card.version} ({base.sha256[:12]}), {taken}"
    reference = options.encoder_weights or (IMAGENET if architectures()[card.architecture].takes_encoder else NONE)
    if reference == NONE:
        return network.train(), "random weights"
    source = load_encoder(network, reference, card.bands, accept_license=options.accept_license)
    return network.train(), f"encoder weights {source.source or source.reference}"


def adopt(network: nn.Module, card: ModelCard, base: LoadedModel) -> str:
    """How much of the base's weights the network took over."""
    own = network.state_dict()
    same = card.channel_ids == base.card.channel_ids and _names(card) == _names(base.card)
    aware = set() if same else class_aware(card)
    taken: dict[str, Tensor] = {}
    mixed: dict[str, Tensor] = {}
    for name, tensor in base.module.state_dict().items():
        if name not in own:
            continue
        if name not in aware and own[name].shape == tensor.shape:
            taken[name] = tensor
        elif name in aware and own[name].shape[1:] == tensor.shape[1:]:
            mixed[name] = _mixed(own[name], tensor, card, base.card)
    network.load_state_dict({**own, **mixed, **taken})
    fresh = len(own) - len(taken)
    return "all of its weights" if not fresh else f"all but {fresh} of its {len(own)} tensors"


def class_aware(card: ModelCard) -> set[str]:
    """The names of the tensors whose shape depends on the number of classes."""
    things, count = len(card.object_ids), len(card.channel_ids)
    classes = things if card.kind == "instance" else count
    more = things + 1 if card.kind == "panoptic" else 0
    with without_memory():
        one = network_of(card).state_dict()
        other = create_model(
            card.architecture, in_channels=len(card.bands), classes=classes + 1, things=more, **card.arguments
        ).state_dict()
    return {name for name, tensor in one.items() if name not in other or other[name].shape != tensor.shape}


def _mixed(own: Tensor, known: Tensor, card: ModelCard, base: ModelCard) -> Tensor:
    """The network's own tensor with the base's channels of the classes that both have."""
    mixed = own.clone()
    if len(own) == len(card.channel_ids) and len(known) == len(base.channel_ids):
        places = {_name(base, i): place for place, i in enumerate(base.channel_ids)}
        for place, i in enumerate(card.channel_ids):
            if _name(card, i) in places:
                mixed[place] = known[places[_name(card, i)]]
    return mixed


def _names(card: ModelCard) -> tuple[str, ...]:
    return tuple(_name(card, c.id) for c in card.classes.classes)


def _name(card: ModelCard, class_id: int) -> str:
    """A class's name; the background and the separator are the same whatever they are called."""
    if class_id == card.classes.background:
        return "<background>"
    return "<separator>" if class_id == card.classes.separator else card.classes.by_id(class_id).name
