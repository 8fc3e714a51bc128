from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geoseg.evaluation.figures import Figure
from geoseg.evaluation.report import words
from geoseg.evaluation.report.chart import (
    BOTTOM,
    HEIGHT,
    LEFT,
    POINTS,
    RIGHT,
    TOP,
    WIDTH,
    Frame,
    Line,
    chart,
    thinned,
    wide,
)
from geoseg.evaluation.report.curves import calibration_charts, curve_rows, history_charts
from geoseg.evaluation.report.facts import LISTED, LONGEST, Fact, card_facts, facts
from geoseg.evaluation.report.maps import STEPS, error_map, legend
from geoseg.evaluation.report.tables import headlines, matrix, object_table, scene_rows
from tests.evaluation.report import samples

NUMBERS = st.floats(-1e9, 1e9, allow_subnormal=False)


def test_numbers_are_written_for_people():
    assert words.ratio(0.71249) == "0.712"
    assert words.ratio(None) == "–"
    assert [words.percent(v) for v in (0.0, 0.0123, 0.0995, 0.5, 1.0, None)] == [
        "0\u202f%", "1.2\u202f%", "10\u202f%", "50\u202f%", "100\u202f%", "–"
    ]  # fmt: skip
    assert words.count(1234567) == "1\u202f234\u202f567"
    assert words.interval(Figure(value=0.5, low=0.4, high=0.6)) == "0.400–0.600"
    assert words.interval(Figure(value=0.5)) == ""
    assert words.moment("2026-11-20T16:00:00+00:00") == "2026-11-20 16:00 UTC"
    assert words.moment("yesterday") == "yesterday"


@settings(derandomize=True, deadline=None)
@given(st.lists(st.tuples(NUMBERS, NUMBERS), max_size=30))
def test_every_point_lies_inside_the_chart_and_ticks_rise(points):
    x, y = wide([p[0] for p in points]), wide([p[1] for p in points], zero=True)
    made = chart(Frame("t", "a", "x", "y", x, y), [Line("one", tuple(points))])
    drawn = [tuple(map(float, pair.split())) for pair in made.strokes[0].path.removeprefix("M").split("L") if pair]
    assert len(drawn) == len(points)
    assert all(LEFT <= across <= WIDTH - RIGHT and TOP <= down <= HEIGHT - BOTTOM for across, down in drawn)
    assert 2 <= len(made.x_ticks) <= 8
    places = [tick.at for tick in made.x_ticks]
    assert places == sorted(set(places))
    assert len({tick.text for tick in made.y_ticks}) == len(made.y_ticks)


def test_ticks_of_shares_are_round():
    made = chart(Frame("t", "a", "x", "y"), [])
    assert [tick.text for tick in made.x_ticks] == ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]
    assert made.x_ticks[0].at == LEFT
    assert made.x_ticks[-1].at == WIDTH - RIGHT


def test_small_and_large_ticks_stay_short():
    small = chart(Frame("t", "a", "x", "y", (0.0, 1.05e-3), (0.0, 3e7)), [])
    assert [tick.text for tick in small.x_ticks] == ["0", "2e-4", "4e-4", "6e-4", "8e-4", "1e-3"]
    assert [tick.text for tick in small.y_ticks][1:3] == ["5e6", "1e7"]


def test_long_lines_keep_their_ends_and_lose_what_is_no_number():
    points = [(float(i), math.nan if i == 5 else float(i)) for i in range(5000)]
    kept = thinned(points)
    assert len(kept) == POINTS
    assert kept[0] == (0.0, 0.0)
    assert kept[-1] == (4999.0, 4999.0)
    assert all(math.isfinite(value) for point in kept for value in point)


def test_calibration_becomes_three_charts_and_a_table():
    known = samples.evaluation().calibration
    assert known is not None
    curve, thresholds, reliability = calibration_charts(known)
    assert len(curve.strokes[0].dots) == 2
    assert [mark.text for mark in thresholds.marks] == ["used 0.60", "best 0.45"]
    assert "0.031" in reliability.frame.alt
    assert len(reliability.strokes[0].dots) == 10
    radii = [radius for _, _, radius in reliability.strokes[0].dots]
    assert radii[0] == max(radii)
    rows = curve_rows(known)
    assert len(rows) == 11
    assert (rows[0].threshold, rows[-1].threshold) == (known.curve[0][0], known.curve[-1][0])
    same = known.model_copy(update={"used": known.threshold})
    assert [mark.text for mark in calibration_charts(same)[1].marks] == ["used and best 0.45"]


def test_an_empty_calibration_draws_empty_charts():
    known = samples.evaluation().calibration
    assert known is not None
    empty = known.model_copy(update={"bins": (), "curve": ()})
    assert [c.strokes[0].path for c in calibration_charts(empty)] == ["", "", ""]
    assert curve_rows(empty) == ()


def test_a_log_becomes_charts_of_losses_iou_and_the_rest():
    charts = history_charts(samples.history())
    assert [c.frame.title for c in charts] == ["Loss", "IoU on ground kept from training", "Learning rate"]
    assert [stroke.name for stroke in charts[0].strokes] == ["loss", "dice loss"]
    assert charts[1].strokes[0].path.count("L") == 5  # six validations
    text = [{key: str(value) for key, value in row.items()} for row in samples.history()]
    assert history_charts(text) == charts
    assert history_charts([]) == ()
    assert history_charts([{"step": 1, "loss": 2.0}]) == ()  # a point is no curve
    assert history_charts([{"loss": 2.0}, {"loss": 1.0}]) == ()  # without steps


def test_facts_keep_order_and_depth_and_cut_what_is_long():
    lines = facts({"a_b": {"c": 1.23456789, "d": None}, "list": list(range(50)), "flag": True, "rows": [{"x": 1}] * 25})
    assert [(f.name, f.depth, f.text) for f in lines[:3]] == [("a b", 0, ""), ("c", 1, "1.23457"), ("d", 1, "–")]
    assert lines[3].text.endswith(f"and {50 - LISTED} more")
    assert lines[4].text == "yes"
    assert lines[-1].text == f"and {25 - LISTED} more"
    assert len(facts({"long": "x" * 5000})[0].text) < LONGEST + 50
    assert facts({"area_m2": 12345, "gap_m": {}})[0] == Fact("area (m²)", 0, "12\u202f345")
    assert facts({"area_m2": 12345, "gap_m": {}})[1] == Fact("gap (m)", 0, "–")
    deep: dict[str, object] = {}
    for _ in range(50):
        deep = {"in": deep}
    assert len(facts(deep)) < 20


def test_what_a_card_does_not_say_is_left_out():
    said = {f.name: f.text for f in card_facts(samples.card(attribution="", training_data=()))}
    assert said["limits"] == "Not tried on snow, nor on roofs of thatch."
    assert said["licence"] == "CC-BY-4.0"
    assert "credit" not in said
    assert "training data" not in said


def test_cells_are_coloured_by_their_share_of_wrong_pixels():
    scene = samples.evaluation(scenes=1).scenes[0]
    made = error_map(scene, {"scene_0": samples.thumbnail("scene_0")})
    assert made is not None
    assert made.image is not None
    assert made.cells[0].step == -1
    for box, cell in zip(made.cells[1:], scene.cells[1:], strict=True):
        share = cell.wrong / cell.known
        low, high = ([0.0, *STEPS][box.step], [*STEPS, 1.1][box.step])
        assert low <= share < high
    assert made.height / made.width == pytest.approx(1024 / 1280, abs=1e-3)
    last = made.cells[-1]
    assert (last.x + last.width, last.y + last.height) == (made.width, made.height)
    assert "worst is 24\u202f%, at rows 768 to 1024 and columns 1024 to 1280" in made.alt
    assert len(legend()) == len(STEPS) + 1
    assert error_map(scene.model_copy(update={"cells": ()}), {}) is None
    bare = error_map(scene, {})
    assert bare is not None
    assert bare.image is None


def test_headlines_are_of_the_only_class_or_means():
    only = {h.label: h for h in headlines(samples.evaluation())}
    assert only["IoU"].figure == samples.scores(samples.BUILDINGS).classes[1].pixels["iou"]
    assert "713" in only["Objects found"].sentence
    several = {h.label: h for h in headlines(samples.evaluation(samples.LAND))}
    assert set(several) == {"Mean IoU", "Mean boundary IoU", "Pixel accuracy"}
    assert several["Mean IoU"].figure.value == 0.71


def test_objects_of_several_classes_take_the_means_of_objects():
    things = samples.LAND.model_copy(
        update={"classes": tuple(c.model_copy(update={"kind": "thing"}) for c in samples.LAND.classes)}
    )
    total = samples.scores(things)
    mean = total.mean | {
        "f1": samples.figure(0.5), "object_precision": samples.figure(0.4), "object_recall": samples.figure(0.3),
        "precision": samples.figure(0.9), "recall": samples.figure(0.9),
    }  # fmt: skip
    made = samples.evaluation(things, total=total.model_copy(update={"mean": mean}))
    found = {h.label: h.figure.value for h in headlines(made)}
    assert (found["Object F1"], found["Objects right"], found["Objects found"]) == (0.5, 0.4, 0.3)
    table = object_table(total)
    assert table is not None
    assert len(table.rows) == 4


def test_confusion_has_shares_of_rows_and_names_even_with_a_separator():
    made = matrix(samples.evaluation(), samples.scores(samples.BUILDINGS))
    assert made.names == ("background", "building")
    name, row, total = made.rows[0]
    assert (name, total) == ("background", 92_000)
    assert [c.share for c in row] == [pytest.approx(91 / 92), pytest.approx(1 / 92)]
    assert [c.right for c in row] == [True, False]
    assert [c.level for c in row] == [9, 1]
    scores = samples.scores(samples.LAND)
    lost = scores.model_copy(update={"classes": scores.classes[1:]})  # figures of the foreground alone
    assert matrix(samples.evaluation(samples.LAND), lost).names == tuple(c.name for c in samples.LAND.classes)


def test_a_row_for_each_scene():
    rows = scene_rows(samples.evaluation(scenes=3))
    assert [row.name for row in rows] == ["scene_0", "scene_1", "scene_2"]
    assert [row.figures[-1].value for row in rows] == pytest.approx([0.93, 0.92, 0.91])
    assert all(len(row.figures) == 4 for row in rows)
