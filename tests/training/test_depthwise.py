"""Depthwise convolutions in bfloat16: the same answers and gradients, by another way."""

import contextlib

import pytest
import torch
from torch import nn

from geoseg.training import depthwise
from geoseg.training.depthwise import FastDepthwise


def answers(layer, pixels, mode):
    layer.zero_grad()
    given = pixels.clone().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16), mode:
        made = layer(given)
    made.float().square().mean().backward()
    return made, given.grad, [p.grad.clone() for p in layer.parameters()]


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("kernel", "stride", "padding", "dilation"), [(3, 1, 1, 1), (5, 2, 2, 1), (3, 1, 2, 2)])
def test_answers_are_equal_and_gradients_no_further_from_the_truth(kernel, stride, padding, dilation, bias):
    torch.manual_seed(0)
    layer = nn.Conv2d(12, 12, kernel, stride, padding, dilation, groups=12, bias=bias)
    pixels = torch.randn(2, 12, 17, 19)
    plain, plain_pixels, plain_weights = answers(layer, pixels, contextlib.nullcontext())
    fast, fast_pixels, fast_weights = answers(layer, pixels, FastDepthwise())
    exact = pixels.clone().requires_grad_()
    layer.zero_grad()
    layer(exact).square().mean().backward()
    assert fast.dtype == plain.dtype == torch.bfloat16
    assert torch.allclose(fast.float(), plain.float(), atol=0.02)
    assert (fast_pixels - exact.grad).abs().max() <= (plain_pixels - exact.grad).abs().max() * 1.5 + 1e-5
    for one, other, true in zip(fast_weights, plain_weights, layer.parameters(), strict=True):
        assert one.dtype == torch.float32
        assert (one - true.grad).abs().max() <= (other - true.grad).abs().max() * 1.5 + 1e-5


def test_other_convolutions_and_full_precision_are_left_alone(monkeypatch):
    def never(*_):
        raise AssertionError("taken")

    monkeypatch.setattr(depthwise._Depthwise, "apply", never)
    pixels = torch.randn(1, 8, 9, 9)
    with FastDepthwise():
        nn.Conv2d(8, 8, 3, groups=8)(pixels)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            nn.Conv2d(8, 8, 3, groups=4)(pixels)
            nn.Conv2d(8, 8, 3)(pixels)
            nn.Conv2d(8, 8, 3, groups=8)(pixels[0])  # no batch
            with torch.no_grad():
                nn.Conv2d(8, 8, 3, groups=8)(pixels)
            with pytest.raises(AssertionError, match="taken"):
                nn.Conv2d(8, 8, 3, groups=8)(pixels)
