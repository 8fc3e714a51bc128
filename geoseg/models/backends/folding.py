"""What disappears from a network that only predicts: identities, dropout, and normalisation after a convolution."""

from __future__ import annotations

import copy

from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from geoseg.models.backends.tracing import is_called_once, module_of, only_user, plain_convolution, put

_NOTHING = (nn.Identity, nn.Dropout, nn.Dropout2d)


def fold(graph: fx.GraphModule) -> None:
    """Take identities and dropout out, and batch normalisation into the convolution before it: exact to rounding."""
    for node in list(graph.graph.nodes):
        if isinstance(module_of(node, graph), _NOTHING) and len(node.args) == 1:
            node.replace_all_uses_with(node.args[0])
            graph.graph.erase_node(node)
    for node in list(graph.graph.nodes):
        _fold_normalisation(node, graph)


def _fold_normalisation(node: fx.Node, graph: fx.GraphModule) -> None:
    """Fold a normalisation, of any class that is nn.BatchNorm2d with an activation at the most (timm's)."""
    normalisation = module_of(node, graph)
    if not isinstance(normalisation, nn.BatchNorm2d) or len(node.args) != 1 or normalisation.running_mean is None:
        return
    before = node.args[0]
    convolution = plain_convolution(module_of(before, graph))
    if convolution is None or not isinstance(before, fx.Node) or only_user(before) is not node:
        return
    if not is_called_once(before, graph) or not _is_plain(normalisation):
        return
    folded = fuse_conv_bn_eval(copy.deepcopy(convolution), normalisation)
    before.target = put(graph, "folded", folded)
    node.replace_all_uses_with(before)
    graph.graph.erase_node(node)


def _is_plain(normalisation: nn.BatchNorm2d) -> bool:
    return type(normalisation) is nn.BatchNorm2d and not normalisation.training
