from __future__ import annotations

import importlib.util
import math
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import geopandas
import numpy as np
import pyproj
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from rasterio.io import MemoryFile
from shapely.geometry import box

EXAMPLES = Path(__file__).parent.parent / "examples"
SIDE = 32

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")  # synthetic PNG tiles


def load_example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"examples_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


tiles = load_example("mosaic_tiles")


def tile_pixels(x: int, y: int, bands: int = 3) -> np.ndarray:
    return np.random.default_rng([x, y]).integers(0, 255, (bands, SIDE, SIDE), dtype=np.uint8)


def tile_bytes(pixels: np.ndarray) -> bytes:
    with MemoryFile() as memory:
        with memory.open(
            driver="PNG", count=pixels.shape[0], height=pixels.shape[1], width=pixels.shape[2], dtype="uint8"
        ) as image:
            image.write(pixels)
        return memory.read()


def write_tile(folder: Path, z: int, x: int, y: int) -> None:
    (folder / f"OAM-{x}-{y}-{z}.png").write_bytes(tile_bytes(tile_pixels(x, y)))


def lonlat_of_corner(z: int, x: int, y: int) -> tuple[float, float]:
    """Longitude and latitude of a tile's upper left corner, by the formula of the XYZ scheme."""
    latitude = math.degrees(math.atan(math.sinh(math.pi * (1 - 2 * y / 2**z))))
    return x / 2**z * 360 - 180, latitude


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("OAM-193343-110117-18.tif", (18, 193343, 110117)),
        ("deep/folder/1-2-3.png", (3, 1, 2)),
        ("tiles/18/193343/110117.jpg", (18, 193343, 110117)),
        ("0/0/0.png", (0, 0, 0)),
        ("OAM-9-0-3.png", None),
        ("readme.png", None),
        ("a-b-c.png", None),
        ("x/1/2/y.png", None),
    ],
)
def test_address_is_read_from_the_name(name, address):
    found = tiles.Address.of(name)
    assert (found and (found.z, found.x, found.y)) == address


@given(st.integers(0, 22).flatmap(lambda z: st.tuples(st.just(z), *[st.integers(0, 2**z - 1)] * 2)))
def test_corner_is_where_the_xyz_formula_says(address):
    to_lonlat = pyproj.Transformer.from_crs(3857, 4326, always_xy=True)
    lon, lat = to_lonlat.transform(*tiles.Address(*address).corner)
    expected = lonlat_of_corner(*address)
    assert lon == pytest.approx(expected[0], abs=1e-9)
    assert lat == pytest.approx(expected[1], abs=1e-9)


def test_mosaic_puts_every_pixel_where_its_tile_lies(tmp_path):
    places = [(x, y) for x in (193343, 193344, 193345) for y in (110117, 110118)]
    for x, y in places:
        write_tile(tmp_path, 18, x, y)
    assert tiles.main([str(tmp_path), str(tmp_path / "scene.tif")]) == 0

    with rasterio.open(tmp_path / "scene.tif") as scene:
        assert scene.shape == (2 * SIDE, 3 * SIDE)
        assert scene.crs.to_epsg() == 3857
        assert [c.name for c in scene.colorinterp] == ["red", "green", "blue"]
        assert scene.transform.b == scene.transform.d == 0
        to_lonlat = pyproj.Transformer.from_crs(3857, 4326, always_xy=True)
        left_top = to_lonlat.transform(scene.bounds.left, scene.bounds.top)
        right_bottom = to_lonlat.transform(scene.bounds.right, scene.bounds.bottom)
        assert left_top == pytest.approx(lonlat_of_corner(18, 193343, 110117), abs=1e-9)
        assert right_bottom == pytest.approx(lonlat_of_corner(18, 193346, 110119), abs=1e-9)
        pixels = scene.read()
    for x, y in places:
        row, column = (y - 110117) * SIDE, (x - 193343) * SIDE
        np.testing.assert_array_equal(pixels[:, row : row + SIDE, column : column + SIDE], tile_pixels(x, y))


def test_missing_tile_is_masked_out(tmp_path):
    for x, y in [(4, 4), (5, 5)]:
        write_tile(tmp_path, 4, x, y)
    tiles.mosaic(tiles.find_tiles(tmp_path), tmp_path / "scene.tif")
    with rasterio.open(tmp_path / "scene.tif") as scene:
        expected = np.kron([[255, 0], [0, 255]], np.ones((SIDE, SIDE)))
        np.testing.assert_array_equal(scene.dataset_mask(), expected)
    assert not (tmp_path / "scene.tif.msk").exists()


def test_fourth_band_is_alpha(tmp_path):
    (tmp_path / "1-1-2.png").write_bytes(tile_bytes(tile_pixels(1, 1, bands=4)))
    tiles.mosaic(tiles.find_tiles(tmp_path), tmp_path / "scene.tif")
    with rasterio.open(tmp_path / "scene.tif") as scene:
        assert [c.name for c in scene.colorinterp] == ["red", "green", "blue", "alpha"]
        np.testing.assert_array_equal(scene.read(), tile_pixels(1, 1, bands=4))


def test_tiles_come_out_of_an_archive_but_only_from_the_folder_asked_for(tmp_path):
    with zipfile.ZipFile(tmp_path / "data.whl", "w") as archive:
        archive.writestr("sample/test/oam/OAM-8-8-4.png", tile_bytes(tile_pixels(8, 8)))
        archive.writestr("sample/test/oam/OAM-8-8-4.png.aux.xml", "<PAMDataset/>")
        archive.writestr("sample/train/oam/OAM-1-1-4.png", tile_bytes(tile_pixels(1, 1)))
    found = tiles.find_tiles(tmp_path / "data.whl", "sample/test")
    layout = tiles.mosaic(found, tmp_path / "scene.tif")
    assert (layout.columns, layout.rows, layout.origin) == (1, 1, tiles.Address(4, 8, 8))
    with rasterio.open(tmp_path / "scene.tif") as scene:
        np.testing.assert_array_equal(scene.read(), tile_pixels(8, 8))


def test_two_zooms_are_refused(tmp_path, capsys):
    write_tile(tmp_path, 4, 8, 8)
    write_tile(tmp_path, 5, 8, 8)
    assert tiles.main([str(tmp_path), str(tmp_path / "scene.tif")]) == 2
    assert "zooms [4, 5]" in capsys.readouterr().err
    assert not (tmp_path / "scene.tif").exists()


def test_unreadable_tile_is_named_and_leaves_no_file(tmp_path, capsys):
    write_tile(tmp_path, 4, 8, 8)
    (tmp_path / "OAM-8-9-4.png").write_bytes(b"not an image")
    assert tiles.main([str(tmp_path), str(tmp_path / "scene.tif")]) == 2
    assert "x=8, y=9" in capsys.readouterr().err
    assert not list(tmp_path.glob("*scene*"))


def test_folder_without_tiles_is_refused(tmp_path, capsys):
    assert tiles.main([str(tmp_path), str(tmp_path / "scene.tif")]) == 2
    assert "NAME-X-Y-Z.tif" in capsys.readouterr().err


def test_description_counts_and_measures(tmp_path):
    frame = geopandas.GeoDataFrame(
        {
            "class": ["building", "building", "pool"],
            "area_m2": [10.0, 30.0, 7.0],
            "confidence": [0.5, 0.75, 0.9],
            "touches_edge": [False, True, False],
        },
        geometry=[box(0, 0, 1, 1)] * 3,
        crs=32636,
    )
    frame.to_file(tmp_path / "found.gpkg")
    lines = list(load_example("describe_polygons").describe(tmp_path / "found.gpkg"))
    assert "3 polygons, EPSG:32636" in lines[0]
    assert lines[1].split(": ")[1].startswith("2 objects, 40 m2 in all, median 20 m2, largest 30 m2")
    assert "1 of them touch the scene's edge" in lines[3]
