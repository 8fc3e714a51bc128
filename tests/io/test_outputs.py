from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
import types
from pathlib import Path

import pytest

from geoseg.errors import OutputError, WriteError
from geoseg.io.outputs import Staging, check_outputs, companions, size_text, write_error
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


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs users")
def test_a_folder_that_is_not_writable_is_refused(tmp_path):
    script = """
        import os, sys
        from geoseg.errors import OutputError
        from geoseg.io.outputs import check_outputs
        if os.geteuid() == 0:  # who may write everywhere: become somebody who may not
            os.setuid(65534)
        os.chdir(sys.argv[1])
        try:
            check_outputs({"vector": "a.gpkg"}, overwrite=True)
        except OutputError as error:
            print(error)
    """
    with tempfile.TemporaryDirectory() as folder:  # tmp_path is closed to other users
        Path(folder).chmod(0o555)
        words = [sys.executable, "-c", textwrap.dedent(script), folder]
        answer = subprocess.run(words, capture_output=True, text=True, check=False)
        Path(folder).chmod(0o700)
    assert "a.gpkg: the folder" in answer.stdout, answer.stderr
    assert "cannot be written to (Permission denied)" in answer.stdout


@pytest.mark.parametrize("name", ["x" * 300 + ".gpkg", "a\0.gpkg", "a\ud800.gpkg"])
def test_what_cannot_be_a_file_s_name_is_refused(tmp_path, name):
    with pytest.raises(OutputError, match="cannot be a file's name"):
        check_outputs({"vector": tmp_path / name}, overwrite=True)


def test_sizes_are_written_for_people():
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


def failing_move(monkeypatch, into: Path, error: BaseException, back: bool = False) -> None:
    """New files cannot be moved to that place; with `back`, the old one cannot either."""
    original = Path.replace

    def replace(self, target):
        if Path(target) == into and (back or self.parent.name != "old"):
            raise error
        return original(self, target)

    monkeypatch.setattr(Path, "replace", replace)


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), KeyboardInterrupt()])
@pytest.mark.parametrize("failing", ["a.shp", "a.dbf", "b.tif"])
def test_a_commit_that_fails_puts_everything_back(tmp_path, monkeypatch, failing, error):
    old = ["a.cpg", "a.dbf", "a.shp", "a.shx", "b.tif", "b.tif.ovr"]
    for name in old:
        (tmp_path / name).write_text(f"old {name}")
    finals = [tmp_path / "a.shp", tmp_path / "b.tif"]
    failing_move(monkeypatch, tmp_path / failing, error)
    with Staging(finals, overwrite=True) as staging:
        for final in finals:
            staging.path(final).write_text("new")
        for ending in (".dbf", ".shx", ".prj"):
            staging.path(finals[0]).with_suffix(ending).write_text("new")
        failure = WriteError if isinstance(error, OSError) else KeyboardInterrupt
        with pytest.raises(failure) as raised:
            staging.commit()
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {name: f"old {name}" for name in old}
    if failure is WriteError:
        assert "could not be written (Input/output error); check that the folder is writable" in str(raised.value)


def test_a_commit_that_fails_leaves_nothing_where_nothing_was(tmp_path, monkeypatch):
    finals = [tmp_path / "a.tif", tmp_path / "b.tif"]
    failing_move(monkeypatch, finals[1], OSError(5, "Input/output error"))
    with Staging(finals, overwrite=True) as staging:
        for final in finals:
            staging.path(final).write_text("x")
        with pytest.raises(WriteError, match=r"b\.tif: could not be written"):
            staging.commit()
    assert names(tmp_path) == []


def test_an_old_file_that_cannot_be_put_back_is_kept(tmp_path, monkeypatch):
    final = tmp_path / "a.tif"
    final.write_text("old")
    failing_move(monkeypatch, final, OSError(5, "Input/output error"), back=True)
    with Staging([final], overwrite=True) as staging:
        staging.path(final).write_text("new")
        with pytest.raises(WriteError, match=r"a\.tif: could not be put back; it is kept as (.*)") as raised:
            staging.commit()
    assert Path(str(raised.value).partition("kept as ")[2]).read_text() == "old"


def test_a_folder_that_appeared_meanwhile_is_kept(tmp_path):
    final = tmp_path / "a.tif"
    with Staging([final], overwrite=True) as staging:
        staging.path(final).write_text("ours")
        final.mkdir()
        with pytest.raises(OutputError, match="is a folder"):
            staging.commit()
    assert names(tmp_path) == ["a.tif"]


def test_a_link_stays_a_link_and_what_it_leads_to_is_replaced(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link.tif").symlink_to(tmp_path / "real" / "old name.tif")
    check_outputs({"raster": tmp_path / "link.tif"}, overwrite=False)
    for content in ("first", "second"):
        with Staging([tmp_path / "link.tif"], overwrite=True) as staging:
            staging.path(tmp_path / "link.tif").write_text(content)
            staging.commit()
        assert (tmp_path / "link.tif").is_symlink()
        assert (tmp_path / "real" / "old name.tif").read_text() == content
    assert names(tmp_path) == ["link.tif", "real"]
    assert names(tmp_path / "real") == ["old name.tif"]
    (tmp_path / "lost.tif").symlink_to(tmp_path / "none" / "a.tif")
    with pytest.raises(OutputError, match=r"none does not exist; create it"):
        check_outputs({"raster": tmp_path / "lost.tif"}, overwrite=True)


def test_a_relative_name_means_the_same_file_wherever_the_process_goes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    with Staging([Path("a.tif")], overwrite=False) as staging:
        monkeypatch.chdir(tmp_path / "elsewhere")
        staging.path("a.tif").write_text("x")
        staging.commit()
    assert names(tmp_path) == ["a.tif", "elsewhere"]


@pytest.mark.parametrize(
    ("reason", "remedy"),
    [
        (OSError(28, "No space left on device"), "(No space left on device); 3.0 GB of disk are left there: look for"),
        (OSError(13, "Permission denied"), "(Permission denied); check that the folder is writable"),
        (ValueError("odd\nlayer"), "(odd layer); try another format"),
    ],
)
def test_a_disk_with_room_is_not_said_to_be_full(tmp_path, monkeypatch, reason, remedy):
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: types.SimpleNamespace(free=3_000_000_000))
    said = str(write_error(tmp_path / "a.gpkg", reason))
    assert said.startswith(f"{tmp_path / 'a.gpkg'}: could not be written {remedy}")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: types.SimpleNamespace(free=3_000_000))
    assert "3.0 MB of disk are left there: free some space" in str(write_error(tmp_path / "a.gpkg", reason))


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
