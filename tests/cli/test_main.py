from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import click
import pytest

from geoseg.errors import SceneError
from geoseg_cli import main as main_module
from geoseg_cli.main import COMMANDS, main
from tests.cli.commands import all_commands
from tests.factory import make_raster
from tests.toy import write_toy_bundle

RUN = [sys.executable, "-m", "geoseg_cli"]


@pytest.mark.parametrize("words", [["--help"], ["predict", "--help"], ["models", "--help"]])
def test_help_answers_in_under_three_tenths_of_a_second(words):
    def seconds() -> float:  # of the processor: other programs do not count
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([*RUN, *words], check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(seconds() for _ in range(3)) < 0.3


def test_help_imports_click_and_nothing_heavy():
    program = (
        "import sys, json\nfrom geoseg_cli.main import main\nmain(['predict', '--help'])\n"
        "print(json.dumps(sorted({m.partition('.')[0] for m in sys.modules})), file=sys.stderr)"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(json.loads(answer.stderr))
    assert "click" in loaded
    assert not loaded & {"numpy", "pydantic", "rich", "torch", "rasterio", "shapely", "pyproj", "odc", "psutil"}


def test_every_command_says_what_it_does_in_one_short_line():
    for words, command in all_commands().items():
        assert command.help, words
        assert len(command.help.splitlines()[0]) <= 66, f"{words}: the line is cut in the list of commands"


def test_every_option_is_explained():
    unexplained = [
        (words, param.name)
        for words, command in all_commands().items()
        for param in command.params
        if isinstance(param, click.Option) and not param.help
    ]
    assert unexplained == []


def test_the_list_of_commands_is_that_of_the_help(geoseg):
    help_text = geoseg("--help").out
    assert all(f"\n  {name} " in help_text for name in COMMANDS)


def test_without_words_the_help_comes_out(geoseg):
    assert geoseg() == geoseg("--help")
    assert geoseg("models").out.startswith("Usage: geoseg models")


def test_version(geoseg):
    import geoseg as package

    answer = geoseg("--version")
    assert (answer.code, answer.out) == (0, f"geoseg {package.__version__}\n")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["predcit"], "No such command 'predcit'"),
        (["predict", "--overwrit"], "--overwrite"),
        (["predict", "--device", "tpu"], "'tpu' is not one of auto, cpu, cuda, cuda:N, mps"),
        (["predict", "--bidx", "a,b"], "'a,b' is not a list of numbers"),
        (["predict", "--bounds", "1 2 3"], "3 items; expected 4"),
        (["predict", "--band", "B04.tif"], "not of the form NAME=FILE"),
        (["predict", "--band", "red=a.tif", "--band", "red=b.tif"], "'red' is given more than once"),
        (["predict", "--limits", "9,9", "x.tif"], "expected LOW below HIGH"),
        (["predict", "x.tif", "--task", "buildings"], "x.tif: there is no such file"),
        (["predict", "x.tif", "--limits", "0,9", "--stretch", "none", "-o", "x.gpkg"], "--limits without"),
        (["predict", "x.tif", "--percentiles", "2,98", "--stretch", "none", "-o", "x.gpkg"], "no meaning"),
        (["predict", "x.tif", "-o", "x.gpkg"], "give --task or --model"),
        (["predict", "--task", "buildings", "-o", "x.gpkg"], "give either scene files or --band"),
        (["run", "missing.json"], "missing.json: cannot be read as a job"),
        (["models", "show", "nothing"], "unknown model 'nothing'"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(geoseg, words, told):
    answer = geoseg(*words)
    assert answer.code == 2
    assert answer.out == ""
    assert answer.err.startswith("geoseg: error: ")
    assert answer.err.count("\n") == 1
    assert told in answer.err


class Failing(click.Command):
    """A command that ends with an error."""

    def __init__(self, error: BaseException) -> None:
        super().__init__("failing")
        self.error = error

    def invoke(self, ctx: click.Context) -> None:
        raise self.error


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (SceneError("a.tif: found 0 bands;\n  expected one"), 2, "geoseg: error: a.tif: found 0 bands; expected one\n"),
        (ValueError("odd"), 1, "geoseg: error: internal error, ValueError: odd; please report"),
        (MemoryError(), 1, "geoseg: error: out of memory: choose a smaller --batch-size"),
        (KeyboardInterrupt(), 130, "geoseg: interrupted\n"),
    ],
)
def test_errors_become_one_line_and_an_exit_code(geoseg, monkeypatch, error, code, told):
    monkeypatch.delenv("GEOSEG_DEBUG", raising=False)
    monkeypatch.setattr(main_module, "cli", Failing(error))
    answer = geoseg()
    assert answer.code == code
    assert told in answer.err
    assert "Traceback" not in answer.err
    assert len(answer.err.strip().splitlines()) == 1


def test_tracebacks_are_shown_to_those_who_ask(geoseg, monkeypatch):
    monkeypatch.setenv("GEOSEG_DEBUG", "1")
    monkeypatch.setattr(main_module, "cli", Failing(SceneError("a.tif: is empty")))
    answer = geoseg()
    assert answer.code == 2
    assert "Traceback (most recent call last)" in answer.err
    assert answer.err.endswith("geoseg: error: a.tif: is empty\n")


def test_a_reader_that_goes_away_is_no_error_to_report():
    writer = subprocess.Popen([*RUN, "schema"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert writer.stdout is not None
    assert writer.stderr is not None
    writer.stdout.close()
    assert b"Traceback" not in writer.stderr.read()
    assert writer.wait() != 0


@pytest.mark.parametrize("buffered", ["", "1"])
@pytest.mark.parametrize("words", ["schema", "models list", "--help", "run missing.json --progress jsonl"])
@pytest.mark.parametrize(
    ("where", "told"), [(">/dev/full", "cannot be written to (No space left"), (">&-", "is closed")]
)
def test_an_output_that_takes_nothing_is_told_in_one_line(words, where, told, buffered):
    command = f"{sys.executable} -m geoseg_cli {words} {where}"
    env = {**os.environ, "PYTHONUNBUFFERED": buffered}
    answer = subprocess.run(command, shell=True, env=env, capture_output=True, text=True, check=False)
    assert answer.returncode == 1
    assert answer.stderr.startswith("geoseg: error: standard output ")
    assert told in answer.stderr
    assert answer.stderr.count("\n") == 1


def test_main_gives_back_what_a_process_returns():
    assert main(["--version"]) == 0
    assert subprocess.run([*RUN, "predcit"], capture_output=True, check=False).returncode == 2


@pytest.mark.parametrize(
    ("scene", "expected"),
    [
        ({"paths": ("in/scene.tif",)}, "scene_buildings.gpkg"),
        ({"paths": ("a.tif", "b.tif")}, "a_buildings.gpkg"),
        ({"paths": ("https://example.org/x/town.cog.tif?key=1",)}, "town.cog_buildings.gpkg"),
        ({"bands": {"red": r"C:\data\B04.jp2"}}, "B04_buildings.gpkg"),
    ],
)
def test_without_an_output_the_polygons_are_named_after_scene_and_task(scene, expected):
    from geoseg_cli.predict import default_output

    assert default_output({"scene": scene, "task": "buildings"}) == expected
    assert default_output({"scene": {"paths": ("a.tif",)}, "model": "my/town.safetensors"}) == "a_town.gpkg"


def test_a_job_can_be_told_to_overwrite(geoseg, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_raster("scene.tif")
    write_toy_bundle("toy.safetensors", kind="threshold")
    job = geoseg("predict", "scene.tif", "-m", "toy.safetensors", "-o", "o.gpkg", "--print-job").out
    Path("job.json").write_text(job)
    assert geoseg("run", "job.json").code == 0
    assert "--overwrite" in geoseg("run", "job.json").err
    assert geoseg("run", "job.json", "--overwrite").code == 0
