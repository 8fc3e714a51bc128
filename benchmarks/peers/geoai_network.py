"""One run of geoai's predict_geotiff with a real network; prints what it took as one line of JSON.

    python benchmarks/peers/geoai_network.py SCENE WARM_UP BUNDLE OUTPUT.tif

The network is segmentation-models-pytorch's Unet (resnet34, two classes) with the weights of BUNDLE and a softmax, so
that probabilities are blended, as geoseg does; chips are normalised as the bundle's card says, by the function that the
documentation asks for. Tile, overlap and batch are those of its documentation's example for such scenes: 512, 128, 4.
The clock runs as for geoseg.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import segmentation_models_pytorch as smp
import torch
from gauge import Gauge
from safetensors import safe_open
from safetensors.torch import load_file

TILE, OVERLAP, BATCH = 512, 128, 4


def network_of(bundle: Path) -> torch.nn.Module:
    """The network, float32, in eval mode."""
    network = smp.Unet("resnet34", encoder_weights=None, classes=2)
    network.load_state_dict({name: t.float() if t.is_floating_point() else t for name, t in load_file(bundle).items()})
    return torch.nn.Sequential(network, torch.nn.Softmax(1)).eval()


def predict(network: torch.nn.Module, bundle: Path, scene: Path, output: Path) -> None:
    """`geoai.inference.predict_geotiff`, its own blending, argmax as the postprocess that its documentation names."""
    from geoai.inference import predict_geotiff

    with safe_open(bundle, "pt") as file:
        card = json.loads(file.metadata()["geoseg.card"])
    mean, std = (np.array(card[name], np.float32)[:, None, None] for name in ("mean", "std"))
    predict_geotiff(
        network,
        str(scene),
        str(output),
        tile_size=TILE,
        overlap=OVERLAP,
        batch_size=BATCH,
        num_classes=2,
        output_dtype="uint8",
        output_nodata=255,
        preprocess_fn=lambda chip: (chip.astype(np.float32) / 255 - mean) / std,
        postprocess_fn=lambda scores: scores.argmax(0, keepdims=True),
        device="cpu",
        verbose=False,
    )


def main() -> None:
    """Parse the command line, warm up, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("scene", "warm_up", "bundle", "output"):
        parser.add_argument(name, type=Path)
    asked = parser.parse_args()
    network = network_of(asked.bundle)
    predict(network, asked.bundle, asked.warm_up, asked.output)
    asked.output.unlink()
    with Gauge() as gauge:
        predict(network, asked.bundle, asked.scene, asked.output)
    print(json.dumps({**gauge.report(), "torch": torch.__version__, "threads": torch.get_num_threads()}))


if __name__ == "__main__":
    main()
