from __future__ import annotations

import torch

from geoseg.inference.accelerators import accelerators


def test_every_device_that_torch_can_use_is_listed():
    found = accelerators()
    assert found["cuda"] == torch.version.cuda
    assert found["threads"] == torch.get_num_threads()
    named = [device["name"] for device in found["devices"]]
    expected = [f"cuda:{i}" for i in range(torch.cuda.device_count() if torch.cuda.is_available() else 0)]
    assert named == expected + (["mps"] if torch.backends.mps.is_available() else [])
    for device in found["devices"][: len(expected)]:
        assert 0 <= device["free_bytes"] <= device["memory_bytes"]
