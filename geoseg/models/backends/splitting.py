"""Decoder steps without their upsampled maps.

A 3 x 3 convolution over [a map doubled in size by repeating pixels, a skip] is the sum of one over the skip and one
over the doubled map, and the latter is a transposed convolution of 4 x 4 pixels over the small map: 16 products for
four pixels where there were 36, and neither the doubled nor the stacked map is ever written. Exact to rounding.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from geoseg.models.backends.tracing import (
    is_call,
    is_called_once,
    module_of,
    only_user,
    plain_convolution,
    put,
    shape_of,
)


class SplitConvolution(nn.Module):
    """A convolution over a map, repeated to a size, and a skip stacked behind it (or none)."""

    def __init__(self, convolution: nn.Conv2d, small_channels: int) -> None:
        """`small_channels` of the convolution's inputs come from the map that is repeated; those of the skip follow."""
        super().__init__()
        self.whole = convolution
        weight, bias = convolution.weight.detach(), convolution.bias
        small = weight[:, :small_channels]
        self.skip: nn.Conv2d | None = None
        if small_channels < weight.shape[1]:
            self.skip = nn.Conv2d(weight.shape[1] - small_channels, weight.shape[0], 3, padding=1, bias=False)
            self.skip.weight = _constant(weight[:, small_channels:])
        self.doubling = nn.ConvTranspose2d(small_channels, weight.shape[0], 4, stride=2, padding=1)
        self.doubling.weight = _constant(doubled(small))
        self.doubling.bias = _constant(torch.zeros(weight.shape[0]) if bias is None else bias)

    def forward(self, small: Tensor, size: tuple[int, int], skip: Tensor | None = None) -> Tensor:
        """The convolution's answer; `size` is what the map (batch, channel, y, x) is repeated to."""
        if tuple(size) != (2 * small.shape[2], 2 * small.shape[3]):
            large = functional.interpolate(small, tuple(size), mode="nearest")
            return self.whole(large if skip is None else torch.cat([large, skip], 1))  # type: ignore[no-any-return]
        answer: Tensor = self.doubling(small)
        return answer if skip is None or self.skip is None else answer.add_(self.skip(skip))


def doubled(weight: Tensor) -> Tensor:
    """The kernel (in, out, 4, 4), stride 2, padding 1, of a 3 x 3 one (out, in, 3, 3) over a map doubled in size."""
    kernel = weight.new_zeros(weight.shape[1], weight.shape[0], 4, 4)
    turned = weight.transpose(0, 1).flip(2, 3)
    for y in (0, 1):
        for x in (0, 1):
            kernel[:, :, y : y + 3, x : x + 3] += turned
    return kernel


def split(graph: fx.GraphModule) -> None:
    """Replace each convolution over a repeated map, alone or with a skip behind it."""
    for node in list(graph.graph.nodes):
        convolution = plain_convolution(module_of(node, graph))
        if convolution is not None and _doubles(convolution) and is_called_once(node, graph):
            _split_at(node, convolution, graph)


def _doubles(convolution: nn.Conv2d) -> bool:
    kept = (convolution.stride, convolution.padding, convolution.dilation, convolution.groups)
    return convolution.kernel_size == (3, 3) and kept == ((1, 1), (1, 1), (1, 1), 1)


def _split_at(node: fx.Node, convolution: nn.Conv2d, graph: fx.GraphModule) -> None:
    stacked, skip = node.args[0], None
    repeated = stacked
    if is_call(stacked, torch.cat):
        parts, axis = _stacked(stacked)
        if axis != 1 or len(parts) != 2:
            return
        repeated, skip = parts
    if not isinstance(repeated, fx.Node) or not isinstance(stacked, fx.Node) or only_user(stacked) is not node:
        return
    size = _size(repeated, graph, node)
    if size is None or (skip is not None and only_user(repeated) is not stacked):
        return
    small = repeated.args[0]
    shape = shape_of(small)
    if shape is None:
        return
    name = put(graph, "split", SplitConvolution(convolution, shape[1]))
    with graph.graph.inserting_before(node):
        made = graph.graph.call_module(name, (small, size, skip))
    made.meta.update(node.meta)
    node.replace_all_uses_with(made)
    for unused in dict.fromkeys((node, stacked, repeated)):
        graph.graph.erase_node(unused)


def _stacked(node: Any) -> tuple[list[Any], Any]:
    parts = node.args[0] if node.args else node.kwargs.get("tensors", [])
    return list(parts), node.kwargs.get("dim", node.args[1] if len(node.args) > 1 else 0)


def _size(node: fx.Node, graph: fx.GraphModule, before: fx.Node) -> Any:
    """The size (a value or a node) that a node repeats its map to; None for other nodes."""
    if not is_call(node, functional.interpolate) or node.kwargs.get("mode", "nearest") != "nearest":
        return None
    if len(node.args) != 1 or node.kwargs.get("recompute_scale_factor"):
        return None
    size, factor = node.kwargs.get("size"), node.kwargs.get("scale_factor")
    if isinstance(size, (tuple, list, fx.Node)):
        return size
    if factor not in (2, 2.0, (2, 2), (2.0, 2.0)):
        return None
    with graph.graph.inserting_before(before):
        return graph.graph.call_function(_twice, (node.args[0],))


def _twice(values: Tensor) -> tuple[int, int]:
    return 2 * values.shape[2], 2 * values.shape[3]


def _constant(values: Tensor) -> nn.Parameter:
    return nn.Parameter(values.detach().clone(), requires_grad=False)
