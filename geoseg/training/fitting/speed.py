"""Learning on a CPU as fast as it can."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from geoseg.inference.device import Compute, torch_settings
from geoseg.training.allocator import keep_freed_memory
from geoseg.training.depthwise import FastDepthwise


@contextmanager
def at_full_speed(compute: Compute) -> Iterator[None]:
    """Sets up torch for a device, and whatever a CPU needs to learn quickly; for each process that trains."""
    with torch_settings(compute):
        if compute.device.type != "cpu":
            yield
            return
        keep_freed_memory()
        with FastDepthwise():
            yield
