"""A map beside its labels: counts made by hand, unknown ground, and strips of any height."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import shapely
from affine import Affine

from geoseg.core.classes import ClassInfo
from geoseg.core.tiling import Span
from geoseg.errors import LabelError, SceneError, SpecError
from geoseg.evaluation import strips
from geoseg.evaluation.boundary import boundary_counts, near_outlines
from geoseg.evaluation.compare import Comparison, Found, compare_scene
from geoseg.evaluation.mapped import with_strange
from geoseg.evaluation.pixels import confusion
from geoseg.evaluation.rasters import on_grid_of
from geoseg.evaluation.squares import Squares
from tests.evaluation.maps import HOUSES, LAND, class_raster
from tests.io.labels.support import labels_of, on_grid, scene_of, write

HOUSE, OTHER, HALF = (10, 10, 20, 20), (40, 10, 50, 20), (10, 10, 20, 16)  # left, top, right, bottom


def boxes(scene, *places):
    return [on_grid(scene, *place) for place in places]


def summed(counts):
    return sum(cell.confusion for cell in counts.cells), sum(cell.objects for cell in counts.cells)


def by_polygons(tmp_path, scene, truth, found, classes=HOUSES, settings=None, labels=None, **columns):
    """The counts of rectangles beside rectangles."""
    known = labels or labels_of(scene, write(tmp_path, boxes(scene, *truth)), classes)
    path = write(tmp_path, boxes(scene, *found), name="map.gpkg", **columns)
    return compare_scene(scene, known, Found(None, None, Path(path), classes), settings)


def test_polygons_are_compared_pixel_by_pixel_and_one_by_one(tmp_path: Path) -> None:
    scene = scene_of(tmp_path, shape=(128, 128))
    counts = by_polygons(tmp_path, scene, [HOUSE, OTHER], [HALF, (90, 90, 95, 95)], confidence=[0.75, 0.5])
    pixels, objects = summed(counts)
    assert pixels.tolist() == [[128 * 128 - 200 - 25, 25], [140, 60]]
    assert objects.tolist() == [[0, 0, 0], [1, 1, 1]]
    assert counts.pairs.iou.tolist() == pytest.approx([0.6])
    assert counts.pairs.found_score.tolist() == [0.75, 0.5]
    assert [cell.objects[1].tolist() for cell in counts.cells] == [[1, 0, 1], [0, 0, 0], [0, 0, 0], [0, 1, 0]]
    assert counts.facts["objects"]["found"] == 2


def test_a_raster_is_compared_with_polygons(tmp_path: Path) -> None:
    """Missing predictions are background; the scores are counted by truth."""
    scene = scene_of(tmp_path, shape=(64, 64))
    ids, scores = np.zeros((64, 64)), np.full((64, 64), 20)
    ids[10:16, 10:20], ids[16:20, 10:20], scores[10:20, 10:20] = 1, 255, 200
    labels = labels_of(scene, write(tmp_path, boxes(scene, HOUSE)), HOUSES)
    paths = class_raster(tmp_path / "map.tif", ids), class_raster(tmp_path / "scores.tif", scores)
    counts = compare_scene(scene, labels, Found(*paths, None, HOUSES))
    assert summed(counts)[0].tolist() == [[64 * 64 - 100, 0], [40, 60]]
    assert (counts.scores[1, 200], counts.scores[0, 20], counts.scores.sum()) == (100, 64 * 64 - 100, 64 * 64)
    assert counts.pairs is None
    assert counts.facts["without_prediction"] == 40


def test_ground_that_was_not_labelled_does_not_count(tmp_path: Path) -> None:
    """What lies mostly outside is no mistake; what the truth has there excuses what matches it."""
    scene = scene_of(tmp_path, shape=(128, 128))
    truth = [HOUSE, (58, 10, 72, 20)]  # the second is known to 6 of its 14 columns
    area = write(tmp_path, boxes(scene, (0, 0, 64, 128)), name="area.gpkg")
    labels = labels_of(scene, write(tmp_path, boxes(scene, *truth)), HOUSES, aoi=area)
    found = [HOUSE, (57, 10, 70, 20), (90, 90, 100, 100), (60, 60, 70, 70)]
    counts = by_polygons(tmp_path, scene, [], found, labels=labels)
    pixels, objects = summed(counts)
    assert pixels.sum() == 64 * 128
    assert objects[1].tolist() == [1, 0, 0]
    told = counts.facts["objects"]
    assert (told["truth_on_unknown_ground"], told["found_on_unknown_ground"], told["found_left_out"]) == (1, 2, 1)


def test_ignored_ground_and_missing_imagery_do_not_count(tmp_path: Path) -> None:
    mask = np.full((128, 128), 255, np.uint8)
    mask[:, 100:] = 0
    scene = scene_of(tmp_path, shape=(128, 128), mask=mask)
    ignore = write(tmp_path, boxes(scene, (0, 0, 30, 30)), name="ignore.gpkg")
    labels = labels_of(scene, write(tmp_path, boxes(scene, HOUSE, OTHER, (104, 50, 112, 60))), HOUSES, ignore=ignore)
    counts = by_polygons(tmp_path, scene, [], [OTHER, (12, 12, 18, 18), (104, 90, 110, 99)], labels=labels)
    pixels, objects = summed(counts)
    assert pixels.sum() == counts.facts["known_pixels"] == 128 * 100 - 30 * 30
    assert pixels[1].tolist() == [0, 100]
    assert objects[1].tolist() == [1, 0, 0]


def test_blank_pixels_are_unknown_where_asked(tmp_path: Path) -> None:
    data = np.full((3, 64, 64), 90, np.uint8)
    data[:, :8], data[:, 8:12], data[0, 12] = 255, 0, 255
    scene = scene_of(tmp_path, data=data)
    for blank, rows in (((), 64), (("white",), 56), (("white", "black"), 52)):
        counts = by_polygons(tmp_path, scene, [(20, 20, 30, 30)], [HOUSE], settings=Comparison(blank=blank))
        assert summed(counts)[0].sum() == rows * 64


def test_blank_pixels_are_pure_in_the_bands_that_the_map_was_made_from(tmp_path: Path) -> None:
    data = np.full((4, 64, 64), 90, np.uint8)
    data[:3, :8], data[0, 8:12] = 255, 255
    scene = scene_of(tmp_path, data=data)
    for bidx, rows in ((None, 64), ((1, 2, 3), 56), ((1,), 52)):
        settings = Comparison(blank=("white",), bidx=bidx)
        counts = by_polygons(tmp_path, scene, [(20, 20, 30, 30)], [HOUSE], settings=settings)
        assert summed(counts)[0].sum() == rows * 64
        assert (counts.facts["blank"], counts.facts["bands"]) == (["white"], list(bidx or (1, 2, 3, 4)))


@pytest.mark.parametrize("rows", [7, 64])
def test_polygons_over_one_another_lie_on_unknown_ground_each_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    monkeypatch.setattr(strips, "LEAST_ROWS", rows)
    scene = scene_of(tmp_path, shape=(64, 64))
    ignore = write(tmp_path, boxes(scene, (32, 0, 64, 64)), name="ignore.gpkg")
    labels = labels_of(scene, write(tmp_path, boxes(scene, (2, 40, 12, 50))), HOUSES, ignore=ignore)
    mostly, under, over, aside = (28, 4, 44, 14), (4, 20, 50, 30), (30, 20, 50, 30), (12, 40, 22, 50)
    found = [mostly, mostly, mostly, under, over, (2, 40, 12, 50), aside]
    counts = by_polygons(tmp_path, scene, [], found, labels=labels, settings=Comparison(strip_pixels=1))
    assert counts.facts["objects"]["found_on_unknown_ground"] == 4  # all but `under`, and what lies to the left
    assert summed(counts)[1][1].tolist() == [1, 2, 0]


def test_small_objects_do_not_count_on_either_side(tmp_path: Path) -> None:
    scene = scene_of(tmp_path, shape=(64, 64))  # pixels of a square metre
    truth, found = (
        [HOUSE, (40, 40, 44, 44), (50, 50, 57, 57)],
        [HOUSE, (40, 40, 44, 45), (30, 2, 33, 5), (50, 50, 57, 56)],
    )
    assert summed(by_polygons(tmp_path, scene, truth, found))[1][1].tolist() == [3, 1, 0]
    counts = by_polygons(tmp_path, scene, truth, found, settings=Comparison(min_area_m2=45.0))
    assert summed(counts)[1][1].tolist() == [2, 0, 0]  # the 42 m2 count, because they match 49


def test_truth_of_a_raster_is_traced(tmp_path: Path) -> None:
    scene = scene_of(tmp_path, shape=(200, 96))
    truth = np.zeros((200, 96))
    truth[10:20, 10:20], truth[120:150, 40:60], truth[150:180, 5:15], truth[0:5, 80:96] = 1, 1, 4, 255
    labels = labels_of(scene, str(class_raster(tmp_path / "truth.tif", truth)), LAND)
    path = write(tmp_path, boxes(scene, HALF, (40, 120, 60, 150)), name="map.gpkg", class_id=[1, 1])
    counts = compare_scene(scene, labels, Found(None, None, Path(path), LAND), Comparison(strip_pixels=96 * 64))
    assert counts.class_ids == (0, 1, 4)
    assert sorted(counts.pairs.iou.tolist()) == pytest.approx([0.6, 1.0])
    assert summed(counts)[1].tolist() == [[0, 0, 0], [2, 0, 0], [0, 0, 0]]
    assert summed(counts)[0].sum() == 200 * 96 - 80


def test_a_separator_is_part_of_what_it_separates(tmp_path: Path) -> None:
    edge = ClassInfo(id=7, name="edge", colour="#ffffff")
    classes = HOUSES.model_copy(update={"classes": (*HOUSES.classes, edge), "separator": 7})
    scene = scene_of(tmp_path, shape=(64, 64))
    ids = np.zeros((64, 64))
    ids[10:20, 10:20], ids[12:18, 12:18] = 7, 1
    labels = labels_of(scene, write(tmp_path, boxes(scene, HOUSE)), HOUSES)
    counts = compare_scene(scene, labels, Found(class_raster(tmp_path / "map.tif", ids), None, None, classes))
    assert counts.class_ids == (0, 1)
    assert summed(counts)[0].tolist() == [[64 * 64 - 100, 0], [0, 100]]


@pytest.mark.parametrize("rows", [1, 7, 64, 300])
def test_strips_of_any_height_count_the_same_as_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    monkeypatch.setattr(strips, "LEAST_ROWS", rows)
    rng = np.random.default_rng(4)
    truth, found = (np.kron(rng.choice([0, 0, 1, 4, 255], (20, 15)), np.ones((13, 11))) for _ in range(2))
    scene = scene_of(tmp_path, shape=truth.shape)
    labels = labels_of(scene, str(class_raster(tmp_path / "truth.tif", truth)), LAND)
    shapes = boxes(scene, *[(x, y, x + 9, y + 12) for x in range(0, 150, 20) for y in range(0, 240, 30)])
    path = Path(write(tmp_path, shapes, name="map.gpkg"))
    write(tmp_path, shapes, name="map.gpkg", class_id=[1] * len(shapes))
    raster = class_raster(tmp_path / "map.tif", found)
    counts = compare_scene(scene, labels, Found(raster, None, path, LAND), Comparison(boundary_m=3, strip_pixels=1))
    assert np.array_equal(summed(counts)[0], confusion(truth.astype(np.uint8), found.astype(np.uint8), (0, 1, 4)))
    place = np.full(256, 255, np.uint8)
    place[[0, 1, 4]] = 0, 1, 2
    known = place[truth.astype(int)]
    shown = np.where(known == 255, 255, np.where(place[found.astype(int)] == 255, 0, place[found.astype(int)]))
    near = near_outlines(known, (3, 3)), near_outlines(shown.astype(np.uint8), (3, 3))
    expected = boundary_counts((known, near[0]), (shown.astype(np.uint8), near[1]), 3)
    assert np.array_equal(sum(cell.boundary for cell in counts.cells), expected)
    truths = [cell.objects[1, [0, 2]].sum() for cell in counts.cells]
    assert sum(truths) == counts.facts["objects"]["truth"] > 10


def test_maps_in_other_crs_and_of_several_parts_are_brought_over(tmp_path: Path) -> None:
    import geopandas as gpd

    scene = scene_of(tmp_path, shape=(64, 64))
    labels = labels_of(scene, write(tmp_path, boxes(scene, HOUSE)), HOUSES)
    halves = shapely.multipolygons([boxes(scene, (10, 10, 20, 14), (10, 16, 20, 20))])
    path = tmp_path / "map.geojson"
    gpd.GeoDataFrame({"class": ["Building"]}, geometry=halves, crs="EPSG:32633").to_crs(4326).to_file(path)
    counts = compare_scene(scene, labels, Found(None, None, path, HOUSES))
    assert len(counts.pairs.found_class) == 1
    assert counts.pairs.iou.tolist() == pytest.approx([0.8], abs=1e-3)


def test_a_map_of_nothing_misses_everything(tmp_path: Path) -> None:
    scene = scene_of(tmp_path, shape=(64, 64))
    counts = by_polygons(tmp_path, scene, [HOUSE], [])
    assert summed(counts)[1][1].tolist() == [0, 0, 1]
    assert summed(counts)[0].tolist() == [[64 * 64 - 100, 0], [100, 0]]


def test_one_class_on_both_sides_is_the_same_whatever_it_is_called(tmp_path: Path) -> None:
    scene = scene_of(tmp_path, shape=(64, 64))
    counts = by_polygons(tmp_path, scene, [HOUSE], [HOUSE], **{"class": ["shed"]})
    assert summed(counts)[1][1].tolist() == [1, 0, 0]


def test_classes_that_the_map_alone_knows_are_false(tmp_path: Path) -> None:
    scene = scene_of(tmp_path, shape=(64, 64))
    labels = labels_of(scene, write(tmp_path, boxes(scene, HOUSE), kind=["building"]), LAND, column="kind")
    names = ["Building", "shed", "4", "barn"]
    places = boxes(scene, HOUSE, OTHER, (40, 40, 50, 50), (10, 40, 14, 44))
    path = Path(write(tmp_path, places, name="map.gpkg", **{"class": names}))
    classes = with_strange(path, scene, LAND)
    assert [(c.id, c.name, c.kind) for c in classes.classes[3:]] == [(2, "barn", "thing"), (3, "shed", "thing")]
    pixels, objects = summed(compare_scene(scene, labels, Found(None, None, path, classes)))
    assert pixels.sum(axis=1).tolist() == [64 * 64 - 100, 100, 0, 0, 0]
    assert pixels[0].tolist() == [64 * 64 - 316, 0, 100, 16, 100]
    assert objects[[1, 3, 4]].tolist() == [[1, 0, 0], [0, 1, 0], [0, 1, 0]]
    one = Path(write(tmp_path, boxes(scene, HOUSE), name="one.gpkg", **{"class": ["shed"]}))
    assert with_strange(one, scene, HOUSES) == HOUSES
    assert with_strange(Path(write(tmp_path, boxes(scene, HOUSE), name="plain.gpkg")), scene, HOUSES) == HOUSES


def test_a_raster_of_a_part_shows_nothing_around_it(tmp_path: Path) -> None:
    scene = scene_of(tmp_path, shape=(64, 64))
    labels = labels_of(scene, write(tmp_path, boxes(scene, HOUSE)), HOUSES)
    part = np.ones((20, 24), np.uint8)
    raster = class_raster(tmp_path / "part.tif", part, transform=scene.grid.affine * Affine.translation(8, 16))
    whole = np.full((64, 64), 255, np.uint8)
    whole[16:36, 8:32] = 1
    full = class_raster(tmp_path / "full.tif", whole)
    one, other = (compare_scene(scene, labels, Found(path, None, None, HOUSES)) for path in (raster, full))
    assert summed(one)[0].tolist() == summed(other)[0].tolist()
    assert summed(one)[0][:, 1].sum() == part.size


def test_what_cannot_be_compared_is_refused(tmp_path: Path) -> None:
    scene = scene_of(tmp_path, shape=(64, 64))
    labels = labels_of(scene, write(tmp_path, boxes(scene, HOUSE)), HOUSES)
    with pytest.raises(SpecError, match="nothing to compare"):
        compare_scene(scene, labels, Found(None, None, None, HOUSES))
    between = class_raster(
        tmp_path / "m.tif", np.zeros((64, 32)), transform=scene.grid.affine * Affine.translation(0.5, 0)
    )
    with pytest.raises(SceneError, match=r"32 x 64.*expected pixels of scene\.tif, 64 x 64"):
        compare_scene(scene, labels, Found(between, None, None, HOUSES))
    with pytest.raises(LabelError, match=r"map\.gpkg: the column 'class' of the map holds 'shed'; .* 1=building"):
        by_polygons(tmp_path, scene, [HOUSE], [HOUSE, HOUSE], **{"class": ["shed", "building"]})
    with pytest.raises(LabelError, match="holds 7; expected scores from 0 to 1"):
        by_polygons(tmp_path, scene, [HOUSE], [HOUSE], confidence=[7.0])
    lines = Path(write(tmp_path, [shapely.boundary(on_grid(scene, *HOUSE))], name="lines.gpkg"))
    with pytest.raises(LabelError, match="lines or points only"):
        compare_scene(scene, labels, Found(None, None, lines, HOUSES))


def test_rasters_made_anywhere_come_onto_the_scenes_grid(tmp_path: Path) -> None:
    from affine import Affine

    from geoseg.evaluation.strips import classes_of
    from tests.factory import ORIGIN

    scene = scene_of(tmp_path, shape=(64, 64))
    coarse = np.zeros((32, 32))
    coarse[5:10, 5:10] = 255
    transform = Affine(2, 0, ORIGIN[0], 0, -2, ORIGIN[1])
    for nodata, value in ((None, 255), (0, 255), (0, 1)):
        path = class_raster(tmp_path / "mask.tif", np.where(coarse, value, 0), transform=transform, nodata=nodata)
        on_grid_of(path, scene, HOUSES, tmp_path / "out.tif")
        ids = np.concatenate(list(classes_of(tmp_path / "out.tif", scene, [Span(0, 64)], Span(0, 64))))
        assert ids[10:20, 10:20].all()
        assert (ids == 1).sum() == 100


@pytest.mark.parametrize("shape", [(64, 64), (300, 200), (64, 90_000), (90_000, 64), (5000, 7000), (20, 30)])
def test_squares_cover_the_window_in_a_number_that_serves(shape: tuple[int, int]) -> None:
    squares = Squares.over(Span(3, 3 + shape[0]), Span(5, 5 + shape[1]))
    assert 1 <= len(squares) <= 64
    assert sum(y.size * x.size for y, x in squares) == shape[0] * shape[1]
    assert all(min(y.size, x.size) >= min(64, *shape) - 1 for y, x in squares)
    middles = np.array([((x.start + x.stop) / 2, (y.start + y.stop) / 2) for y, x in squares])
    assert squares.of(middles).tolist() == list(range(len(squares)))
    assert squares.of(np.array([[-9.0, -9.0], [1e6, 1e6]])).tolist() == [0, len(squares) - 1]
