"""`e4s weights`, `e4s convert FOLDER`, `e4s restore`, `e4s reenact`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from cli_tools import done
from weights_tools import content, saved

from e4s_engine import weights
from e4s_engine.faces import landmarks
from e4s_engine.faces.hog import PREDICTOR
from e4s_engine.networks.facevid2vid.pose import Poses
from e4s_engine.photo import images
from e4s_engine.pipeline import loading, reenact, restore


@pytest.fixture
def checkpoints(e4s) -> Path:
    place = Path("ckpts/e4s")
    place.mkdir(parents=True)
    saved(place / "x.pt", content("rgi"))
    saved(place / "y.pth", content("parser", key=None, prefix=""))
    (place / PREDICTOR).write_bytes(b"dlib")
    (place / "z.pth").write_text("version https://git-lfs.github.com/spec/v1\n")
    return place.parent


def test_weights_lists_what_is_there_and_what_is_missing(e4s, checkpoints) -> None:
    code, out, err = e4s("weights", checkpoints, model=False)
    assert (code, err) == (0, "")
    there, _, missing = out.partition("missing of the published pipeline:")
    for word in ("x.pt", "rgi, official", "enables: swaps and edits", "y.pth", "landmarks", "Git LFS"):
        assert word in there
    for name in (
        "00000189-checkpoint.pth.tar",
        "GPEN-BFR-512.pth",
        "realesrnet_x4.pth",
        "RetinaFace-R50.pth",
    ):
        assert name in missing
    assert "https://" in missing and "licence: " in missing and "iteration_300000.pt" not in missing


def test_weights_in_json(e4s, checkpoints) -> None:
    code, out, _ = e4s("weights", checkpoints, "--json", model=False)
    facts = [json.loads(line) for line in out.splitlines()]
    kinds = {one["kind"]: one for one in facts}
    assert code == 0 and not kinds["rgi"].get("missing") and kinds["gpen"]["missing"]
    assert kinds["rgi"]["bytes"] == (checkpoints / "e4s/x.pt").stat().st_size
    assert "Git LFS" in kinds[None]["unused"]


def test_no_folder(fails) -> None:
    assert "is no folder" in fails("weights", "a.png", model=False)


def test_a_folder_is_converted(e4s, checkpoints, fails) -> None:
    code, out, _ = e4s("convert", checkpoints, "new", model=False)
    assert code == 0 and "1 of 2" in out and "2 of 2" in out and "left out" in out
    names = {path.name for path in Path("new").iterdir()}
    assert names == {"e4s.safetensors", "parser.safetensors", PREDICTOR}
    assert weights.load("new/e4s.safetensors", "rgi").tensors.keys()
    assert "exists already" in fails("convert", checkpoints, "new", model=False)
    assert e4s("convert", checkpoints, "new", "--overwrite", model=False)[0] == 0
    assert "is a file" in fails("convert", checkpoints, "a.png", model=False)
    assert "holds no official checkpoint" in fails("convert", "new", "newer", model=False)


def test_restore_and_reenact(e4s, monkeypatch, fails) -> None:
    """The commands reach the engine's calls; without weights the message says what to give."""
    assert "--weights a folder" in fails("restore", "a.png", "-o", "out.png")
    assert "00000189-checkpoint.pth.tar" in fails("reenact", "a.png", "b.png", "-o", "out.png")
    assert "--reenact yes" in fails("swap", "a.png", "b.png", "-o", "out.png", "--reenact", "yes")
    monkeypatch.setattr(loading, "finder", lambda *_: landmarks.resolve(None))
    later = {"recolor", "inpaint"}  # networks that would run after those
    monkeypatch.setattr(
        "e4s_engine.pipeline.networks.Networks.has", lambda _, *kinds: not later.intersection(kinds)
    )
    monkeypatch.setattr("e4s_engine.pipeline.networks.Networks.config", lambda *_: None)
    monkeypatch.setattr(reenact, "look", lambda crop, *_: _Subject(crop))
    monkeypatch.setattr(reenact, "drive", lambda own, *_: own.crop[::4, ::4])
    monkeypatch.setattr(restore, "restore", _four_times)
    assert e4s("restore", "a.png", "-o", "out.png") == (0, "out.png: 0 faces restored\n", "")
    np.testing.assert_array_equal(images.read("out.png")[::4, ::4], images.read("a.png"))
    done(e4s("reenact", "a.png", "b.png", "-o", "small.png", "--align", "no"))
    assert images.read("small.png").shape == (256, 256, 3)
    done(e4s("reenact", "a.png", "b.png", "-o", "large.png", "--align", "no", "--restore"))
    assert images.read("large.png").shape == (1024, 1024, 3)
    done(e4s("swap", "a.png", "b.png", "-o", "swap.png", "--explain", "sheet.png", "--align", "no"))
    sheet = images.read("sheet.png")
    assert sheet.shape[1] == 6 * 392 + 8  # source, driven, restored, target, face, result


class _Subject:
    def __init__(self, crop: np.ndarray) -> None:
        self.crop = crop
        self.pose = Poses(*(np.full((1, 3), crop[0, 0], np.float32) for _ in range(3)))

    def turn(self, _: _Subject) -> float:
        return 30.0


def _four_times(photo, run, find) -> restore.Restored:
    large = photo.repeat(4, 0).repeat(4, 1)
    return restore.Restored(large, (), np.zeros(large.shape[:2], np.float32))
