"""Files are put where they belong all together or not at all."""

from pathlib import Path

import pytest

from geoseg.errors import ModelError, OutputError
from geoseg.models.digest import sha256_of
from geoseg.models.placing import put, scratch


def _ready(folder, *names):
    folder.mkdir()
    files = []
    for name in names:
        (folder / name).write_text(f"new {name}")
        files.append((folder / name, folder.parent / name))
    return files


def test_files_take_the_place_of_older_ones(tmp_path):
    (tmp_path / "b").write_text("old")
    put(_ready(tmp_path / "made", "a", "b"))
    assert [(tmp_path / name).read_text() for name in "ab"] == ["new a", "new b"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b", "made"]


@pytest.mark.parametrize("older", ["", "a", "b", "c", "abc"])
@pytest.mark.parametrize("failing", [0, 1, 2])
def test_after_a_failure_all_is_as_it_was(tmp_path, monkeypatch, older, failing):
    for name in older:
        (tmp_path / name).write_text(f"old {name}")
    files = _ready(tmp_path / "made", "a", "b", "c")
    real = Path.replace

    def replace(self, target):
        if self == files[failing][0]:
            raise OSError(28, "No space left on device")
        return real(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    with pytest.raises(OSError, match="No space"):
        put(files)
    assert {p.name: p.read_text() for p in tmp_path.iterdir() if p.is_file()} == {n: f"old {n}" for n in older}
    assert sorted(p.name for p in tmp_path.iterdir() if p.is_dir()) == ["made"]


def test_a_folder_is_not_filled(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "b").touch()
    with pytest.raises(OutputError, match="found a folder"):
        put([(tmp_path / "made" / "b", tmp_path / "b"), (tmp_path / "made" / "b", tmp_path / "a")])
    assert not (tmp_path / "b").exists()
    with pytest.raises(OutputError, match="found a folder"), scratch(tmp_path / "a"):
        pass


def test_two_make_the_same_file_without_meeting(tmp_path):
    with scratch(tmp_path / "x") as one, scratch(tmp_path / "x") as other:
        assert one != other
    assert list(tmp_path.iterdir()) == []


def test_the_checksum_is_that_of_the_files_in_a_row(tmp_path):
    (tmp_path / "a").write_bytes(b"ab")
    (tmp_path / "b").write_bytes(b"c")
    abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256_of(tmp_path / "a", tmp_path / "b") == abc
    with pytest.raises(ModelError, match="cannot be read"):
        sha256_of(tmp_path / "a", tmp_path / "none")
