"""Pixel accuracy of a model on labelled scenes, as its users would run it.

    python benchmarks/accuracy.py SCENE.tif LABELS.geojson|MASK.tif [...] [--model buildings] [--json metrics.json]

Each scene is predicted and compared with its labels on its own grid. Pixels that are pure white or pure black hold no
imagery and do not count. Prints IoU, precision and recall of the foreground.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import geopandas as gpd
import numpy as np
import rasterio
import rasterio.features

import geoseg


def compare(scene: Path, labels: Path, model: str, options: dict) -> dict[str, float]:
    """Counts and scores of one scene."""
    with tempfile.TemporaryDirectory() as folder:
        raster = Path(folder) / "classes.tif"
        output = {"raster": str(raster), "native_grid": True}
        with geoseg.predict(scene, model, output=output, options={"inference": options}) as result:
            print(f"  {result.summary['mpx_per_second']} Mpx/s, {result.summary['seconds']} s")
        with rasterio.open(raster) as source:
            predicted, transform, crs = source.read(1), source.transform, source.crs
    with rasterio.open(scene) as source:
        image = source.read((1, 2, 3))
    truth = read_truth(labels, predicted.shape, transform, crs)
    counted = ~((image == 255).all(0) | (image == 0).all(0)) & (predicted != 255)
    found = (predicted > 0) & counted
    both = int((found & truth).sum())
    found_only, truth_only = int(found.sum()) - both, int((truth & counted).sum()) - both
    return {
        "iou": both / max(1, both + found_only + truth_only),
        "precision": both / max(1, both + found_only),
        "recall": both / max(1, both + truth_only),
        "pixels": int(counted.sum()),
    }


def read_truth(labels: Path, shape: tuple[int, int], transform: rasterio.Affine, crs: rasterio.CRS) -> np.ndarray:
    """True (y, x) on labelled objects: polygons rasterised, or a mask on the scene's own grid read as it is."""
    if labels.suffix == ".tif":
        with rasterio.open(labels) as source:
            return source.read(1) == 1
    footprints = gpd.read_file(labels).to_crs(crs).geometry
    return rasterio.features.rasterize(footprints, shape, transform=transform, dtype="uint8") == 1


def main() -> None:
    """Parse the command line, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path, help="scenes and labels in turn")
    parser.add_argument("--model", default="buildings")
    parser.add_argument("--resolution", type=float)
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--tta", default="none")
    parser.add_argument("--threshold", type=float)
    parser.add_argument("--json", type=Path, help="write the figures as a model card has them")
    asked = parser.parse_args()
    options = {
        "resolution": asked.resolution,
        "precision": asked.precision,
        "tta": asked.tta,
        "threshold": asked.threshold,
    }
    results = {}
    for scene, labels in zip(asked.files[::2], asked.files[1::2], strict=True):
        print(scene.name)
        results[scene.stem] = compare(scene, labels, asked.model, options)
        print("  " + "  ".join(f"{name} {value:.4g}" for name, value in results[scene.stem].items()))
    if asked.json:
        measured = [
            {"name": f"pixel {what}", "value": round(scores[what], 4), "data": name}
            for name, scores in results.items()
            for what in ("iou", "precision", "recall")
        ]
        asked.json.write_text(json.dumps(measured, indent=1))
    print(f"mean IoU {np.mean([r['iou'] for r in results.values()]):.4f} over {len(results)} scene(s)")


if __name__ == "__main__":
    main()
