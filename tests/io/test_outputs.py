from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from geoseg.errors import OutputError, ResourceError, WriteError
from geoseg.io.outputs import Staging, check_outputs, companions, require_space, size_text
from tests.io.support import names


@pytest.mark.parametrize(
    ("kind", "name", "said"),
    [
        ("vector", "a.kml", "'.kml'; expected .gpkg .geojson .json .shp .fgb .parquet"),
        ("vector", "a", "no ending"),
        ("raster", "a.png", "expected .tif .tiff"),
        ("preview", "a.jpg", "expected .png"),
        ("vector", "s3://bucket/a.gpkg", "local files"),
        ("raster", "/vsis3/bucket/a.tif", "local files"),
    ],
)
def test_a_path_that_cannot_be_written_is_refused(kind, name, said):
    with pytest.raises(OutputError, match="(?s)" + said.replace(".", r"\.")):
        check_outputs({kind: name}, overwrite=True)


def test_paths_come_back_by_kind_and_endings_in_capitals_count(tmp_path):
    found = check_outputs({"vector": str(tmp_path / "A.GPKG"), "raster": None, "scores": tmp_path / "s.TIF"}, False)
    assert found == {"vector": tmp_path / "A.GPKG", "scores": tmp_path / "s.TIF"}
    assert names(tmp_path) == []


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(OutputError, match=r"missing does not exist; create it"):
        check_outputs({"vector": tmp_path / "missing" / "a.gpkg"}, overwrite=True)


def test_a_folder_under_the_final_name_is_refused_even_with_overwrite(tmp_path):
    (tmp_path / "a.gpkg").mkdir()
    with pytest.raises(OutputError, match="is a folder"):
        check_outputs({"vector": tmp_path / "a.gpkg"}, overwrite=True)


@pytest.mark.parametrize("standing", ["a.shp", "a.dbf"])
def test_existing_files_need_overwrite(tmp_path, standing):
    (tmp_path / standing).write_text("mine")
    with pytest.raises(OutputError, match=f"{standing}: exists already; pass --overwrite"):
        check_outputs({"vector": tmp_path / "a.shp"}, overwrite=False)
    check_outputs({"vector": tmp_path / "a.shp"}, overwrite=True)
    assert (tmp_path / standing).read_text() == "mine"


def test_an_output_may_not_replace_an_input_through_a_link_either(tmp_path):
    scene = tmp_path / "scene.tif"
    scene.write_text("pixels")
    (tmp_path / "link.tif").symlink_to(scene)
    with pytest.raises(OutputError, match="is read by this job"):
        check_outputs({"raster": tmp_path / "link.tif"}, overwrite=True, inputs=[scene, "https://host/scene.tif"])


def test_two_outputs_may_not_share_a_file(tmp_path):
    with pytest.raises(OutputError, match="raster and scores share"):
        check_outputs({"raster": tmp_path / "a.tif", "scores": tmp_path / "." / "a.tif"}, overwrite=True)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_is_not_writable_is_refused(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="cannot be written to"):
        check_outputs({"vector": tmp_path / "a.gpkg"}, overwrite=True)


def test_space_is_compared_with_what_is_left(tmp_path):
    require_space(tmp_path, 1, "the test")
    with pytest.raises(ResourceError, match=r"the test needs about 1000000\.0 TB of disk, found"):
        require_space(tmp_path, 10**18, "the test")
    assert [size_text(n) for n in (7, 3_200_000_000)] == ["7 bytes", "3.2 GB"]


def test_nothing_has_a_final_name_before_commit_and_all_has_after(tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    finals = [tmp_path / "a.shp", other / "b.tif"]
    with Staging(finals, overwrite=False) as staging:
        for final in finals:
            staging.path(final).write_text(final.name)
        staging.path(finals[0]).with_suffix(".dbf").write_text("table")
        staging.scratch(finals[0], "spool").write_text("scratch")
        assert not any(final.exists() for final in finals)
        staging.commit()
    assert names(tmp_path) == ["a.dbf", "a.shp", "other"]
    assert names(other) == ["b.tif"]
    assert finals[0].read_text() == "a.shp"


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_interrupted_block_leaves_the_old_file_and_nothing_else(tmp_path, error):
    final = tmp_path / "a.gpkg"
    final.write_text("old")

    def interrupted() -> None:
        with Staging([final], overwrite=True) as staging:
            staging.path(final).write_text("half")
            raise error

    with pytest.raises(error):
        interrupted()
    assert names(tmp_path) == ["a.gpkg"]
    assert final.read_text() == "old"


def test_files_of_an_older_result_do_not_outlive_it(tmp_path):
    final = tmp_path / "a.tif"
    old = [final, *companions(final)]
    for path in [*old, tmp_path / "a.qml"]:
        path.write_text("old")
    with Staging([final], overwrite=True) as staging:
        staging.path(final).write_text("new")
        staging.commit()
    assert names(tmp_path) == ["a.qml", "a.tif"]
    assert final.read_text() == "new"


def test_a_file_that_was_never_written_is_told_and_moves_nothing(tmp_path):
    finals = [tmp_path / "a.tif", tmp_path / "b.tif"]
    with Staging(finals, overwrite=False) as staging:
        staging.path(finals[0]).write_text("a")
        with pytest.raises(WriteError, match=r"b\.tif: was never written"):
            staging.commit()
    assert names(tmp_path) == []


def test_a_file_that_appeared_meanwhile_is_kept(tmp_path):
    final = tmp_path / "a.tif"
    with Staging([final], overwrite=False) as staging:
        staging.path(final).write_text("ours")
        final.write_text("theirs")
        with pytest.raises(OutputError, match="exists already"):
            staging.commit()
    assert final.read_text() == "theirs"


def test_a_move_that_fails_takes_back_the_moves_before_it(tmp_path):
    finals = [tmp_path / "a.tif", tmp_path / "b.tif"]
    with Staging(finals, overwrite=True) as staging:
        for final in finals:
            staging.path(final).write_text("x")
        finals[1].mkdir()
        with pytest.raises(WriteError, match=r"b\.tif: could not be written"):
            staging.commit()
    assert names(tmp_path) == ["b.tif"]


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
def test_a_killed_process_leaves_no_file_under_the_final_name(tmp_path):
    final = tmp_path / "a.gpkg"
    script = f"""
        import time
        from geoseg.io.outputs import Staging
        with Staging([{str(final)!r}], overwrite=False) as staging:
            staging.path({str(final)!r}).write_text("half")
            print("ready", flush=True)
            time.sleep(60)
    """
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=10)
    time.sleep(0)
    assert not final.exists()
    assert all(name.startswith(".geoseg-") for name in names(tmp_path))


def test_staging_in_a_missing_folder_is_an_output_error():
    with pytest.raises(OutputError, match="cannot be written to"):
        Staging([Path("/nowhere/at/all.tif")], overwrite=True)
