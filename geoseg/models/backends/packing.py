"""Convolutions whose weights are laid out once as oneDNN wants them, with what follows done in the same pass."""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from geoseg.models.backends.splitting import SplitConvolution
from geoseg.models.backends.tracing import (
    is_call,
    is_called_once,
    module_of,
    only_user,
    plain_convolution,
    put,
    shape_of,
)


class PackedConvolution(nn.Module):
    """A convolution, plain or transposed, on the CPU: its weights are laid out when the first chips come.

    Answers are those of the convolution, to the last bit. With `relu`, negative values become 0; values to be added
    come before that.
    """

    def __init__(self, convolution: nn.Conv2d | nn.ConvTranspose2d) -> None:
        """Take the weights."""
        super().__init__()
        self._transposed = isinstance(convolution, nn.ConvTranspose2d)
        self._weight = convolution.weight.detach()
        self._bias = None if convolution.bias is None else convolution.bias.detach()
        self._dtype, self._settled, self.relu = torch.float32, False, False
        self._padding = [int(p) for p in convolution.padding]
        self._output_padding = [int(p) for p in convolution.output_padding]
        self._stride, self._dilation = list(convolution.stride), list(convolution.dilation)
        self._groups = convolution.groups
        self._packed: Tensor | None = None

    def settle(self, dtype: torch.dtype) -> None:
        """Compute in float32 or bfloat16 from now on, and keep the weights in oneDNN's layout only."""
        self._weight = self._weight.to(dtype, memory_format=torch.channels_last)
        self._bias = None if self._bias is None else self._bias.to(dtype)
        self._dtype, self._settled, self._packed = dtype, True, None

    def forward(self, chips: Tensor, added: Tensor | None = None) -> Tensor:
        """The convolution's answer (batch, channel, y, x), channels last."""
        chips = chips.to(self._dtype).contiguous(memory_format=torch.channels_last)
        if self._packed is None:
            self._packed = self._pack(list(chips.shape))
        if added is None:
            return self._run(chips, "relu" if self.relu else "none")
        answer = self._run(chips, "none").add_(added)
        return answer.relu_() if self.relu else answer

    def _pack(self, size: list[int]) -> Tensor:
        ops: Any = torch.ops.mkldnn
        if self._transposed:
            packed: Tensor = ops._reorder_convolution_transpose_weight(
                self._weight, self._padding, self._output_padding, self._stride, self._dilation, self._groups, size
            )
        else:
            packed = ops._reorder_convolution_weight(
                self._weight, self._padding, self._stride, self._dilation, self._groups, size
            )
        if self._settled:
            self._weight = torch.empty(0)
        return packed

    def _run(self, chips: Tensor, after: str) -> Tensor:
        ops: Any = torch.ops.mkldnn
        shape: tuple[Any, ...] = (self._stride, self._dilation, self._groups, after, [], "")
        if self._transposed:
            answer: Tensor = ops._convolution_transpose_pointwise(
                chips, self._packed, self._bias, self._padding, self._output_padding, *shape
            )
        else:
            answer = ops._convolution_pointwise(chips, self._packed, self._bias, self._padding, *shape)
        return answer


class PackedSplit(nn.Module):
    """A SplitConvolution with packed weights."""

    def __init__(self, split: SplitConvolution) -> None:
        """Take the parts of `split`."""
        super().__init__()
        self.relu = False
        self.whole = PackedConvolution(split.whole)
        self.doubling = PackedConvolution(split.doubling)
        self.skip = None if split.skip is None else PackedConvolution(split.skip)

    def forward(self, small: Tensor, size: tuple[int, int], skip: Tensor | None = None) -> Tensor:
        """The convolution's answer; `size` is what the map is repeated to."""
        if tuple(size) != (2 * small.shape[2], 2 * small.shape[3]):
            large = functional.interpolate(small, tuple(size), mode="nearest")
            self.whole.relu = self.relu
            return self.whole(large if skip is None else torch.cat([large, skip], 1))  # type: ignore[no-any-return]
        if skip is None or self.skip is None:
            self.doubling.relu = self.relu
            return self.doubling(small)  # type: ignore[no-any-return]
        self.skip.relu = self.relu
        return self.skip(skip, self.doubling(small))  # type: ignore[no-any-return]


def can_pack() -> bool:
    """Whether this torch has oneDNN, and lets convolutions use it."""
    mkldnn: Any = torch.backends.mkldnn  # untyped
    return bool(mkldnn.is_available()) and bool(mkldnn.enabled)


def pack(graph: fx.GraphModule) -> None:
    """Pack every convolution of a graph, and let it add and clip where nothing else sees the values between."""
    for node in list(graph.graph.nodes):
        module = module_of(node, graph)
        packed: PackedConvolution | PackedSplit | None = None
        if isinstance(module, SplitConvolution):
            packed = PackedSplit(module)
        elif isinstance(convolution := plain_convolution(module), nn.Conv2d) and is_called_once(node, graph):
            packed = PackedConvolution(convolution)
        if packed is not None:
            node.target = put(graph, "packed", packed)
    for node in list(graph.graph.nodes):
        module = module_of(node, graph)
        if isinstance(module, PackedConvolution):
            _take_sum(node, graph)
        if isinstance(module, PackedConvolution | PackedSplit):
            _take_clipping(node, module, graph)


def _take_sum(node: fx.Node, graph: fx.GraphModule) -> None:
    """Let a convolution add what is added to its answer, where that has been computed before."""
    user = only_user(node)
    if user is None or not is_call(user, operator.add, operator.iadd, torch.add, "add", "add_") or user.kwargs:
        return
    others = [arg for arg in user.args if arg is not node]
    if len(user.args) != 2 or len(others) != 1 or not isinstance(others[0], fx.Node) or len(node.args) != 1:
        return
    order = {n: i for i, n in enumerate(graph.graph.nodes)}
    if order[others[0]] > order[node] or not _same_shape(node, others[0]):
        return
    node.args = (node.args[0], others[0])
    user.replace_all_uses_with(node)
    graph.graph.erase_node(user)


def _same_shape(one: fx.Node, other: fx.Node) -> bool:
    return shape_of(one) is not None and shape_of(one) == shape_of(other)


def _take_clipping(node: fx.Node, module: PackedConvolution | PackedSplit, graph: fx.GraphModule) -> None:
    user = only_user(node)
    if user is None:
        return
    if type(module_of(user, graph)) is nn.ReLU or is_call(user, functional.relu, torch.relu, "relu", "relu_"):
        module.relu = True
        user.replace_all_uses_with(node)
        graph.graph.erase_node(user)
