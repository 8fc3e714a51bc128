"""Regions: what is asked for is what a run over the whole scene would give there, and nothing else."""

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
import torch
from affine import Affine
from torch import nn

import geoseg
from geoseg.errors import OutputError, RegionError
from geoseg.jobs.plan import plan
from geoseg.jobs.run import run
from geoseg.jobs.spec import job_from
from geoseg.models import LoadedModel
from tests.factory import make_raster
from tests.jobs.test_predict import blobs, scene_of
from tests.toy import toy_card, toy_classes, write_toy_bundle


class Neighbourhood(nn.Module):
    """Scores from the mean of 21 x 21 pixels: what lies around a pixel decides about it."""

    def forward(self, inputs):
        mean = nn.functional.avg_pool2d(inputs[:, :1], 21, 1, 10)
        return torch.cat([-mean, mean], 1).softmax(1)


CARD = toy_card(
    kind="threshold", classes=2, architecture="none", arguments={}, activation="none", mean=(0.5,) * 3, std=(0.05,) * 3
)


@pytest.fixture
def wide(tmp_path):
    return LoadedModel(CARD, Neighbourhood().eval(), tmp_path / "none", "0" * 64)


@pytest.fixture
def noisy(tmp_path):
    pixels = np.where(blobs((300, 280), 3, 0.5), 170, 90) + np.random.default_rng(1).integers(-40, 40, (300, 280))
    return make_raster(tmp_path / "scene.tif", data=np.stack([pixels.astype(np.uint8)] * 3))


def rasters_of(tmp_path, name, scene, model, **options):
    paths = {kind: str(tmp_path / f"{name}-{kind}.tif") for kind in ("raster", "scores")}
    native = options.pop("native_grid", False)
    values = {"scene": {"paths": [str(scene)]}, "model": "none", "output": {**paths, "native_grid": native}, **options}
    run(plan(job_from(values), model))
    with rasterio.open(paths["raster"]) as classes, rasterio.open(paths["scores"]) as scores:
        return classes.read(1), scores.read(1), classes.transform


BOUNDS = (500_060.0, 4_999_820.0, 500_141.5, 4_999_880.0)  # rows 120 to 180, columns 60 to 141 and a half


@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize("native_grid", [False, True])
@pytest.mark.parametrize("resolution", [1.0, 2.0])
def test_rasters_hold_the_area_as_the_whole_scene_would(tmp_path, noisy, wide, clip, native_grid, resolution):
    options = {"inference": {"resolution": resolution}, "native_grid": native_grid}
    whole = rasters_of(tmp_path, "whole", noisy, wide, **dict(options))
    part = rasters_of(tmp_path, "part", noisy, wide, region={"bounds": BOUNDS, "clip": clip}, **dict(options))
    pixel = part[2].a
    row, column = round(120 / pixel), round(60 / pixel)
    assert part[2].c == whole[2].c + column * pixel
    assert part[2].f == whole[2].f - row * pixel
    assert part[0].shape == (60 / pixel, np.ceil(81.5 / pixel))
    for got, expected, rim in zip(part[:2], whole[:2], (0, 2 if native_grid and resolution > 1 else 0), strict=True):
        height, width = got.shape
        same = expected[row : row + height, column : column + width]
        inner = (slice(rim, height - rim), slice(rim, width - rim))  # interpolated scores have no neighbours beyond it
        np.testing.assert_array_equal(got[inner], same[inner])


def test_pixels_outside_an_area_are_nodata(tmp_path, noisy, wide):
    aoi = tmp_path / "aoi.gpkg"
    triangle = shapely.Polygon([(500_050.2, 4_999_949.7), (500_149.6, 4_999_949.7), (500_050.2, 4_999_850.4)])
    gpd.GeoSeries([triangle], crs="EPSG:32633").to_file(aoi)
    classes, scores, transform = rasters_of(tmp_path, "part", noisy, wide, region={"aoi": str(aoi)})
    whole = rasters_of(tmp_path, "whole", noisy, wide)[0][50:150, 50:150]
    inside = ~rasterio.features.geometry_mask([triangle], classes.shape, transform, all_touched=True)
    np.testing.assert_array_equal(classes, np.where(inside, whole, 255))
    assert ((scores == 255) == ~inside).all()


def test_other_outputs_change_no_raster(tmp_path, noisy, wide):
    region = {"bounds": BOUNDS}
    alone = rasters_of(tmp_path, "alone", noisy, wide, region=region)
    output = {"raster": str(tmp_path / "both.tif"), "vector": str(tmp_path / "both.gpkg")}
    values = {"scene": {"paths": [str(noisy)]}, "model": "none", "output": output, "region": region}
    run(plan(job_from(values), wide))
    with rasterio.open(output["raster"]) as raster:
        np.testing.assert_array_equal(raster.read(1), alone[0])
        assert raster.transform == alone[2]


@pytest.mark.parametrize(
    "postprocess",
    [
        {},
        {"min_area_m2": 20, "fill_holes_m2": 9, "simplify_m": 1.7},
        {"outline": "smooth", "simplify_m": 1.7, "min_area_m2": 12, "small": "merge"},
        {"outline": "square", "simplify_m": 1.5},
        {"connectivity": 8, "min_area_m2": 20},
        {"outline": "subpixel", "simplify_m": 0.3},
    ],
    ids=lambda values: "-".join(map(str, values.values())) or "exact",
)
def test_polygons_are_those_of_the_whole_scene_that_meet_the_area(tmp_path, noisy, wide, postprocess):
    values = {"scene": {"paths": [str(noisy)]}, "model": "none", "postprocess": postprocess}
    found = {}
    for name, region in (("whole", {}), ("part", {"bounds": BOUNDS}), ("clip", {"bounds": BOUNDS, "clip": True})):
        output = {"vector": str(tmp_path / f"{name}.gpkg")}
        run(plan(job_from({**values, "output": output, "region": region}), wide))
        found[name] = gpd.read_file(output["vector"])
    area = shapely.box(*BOUNDS)
    expected = found["whole"][found["whole"].intersects(area)]
    assert list(shapely.to_wkb(expected.geometry)) == list(shapely.to_wkb(found["part"].geometry))
    assert list(expected.touches_edge) == list(found["part"].touches_edge)
    assert found["clip"].union_all().symmetric_difference(expected.union_all().intersection(area)).area < 1e-6
    for piece, flag in zip(found["clip"].geometry, found["clip"].touches_edge, strict=True):
        (owner,) = expected[expected.contains(piece.representative_point())].itertuples()
        assert flag == owner.touches_edge, "the area's edge is not the scene's"


def test_stuff_is_cut_where_the_area_ends_and_never_makes_it_grow(tmp_path):
    classes = toy_classes(2)
    stuff = classes.model_copy(
        update={"classes": tuple(c.model_copy(update={"kind": "stuff"}) for c in classes.classes)}
    )
    model = write_toy_bundle(tmp_path / "stuff.safetensors", kind="threshold")
    scene = scene_of(tmp_path / "scene.tif", np.ones((400, 400), bool))
    loaded = geoseg.load_model(model)
    loaded = LoadedModel(loaded.card.model_copy(update={"classes": stuff}), loaded.module, loaded.path, loaded.sha256)
    output, region = {"vector": str(tmp_path / "o.gpkg")}, {"bounds": BOUNDS}
    values = {"scene": {"paths": [str(scene)]}, "model": "none", "output": output, "region": region}
    result = run(plan(job_from(values), loaded))
    found = result.polygons()
    assert found.area.tolist() == [shapely.box(*BOUNDS).area]
    assert result.summary["warnings"] == []


def test_an_object_as_large_as_the_scene_ends_the_growth(tmp_path):
    model = write_toy_bundle(tmp_path / "m.safetensors", kind="threshold")
    scene = scene_of(tmp_path / "scene.tif", np.ones((400, 400), bool))
    with geoseg.predict(scene, model, options={"region": {"bounds": BOUNDS}}) as result:
        found = result.polygons()
    assert found.area.tolist() == [160_000]
    assert found.touches_edge.all()
    tiles = result.summary["tiles"]
    assert tiles["predicted"] == tiles["scene"]


def test_an_area_that_only_touches_the_scene_is_refused(tmp_path):
    model = write_toy_bundle(tmp_path / "m.safetensors", kind="threshold")
    scene = scene_of(tmp_path / "scene.tif", blobs((100, 100)))
    beside = (500_100.0, 4_999_950.0, 500_150.0, 4_999_990.0)
    with pytest.raises(RegionError, match="touches the edge"):
        geoseg.predict(scene, model, output={"raster": str(tmp_path / "o.tif")}, options={"region": {"bounds": beside}})


def test_outputs_never_replace_what_the_job_reads(tmp_path):
    model = write_toy_bundle(tmp_path / "m.safetensors", kind="threshold")
    scene = scene_of(tmp_path / "scene.tif", blobs((100, 100)), transform=Affine(1, 0, 5e5, 0, -1, 5e6))
    aoi = tmp_path / "aoi.gpkg"
    gpd.GeoSeries([shapely.box(500_010, 4_999_950, 500_050, 4_999_990)], crs="EPSG:32633").to_file(aoi)
    vrt = tmp_path / "scene.vrt"
    rasterio.shutil.copy(scene, vrt, driver="VRT")
    before = {path: path.read_bytes() for path in (scene, aoi)}
    for source, output in ((scene, {"vector": str(aoi)}), (vrt, {"raster": str(scene)})):
        with pytest.raises(OutputError, match="is read by this job"):
            geoseg.predict(source, model, output={**output, "overwrite": True}, options={"region": {"aoi": str(aoi)}})
    assert all(path.read_bytes() == content for path, content in before.items())
