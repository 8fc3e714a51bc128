from __future__ import annotations

import importlib
import io
from pathlib import Path
from types import SimpleNamespace

import geopandas as gpd
import numpy as np
import pytest
import shapely
from PIL import Image

from geoseg.core.tiling import Span
from geoseg.errors import SpecError
from geoseg.evaluation.compare import Found, compare_scene
from geoseg.evaluation.figures import CellFigures, SceneFigures
from geoseg.evaluation.report import exhibits, write_report
from geoseg.evaluation.report.drawing import FOUND, TRUTH, Shown, View, drawn
from geoseg.evaluation.report.exhibits import LARGEST, PANEL, chosen, visible_bands
from geoseg.evaluation.report.found import as_known
from geoseg.evaluation.summary import figures as summarised
from geoseg.io.grid import crop, resized
from geoseg.io.labels import LabelSource, read_labels
from geoseg.io.scene import open_scene
from tests.evaluation.report import samples
from tests.factory import ORIGIN, make_raster

HOUSES = [(10, 10, 30, 30), (60, 20, 90, 50), (20, 80, 50, 110), (100, 100, 120, 120)]  # left, top, right, bottom


def box(left: float, top: float, right: float, bottom: float) -> shapely.Polygon:
    """A house given in pixels of a scene of 1 m pixels from ORIGIN."""
    return shapely.box(ORIGIN[0] + left, ORIGIN[1] - bottom, ORIGIN[0] + right, ORIGIN[1] - top)


def write(path: Path, boxes, **columns) -> Path:
    frame = gpd.GeoDataFrame(columns, geometry=[box(*b) for b in boxes], crs="EPSG:32633")
    frame.to_parquet(path) if path.suffix == ".parquet" else frame.to_file(path)
    return path


def cell(y, x, wrong, iou, known=4096) -> CellFigures:
    return CellFigures(y=y, x=x, known=known, wrong=wrong, iou=iou, objects=(1, 2, 3))


def figures(cells, name="town") -> SceneFigures:
    return SceneFigures(scores=samples.scores(samples.BUILDINGS, name), cells=tuple(cells), facts={})


def opened(exhibit) -> Image.Image:
    return Image.open(io.BytesIO(exhibit.image))


@pytest.fixture
def town(tmp_path):
    scene = open_scene(make_raster(tmp_path / "town.tif", data=np.full((3, 128, 128), 120, np.uint8)))
    truth = read_labels(LabelSource(str(write(tmp_path / "truth.gpkg", HOUSES))), scene, samples.BUILDINGS)
    shifted = [(left + 4, top, right + 4, bottom) for left, top, right, bottom in HOUSES[:3]]
    vector = write(tmp_path / "found.gpkg", shifted, class_id=[1, 1, 1])
    return scene, truth, SimpleNamespace(raster=None, vector=vector, classes=samples.BUILDINGS)


CELLS = [
    cell((0, 64), (0, 64), 160, 0.6), cell((0, 64), (64, 128), 90, 0.8),
    cell((64, 128), (0, 64), 60, 0.9), cell((64, 128), (64, 128), 400, 0.0),
]  # fmt: skip


def test_a_thumbnail_then_the_worst_then_the_best_none_of_them_twice(town):
    pictures = exhibits(*town, figures(CELLS), 3)
    assert [e.kind for e in pictures] == ["thumbnail", "worst", "worst", "best"]
    assert pictures[0].shape == (128, 128)
    assert opened(pictures[0]).size == (128, 128)
    assert [e.name for e in pictures[1:]] == [
        "town: rows 64 to 128, columns 64 to 128", "town: rows 0 to 64, columns 0 to 64",
        "town: rows 64 to 128, columns 0 to 64",
    ]  # fmt: skip
    assert pictures[1].caption == (
        "9.8\u202f% of 4\u202f096 known pixels wrong, IoU 0.000; objects: 1 matched, 3 missed, 2 invented. "
        "Centre at 500096, 4999904 (EPSG:32633)."
    )
    assert all(e.scene == "town" and e.alt for e in pictures[1:])
    assert opened(pictures[1]).width == 2 * PANEL + 6


def test_labels_and_map_are_outlined_and_differences_striped(town):
    scene, truth, found = town
    worst = opened(exhibits(scene, truth, found, figures(CELLS), 1)[1]).convert("RGB")
    pixels = np.asarray(worst).astype(int)
    right = pixels[24 : 24 + PANEL, PANEL + 6 :]
    near = {colour: (np.abs(right - colour).sum(axis=-1) < 90) for colour in (TRUTH, FOUND)}  # JPEG blurs colours
    scale = PANEL / 64
    y, x = np.nonzero(near[TRUTH])  # the house that was missed: columns and rows 36 to 56 of the cell
    assert (y.min(), y.max()) == pytest.approx((36 * scale, 56 * scale), abs=6)
    assert (x.min(), x.max()) == pytest.approx((36 * scale, 56 * scale), abs=6)
    assert near[TRUTH].sum() > 1000
    assert near[FOUND].sum() == 0
    left = pixels[24 : 24 + PANEL, :PANEL]
    assert (np.abs(left - TRUTH).sum(axis=-1) < 60).sum() == 0  # the imagery alone


def test_a_map_without_anything_is_shown_as_nothing(town, tmp_path):
    scene, truth, _ = town
    empty = gpd.GeoDataFrame({"class_id": np.array([], np.int64)}, geometry=[], crs="EPSG:32633")
    empty.to_parquet(tmp_path / "empty.parquet")
    for vector in (tmp_path / "empty.parquet", write(tmp_path / "far.gpkg", [(9000, 9000, 9010, 9010)])):
        found = SimpleNamespace(raster=None, vector=vector, classes=samples.BUILDINGS)
        said = as_known(scene, found).window(scene.grid, Span(0, 128), Span(0, 128))
        assert (said.class_ids == 0).all()
        assert len(exhibits(scene, truth, found, figures(CELLS), 2)) == 3


def test_without_a_map_there_is_nothing_to_show(town):
    with pytest.raises(SpecError, match=r"town\.tif: there is no map"):
        as_known(town[0], SimpleNamespace(raster=None, vector=None, classes=samples.BUILDINGS))


@pytest.mark.parametrize("kind", ["gpkg", "parquet", "geometry alone", "raster"])
def test_a_map_is_read_from_any_file(town, tmp_path, kind):
    scene, _, _ = town
    raster = vector = None
    if kind == "raster":
        ids = np.zeros((1, 128, 128), np.uint8)
        for left, top, right, bottom in HOUSES:
            ids[0, top:bottom, left:right] = 1
        raster = make_raster(tmp_path / "map.tif", data=ids, nodata=255)
    elif kind == "geometry alone":
        vector = write(tmp_path / "map.geojson", HOUSES)
    else:
        vector = write(tmp_path / f"map.{kind}", HOUSES, **{"class": ["building"] * 4})
    known = as_known(scene, SimpleNamespace(raster=raster, vector=vector, classes=samples.BUILDINGS))
    said = known.window(scene.grid, Span(0, 128), Span(0, 128))
    expected = np.zeros((128, 128), bool)
    for left, top, right, bottom in HOUSES:
        expected[top:bottom, left:right] = True
    assert np.array_equal(said.class_ids == 1, expected)


def test_cells_with_hardly_anything_on_them_are_not_chosen():
    full = [cell((i * 64, i * 64 + 64), (0, 64), 400 + i, 0.5 + i / 100) for i in range(4)]
    hardly = cell((0, 64), (64, 128), 3, 0.0)
    unknown = cell((0, 64), (128, 192), 0, None, known=0)
    worst, best = chosen([hardly, unknown, *full], 3)
    assert worst == full[:2]
    assert best == full[3:]
    assert chosen([unknown], 4) == ([], [])
    assert chosen([], 4) == ([], [])


def test_no_cell_is_both_worst_and_best_and_none_of_the_worst_is_faultless():
    cells = [cell((0, 64), (0, 64), 0, 1.0), cell((0, 64), (64, 128), 10, 0.9)]
    worst, best = chosen(cells, 6)
    assert worst == [cells[1]]
    assert best == [cells[0]]


class Counting:
    """Labels that are wrong in one corner, and note the pixels asked for at a time."""

    def __init__(self, corner: tuple[int, int] | None) -> None:
        self.corner, self.asked = corner, []

    def window(self, grid, y, x):
        self.asked.append((y.size, x.size))
        class_ids = np.zeros((y.size, x.size), np.uint8)
        if self.corner is not None:
            rows, columns = np.mgrid[y.start : y.stop, x.start : x.stop] + 0.5
            east, north = grid.affine * (columns, rows)
            down, across = ORIGIN[1] - north, east - ORIGIN[0]
            class_ids[(abs(down - self.corner[0]) < 150) & (abs(across - self.corner[1]) < 150)] = 1
        return SimpleNamespace(class_ids=class_ids, object_ids=np.zeros(class_ids.shape, np.int32))


@pytest.mark.parametrize("corner", [(300, 300), (300, 1800), (1700, 1800)])
def test_of_a_large_cell_the_part_is_shown_that_is_wrong_and_no_window_is_large(tmp_path, monkeypatch, corner):
    scene = open_scene(make_raster(tmp_path / "large.tif", shape=(2048, 2048), bands=1, tiled=True))
    labels, found = Counting(corner), Counting(None)
    module = importlib.import_module("geoseg.evaluation.report.exhibits")
    monkeypatch.setattr(module, "as_known", lambda scene, map: found)
    cells = [cell((0, 2048), (0, 2048), 90_000, 0.1, 2048 * 2048)]
    shown = exhibits(scene, labels, SimpleNamespace(classes=samples.BUILDINGS), figures(cells), 1)[1]
    rows, columns = (
        tuple(int(word) for word in part.split() if word.isdigit()) for part in shown.name.split(":")[1].split(",")
    )
    assert rows[1] - rows[0] == columns[1] - columns[0] == LARGEST
    assert rows[0] < corner[0] < rows[1]
    assert columns[0] < corner[1] < columns[1]
    assert "A part of the cell" in shown.caption
    assert max(max(size) for size in (*labels.asked, *found.asked)) <= PANEL


@pytest.mark.parametrize("facts", [{}, {"blank": ["white"], "bands": [1, 2]}])
def test_where_nothing_is_shown_nothing_is_known(tmp_path, facts):
    """Of a cell, the part is shown that has most errors on ground that is there; what is not there is dark."""
    data = np.full((3, 1024, 1024), 120, np.uint8)
    data[:2, :512] = 255 if facts else 0
    data[2, :512] = 90 if facts else 0
    scene = open_scene(make_raster(tmp_path / "half.tif", data=data, nodata=0))
    truth = [(0, 0, 800, 400), (600, 700, 700, 800)]
    labels = read_labels(LabelSource(str(write(tmp_path / "truth.gpkg", truth))), scene, samples.BUILDINGS)
    vector = write(tmp_path / "found.gpkg", [(9, 1000, 19, 1010)], class_id=[1])
    found = SimpleNamespace(raster=None, vector=vector, classes=samples.BUILDINGS)
    known = figures([cell((0, 1024), (0, 1024), 10_000, 0.1, 1024 * 512)]).model_copy(update={"facts": facts})
    assert "rows 512 to 1024, columns 512 to 1024" in exhibits(scene, labels, found, known, 1)[1].name
    whole = figures([cell((448, 576), (0, 64), 10_000, 0.1, 64 * 64)]).model_copy(update={"facts": facts})
    pixels = np.asarray(opened(exhibits(scene, labels, found, whole, 1)[1]).convert("RGB")).astype(int)
    plain, compared = pixels[24 : 24 + PANEL, : PANEL // 2], pixels[24 : 24 + PANEL, PANEL // 2 + 6 :]
    assert compared[: PANEL // 2 - 10].mean() < 0.6 * plain[: PANEL // 2 - 10].mean()
    assert compared[PANEL // 2 + 10 :].mean() == pytest.approx(plain[PANEL // 2 + 10 :].mean(), abs=2)


def test_pixels_that_are_not_square_are_shown_as_they_lie_on_the_ground(tmp_path):
    from affine import Affine

    flat = make_raster(tmp_path / "flat.tif", shape=(64, 64), transform=Affine(2, 0, ORIGIN[0], 0, -1, ORIGIN[1]))
    scene = open_scene(flat)
    labels = Counting((10, 10))
    ids = np.zeros((1, 64, 64), np.uint8)
    raster = make_raster(tmp_path / "map.tif", data=ids, transform=scene.grid.affine)
    found = SimpleNamespace(raster=raster, vector=None, classes=samples.BUILDINGS)
    worst = exhibits(scene, labels, found, figures([cell((0, 64), (0, 64), 50, 0.5)]), 1)[1]
    assert opened(worst).size == (2 * PANEL + 6, PANEL // 2 + 2 * 24)


def test_no_huge_scene_is_read_for_a_thumbnail(town, tmp_path, monkeypatch):
    module = importlib.import_module("geoseg.evaluation.report.exhibits")
    monkeypatch.setattr(module, "WHOLE", 128 * 128 - 1)
    assert [e.kind for e in exhibits(*town, figures(CELLS), 1)] == ["worst"]
    data = np.full((3, 128, 128), 120, np.uint8)
    scene = open_scene(make_raster(tmp_path / "reduced.tif", data=data, overviews=[2]))
    assert [e.kind for e in exhibits(scene, *town[1:], figures(CELLS), 1)] == ["thumbnail", "worst"]


def test_red_green_and_blue_are_shown_wherever_they_lie():
    assert visible_bands(SimpleNamespace(bands=("nir", "blue", "green", "red"))) == (4, 3, 2)
    assert visible_bands(SimpleNamespace(bands=(None, None, None, None))) == (1, 2, 3)
    assert visible_bands(SimpleNamespace(bands=(None, None))) == (1,)


def test_several_classes_are_shown_side_by_side_in_their_colours():
    class_ids = np.zeros((60, 80), np.uint8)
    class_ids[:, 40:] = 1
    class_ids[40:, :] = 255
    none = np.zeros((60, 80), np.int32)
    imagery = np.full((60, 80, 3), 200, np.uint8)
    view = View(imagery, Shown(class_ids, none), Shown(np.full_like(class_ids, 3), none), samples.LAND, 0.5)
    picture = np.asarray(Image.open(io.BytesIO(drawn(view))).convert("RGB")).astype(int)
    assert picture.shape[1] == 3 * 80 + 2 * 6
    water, green = (0.4 * 200 + 0.6 * np.array(samples.LAND.by_id(i).rgb) for i in (1, 3))
    assert np.abs(picture[44, 20] - 200).max() < 12  # imagery
    assert np.abs(picture[44, 86 + 60] - water).max() < 12
    assert np.abs(picture[44, 86 + 20] - 200).max() < 12  # background is left as it is
    assert np.abs(picture[24 + 50, 86 + 20] - 90).max() < 12  # unknown ground is dark
    assert np.abs(picture[44, 172 + 40] - green).max() < 12


def test_windows_on_grids_of_the_picture_agree_with_the_scene(town):
    scene, truth, _ = town
    part = resized(crop(scene.grid, Span(0, 64), Span(0, 64)), (256, 256))
    fine = truth.window(part, Span(0, 256), Span(0, 256))
    assert np.array_equal(fine.class_ids[2::4, 2::4], truth.window(scene.grid, Span(0, 64), Span(0, 64)).class_ids)


def test_what_is_compared_can_be_shown(town, tmp_path):
    scene, truth, found = town
    counts = compare_scene(scene, truth, Found(None, None, found.vector, found.classes))
    total, scenes, calibration = summarised([counts], found.classes, 0.5, 100)
    made = samples.evaluation(total=total, scenes=1, calibration=calibration).model_copy(update={"scenes": scenes})
    pictures = exhibits(scene, truth, found, scenes[0], 2)
    assert [e.kind for e in pictures] == ["thumbnail", "worst", "best"]
    write_report(tmp_path / "report.html", made, pictures)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    overlap = 16 * 20 + 26 * 30 + 26 * 30  # the three houses less the four pixels that they are shifted
    whole = 20 * 20 + 2 * 30 * 30 + 20 * 20
    iou = overlap / (whole + 20 * 20 + 2 * 30 * 30 - overlap)
    assert f'<p class="value">{iou:.3f}</p>' in text
    assert "Of 4 objects in the labels, the map has 3" in text
    assert text.count("<img ") == 2
    assert text.count('class="map"') == 1
