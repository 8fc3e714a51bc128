from __future__ import annotations

import json

import pytest

from geoseg.jobs import doctor


@pytest.fixture(scope="module")
def report() -> dict:
    return doctor.diagnose()


def test_the_report_is_json_and_this_installation_is_well(report):
    assert json.loads(json.dumps(report)) == report
    assert [check for check in report["checks"] if not check["ok"]] == []


def test_versions_are_those_that_are_imported(report):
    import rasterio
    import torch

    assert report["packages"]["torch"] == torch.__version__.partition("+")[0]
    assert report["gdal"]["rasterio"] == rasterio.__gdal_version__
    assert set(doctor.RASTER_DRIVERS[:3]) <= set(report["gdal"]["raster_drivers"])
    assert set(doctor.VECTOR_DRIVERS) <= set(report["gdal"]["vector_drivers"])


def test_packages_for_tests_and_docs_are_left_out(report):
    assert {"click", "torch", "pystac"} <= set(report["packages"])
    assert not {"pytest", "mypy", "mkdocs-material", "geoseg"} & set(report["packages"])


def test_only_variables_that_matter_are_told_and_no_secrets(monkeypatch):
    monkeypatch.setenv("GDAL_CACHEMAX", "64")
    monkeypatch.setenv("GDAL_HTTP_USERPWD", "me:word")
    monkeypatch.setenv("CPL_AZURE_ACCESS_KEY", "word")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "word")
    monkeypatch.setenv("MY_OWN", "thing")
    told = doctor.diagnose()["environment"]
    assert told["GDAL_CACHEMAX"] == "64"
    assert not {"GDAL_HTTP_USERPWD", "CPL_AZURE_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY", "MY_OWN"} & set(told)


def test_a_missing_model_is_a_problem_with_a_remedy(monkeypatch):
    monkeypatch.setattr("geoseg.models.packaged", list)
    check = {check["name"]: check for check in doctor.diagnose()["checks"]}["models"]
    assert check["ok"] is False
    assert "'buildings' is missing" in check["found"]
    assert check["remedy"]


@pytest.mark.parametrize(
    ("compute", "driver", "ok", "told"),
    [
        ({"devices": [{"title": "H200"}], "cuda": "13.0"}, "nvidia-smi", True, "H200"),
        ({"devices": [], "cuda": "13.0"}, None, True, "on the CPU"),
        ({"devices": [], "cuda": None}, "nvidia-smi", False, "CPU build"),
        ({"devices": [], "cuda": "13.0"}, "nvidia-smi", False, "no GPU that PyTorch can use"),
    ],
)
def test_a_gpu_that_is_not_used_is_noticed(monkeypatch, compute, driver, ok, told):
    monkeypatch.setattr(doctor.shutil, "which", lambda name: driver)
    check = {c.name: c for c in doctor._checks(compute)}["GPU"]
    assert check.ok is ok
    assert told in check.found
    assert bool(check.remedy) is not ok
