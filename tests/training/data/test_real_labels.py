"""Labels as they are read from files, down to the batch."""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import shapely
import shapely.affinity
from affine import Affine
from odc.geo.geobox import GeoBox

from geoseg.core.classes import ClassInfo, ClassSet
from geoseg.core.tiling import Span
from geoseg.io.labels import LabelSource, read_labels
from geoseg.io.scene import open_scene
from geoseg.training.data import Asked, Ground, Regular, Role, Sampler, prepare, split, validation_windows
from geoseg.training.data.cutting import Frame, Sheets, cut
from geoseg.training.options import DataOptions
from tests.factory import ORIGIN, make_raster
from tests.toy import toy_card

WEST, NORTH = ORIGIN
BUILDINGS = ClassSet(
    classes=(
        ClassInfo(id=0, name="background", colour="#000000"),
        ClassInfo(id=1, name="building", colour="#ff0000", kind="thing"),
    )
)


def write(path: Path, polygons: list[shapely.Polygon]) -> str:
    gpd.GeoDataFrame(geometry=polygons, crs="EPSG:32633").to_crs("EPSG:4326").to_file(path)
    return str(path)


def asked_for(folder: Path, resolution: float, resolutions: tuple[float, float], crop: int) -> Asked:
    card = toy_card(resolution=resolution).model_copy(update={"classes": BUILDINGS})
    return Asked(card, resolutions, crop, folder / "run")


def test_polygons_of_another_crs_reach_the_batch(tmp_path: Path) -> None:
    make_raster(tmp_path / "scene.tif", shape=(300, 300))
    scene = open_scene(tmp_path / "scene.tif")
    houses = [
        shapely.box(WEST + x, NORTH - y - 12, WEST + x + 10, NORTH - y) for x in (100, 110, 150) for y in (80, 120)
    ]
    labels = write(tmp_path / "houses.geojson", houses)
    aoi = write(tmp_path / "aoi.geojson", [shapely.box(WEST + 80, NORTH - 180, WEST + 200, NORTH - 60)])
    asked = asked_for(tmp_path, 1.0, (1.0, 1.0), 32)
    ground = prepare(scene, read_labels(LabelSource(labels, aoi=aoi), scene, BUILDINGS), asked)
    assert ground.shape[0] < 300
    assert ground.known.objects == 6
    assert ground.known.counts[1] == 6 * 120
    assert sum(ground.known.counts.values()) == pytest.approx(120 * 120, rel=0.03)
    result = split([ground], DataOptions(crop_size=32, validation=0.0), 32, 0)
    batch = Sampler(result.training, asked.card, DataOptions(crop_size=32), 32, 0).draw(0)
    assert (batch.classes == 1).any()
    assert ((batch.objects > 0) == (batch.classes == 1)).all()
    other = read_labels(LabelSource(labels), scene, BUILDINGS)
    assert prepare(scene, other, asked).folder != ground.folder


def test_windows_finer_than_the_scene_show_outlines_and_not_steps(tmp_path: Path) -> None:
    make_raster(
        tmp_path / "scene.tif",
        shape=(64, 64),
        mask=np.where(np.arange(64) < 40, 255, 0)[None].repeat(64, 0).astype("uint8"),
    )
    scene = open_scene(tmp_path / "scene.tif")
    house = shapely.affinity.rotate(shapely.box(WEST + 10.3, NORTH - 30.2, WEST + 26.1, NORTH - 12.4), 23)
    gap = shapely.box(WEST + 27.2, NORTH - 30, WEST + 27.9, NORTH - 12)  # less than a pixel wide
    labels = read_labels(LabelSource(write(tmp_path / "houses.geojson", [house, gap])), scene, BUILDINGS)
    ground = prepare(scene, labels, asked_for(tmp_path, 0.5, (0.5, 0.6), 64))
    sheets = Sheets.empty(1, 3, 64)
    cut(ground, None, Frame(top=4.25, left=9.5, scale=0.5), sheets, 0)
    grid = GeoBox((64, 64), ground.grid.affine * Affine.translation(9.5, 4.25) * Affine.scale(0.5), ground.grid.crs)
    truth = labels.window(grid, Span(0, 64), Span(0, 64))
    known = sheets.classes[0] != 255
    assert known[:, :60].all()
    assert not known[:, 62:].any()
    assert (sheets.classes[0] == truth.class_ids)[known].all()
    assert (sheets.objects[0] == truth.object_ids)[known].all()
    assert len(set(sheets.objects[0][known].tolist())) == 3
    middle = sheets.objects[0][20]
    assert 1 <= (middle == middle.max()).sum() <= 2


@pytest.mark.data
def test_scenes_of_one_town_hide_each_others_blocks(tmp_path: Path, data_dir: Path) -> None:
    folder = data_dir / "fair_buildings"
    asked = asked_for(tmp_path, 0.5, (0.5, 0.7), 128)

    def ground(name: str) -> Ground:
        scene = open_scene(folder / f"{name}.tif")
        source = LabelSource(str(folder / f"{name}.geojson"), blank=("white", "black"))
        return prepare(scene, read_labels(source, scene, BUILDINGS), asked, Role(blank=source.blank))

    grounds = [ground(name) for name in ("banepa_west_053m", "banepa_south_053m", "banepa_mid_013m")]
    result = split(grounds, DataOptions(crop_size=128, gap_m=2.0), 64, 0)
    assert [bool(plot.blocks) for plot in result.plots][:2] == [True, True]
    for fact in result.facts:
        assert 0.05 < fact["hidden_share"] < 0.3
    assert grounds[2].resolution == pytest.approx(0.5, rel=0.01)
    assert 0.005 < 1 - grounds[2].valid.mean() < 0.05  # white holes
    for batch in validation_windows(result.validation, Regular(0.5, 128, 8, most=24)):
        assert set(np.unique(batch.classes)) <= {0, 1, 255}
        assert (batch.classes != 255).flatten(1).any(1).all()
