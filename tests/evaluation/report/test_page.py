from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from geoseg.errors import OutputError, WriteError
from geoseg.evaluation.figures import Figure
from geoseg.evaluation.report import Exhibit, write_report
from geoseg.evaluation.report.page import SCENES, TILE_BYTES, page
from tests.evaluation.report import samples

VOID = {"meta", "link", "img", "br", "rect", "path", "line", "circle", "image", "hr"}
EVIL = """<script>alert("x")</script>"'&"""


class Reader(HTMLParser):
    """The elements of a page; it fails where one is closed that is not open."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, {key: value or "" for key, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.found.append((tag, {key: value or "" for key, value in attrs}))

    def handle_endtag(self, tag):
        assert self.open[-1:] == [tag], (tag, self.open[-3:], self.getpos())
        self.open.pop()

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.text += " ".join(data.split()) + " "

    def of(self, tag):
        return [attributes for found, attributes in self.found if found == tag]


@pytest.fixture(scope="module")
def whole() -> Reader:
    exhibits = [
        samples.thumbnail("scene_0"),
        Exhibit("scene_0: rows 0 to 256", "Caption of the worst.", samples.picture(), "worst", "scene_0", alt="Worst"),
        Exhibit("scene_1: rows 0 to 256", "Caption of the best.", samples.picture(), "best", "scene_1"),
    ]
    return Reader(page(samples.evaluation(), exhibits, samples.history()))


def test_every_section_is_there_and_can_be_reached(whole):
    ids = [attributes["id"] for _, attributes in whole.found if "id" in attributes]
    assert len(set(ids)) == len(ids)
    targets = [a["href"][1:] for a in whole.of("a")]
    assert set(targets) <= set(ids)
    assert {
        "glance",
        "classes",
        "objects",
        "confusion",
        "threshold",
        "scenes",
        "tiles",
        "training",
        "card",
        "made",
    } <= {*targets}


def test_figures_intervals_and_sources_are_written_out(whole):
    for text in (
        "0.710", "0.670–0.750", "2026-11-20 16:00 UTC", "7 geometries of buildings.shp were repaired",
        "geoseg evaluate --task buildings",
        "Not tried on snow", "CC-BY-4.0", "Imagery by A, labels by B", "Caption of the worst.", "Caption of the best.",
        "outside the scene", "expected calibration error", "713", "scene_1",
    ):  # fmt: skip
        assert text in whole.text, text


def test_nothing_is_fetched_from_anywhere(whole):
    text = page(samples.evaluation(), [samples.thumbnail("scene_0")], samples.history())
    assert not re.findall(r"https?://", text)
    assert "@import" not in text
    assert not whole.of("script")
    assert not whole.of("link")
    sources = [a.get("src", a.get("href", "")) for a in (*whole.of("img"), *whole.of("image"))]
    assert len(sources) == 3
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    policy = next(a for a in whole.of("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert policy["content"].startswith("default-src 'none'")


def test_pictures_have_words_and_tables_have_heads(whole):
    assert all(a["alt"] for a in whole.of("img"))
    assert whole.of("img")[1]["alt"] == "Caption of the best."  # where nothing else was said
    drawn = [a for a in whole.of("svg") if a.get("aria-hidden") != "true"]
    assert len(drawn) == 3 + 3 + 2  # calibration, training, maps
    assert all(a["role"] == "img" and a["aria-label"] for a in drawn)
    assert len(whole.of("caption")) == len(whole.of("table"))
    assert all("scope" in a or a.get("class") == "first" for a in whole.of("th"))
    assert len(whole.of("h1")) == 1
    assert whole.of("html")[0]["lang"] == "en"


def test_what_is_not_there_leaves_no_section_behind():
    bare = samples.evaluation(
        samples.LAND, scenes=1, calibration=None, card=None, command=None, warnings=(), settings={},
        total=samples.scores(samples.LAND, objects=False),
    )  # fmt: skip
    read = Reader(page(bare, []))
    ids = {attributes["id"] for _, attributes in read.found if "id" in attributes}
    assert not ids & {"objects", "threshold", "tiles", "training", "card", "warnings"}
    assert {a["href"][1:] for a in read.of("a")} <= ids
    assert "Mean IoU" in read.text
    assert "without a command" in read.text
    assert "Object F1" not in read.text


def test_figures_without_denominator_are_dashes_or_left_out():
    nothing = Figure(value=None)
    total = samples.scores(samples.BUILDINGS)
    classes = tuple(
        c.model_copy(update={"pixels": dict.fromkeys(c.pixels, nothing), "objects": None}) for c in total.classes
    )
    empty = total.model_copy(
        update={"pixel_accuracy": nothing, "classes": classes, "confusion": ((0, 0), (0, 0)), "mean": {}}
    )
    read = Reader(page(samples.evaluation(total=empty, scenes=1, calibration=None), []))
    assert "No figure has a denominator" in read.text
    assert "nan" not in read.text.lower()
    assert "–" in read.text


@pytest.mark.parametrize("where", ["subject", "command", "warnings", "facts", "scene", "class", "caption", "history"])
def test_whatever_users_name_is_escaped(where):
    classes, scene, history, exhibits, changes = samples.BUILDINGS, "scene_0", [], [], {}
    made = samples.evaluation(scenes=1)
    if where in ("subject", "command"):
        changes = {where: EVIL}
    elif where == "warnings":
        changes = {"warnings": (EVIL,)}
    elif where == "facts":
        changes = {"scenes": (made.scenes[0].model_copy(update={"facts": {EVIL: {"deep": [EVIL, {"a": EVIL}]}}}),)}
    elif where == "scene":
        scores = made.scenes[0].scores.model_copy(update={"name": EVIL})
        changes = {"scenes": (made.scenes[0].model_copy(update={"scores": scores}),)}
    elif where == "class":
        named = tuple(c.model_copy(update={"name": EVIL + c.name}) for c in classes.classes)
        changes = {"total": samples.scores(classes.model_copy(update={"classes": named}))}
    elif where == "caption":
        exhibits = [Exhibit(EVIL, EVIL, samples.picture(), "worst", scene, alt=EVIL)]
    else:
        history = [{"step": i, EVIL: i} for i in range(3)]
    text = page(made.model_copy(update=changes), exhibits, history)
    assert "<script" not in text
    assert "&lt;script" in text
    assert "alert(" in Reader(text).text


def test_a_colour_that_is_none_cannot_reach_the_style():
    total = samples.scores(samples.BUILDINGS)
    classes = tuple(c.model_copy(update={"colour": "red;background:url(//x)"}) for c in total.classes)
    text = page(samples.evaluation(total=total.model_copy(update={"classes": classes})), [])
    assert "url(//x)" not in text
    assert "#888888" in text


def test_many_large_pictures_are_left_out_evenly_and_it_is_said():
    large = [samples.picture((500, 400), seed) for seed in range(2)]
    tiles = [
        Exhibit(f"tile {scene}-{kind}-{i}", "A tile.", large[i % 2], kind, f"scene_{scene}")
        for scene in range(4) for kind in ("worst", "best") for i in range(3)
    ]  # fmt: skip
    pictures = [samples.thumbnail(f"scene_{i}") for i in range(4)]
    text = page(samples.evaluation(scenes=4), [*pictures, *tiles])
    room = TILE_BYTES // (len(large[0]) * 4 // 3)
    assert 0 < room < len(tiles)
    assert len(text.encode()) < 5_000_000
    assert f"{len(tiles) - room} more picture" in text
    kept = [tile.name for tile in tiles if f"<strong>{tile.name}</strong>" in text]
    assert len(kept) == room
    if room <= 8:
        assert all(name.endswith("-0") for name in kept)


def test_a_hundred_scenes_stay_below_five_megabytes():
    made = samples.evaluation(scenes=100)
    dense = tuple(scene.model_copy(update={"cells": samples.cells(8, 8)}) for scene in made.scenes)
    pictures = [samples.thumbnail(f"scene_{i}", image=samples.picture((200, 160), i)) for i in range(100)]
    text = page(made.model_copy(update={"scenes": dense}), pictures)
    assert len(text.encode()) < 5_000_000
    assert text.count('class="map"') == SCENES
    assert "scene_0</th>" in text  # in the table at least
    assert "<h3>scene_99</h3>" in text  # the worst
    assert "<h3>scene_0</h3>" not in text


def test_the_file_is_replaced_only_once_it_is_whole(tmp_path: Path, monkeypatch):
    path = tmp_path / "report.html"
    path.write_text("old")
    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_text", _full)
        with pytest.raises(WriteError, match=r"report\.html"):
            write_report(path, samples.evaluation(), [])
        with pytest.raises(WriteError, match=r"final\.html"):
            write_report(path, samples.evaluation(), [], named=tmp_path / "final.html")
    assert path.read_text() == "old"
    write_report(path, samples.evaluation(), [])
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.html"]


def _full(self, *args, **kwargs):
    raise OSError(28, "No space left on device")


def test_a_folder_that_is_not_there_is_told(tmp_path: Path):
    with pytest.raises(OutputError, match="folder"):
        write_report(tmp_path / "none" / "report.html", samples.evaluation(), [])
