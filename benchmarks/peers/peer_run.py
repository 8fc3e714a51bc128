"""One run of another library with a zero-cost model, in a process of its own; prints what it took as one line of JSON.

    python benchmarks/peers/peer_run.py SYSTEM SCENE WARM_UP SCORES.npy OUTPUT.tif

Each library is called as its documentation shows, with the same scores, tile, overlap and batch as geoseg, down to a
class raster on disk. The clock runs from before the scene is opened until that file is closed; imports and one run on
the small scene WARM_UP come before.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import rasterio
import torch
from gauge import Gauge
from zero_cost import ZeroCost

TILE, OVERLAP, BATCH = 512, 128, 4


def geoai_predict_geotiff(model: ZeroCost, scene: Path, output: Path) -> None:
    """`geoai.inference.predict_geotiff`, its own blending, argmax as the postprocess that its documentation names."""
    from geoai.inference import predict_geotiff

    predict_geotiff(
        model,
        str(scene),
        str(output),
        tile_size=TILE,
        overlap=OVERLAP,
        batch_size=BATCH,
        num_classes=model.scores.shape[1],
        output_dtype="uint8",
        output_nodata=255,
        postprocess_fn=lambda scores: scores.argmax(0, keepdims=True),
        device="cpu",
        verbose=False,
    )


def geoai_semantic(model: ZeroCost, scene: Path, output: Path) -> None:
    """`geoai.train.semantic_inference_on_geotiff`, what `geoai.semantic_segmentation` calls."""
    from geoai.train import semantic_inference_on_geotiff

    semantic_inference_on_geotiff(
        model,
        str(scene),
        str(output),
        window_size=TILE,
        overlap=OVERLAP,
        batch_size=BATCH,
        num_classes=model.scores.shape[1],
        device=torch.device("cpu"),
        quiet=True,
    )


def monai(model: ZeroCost, scene: Path, output: Path) -> None:
    """`monai.inferers.sliding_window_inference` on the whole scene; reading and writing are the user's, by rasterio.

    Equal weights, MONAI's default: with "gaussian" the same steps run, but the weights are multiplied into the
    network's own answer, which a network that hands out one tensor again and again cannot allow.
    """
    from monai.inferers import sliding_window_inference

    with rasterio.open(scene) as source:
        pixels, profile = source.read(), source.profile
    inputs = torch.from_numpy(pixels)[None].float().div_(255)
    with torch.inference_mode():
        scores = sliding_window_inference(inputs, (TILE, TILE), BATCH, model, overlap=OVERLAP / TILE)
        classes = scores[0].argmax(0).to(torch.uint8).numpy()
    profile.update(count=1, nodata=255, photometric="MINISBLACK")
    with rasterio.open(output, "w", **profile) as sink:
        sink.write(classes, 1)


SYSTEMS: dict[str, Callable[[ZeroCost, Path, Path], None]] = {
    "geoai-predict-geotiff": geoai_predict_geotiff,
    "geoai-semantic": geoai_semantic,
    "monai": monai,
}


def main() -> None:
    """Parse the command line, warm up, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("system", choices=SYSTEMS)
    parser.add_argument("scene", type=Path)
    parser.add_argument("warm_up", type=Path)
    parser.add_argument("scores", type=Path)
    parser.add_argument("output", type=Path)
    asked = parser.parse_args()
    model = ZeroCost(torch.from_numpy(np.load(asked.scores))).eval()
    system = SYSTEMS[asked.system]
    system(model, asked.warm_up, asked.output)
    asked.output.unlink()
    with Gauge() as gauge:
        system(model, asked.scene, asked.output)
    print(json.dumps(gauge.report()))


if __name__ == "__main__":
    main()
