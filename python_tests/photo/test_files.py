"""Writing results: an existing file is complete at every moment, and no temporary file stays."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_tools import TINY_PARSER

from e4s_engine import weights
from e4s_engine.errors import ArgumentError, OutputError
from e4s_engine.photo import files, images
from e4s_engine.result import Result

PICTURE = np.arange(40 * 40 * 3, dtype=np.uint8).reshape(40, 40, 3)
OLD = b"the old file"


def result(picture=PICTURE):
    labels = np.zeros((512, 512), np.uint8)
    return Result(picture, picture, labels, labels > 0, picture, picture[:, :, 0] > 0)


@pytest.fixture
def old(tmp_path):
    path = tmp_path / "out.png"
    path.write_bytes(OLD)
    return path


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def refused(path, *words, error=OutputError):
    with pytest.raises(error) as caught:
        result().save(path)
    message = str(caught.value)
    assert message.startswith("path: "), message
    assert all(word in message for word in words), message


def test_save_and_replace(old):
    result().save(old)
    np.testing.assert_array_equal(images.read(old), PICTURE)
    result(255 - PICTURE).save(str(old))
    np.testing.assert_array_equal(images.read(old), 255 - PICTURE)
    assert names(old.parent) == ["out.png"]


@pytest.mark.parametrize(
    "failure", [OSError(28, "No space left on device"), ValueError("encoder"), KeyboardInterrupt()]
)
def test_failure_midway_keeps_the_old_file(old, monkeypatch, failure):
    def half_written(self, path, **options):
        Path(path).write_bytes(b"\x89PNG half")
        raise failure

    monkeypatch.setattr(Image.Image, "save", half_written)
    expected = OutputError if isinstance(failure, OSError) else type(failure)
    with pytest.raises(expected) as caught:
        result().save(old)
    if expected is OutputError:
        assert "path: cannot write" in str(caught.value) and "No space left" in str(caught.value)
    assert old.read_bytes() == OLD
    assert names(old.parent) == ["out.png"]


def test_failure_of_the_rename_keeps_the_old_file(old, monkeypatch):
    def fail(self, target):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(Path, "replace", fail)
    refused(old, "cannot write", "cross-device")
    assert old.read_bytes() == OLD
    assert names(old.parent) == ["out.png"]


def test_the_old_file_is_whole_while_the_new_one_is_written(old):
    with files.replacing(old) as temporary:
        temporary.write_bytes(b"new")
        assert old.read_bytes() == OLD
        assert temporary.parent == old.parent and temporary.suffix == ".png"
    assert old.read_bytes() == b"new"


def test_nothing_written_is_an_error_and_keeps_the_old_file(old):
    with pytest.raises(OutputError, match="out: cannot write"), files.replacing(old, "out"):
        pass
    assert old.read_bytes() == OLD


def test_missing_folder(tmp_path):
    refused(tmp_path / "absent" / "out.png", "does not exist", "create it first")
    assert names(tmp_path) == []


def test_a_file_where_a_folder_should_be(tmp_path):
    (tmp_path / "file").touch()
    refused(tmp_path / "file" / "out.png", "create it first")


def test_the_name_is_a_folder(tmp_path):
    (tmp_path / "out.png").mkdir()
    refused(tmp_path / "out.png", "is a folder", "file name")


@pytest.mark.parametrize("read_only", ["file", "folder"])
def test_read_only(old, monkeypatch, read_only):
    """A read-only path is refused; os.access decides, not the file system, so this holds for root too."""
    locked = old if read_only == "file" else old.parent
    real = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != locked and real(path, mode))
    refused(old, "read-only", "choose another")
    assert old.read_bytes() == OLD


def test_unknown_ending(tmp_path):
    refused(tmp_path / "out.xyz", "'.xyz'", ".png", error=ArgumentError)


@pytest.mark.parametrize("name", ["a\0b.png", "x" * 300 + ".png"])
def test_impossible_names(tmp_path, name):
    refused(str(tmp_path / name), "choose another name")


def test_the_longest_possible_name(tmp_path):
    path = tmp_path / ("x" * 251 + ".png")
    result().save(path)
    assert names(tmp_path) == [path.name]


def test_a_symbolic_link_is_followed(tmp_path, old):
    link = tmp_path / "link.png"
    link.symlink_to(old)
    result().save(link)
    assert link.is_symlink()
    np.testing.assert_array_equal(images.read(old), PICTURE)


def test_a_dangling_link_is_written_through(tmp_path):
    link = tmp_path / "link.png"
    link.symlink_to(tmp_path / "to be.png")
    result().save(link)
    assert link.is_symlink() and (tmp_path / "to be.png").is_file()


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664])
def test_permissions_of_the_old_file_stay(old, mode):
    old.chmod(mode)
    result().save(old)
    assert old.stat().st_mode & 0o777 == mode


def test_new_files_follow_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        result().save(tmp_path / "out.png")
    finally:
        os.umask(before)
    assert (tmp_path / "out.png").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_a_writer_with_its_own_mode_follows_the_umask(tmp_path, umask):
    """Writers that create their file as 0600, as that of safetensors does, change nothing."""
    before = os.umask(umask)
    try:
        with files.replacing(tmp_path / "new") as temporary:
            temporary.touch(0o600)
            temporary.chmod(0o600)
        model = weights.random_model(TINY_PARSER, 1)
        weights.save(model, tmp_path / "parser.safetensors")
    finally:
        os.umask(before)
    for name in ("new", "parser.safetensors"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o666 & ~umask


def test_concurrent_writers(old):
    """Readers always see one complete picture or the other while several threads write."""
    pictures = [np.full((64, 64, 3), shade, np.uint8) for shade in (10, 90, 200)]
    result(pictures[0]).save(old)
    problems = []

    def write(picture):
        try:
            for _ in range(20):
                result(picture).save(old)
                seen = images.read(old)
                assert seen.shape == (64, 64, 3) and len(np.unique(seen)) == 1
        except Exception as error:
            problems.append(error)

    threads = [threading.Thread(target=write, args=(picture,)) for picture in pictures]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems
    assert names(old.parent) == ["out.png"]


def test_a_notebook_shows_the_picture():
    np.testing.assert_array_equal(images.read(result()._repr_png_()), PICTURE)
