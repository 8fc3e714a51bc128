from __future__ import annotations

import json
import math
import shlex
import typing

import click
import pydantic
import pytest

from geoseg.jobs.spec import PredictJob, VectorizeJob, job_from, job_from_json
from geoseg_cli.predict import predict

NOT_OF_THE_JOB = {"dry_run", "progress", "as_json", "print_job", "help"}


def fields_of(model: type[pydantic.BaseModel]) -> set[str]:
    """Names of all fields, those of parts as `part__field`."""
    names = set()
    for name, field in model.model_fields.items():
        part = field.annotation
        if isinstance(part, type) and issubclass(part, pydantic.BaseModel):
            names |= {f"{name}__{inner}" for inner in fields_of(part)}
        else:
            names.add(name)
    return names


def job_of(geoseg, *words) -> dict:
    answer = geoseg("predict", *words, "--print-job")
    assert answer.code == 0, answer.err
    return json.loads(answer.out)


def test_every_field_of_a_job_has_its_flag_and_every_flag_its_field():
    flags = {param.name for param in predict.params} - NOT_OF_THE_JOB
    implied = {"kind", "command", "stretch__low", "stretch__high"}
    assert flags - {"stretch__limits"} == fields_of(PredictJob) - implied


def alternatives(annotation: object) -> set[object]:
    """What a literal, or a literal or None, may be."""
    found = typing.get_args(annotation)
    return {one for part in found for one in (typing.get_args(part) or [part])} - {type(None)}


def test_choices_are_those_of_the_job():
    offered = {p.name: tuple(p.type.choices) for p in predict.params if isinstance(p.type, click.Choice)}
    offered.pop("progress")
    for name, choices in offered.items():
        part: type[pydantic.BaseModel] = PredictJob
        *parents, field = name.split("__")
        for parent in parents:
            part = part.model_fields[parent].annotation
        known = alternatives(part.model_fields[field].annotation)
        assert set(choices) == known - {"limits"}, name  # limits come with --limits


def test_the_readme_s_two_commands(geoseg):
    assert job_of(geoseg, "scene.tif", "--task", "buildings", "-o", "buildings.gpkg") == {
        "kind": "predict",
        "scene": {"paths": ["scene.tif"]},
        "task": "buildings",
        "output": {"vector": "buildings.gpkg"},
    }
    bands = {"red": "B04.jp2", "green": "B03.jp2", "blue": "B02.jp2", "nir": "B08.jp2"}
    words = [word for name, path in bands.items() for word in ("--band", f"{name}={path}")]
    assert job_of(geoseg, *words, "--model", "fields.safetensors", "-o", "f.gpkg")["scene"] == {"bands": bands}


def test_all_flags_reach_their_fields(geoseg):
    words = shlex.split(
        "a.tif b.tif --bidx [3,2,1] --sensor naip --nodata nan --scene-resolution 0.3 -m m.safetensors "
        "-o o.gpkg --raster r.tif --scores s.tif --preview p.png --dst-crs EPSG:4326 --native-grid --co A=1 --co B=x=y "
        "--overwrite --bounds-crs EPSG:4326 --clip --min-area 0 --fill-holes 2.5 --simplify 0.2 "
        "--limits 0,10 --limits 1,20 --on-bad-block nodata --device cuda:1 --precision bf16 --batch-size 3 --threads 2 "
        "--tile-size 256 --overlap 64 --tta d4 --scales 0.5,1 --threshold 0.4 --resolution 0.5 --any-resolution "
        "--bounds '-5 50 -4.5 51'"
    )
    job = job_from(job_of(geoseg, *words))
    assert job.scene.paths == ("a.tif", "b.tif")
    assert job.scene.bidx == (3, 2, 1)
    assert math.isnan(job.scene.nodata)
    assert (job.scene.sensor, job.scene.resolution) == ("naip", 0.3)
    assert job.output.creation_options == {"A": "1", "B": "x=y"}
    assert (job.output.native_grid, job.output.overwrite, job.region.clip) == (True, True, True)
    assert job.region.bounds == (-5, 50, -4.5, 51)
    assert (job.postprocess.min_area_m2, job.postprocess.fill_holes_m2, job.postprocess.simplify_m) == (0, 2.5, 0.2)
    assert (job.stretch.mode, job.stretch.low, job.stretch.high) == ("limits", (0, 1), (10, 20))
    assert job.on_bad_block == "nodata"
    inference = job.inference
    assert (inference.device, inference.precision, inference.batch_size, inference.threads) == ("cuda:1", "bf16", 3, 2)
    assert (inference.tile_size, inference.overlap, inference.tta, inference.scales) == (256, 64, "d4", (0.5, 1))
    assert (inference.threshold, inference.resolution, inference.any_resolution) == (0.4, 0.5, True)


def test_percentiles_imply_their_mode(geoseg):
    words = ["a.tif", "--task", "buildings", "--percentiles", "1,99"]
    assert job_of(geoseg, *words)["stretch"] == {"mode": "percentile", "percentiles": [1, 99]}


def test_what_is_not_given_is_left_to_the_job(geoseg):
    assert job_of(geoseg, "a.tif", "--task", "buildings") == {
        "kind": "predict",
        "scene": {"paths": ["a.tif"]},
        "task": "buildings",
        "output": {"vector": "a_buildings.gpkg"},
    }


def test_a_printed_job_is_the_job(geoseg):
    answer = geoseg("predict", "a.tif", "--task", "buildings", "-o", "o.gpkg", "--tta", "flips", "--print-job")
    direct = PredictJob(
        scene={"paths": ("a.tif",)}, task="buildings", output={"vector": "o.gpkg"}, inference={"tta": "flips"}
    )
    assert job_from_json(answer.out) == direct


def test_values_that_only_the_job_refuses_are_told_in_one_line(geoseg):
    answer = geoseg("predict", "a.tif", "--task", "buildings", "-o", "o.gpkg", "--threshold", "1.5")
    assert answer.code == 2
    assert answer.err.startswith("geoseg: error: geoseg predict: --threshold: Input should be")


@pytest.mark.parametrize(
    ("words", "flag"),
    [("--threshold -1", "--threshold"), ("--scales 0,-1", "--scales"), ("--bidx 0,1", "--bidx")],
)
def test_what_the_job_refuses_is_told_by_the_name_of_the_flag(geoseg, words, flag):
    answer = geoseg("predict", "a.tif", "--task", "buildings", *words.split())
    assert answer.code == 2
    assert f"{flag}: " in answer.err or f"{flag} " in answer.err
    assert "inference." not in answer.err
    assert "scene." not in answer.err


def test_schema_is_that_of_the_job(geoseg):
    parts = json.loads(geoseg("schema").out)["$defs"]
    for kind in (PredictJob, VectorizeJob):
        assert set(parts[kind.__name__]["properties"]) == set(kind.model_fields)
