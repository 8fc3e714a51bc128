"""Depthwise convolutions that learn as fast in bfloat16 as they should on a CPU."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode


class FastDepthwise(TorchFunctionMode):
    """A context in which depthwise convolutions on the CPU in mixed precision get their gradients in float32.

    oneDNN has no fast kernels for these gradients in bfloat16: a layer of 672 channels takes up to a hundred times as
    long as in float32. The forward pass stays in bfloat16, and everything else as it is.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """The function's own answer, but for a depthwise convolution of that kind."""
        given = kwargs or {}
        if func is functional.conv2d and torch.is_autocast_enabled("cpu"):
            call = _Call(*args, **given)
            if call.is_depthwise:
                return call.run()
        return func(*args, **given)


class _Call:
    """A call of conv2d."""

    def __init__(
        self,
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> None:
        self.input, self.weight, self.bias, self.groups = input, weight, bias, groups
        self.places = [[n, n] if isinstance(n, int) else n for n in (stride, padding, dilation)]

    @property
    def is_depthwise(self) -> bool:
        """Whether each channel of a batch is convolved by itself, on the CPU, with a gradient to come."""
        return (
            self.input.ndim == 4
            and self.groups > 1
            and self.groups == self.weight.shape[0]
            and self.input.device.type == "cpu"
            and not isinstance(self.places[1], str)
            and torch.is_grad_enabled()
        )

    def run(self) -> Tensor:
        """The convolution, in the precision of autocast."""
        dtype = torch.get_autocast_dtype("cpu")
        made: Tensor = _Depthwise.apply(self.input.to(dtype), self.weight, self.places, self.groups)
        return made if self.bias is None else made + self.bias.to(dtype).view(-1, 1, 1)


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, pixels: Tensor, weight: Tensor, places: Any, groups: int) -> Tensor:
        ctx.save_for_backward(pixels, weight)
        ctx.places, ctx.groups = places, groups
        with torch.autocast("cpu", enabled=False):
            made: Tensor = functional.conv2d(pixels, weight.to(pixels.dtype), None, *places, groups)  # type: ignore[call-overload]
            return made

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        pixels, weight = ctx.saved_tensors
        stride, padding, dilation = (list(place) for place in ctx.places)
        wanted = [ctx.needs_input_grad[0], ctx.needs_input_grad[1], False]
        gradient = gradients[0].float().contiguous(memory_format=torch.channels_last)
        to_pixels, to_weight, _ = torch.ops.aten.convolution_backward(
            gradient, pixels.float(), weight.float(), None, stride, padding, dilation, False, [0, 0], ctx.groups, wanted
        )
        return (
            None if to_pixels is None else to_pixels.to(pixels.dtype),
            None if to_weight is None else to_weight.to(weight.dtype),
            None,
            None,
        )
