"""Marks of tests that need a detector."""

from __future__ import annotations

import pytest

from e4s_engine.faces import files, hog, yunet

needs_dlib = pytest.mark.skipif(
    not (hog.predictor_file() and files.installed("dlib")),
    reason="needs dlib: pip install e4s_engine[faces]",
)
needs_yunet = pytest.mark.skipif(
    not (yunet.model_file() and files.installed("cv2")),
    reason="needs OpenCV and YuNet: pip install e4s_engine[faces]",
)
