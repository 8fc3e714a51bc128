from __future__ import annotations

import numpy as np
import pytest
import rasterio.features
import shapely
from affine import Affine
from PIL import Image

from geoseg.core.classes import ClassInfo, ClassSet
from geoseg.core.protocols import Rows
from geoseg.core.tiling import Span
from geoseg.errors import WriteError
from geoseg.io import cartography
from geoseg.io.cartography import INK, Furniture, LegendEntry, footer, length_text, nice_length
from geoseg.io.preview import Picture, _fill_small, imagery, north_of, write_preview
from geoseg.io.vector_sink import VectorOptions, VectorSink
from tests.io.support import CLASSES, NORTH_UP, batch, full_disk, grid, lines, names

SHAPE = (400, 450)
SIZE = 450  # of the map, so that its pixels are the scene's
SQUARE = shapely.Polygon([(100, 150), (350, 150), (350, 390), (100, 390)])
HOLED = shapely.Polygon(SQUARE.exterior.coords, [[(200, 250), (250, 250), (250, 300), (200, 300)]])
ORANGE, BLUE = np.array([0xE4, 0x57, 0x2E]), np.array([0x3B, 0x82, 0xF6])


def grey(shape=SHAPE, value=100):
    return np.full((3, *shape), value, np.uint8)


def on_ground(polygons, affine):
    return shapely.transform(np.array(polygons, dtype=object), lambda p: np.column_stack(affine * (p[:, 0], p[:, 1])))


def drawn(path, shape=SHAPE):
    """The map without what stands under it, as (y, x, 3) int."""
    return np.asarray(Image.open(path)).astype(int)[: shape[0]]


def paint(folder, polygons=(), ids=1, affine=NORTH_UP, picture=None):
    picture = picture or Picture(grey(), grid(SHAPE, affine), longest=SIZE)
    batches = [batch(on_ground(polygons, affine), ids)] if len(polygons) else []
    write_preview(folder / "a.png", picture, batches, CLASSES)
    return drawn(folder / "a.png")


def test_fill_outline_hole_and_surroundings_lie_where_they_should(tmp_path):
    pixels = paint(tmp_path, [HOLED])
    tinted = 100 + 0.28 * (ORANGE - 100)
    assert np.abs(pixels[200, 225] - tinted).max() <= 1
    assert (pixels[275, 225] == 100).all()  # in the hole
    assert (pixels[100, 225] == 100).all()
    for y, x in ((150, 225), (389, 225), (275, 100), (275, 200)):
        assert np.abs(pixels[y, x] - ORANGE).max() <= 40, (y, x)
    assert (pixels[145:155, 225].min(axis=1) < 60).any()  # a dark rim around the outline
    assert names(tmp_path) == ["a.png"]


@pytest.mark.parametrize(
    "affine",
    [
        Affine(0.5, 0, 500_000, 0, 0.5, 4_999_000),
        Affine.translation(500_000, 5e6) * Affine.rotation(30) * Affine.scale(0.5, -0.5),
    ],
    ids=["south-up", "rotated"],
)
def test_polygons_lie_on_their_pixels_on_every_grid(tmp_path, affine):
    assert np.abs(paint(tmp_path, [HOLED], affine=affine) - paint(tmp_path, [HOLED])).max() <= 2


def test_an_inner_polygon_of_another_class_is_not_covered_by_the_outer_one(tmp_path):
    inner = shapely.Polygon([(210, 260), (240, 260), (240, 290), (210, 290)])
    for order in ([HOLED, inner], [inner, HOLED]):
        pixels = paint(tmp_path, order, ids=[1 if p is HOLED else 2 for p in order])
        assert np.abs(pixels[275, 225] - (100 + 0.28 * (BLUE - 100))).max() <= 1
        assert np.abs(pixels[200, 225] - (100 + 0.28 * (ORANGE - 100))).max() <= 1


@pytest.mark.parametrize("ending", [".gpkg", ".geojson", ".shp", ".fgb", ".parquet"])
def test_a_file_in_any_format_and_crs_gives_the_same_picture(tmp_path, ending):
    holed = on_ground([shapely.transform(HOLED, lambda p: p + 0.3)], NORTH_UP)  # not on the edge of a pixel
    turned = batch(shapely.orient_polygons(holed, exterior_cw=ending == ".shp"))
    write_preview(tmp_path / "a.png", Picture(grey(), grid(SHAPE), longest=SIZE), [turned], CLASSES)
    expected = drawn(tmp_path / "a.png")
    path = tmp_path / f"a{ending}"
    sink = VectorSink(path, "EPSG:32633", None if ending == ".geojson" else "EPSG:3035")
    sink.write(batch(holed))
    sink.commit()
    write_preview(tmp_path / "b.png", Picture(grey(), grid(SHAPE), longest=SIZE), path, CLASSES)
    assert np.abs(drawn(tmp_path / "b.png") - expected).mean() < 0.05


def test_an_empty_file_and_polygons_beside_the_map_leave_the_imagery_alone(tmp_path):
    VectorSink(tmp_path / "a.parquet", "EPSG:32633").commit()
    VectorSink(tmp_path / "a.fgb", "EPSG:32633").commit()
    for path in (tmp_path / "a.parquet", tmp_path / "a.fgb"):
        write_preview(tmp_path / "a.png", Picture(grey(), grid(SHAPE), longest=SIZE), path, CLASSES)
        assert (drawn(tmp_path / "a.png") == 100).all()
    assert (paint(tmp_path, [shapely.box(5000, 5000, 6000, 6000)]) == 100).all()


def test_every_part_of_a_multipolygon_is_outlined(tmp_path):
    apart = shapely.box(20, 20, 60, 60)
    both, single = (paint(tmp_path, p) for p in ([shapely.MultiPolygon([HOLED, apart])], [HOLED, apart]))
    for y, x in ((150, 225), (275, 200), (20, 40), (60, 40)):
        assert np.abs(both[y, x] - ORANGE).max() <= 40, (y, x)
    assert np.abs(both - single).mean() < 1  # outlines are as wide as the median polygon asks for


@pytest.mark.parametrize("parts", [1, 2])
def test_lines_are_drawn_in_their_class_and_not_filled(tmp_path, parts):
    bend = shapely.LineString([(50, 100), (350, 100), (350, 300)])
    shape = bend if parts == 1 else shapely.MultiLineString([[(50, 100), (350, 100)], [(350, 100), (350, 300)]])
    write_preview(
        tmp_path / "a.png",
        Picture(grey(), grid(SHAPE), longest=SIZE),
        [lines(on_ground([shape], NORTH_UP), 2)],
        CLASSES,
    )
    pixels = drawn(tmp_path / "a.png")
    for y, x in ((100, 200), (200, 350), (298, 350)):
        assert np.abs(pixels[y, x] - BLUE).max() <= 40, (y, x)
        assert (np.abs(pixels[y - 6 : y + 7, x - 6 : x + 7] - BLUE).max(axis=2) <= 40).any(axis=0).sum() >= 2
    assert (pixels[200, 200] == 100).all()  # between the line's ends
    assert (pixels[290, 60] == 100).all()
    legend = np.asarray(Image.open(tmp_path / "a.png")).astype(int)[SHAPE[0] :]
    assert (np.abs(legend - BLUE).max(axis=2) < 30).any()


@pytest.mark.parametrize("ending", [".gpkg", ".geojson", ".parquet"])
def test_lines_are_read_from_files(tmp_path, ending):
    bend = on_ground([shapely.LineString([(50.3, 100.3), (350.3, 100.3), (350.3, 300.3)])], NORTH_UP)
    sink = VectorSink(tmp_path / f"a{ending}", "EPSG:32633", None, VectorOptions(kind="lines"))
    sink.write(lines(bend, 2))
    sink.commit()
    picture = Picture(grey(), grid(SHAPE), longest=SIZE)
    write_preview(tmp_path / "a.png", picture, tmp_path / f"a{ending}", CLASSES)
    write_preview(tmp_path / "b.png", picture, [lines(bend, 2)], CLASSES)
    assert np.abs(drawn(tmp_path / "a.png") - drawn(tmp_path / "b.png")).mean() < 0.05


def test_the_area_of_interest_is_outlined_in_white(tmp_path):
    ring = shapely.Polygon(SQUARE.exterior.coords, [[(200, 250), (250, 250), (250, 300), (200, 300)]])
    area = on_ground([ring, shapely.box(5, 5, 40, 40)], NORTH_UP)
    pixels = paint(tmp_path, picture=Picture(grey(), grid(SHAPE), longest=SIZE, area=area))
    for y, x in ((150, 225), (390, 225), (250, 225), (5, 20)):
        assert pixels[y - 2 : y + 3, x].min(axis=1).max() >= 150, (y, x)
    assert (pixels[200, 225] == 100).all()  # inside nothing is covered
    assert (pixels[275, 225] == 100).all()
    assert (paint(tmp_path) == 100).all()


@pytest.mark.parametrize("size", [0.4, 1.8, 7.8])
def test_small_polygons_fill_the_pixels_that_rasterising_them_fills(size):
    rng = np.random.default_rng(0)
    corner = rng.random((500, 2)) * 64 - 2
    spans = rng.random((500, 3)) * size
    turned = [
        shapely.Polygon([(x, y), (x + a, y + b), (x + c, y)]) for (x, y), (a, b, c) in zip(corner, spans, strict=True)
    ]
    geometry = np.array(turned)
    numbers = rng.integers(1, 3, len(geometry)).astype(np.uint8)
    found, expected = np.zeros((2, 50, 60), np.uint8)
    for one, number in zip(geometry, numbers, strict=True):  # one after the other, so that later ones lie on top
        _fill_small(found, np.array([one]), np.array([number]))
        rasterio.features.rasterize([(one, int(number))], out=expected)
    assert np.array_equal(found, expected)
    together = np.zeros_like(found)
    _fill_small(together, geometry, numbers)
    assert np.array_equal(together > 0, found > 0)


def test_thousands_of_tiny_polygons_are_filled_without_outlines(tmp_path):
    dots = [shapely.box(x, y, x + 1, y + 1) for x in range(0, 300, 3) for y in range(0, 60, 3)]
    pixels = paint(tmp_path, dots)
    assert pixels[:60, :300].min() > 70  # no dark rims
    assert pixels[:60, :300, 0].mean() > 101


def test_the_map_is_at_most_longest_and_small_scenes_are_enlarged(tmp_path):
    for shape, longest, expected in (((1000, 1200), 600, (500, 600)), ((20, 60), 2000, (300, 900))):
        write_preview(tmp_path / "a.png", Picture(grey(shape), grid(shape), longest=longest), [], CLASSES)
        width, height = Image.open(tmp_path / "a.png").size
        assert width == expected[1]
        assert expected[0] < height < expected[0] + 100


def test_a_narrow_scene_still_has_a_legend(tmp_path):
    write_preview(tmp_path / "a.png", Picture(grey((900, 3)), grid((900, 3))), [], CLASSES)
    page = np.asarray(Image.open(tmp_path / "a.png"))
    assert page.shape[1] == 400
    assert (page[450, 198:201] == 100).all()
    assert (page[450, 0] == 255).all()


def test_where_no_imagery_is_there_is_paper(tmp_path):
    valid = np.ones(SHAPE, bool)
    valid[:100] = False
    pixels = paint(tmp_path, picture=Picture(grey(), grid(SHAPE), valid, longest=SIZE))
    assert (pixels[50] == 236).all()
    assert (pixels[150] == 100).all()


def test_a_scene_without_crs_is_drawn_without_scale_and_arrow(tmp_path):
    picture = Picture(grey(), grid(SHAPE, Affine.identity(), None), longest=SIZE)
    write_preview(tmp_path / "a.png", picture, [batch([HOLED])], CLASSES)
    page = np.asarray(Image.open(tmp_path / "a.png"))
    assert np.abs(page[200, 225].astype(int) - (100 + 0.28 * (ORANGE - 100))).max() <= 1
    assert (page[SHAPE[0] :, SHAPE[1] // 2 :] == 255).all()


def test_a_long_credit_is_wrapped_and_written_to_its_end(monkeypatch):
    written: list[tuple[str, float]] = []
    original = cartography._Page.text

    def text(page, x, y, words, *rest, **more):
        written.append((words, y))
        return original(page, x, y, words, *rest, **more)

    monkeypatch.setattr(cartography._Page, "text", text)
    credit = " ".join(f"Contributor {i} and others, CC BY 4.0;" for i in range(12))
    tall = footer(600, Furniture("", credit, (), 0.5, 0.0))
    lines = [(words, y) for words, y in written if words[0] != "0" and words in credit]
    assert " ".join(words for words, _ in lines) == credit
    assert len(lines) > 3
    assert all(y < tall.height for _, y in lines)
    assert [y for _, y in lines] == sorted({y for _, y in lines})
    assert tall.height > footer(600, Furniture("", "short", (), 0.5, 0.0)).height


def test_the_scale_bar_is_true(tmp_path):
    for metres_per_pixel, metres in ((0.5, 100), (0.07, 10), (10.0, 2000)):
        strip = np.asarray(footer(1200, Furniture("", "", (), metres_per_pixel, None)))
        dark = (np.abs(strip.astype(int) - INK).max(axis=2) < 20).sum(axis=1).max()
        bar = metres / metres_per_pixel
        assert abs(dark - bar) <= 3 or abs(dark - bar / 2) <= 3
        assert nice_length(1200 * 0.18 * metres_per_pixel) == metres


def test_lengths_are_round_and_readable():
    assert [nice_length(v) for v in (1, 1.9, 2, 4.99, 5, 99, 0.3)] == [1, 1, 2, 2, 5, 50, 0.2]
    assert [length_text(v) for v in (0.2, 1, 500, 2000)] == ["20 cm", "1 m", "500 m", "2 km"]


def test_north_is_found_on_turned_grids():
    turned = NORTH_UP * Affine.rotation(30)
    south_up = Affine(0.5, 0, 500_000, 0, 0.5, 4_999_000)
    assert north_of(grid((10, 10))) == pytest.approx(0, abs=0.1)
    assert north_of(grid((10, 10), turned)) == pytest.approx(-30, abs=0.1)
    assert abs(north_of(grid((10, 10), south_up))) == pytest.approx(180, abs=0.1)
    assert north_of(grid((10, 10), Affine(0.1, 0, 0, 0, -0.1, 50), "EPSG:4326")) == pytest.approx(0, abs=0.1)
    assert north_of(grid((10, 10), crs=None)) is None


def test_a_long_legend_takes_more_lines_and_stays_on_the_page():
    entries = tuple(LegendEntry(f"a class with a long name {i}", (200, 30, 30), 12_345) for i in range(12))
    short, long = (footer(700, Furniture("t", "c" * 300, e, 1.0, 0.0)) for e in (entries[:1], entries))
    assert long.height > short.height + 60
    edge = np.asarray(long)
    assert (edge[:, :5] == 255).all()
    assert (edge[-2:] == 255).all()


def test_all_classes_but_the_background_are_listed(tmp_path):
    lone = ClassSet(classes=(ClassInfo(id=0, name="background", colour="#00ff00"),))
    write_preview(tmp_path / "a.png", Picture(grey(), grid(SHAPE), longest=SIZE), [], lone)
    strip = np.asarray(Image.open(tmp_path / "a.png")).astype(int)[SHAPE[0] :]
    assert not (np.abs(strip - [0, 255, 0]).max(axis=2) < 30).any()


def rows(pixels, valid=None):
    return Rows(Span(0, pixels.shape[1]), pixels, valid)


def test_imagery_of_bytes_is_shown_as_it_is():
    pixels = np.arange(4 * 6, dtype=np.uint8).reshape(4, 2, 3)
    assert np.array_equal(imagery(rows(pixels))[0], pixels[:3])


def test_imagery_of_other_values_is_stretched_by_what_is_valid():
    band = np.linspace(1000, 3000, 10_000).reshape(100, 100).astype(np.uint16)
    band[0] = 65535
    valid = np.ones((100, 100), bool)
    valid[0] = False
    shown, mask = imagery(rows(band[None], valid))
    assert shown.shape == (3, 100, 100)
    assert mask is valid
    assert (shown[0] == shown[2]).all()
    assert (shown[0, 1, 0], shown[0, -1, -1]) == (0, 255)
    assert abs(int(shown[0, 50, 0]) - 127) < 5


def test_imagery_with_nan_constant_and_nothing_valid_is_shown_without_a_warning(recwarn):
    band = np.linspace(0, 1, 100, dtype=np.float32).reshape(10, 10)
    band[3, 3] = np.nan
    assert imagery(rows(band[None]))[0][0, -1, -1] == 255
    assert (imagery(rows(np.full((1, 4, 4), 7.0)))[0] == 0).all()
    assert (imagery(rows(np.full((1, 4, 4), np.nan)))[0] == 0).all()
    assert (imagery(rows(np.ones((1, 4, 4)), np.zeros((4, 4), bool)))[0] == 0).all()
    assert not recwarn.list


def test_a_full_disk_leaves_nothing(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (3, 900, 900), dtype=np.uint8)
    with full_disk(50_000), pytest.raises(WriteError, match=r"a\.png: could not be written"):
        write_preview(tmp_path / "a.png", Picture(noise, grid((900, 900))), [], CLASSES)
    assert names(tmp_path) == []
