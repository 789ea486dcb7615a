"""Detectors by name, and the best one at hand."""

from __future__ import annotations

import logging
from pathlib import Path

from e4s_engine.errors import ArgumentError, BackendError
from e4s_engine.faces import files, hog, yunet
from e4s_engine.faces.face import Detector
from e4s_engine.faces.upright import Upright

logger = logging.getLogger("e4s_engine")

BEST = "auto"
NAMES = (BEST, "retinaface", "yunet", "dlib")


def best(retinaface: Detector | None = None, folder: Path | None = None) -> Detector:
    """Return the best detector at hand, and log which it is.

    RetinaFace finds the faces if there is one, else YuNet, each with 68 points by dlib where that is
    installed; without either dlib does both, exactly as published. Models load at the first photo.

    retinaface: a detector whose weights are loaded, or None.
    folder: folder that may hold the models of dlib and YuNet, beside the installed packages.

    Raises BackendError if there is none.
    """
    chosen = at_hand(retinaface, folder)
    if chosen is None:
        raise BackendError(
            f"landmarks: no face detector is installed; `{files.INSTALL}` brings dlib and YuNet, or put "
            "RetinaFace-R50.pth beside the weights"
        )
    return chosen


def at_hand(retinaface: Detector | None = None, folder: Path | None = None) -> Detector | None:
    """Return what `best` does, None if there is none."""
    dlib = _dlib(folder)
    finder = retinaface or _yunet(folder)
    chosen: Detector | None = finder
    if dlib is not None:
        chosen = Upright(finder, dlib) if finder else hog.Hog(dlib)
    if chosen is None:
        return None
    logger.info("faces: %s", chosen.name)
    return chosen


def named(name: str, retinaface: Detector | None = None, folder: Path | None = None) -> Detector:
    """Return one detector alone, whatever else is at hand, and log it.

    name: "retinaface" or "yunet", with five points, or "dlib", exactly as published, with 68.
    retinaface, folder: as for `best`. Raises ArgumentError, and BackendError where it is not at hand.
    """
    if name == "retinaface":
        if retinaface is None:
            raise BackendError(
                "landmarks: RetinaFace's weights are missing; put RetinaFace-R50.pth beside the model's and "
                "give that folder as weights"
            )
        chosen = retinaface
    elif name == "yunet":
        chosen = yunet.YuNet(yunet.model_file(folder))
    elif name == "dlib":
        chosen = hog.Hog(hog.Dlib(hog.predictor_file(folder)))
    else:
        raise ArgumentError(f"landmarks: expected one of {', '.join(NAMES)}, got {name!r}")
    logger.info("faces: %s", chosen.name)
    return chosen


def _dlib(folder: Path | None) -> hog.Dlib | None:
    file = hog.predictor_file(folder)
    return hog.Dlib(file) if file and files.installed("dlib") else None


def _yunet(folder: Path | None) -> yunet.YuNet | None:
    file = yunet.model_file(folder)
    return yunet.YuNet(file) if file and files.installed("cv2") else None
