"""Label and landmark files: sizes are bounded before memory is taken, and only regular files are read."""

from __future__ import annotations

import json
import os
import pickle
import traceback

import numpy as np
import pytest
from PIL import Image

from e4s_engine.errors import AlignmentError, LabelsError
from e4s_engine.photo import labelfile


@pytest.mark.parametrize("suffix", ["json", "npy", "txt"])
def test_landmark_files_are_small(tmp_path, suffix):
    path = tmp_path / f"points.{suffix}"
    if suffix == "npy":
        np.save(path, np.zeros((300_000, 1)))
    else:
        path.write_bytes(b"1 " * (1 << 20))
    with pytest.raises(AlignmentError, match=r"landmarks: .*(bytes|too large)"):
        labelfile.read_landmarks(str(path))


def test_a_line_of_faces_is_landmarks(tmp_path):
    points = [[30.5, 40], [60, 41], [45, 55], [35, 70], [56, 71]]
    path = tmp_path / "face.json"
    path.write_text(json.dumps({"number": 0, "score": 0.9, "points": points}))
    np.testing.assert_array_equal(labelfile.read_landmarks(str(path)), points)
    path.write_text(json.dumps({"number": 0}))
    with pytest.raises(AlignmentError, match="landmarks: expected"):
        labelfile.read_landmarks(str(path))


@pytest.mark.parametrize("suffix", ["png", "npy", "json", "txt"])
def test_pipes_are_not_read(tmp_path, suffix):
    path = str(tmp_path / f"pipe.{suffix}")
    os.mkfifo(path)
    with pytest.raises((AlignmentError, LabelsError), match="not a regular file"):
        (labelfile.read if suffix in ("png", "npy") else labelfile.read_landmarks)(path)


def test_arrays_of_enormous_items_are_not_copied(tmp_path):
    path = tmp_path / "labels.npy"
    np.save(path, np.zeros((4, 4), "V1000"))
    with pytest.raises(LabelsError, match="too much"):
        labelfile.read(str(path))


def test_lossy_labels_are_refused(tmp_path):
    path = tmp_path / "labels.png"
    Image.new("L", (40, 40)).save(path, "JPEG")
    with pytest.raises(LabelsError, match="JPEG is not one of PNG, TIFF, BMP, GIF"):
        labelfile.read(str(path))


def test_numpys_advice_to_unpickle_is_not_passed_on(tmp_path):
    np.save(tmp_path / "objects.npy", np.full((4, 4), None), allow_pickle=True)
    (tmp_path / "pickle.npy").write_bytes(pickle.dumps([[1, 2]]))
    (tmp_path / "page.npy").write_bytes(b"<!DOCTYPE html><html></html>")
    for name, words in (
        ("objects", "Python objects"),
        ("pickle", "no file of np.save"),
        ("page", "web page"),
    ):
        with pytest.raises(LabelsError, match=words) as caught:
            labelfile.read(str(tmp_path / f"{name}.npy"))
        assert "trust" not in "".join(traceback.format_exception(caught.value))
