"""Every architecture by name: it learns, and it goes through `geoseg predict` on a real scene."""

from __future__ import annotations

import geopandas as gpd
import pytest
import rasterio
import torch

from geoseg.core.card import ModelCard
from geoseg.core.classes import ClassInfo, ClassSet
from geoseg.jobs.plan import plan
from geoseg.jobs.run import run
from geoseg.jobs.spec import job_from
from geoseg.models import architectures, create_model, save_bundle
from geoseg.models.answers import Target
from geoseg.models.network import network_of

SIDE = 128
GROUND = ClassInfo(id=0, name="ground", colour="#c8b88a")
ROOF = ClassInfo(id=1, name="roof", colour="#e4572e", kind="thing")

# The smallest networks of each name; what still takes more than a few seconds is slow.
QUERIES = {"encoder": "resnet18", "queries": 10, "hidden_size": 64, "encoder_layers": 1, "decoder_layers": 2}
SMALL = {
    "dpt": {"encoder": "tu-vit_tiny_patch16_224"},
    "hrnet": {"encoder": "tu-hrnet_w18_small"},
    "mask-rcnn": {"encoder": "resnet18", "detections": 10, "proposals": 50},
    "mask2former": QUERIES,
    "mask2former-instance": QUERIES,
    "maskformer": {"encoder": "resnet18", "queries": 10, "hidden_size": 64, "decoder_layers": 2},
    "multiscale": {"base": "fpn", "encoder": "resnet18", "scales": [0.5, 1]},
    "panoptic-fpn": {"encoder": "resnet18", "detections": 10, "proposals": 50},
    "segformer": {"encoder": "mit_b0"},
    "upernet": {"encoder": "resnet18"},
}
OWN_BUILDERS = [name for name, found in architectures().items() if found.build.__module__.startswith("geoseg.")]


def card_of(name: str, **changes) -> ModelCard:
    found = architectures()[name]
    arguments = SMALL.get(name, {"encoder": "resnet18"} if found.encoder in ("resnet34", "resnet50") else {})
    values = {
        "name": f"random-{name}",
        "version": "0.0.0",
        "kind": found.kind,
        "task": "any",
        "description": "Random weights.",
        "architecture": name,
        "arguments": arguments,
        "bands": ("red", "green", "blue"),
        "resolution": 0.15,
        "resolution_range": (0.1, 0.3),
        "mean": (0.45, 0.45, 0.45),
        "std": (0.25, 0.25, 0.25),
        "classes": ClassSet(classes=(GROUND, ROOF)),
        "threshold": None if found.kind == "semantic" else 0.05,
        "tile_size": SIDE,
        "overlap": 32,
        "license": "CC0-1.0",
    }
    return ModelCard(**{**values, **changes})


def loss_of(network: torch.nn.Module, card: ModelCard, chips: torch.Tensor, roof: torch.Tensor) -> torch.Tensor:
    """The loss of chips that all show one roof, `roof` (y, x) bool."""
    if card.kind == "semantic":
        truth = roof.long().expand(len(chips), -1, -1)
        return torch.nn.functional.cross_entropy(network(chips), truth)
    stuff = torch.where(roof, 255, 0) if card.kind == "panoptic" else None
    target = Target(roof[None], torch.zeros(1, dtype=torch.int64), stuff)
    return torch.stack(list(network.losses(chips, [target] * len(chips)).values())).sum()


@pytest.mark.parametrize("name", OWN_BUILDERS)
def test_a_step_of_training_moves_every_part_of_the_network(name):
    torch.manual_seed(0)
    card = card_of(name)
    network = network_of(card).train()
    roof = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    roof[32:80, 40:96] = True
    chips = torch.randn(2, 3, SIDE, SIDE) + roof * 2.0
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    loss = loss_of(network, card, chips, roof)
    loss.backward()
    optimizer.step()
    assert loss.isfinite()
    moved = [key for key, value in network.named_parameters() if not torch.equal(before[key], value)]
    everything = [key for key, _ in network.named_parameters()]
    assert {everything[0], everything[-1]} <= set(moved)
    assert len(moved) > 0.5 * len(everything)  # PSPNet reads no deeper than an eighth of the size


@pytest.mark.data
@pytest.mark.parametrize("name", OWN_BUILDERS)
def test_an_architecture_maps_a_real_scene(name, data_dir, tmp_path):
    torch.manual_seed(0)
    card = card_of(name)
    module = create_model(name, in_channels=3, **counts(card), **card.arguments)
    save_bundle(tmp_path / "random.safetensors", module, card)
    scene = data_dir / "fair_buildings" / "kampala_b.tif"
    with rasterio.open(scene) as raster:
        left, _, _, top = raster.bounds
        pixel = raster.res[0]
    job = {
        "scene": {"paths": [str(scene)]},
        "model": str(tmp_path / "random.safetensors"),
        "region": {"bounds": [left + 40 * pixel, top - 240 * pixel, left + 240 * pixel, top - 40 * pixel]},
        "inference": {"precision": "fp32", "any_resolution": True, "device": "cpu"},
        "output": {"vector": str(tmp_path / "o.gpkg"), "raster": str(tmp_path / "r.tif")},
    }
    result = run(plan(job_from(job)))
    with rasterio.open(tmp_path / "r.tif") as raster:
        assert raster.count == (1 if card.kind == "semantic" else 2)
        assert set(map(int, set(raster.read(1).ravel()))) <= {0, 1, raster.nodata, 255}
    polygons = gpd.read_file(tmp_path / "o.gpkg", layer="o")
    assert len(polygons) == sum(result.summary["polygons"].values())
    assert polygons.geometry.is_valid.all()


def counts(card: ModelCard) -> dict[str, int]:
    if card.kind == "panoptic":
        return {"classes": len(card.channel_ids), "things": len(card.object_ids)}
    return {"classes": len(card.object_ids if card.kind == "instance" else card.channel_ids)}
